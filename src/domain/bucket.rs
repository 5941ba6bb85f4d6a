//! The request rate that AWS grants an access key, as a token bucket that learns from refusals.

use time::{Duration, OffsetDateTime};

use super::Limits;
use super::limits::{SKEW, is_within};

/// The slowest that throttling can make us, as a share of the configured rate. A refused call costs
/// no money and little time, while a key that is slower than this makes its sites wait for each
/// other long after the trouble has passed.
const MIN_RATE_SHARE: f64 = 1.0 / 4.0;
/// The factor by which each accepted call raises a rate that throttling has lowered.
const RECOVERY: f64 = 1.5;
/// How much longer the first calls after a pause may take to arrive than those after them, since
/// they have to connect. To AWS the later ones would look early by that much.
pub(super) const TRAVEL: Duration = Duration::milliseconds(500);
/// The same between calls over an open connection.
const JITTER: Duration = Duration::milliseconds(150);
/// How long after an answer a connection is taken to be open.
const OPEN_FOR: Duration = Duration::seconds(10);

/// How much longer a call may take to arrive than the one after it.
pub(super) fn lateness(answered_at: Option<OffsetDateTime>, now: OffsetDateTime) -> Duration {
    match answered_at.is_some_and(|at| is_within(OPEN_FOR, at, now)) {
        true => JITTER,
        false => TRAVEL,
    }
}

/// Calls that may be made now, and how fast more are added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Calls that may be made now.
    pub tokens: f64,
    /// Calls that are added each second.
    pub rate: f64,
    pub refilled_at: OffsetDateTime,
}

impl Bucket {
    pub fn full(limits: &Limits, now: OffsetDateTime) -> Self {
        Self {
            tokens: f64::from(limits.request_burst),
            rate: limits.requests_per_second,
            refilled_at: now,
        }
    }

    pub fn refilled(self, limits: &Limits, now: OffsetDateTime) -> Self {
        let (seconds, refilled_at) = elapsed(self.refilled_at, now);
        let rate = self.rate.clamp(
            limits.requests_per_second * MIN_RATE_SHARE,
            limits.requests_per_second,
        );
        // The least that a call leaves.
        let least = -1.0 - rate * TRAVEL.as_seconds_f64();
        Self {
            tokens: (self.tokens.max(least) + seconds * rate).min(f64::from(limits.request_burst)),
            rate,
            refilled_at,
        }
    }

    /// Takes one call from a refilled bucket.
    ///
    /// # Errors
    /// When the next call may be made, if none may be now.
    pub fn take(self, limits: &Limits) -> Result<Self, OffsetDateTime> {
        match self.next_call() {
            Some(next) => Err(next),
            None => {
                let most = f64::from(limits.request_burst) - self.rate * TRAVEL.as_seconds_f64();
                Ok(Self {
                    tokens: self.tokens.min(most) - 1.0,
                    ..self
                })
            }
        }
    }

    /// When the next call may be made; `None` means now.
    pub fn next_call(&self) -> Option<OffsetDateTime> {
        (self.tokens < 1.0).then(|| {
            let wait = Duration::seconds_f64((1.0 - self.tokens) / self.rate);
            // A microsecond more, so that rounding never makes the next try a moment early.
            self.refilled_at + wait + Duration::MICROSECOND
        })
    }

    /// After AWS throttled: nothing is left, and calls come back half as fast.
    pub fn throttled(self, limits: &Limits) -> Self {
        Self {
            tokens: self.tokens.min(0.0),
            rate: (self.rate / 2.0).max(limits.requests_per_second * MIN_RATE_SHARE),
            ..self
        }
    }

    /// After AWS accepted: a lowered rate recovers a little.
    pub fn accepted(self, limits: &Limits) -> Self {
        Self {
            rate: (self.rate * RECOVERY).min(limits.requests_per_second),
            ..self
        }
    }
}

/// How many seconds have passed, and as of when. Clocks of replicas differ a little, which neither
/// fills nor drains. After one was set back nobody knows how long it was: a bucket that is full
/// costs a refusal at most, while an empty one would stay empty until the clock has caught up.
pub(super) fn elapsed(since: OffsetDateTime, now: OffsetDateTime) -> (f64, OffsetDateTime) {
    if since - now > SKEW {
        return (f64::INFINITY, now);
    }
    ((now - since).as_seconds_f64().max(0.0), since.max(now))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    fn drain(limits: &Limits, from: OffsetDateTime, until: OffsetDateTime) -> u32 {
        let (mut bucket, mut now, mut calls) = (Bucket::full(limits, from), from, 0);
        while now <= until {
            match bucket.refilled(limits, now).take(limits) {
                Ok(taken) => {
                    bucket = taken;
                    calls += 1;
                }
                Err(next) => {
                    assert!(next > now, "waiting moves forward");
                    now = next;
                }
            }
        }
        calls
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let limits = Limits::default();
        assert_eq!(drain(&limits, START, START + Duration::seconds(30)), 5 + 14);
    }

    #[test]
    fn throttling_slows_and_acceptance_recovers() {
        let limits = Limits::default();
        let mut bucket = Bucket::full(&limits, START).throttled(&limits);
        assert!(bucket.take(&limits).is_err());
        assert!(bucket.rate < limits.requests_per_second);
        for _ in 0..100 {
            bucket = bucket.throttled(&limits);
        }
        assert!(bucket.rate > 0.0, "never stops for good");
        for _ in 0..100 {
            bucket = bucket.accepted(&limits);
        }
        assert!((bucket.rate - limits.requests_per_second).abs() < f64::EPSILON);
    }

    #[test]
    fn a_clock_that_differs_changes_nothing_and_one_that_was_set_back_fills() {
        let limits = Limits::default();
        let empty = Bucket {
            tokens: 0.0,
            ..Bucket::full(&limits, START)
        };
        assert_eq!(empty.refilled(&limits, START - Duration::SECOND), empty);
        let back = START - Duration::HOUR;
        assert_eq!(empty.refilled(&limits, back), Bucket::full(&limits, back));
    }
}
