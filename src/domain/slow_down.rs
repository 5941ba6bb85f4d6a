//! How sign-in slows down whoever guesses, without locking the owner out.
//!
//! Three rules, each for what the others leave open:
//!
//! 1. A client waits longer with each failure of its own, up to five minutes. A client is a browser
//!    that has signed in before (by a cookie of its own), else an address: IPv6 by its /48, which
//!    is what one customer can have.
//! 2. Strangers, that is clients without such a cookie, are slowed down together once they have
//!    failed often at one account: then one try every ten seconds for all of them. That bounds a
//!    botnet.
//! 3. The first try of an address passes rule 2. So the owner with a new browser at a new address
//!    gets in during an attack; and the attacker gets one guess an address and day, which is
//!    hopeless against a password of 12 characters that is not a common one.
//!
//! A browser that has signed in before is held up by nobody but itself, even when it shares its
//! address with the attacker.

use time::{Duration, OffsetDateTime};

use super::limits::SKEW;

/// How often a client may fail without having to wait.
const FREE: u32 = 4;
/// The longest wait of a client.
const MAX_WAIT: Duration = Duration::minutes(5);
/// A client without a failure for so long is new again. Nothing is remembered for longer.
pub const CLIENT_MEMORY: Duration = Duration::hours(24);
/// Failures of all strangers at an account before they wait together.
const STRANGERS_FREE: u32 = 100;
/// The wait between two attempts of strangers, from then on.
const STRANGERS_PAUSE: Duration = Duration::seconds(10);
/// Strangers are free again after so long without a failure.
pub const STRANGERS_MEMORY: Duration = Duration::hours(1);

/// Attempts that have failed or are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    pub failures: u32,
    pub last: OffsetDateTime,
}

impl Attempts {
    fn recent(self, memory: Duration, now: OffsetDateTime) -> u32 {
        if now - self.last < memory {
            self.failures
        } else {
            0
        }
    }

    /// The attempts within `memory`, and one more that begins now.
    pub fn and_one_more(self, memory: Duration, now: OffsetDateTime) -> Self {
        Self {
            failures: self.recent(memory, now).saturating_add(1),
            last: now,
        }
    }
}

/// How long `client` has to wait before its next try; zero: it may try now.
pub fn client_wait(client: Attempts, now: OffsetDateTime) -> Duration {
    let failures = client.recent(CLIENT_MEMORY, now);
    let Some(doublings) = failures.checked_sub(FREE + 1) else {
        return Duration::ZERO;
    };
    let pause = Duration::seconds(1 << doublings.min(16)).min(MAX_WAIT);
    left(client.last, pause, now)
}

/// How long a stranger has to wait because of all strangers' failures.
pub fn stranger_wait(client: Attempts, strangers: Attempts, now: OffsetDateTime) -> Duration {
    if client.recent(CLIENT_MEMORY, now) == 0
        || strangers.recent(STRANGERS_MEMORY, now) < STRANGERS_FREE
    {
        return Duration::ZERO;
    }
    left(strangers.last, STRANGERS_PAUSE, now)
}

/// What is left of a pause since `last`. None of one that began in the future: the clock has been
/// set back since.
fn left(last: OffsetDateTime, pause: Duration, now: OffsetDateTime) -> Duration {
    if last - now > SKEW {
        return Duration::ZERO;
    }
    (last + pause - now).max(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn after(failures: u32) -> Attempts {
        Attempts {
            failures,
            last: NOW,
        }
    }

    #[test]
    fn a_client_waits_longer_with_each_failure_but_never_for_ever() {
        let waits: Vec<_> = (0..=9).map(|n| client_wait(after(n), NOW)).collect();
        let seconds = [0, 0, 0, 0, 0, 1, 2, 4, 8, 16].map(Duration::seconds);
        assert_eq!(waits, seconds);
        assert_eq!(client_wait(after(u32::MAX), NOW), MAX_WAIT);
        assert_eq!(client_wait(after(u32::MAX), NOW + MAX_WAIT), Duration::ZERO);
    }

    #[test]
    fn nobody_waits_for_a_clock_that_was_set_back() {
        let set_back = NOW - Duration::DAY;
        assert_eq!(client_wait(after(9), set_back), Duration::ZERO);
        let many = after(STRANGERS_FREE);
        assert_eq!(stranger_wait(after(1), many, set_back), Duration::ZERO);
    }

    #[test]
    fn failures_are_forgotten() {
        let later = NOW + CLIENT_MEMORY;
        assert_eq!(after(9).and_one_more(CLIENT_MEMORY, later).failures, 1);
        assert_eq!(after(9).and_one_more(CLIENT_MEMORY, NOW).failures, 10);
    }

    #[test]
    fn strangers_wait_together_but_for_the_first_try_of_an_address() {
        let many = after(STRANGERS_FREE);
        assert_eq!(stranger_wait(after(0), many, NOW), Duration::ZERO);
        assert_eq!(stranger_wait(after(1), many, NOW), STRANGERS_PAUSE);
        assert_eq!(
            stranger_wait(after(1), many, NOW + STRANGERS_PAUSE),
            Duration::ZERO
        );
        let few = after(STRANGERS_FREE - 1);
        assert_eq!(stranger_wait(after(1), few, NOW), Duration::ZERO);
    }
}
