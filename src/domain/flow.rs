//! What a distribution accepts a second, where CloudFront limits paths by the second: two token
//! buckets, one for each kind of path.
//!
//! A bucket holds one second's worth, since CloudFront may refuse more than that at once; so what
//! is planned is cut to it ([`Limits::quota`]). A batch that was stored under another rate, and is
//! larger, has to go as it is: it goes when the bucket is full, and leaves it below zero, so that
//! what follows waits for both; for a rate that is only believed, no longer than a belief holds.
//! What has waited in vain for a full bucket goes in two ([`Flow::beside_neighbours`]).

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::bucket::elapsed;
use super::limits::whole;
use super::{Kind, KindCounts, Limits, PerKind, Room};

/// How long what was overdrawn counts: no belief holds for longer.
const MAX_DEBT: Duration = Duration::seconds(30);

/// Paths that may be sent to a distribution now. Kinds whose rate is not limited are always full.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Below zero after more than one second's worth.
    pub tokens: PerKind<f64>,
    #[serde(with = "time::serde::rfc3339")]
    pub refilled_at: OffsetDateTime,
}

impl Flow {
    pub fn full(limits: &Limits, now: OffsetDateTime) -> Self {
        Self {
            tokens: PerKind::each(|kind| limits.per_second[kind].map_or(0.0, capacity)),
            refilled_at: now,
        }
    }

    pub fn refilled(self, limits: &Limits, now: OffsetDateTime) -> Self {
        let (seconds, refilled_at) = elapsed(self.refilled_at, now);
        let refill = |kind: Kind| {
            let refill = |rate: f64| {
                // A learned rate is only believed.
                let least = match limits.known[kind] {
                    true => f64::NEG_INFINITY,
                    false => -rate * MAX_DEBT.as_seconds_f64(),
                };
                (self.tokens[kind].max(least) + seconds * rate).min(capacity(rate))
            };
            limits.per_second[kind].map_or(0.0, refill)
        };
        Self {
            tokens: PerKind::each(refill),
            refilled_at,
        }
    }

    /// `room`, as far as refilled buckets allow it.
    pub fn narrow(self, room: Room, limits: &Limits) -> Room {
        let narrow = |kind: Kind| match limits.per_second[kind] {
            Some(_) => room.items[kind].min(whole(self.tokens[kind])),
            None => room.items[kind],
        };
        Room {
            items: PerKind::each(narrow),
            ..room
        }
    }

    /// When a stored batch may be sent, since what it needs is there or the bucket is full; none:
    /// now.
    pub fn admits_at(self, needs: KindCounts, limits: &Limits) -> Option<OffsetDateTime> {
        // What one kind has overdrawn delays nothing of the other.
        let waits = needs.kinds().filter_map(|kind| {
            let rate = limits.per_second[kind]?;
            let missing = f64::from(needs[kind]).min(capacity(rate)) - self.tokens[kind];
            // A microsecond more, so that rounding never makes the next try a moment early.
            (missing > 1e-9).then(|| Duration::seconds_f64(missing / rate) + Duration::MICROSECOND)
        });
        waits.max().map(|wait| self.refilled_at + wait)
    }

    /// What one call may hold, of at most `quota`, of what has waited for as long as a belief holds:
    /// what is there, and in any case half, so that it goes in two. Small calls of neighbours may
    /// keep a bucket from ever being full, but not from being half full.
    pub fn beside_neighbours(self, quota: Room, limits: &Limits) -> Room {
        let most = |kind: Kind| {
            let all = quota.items[kind];
            match limits.per_second[kind] {
                Some(_) => all.min(whole(self.tokens[kind]).max(all.div_ceil(2))),
                None => all,
            }
        };
        Room {
            items: PerKind::each(most),
            ..quota
        }
    }

    /// Takes what a batch needs from refilled buckets. It may arrive `late`.
    pub fn spent(self, needs: KindCounts, limits: &Limits, late: Duration) -> Self {
        let spend = |kind: Kind| match (limits.per_second[kind], needs[kind]) {
            (None, _) | (_, 0) => self.tokens[kind],
            (Some(rate), amount) => {
                let amount = f64::from(amount);
                // What is added until it arrives is wasted. At most as much again as it holds is
                // kept back for that: more would keep the bucket from ever being full beside small
                // calls. A large call right behind a small one that is late may be refused.
                let late = (rate * late.as_seconds_f64()).min(amount);
                self.tokens[kind].min(capacity(rate) - late) - amount
            }
        };
        Self {
            tokens: PerKind::each(spend),
            ..self
        }
    }

    /// After a refusal: what was refused has at most emptied the buckets of its kinds.
    pub fn without_debt(self, refused: KindCounts) -> Self {
        let left = |kind: Kind| match refused[kind] {
            0 => self.tokens[kind],
            _ => self.tokens[kind].max(0.0),
        };
        Self {
            tokens: PerKind::each(left),
            ..self
        }
    }
}

/// One second's worth, and at least one.
fn capacity(rate: f64) -> f64 {
    rate.max(1.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::domain::bucket::TRAVEL;

    const START: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    fn limits() -> Limits {
        Limits {
            per_second: PerKind {
                files: Some(150.0),
                wildcards: Some(0.5),
            },
            ..Limits::default()
        }
    }

    fn files(files: u32) -> KindCounts {
        KindCounts::counted(files, 0)
    }

    #[test]
    fn one_seconds_worth_at_once() {
        let limits = limits();
        let flow = Flow::full(&limits, START);
        let room = |flow: Flow| flow.narrow(limits.quota(), &limits).items;
        assert_eq!(room(flow), KindCounts::counted(150, 1));
        let spent = flow.spent(files(150), &limits, TRAVEL);
        assert_eq!(room(spent), KindCounts::counted(0, 1));
        let next = spent.admits_at(files(10), &limits).unwrap();
        let at = |now| spent.refilled(&limits, now).admits_at(files(10), &limits);
        assert_eq!(at(next), None);
        assert!(at(next - Duration::milliseconds(1)).is_some());
    }

    #[test]
    fn a_stored_batch_that_is_larger_goes_when_the_bucket_is_full() {
        let limits = limits();
        let flow = Flow::full(&limits, START);
        assert_eq!(flow.admits_at(files(3_000), &limits), None);
        let spent = flow.spent(files(3_000), &limits, TRAVEL);
        assert!(spent.tokens.files < 0.0);
        let full_at = spent.admits_at(files(3_000), &limits).unwrap();
        assert!(full_at > START + Duration::seconds(20));
        let refilled = spent.refilled(&limits, full_at);
        assert_eq!(refilled.admits_at(files(3_000), &limits), None);
    }

    #[test]
    fn what_was_overdrawn_of_a_learned_rate_holds_others_no_longer_than_a_belief() {
        let learned = limits();
        let overdrawn = Flow::full(&learned, START).spent(files(30_000), &learned, TRAVEL);
        let later = START + Duration::seconds(31);
        let full_at = |limits: &Limits| {
            let refilled = overdrawn.refilled(limits, later);
            refilled.admits_at(files(150), limits)
        };
        assert_eq!(full_at(&learned), None);
        let configured = Limits {
            known: PerKind::each(|_| true),
            ..learned
        };
        assert!(full_at(&configured).is_some());
    }

    #[test]
    fn what_one_kind_has_overdrawn_delays_nothing_of_the_other() {
        let limits = limits();
        let spent = Flow::full(&limits, START).spent(files(3_000), &limits, TRAVEL);
        let wildcard = KindCounts::counted(0, 1);
        assert!(spent.admits_at(files(1), &limits).is_some());
        assert_eq!(spent.admits_at(wildcard, &limits), None);
    }

    #[test]
    fn what_has_waited_for_long_goes_in_two_once_half_is_there() {
        let limits = limits();
        let quota = limits.quota();
        for (left, most) in [(150, 150), (100, 100), (75, 75), (10, 75)] {
            let flow = Flow {
                tokens: PerKind {
                    files: f64::from(left),
                    wildcards: 0.0,
                },
                refilled_at: START,
            };
            let room = flow.beside_neighbours(quota, &limits);
            assert_eq!(room.items, KindCounts::counted(most, 1), "{left} are left");
        }
    }

    #[test]
    fn without_limits_nothing_narrows() {
        let limits = Limits::default();
        let flow = Flow::full(&limits, START).spent(files(5_000), &limits, TRAVEL);
        let quota = limits.quota();
        assert_eq!(flow.narrow(quota, &limits), quota);
        assert_eq!(flow.beside_neighbours(quota, &limits), quota);
        let many = KindCounts::counted(5_000, 5_000);
        assert_eq!(flow.admits_at(many, &limits), None);
    }
}
