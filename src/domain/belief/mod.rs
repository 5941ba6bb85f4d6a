//! What is believed of a distribution beyond what is configured: how much one call may hold, which
//! CloudFront tells only by refusing, and which kind of path it has said is full.
//!
//! Nobody knows which quotas an account has. So the configured ones hold at first; a refusal while
//! little of ours is in progress halves what one call may hold, separately for files and wildcards,
//! and what is accepted raises it again. What one call may hold is also taken as what the
//! distribution accepts a second, so that rates of paths and sizes of calls are one case.

mod kind;

use serde::{Deserialize, Serialize};
use strum::VariantArray as _;
use time::{Duration, OffsetDateTime};

use self::kind::Opinion;
pub use self::kind::{Belief, Refusal, RefusedFor};
use super::bucket::lateness;
use super::limits::is_within;
use super::{Flow, Kind, KindCounts, Limits, PerKind, Room};

/// The longest that a belief delays a call since CloudFront last answered one of its kind, or was
/// last asked against it.
pub const MAX_BELIEF_AGE: Duration = Duration::seconds(30);

/// Refusals that are closer together than this count as one.
const THROTTLED_APART: Duration = Duration::seconds(2);

/// What is believed of a distribution. Read and written whole, by whoever holds its lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beliefs {
    pub files: Belief,
    pub wildcards: Belief,
    /// What it accepts a second; `None` means a full one.
    pub flow: Option<Flow>,
    /// Calls that were throttled since the last one that was not, each some time after the one
    /// before: others may use up the account's rate for a moment, which means nothing.
    pub throttled: u32,
    #[serde(with = "time::serde::rfc3339::option")]
    pub throttled_at: Option<OffsetDateTime>,
    /// When CloudFront last gave a usable answer.
    #[serde(with = "time::serde::rfc3339::option")]
    pub answered_at: Option<OffsetDateTime>,
}

impl Beliefs {
    pub const fn of(&self, kind: Kind) -> &Belief {
        match kind {
            Kind::Files => &self.files,
            Kind::Wildcards => &self.wildcards,
        }
    }

    pub const fn of_mut(&mut self, kind: Kind) -> &mut Belief {
        match kind {
            Kind::Files => &mut self.files,
            Kind::Wildcards => &mut self.wildcards,
        }
    }

    /// How much the last call of each kind held; 0 unless it was accepted.
    pub fn last(&self) -> KindCounts {
        PerKind::each(|kind| self.of(kind).last)
    }

    /// The limits that hold for this distribution: the configured ones, and what was learned of
    /// kinds for which none were. What was learned before they were configured no longer holds.
    pub fn narrow(&self, limits: &Limits) -> Limits {
        let least = |kind: Kind| match (limits.per_second[kind], self.of(kind).most) {
            (rate, _) if limits.known[kind] => rate,
            (Some(rate), Some(most)) => Some(rate.min(f64::from(most))),
            (rate, most) => rate.or(most.map(f64::from)),
        };
        Limits {
            per_second: PerKind::each(least),
            ..*limits
        }
    }

    /// The buckets for what it accepts a second, refilled. `limits` are the narrowed ones.
    pub fn flow(&self, limits: &Limits, now: OffsetDateTime) -> Flow {
        self.flow.map_or_else(
            || Flow::full(limits, now),
            |flow| flow.refilled(limits, now),
        )
    }

    /// The same once a call with `needs` has been made.
    pub fn flow_after(&self, needs: KindCounts, limits: &Limits, now: OffsetDateTime) -> Flow {
        let late = lateness(self.answered_at, now);
        self.flow(limits, now).spent(needs, limits, late)
    }

    /// What may be sent now besides what is `used`. `limits` are the narrowed ones, something last
    /// completed at `completed_at`, and `shortage` is the site's.
    pub fn room(
        &self,
        limits: &Limits,
        used: KindCounts,
        completed_at: Option<OffsetDateTime>,
        shortage: &Shortage,
        now: OffsetDateTime,
    ) -> Room {
        let quota = limits.quota();
        let left = limits.left(used).at_most(quota.items);
        let items = PerKind::each(|kind| {
            let starves = shortage.starves(kind, now);
            match self.of(kind).opinion(completed_at, starves, now) {
                Opinion::Full => 0,
                Opinion::Ask => quota.items[kind],
                Opinion::Count => left[kind],
            }
        });
        self.flow(limits, now)
            .narrow(Room { items, ..quota }, limits)
    }

    /// When kinds that have no room now are to be looked at again, even if nothing happens: when
    /// the first of them may ask, since what waits for it need not wait for the other.
    pub fn ask_again_at(
        &self,
        wanted: KindCounts,
        shortage: &Shortage,
        now: OffsetDateTime,
    ) -> OffsetDateTime {
        let ask = |kind: Kind| {
            let belief = self.of(kind);
            let full = belief
                .full_at
                .map(|at| at + Duration::seconds(belief.full_for.into()));
            let starves = shortage
                .since(kind)
                .map(|at| at.max(belief.asked_at.unwrap_or(at)));
            let counts = belief.counts_since();
            let since = starves.into_iter().chain(counts).min();
            full.or(since.map(|at| at + MAX_BELIEF_AGE))
        };
        let times = || wanted.kinds().filter_map(ask);
        let next = times().filter(|at| *at > now).min();
        let at = next.or_else(|| times().max());
        let at = at.unwrap_or(now + MAX_BELIEF_AGE);
        at.clamp(now + Duration::SECOND, now + MAX_BELIEF_AGE)
    }

    /// A call with these is about to be made, besides what is `used`. If it goes beyond what is
    /// counted, or the count has not been confirmed for too long, it asks: the next one waits for
    /// its answer, or for as long as a belief holds.
    pub fn asking(
        &mut self,
        size: KindCounts,
        limits: &Limits,
        used: KindCounts,
        completed_at: Option<OffsetDateTime>,
        shortage: &Shortage,
        now: OffsetDateTime,
    ) {
        for kind in size.kinds() {
            let beyond = size[kind] > limits.left(used)[kind];
            let starves = shortage.starves(kind, now);
            let belief = self.of_mut(kind);
            if beyond || matches!(belief.opinion(completed_at, starves, now), Opinion::Ask) {
                belief.asked_at = Some(now);
            }
        }
    }

    /// CloudFront accepted a call, besides what is `used`.
    pub fn accepted(
        &mut self,
        size: KindCounts,
        limits: &Limits,
        used: KindCounts,
        now: OffsetDateTime,
    ) {
        self.answered(size, now);
        for kind in size.kinds() {
            let belief = self.of_mut(kind);
            if size[kind] > limits.left(used)[kind] {
                // There was room beyond what is counted: the next one may ask, too.
                belief.asked_at = None;
            }
            belief.full_at = None;
            belief.last = size[kind];
            belief.raise(size[kind], limits.quota().items[kind], now);
        }
    }

    /// Notes that what goes now has waited for longer than a belief holds: a refused size is then
    /// believed no longer than that, however often it was refused.
    pub fn has_delayed(&mut self, size: KindCounts) {
        for kind in size.kinds() {
            let belief = self.of_mut(kind);
            belief.refusals = belief.refusals.min(1);
        }
    }

    /// CloudFront gave a usable answer to a call that was not throttled.
    pub fn answered(&mut self, size: KindCounts, now: OffsetDateTime) {
        self.throttled = 0;
        self.answered_at = Some(now);
        for kind in size.kinds() {
            let belief = self.of_mut(kind);
            belief.answered_at = Some(now);
            belief.last = 0;
        }
    }

    /// CloudFront throttled a call.
    pub fn throttled(&mut self, size: KindCounts, now: OffsetDateTime) {
        let is_another = self
            .throttled_at
            .is_none_or(|at| !is_within(THROTTLED_APART, at, now));
        if self.throttled == 0 || is_another {
            self.throttled += 1;
            self.throttled_at = Some(now);
        }
        self.answered_at = Some(now);
        self.not_asked(size);
        for kind in size.kinds() {
            self.of_mut(kind).last = 0;
        }
    }

    /// What came of a call says nothing about a quota: the next one may ask.
    pub fn not_asked(&mut self, size: KindCounts) {
        for kind in size.kinds() {
            self.of_mut(kind).asked_at = None;
        }
    }

    /// CloudFront said that the quota for what the call held is full. Where the count says so too,
    /// smaller calls that still fit go on.
    pub fn full(
        &mut self,
        size: KindCounts,
        limits: &Limits,
        others: KindCounts,
        now: OffsetDateTime,
    ) {
        for kind in size.kinds() {
            if size[kind] <= limits.left(others)[kind] {
                let belief = self.of_mut(kind);
                belief.full_at = Some(now);
                // With none of ours in progress, others have filled it, and nobody tells us when
                // there is room.
                belief.full_for = if others[kind] > 0 { 30 } else { 5 };
            }
        }
    }

    /// Without CloudFront's word that a quota is full, where something has ended since.
    pub fn with_room(mut self) -> Self {
        for &kind in Kind::VARIANTS {
            self.of_mut(kind).full_at = None;
        }
        self
    }
}

/// How long a site has been waiting for room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shortage {
    /// When it first found too little; `None` if there is enough.
    pub began_at: Option<OffsetDateTime>,
    /// When something of it last went.
    pub went_at: PerKind<Option<OffsetDateTime>>,
}

impl Shortage {
    /// Whether it has waited for as long as a belief holds and nothing of its own went meanwhile.
    /// Small calls of other sites can renew a belief about the remaining room again and again.
    /// After a clock was set back, nobody knows how long the wait has been: long enough, then.
    fn starves(&self, kind: Kind, now: OffsetDateTime) -> bool {
        self.since(kind)
            .is_some_and(|since| !is_within(MAX_BELIEF_AGE, since, now))
    }

    fn since(&self, kind: Kind) -> Option<OffsetDateTime> {
        let began_at = self.began_at?;
        Some(self.went_at[kind].map_or(began_at, |at| at.max(began_at)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
