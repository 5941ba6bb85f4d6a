//! What is believed of a distribution beyond what is configured: how much one call may hold, which
//! CloudFront tells only by refusing, and which kind of path it has said is full.
//!
//! Nobody knows which quotas hold for an account. So the configured ones hold at first; a refusal
//! while little of ours is in progress halves what one call may hold, files and wildcards apart,
//! and what is accepted raises it again. What one call may hold is also taken as what the
//! distribution takes a second, so that rates of paths and sizes of calls are one case.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::bucket::TRAVEL;
use super::{Flow, Kind, Limits, Room, Usage};

/// The longest that a belief delays a call since CloudFront last answered one of its kind, or was
/// last asked against it.
pub const LONGEST_BELIEF: Duration = Duration::seconds(30);
/// How long a refused size is not tried again: at first, since it may have been chance, and after
/// it was refused again and again.
const REFUSED_FOR: Duration = Duration::seconds(30);
const LONGEST_REFUSED: Duration = Duration::minutes(10);
/// Refusals that are farther apart have nothing to do with each other.
const LATELY: Duration = Duration::HOUR;

/// What is believed of a distribution. Read and written whole, by whoever holds its lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beliefs {
    /// Files and tags.
    pub files: Belief,
    /// Wildcards.
    pub wildcards: Belief,
    /// What it takes a second; none: full.
    pub flow: Option<Flow>,
    /// Calls that were throttled since the last one that was not.
    pub throttled: u32,
    /// When CloudFront last gave a usable answer.
    #[serde(with = "time::serde::rfc3339::option")]
    pub answered_at: Option<OffsetDateTime>,
}

/// What is believed of one kind of item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Belief {
    /// How many one call may hold; none: as many as configured.
    pub most: Option<u32>,
    /// How many were refused, and are not tried again for a while.
    pub refused: Option<u32>,
    /// How often a size was refused lately, with time in between.
    pub refusals: u8,
    /// The most that were accepted in one call, until as many are refused.
    pub accepted: u32,
    /// How many the last call held that was answered; none unless it was accepted.
    pub last: u32,
    /// The last size that was refused.
    pub refusal: Option<Refusal>,
    /// When `most` last changed.
    #[serde(with = "time::serde::rfc3339::option")]
    pub learned_at: Option<OffsetDateTime>,
    /// When CloudFront last answered a call with some of these.
    #[serde(with = "time::serde::rfc3339::option")]
    pub answered_at: Option<OffsetDateTime>,
    /// When a call was last made because the count had not been confirmed for too long.
    #[serde(with = "time::serde::rfc3339::option")]
    pub asked_at: Option<OffsetDateTime>,
    /// When CloudFront said that its quota is full; none: it accepted since.
    #[serde(with = "time::serde::rfc3339::option")]
    pub full_at: Option<OffsetDateTime>,
    /// For how many seconds that is believed.
    pub full_for: u8,
}

/// A size that CloudFront refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// How many items the call held.
    pub items: u32,
    /// What it was refused for.
    #[serde(rename = "for")]
    pub why: RefusedFor,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// What CloudFront refuses a size for, under whichever code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum RefusedFor {
    /// The quota of what may be in progress.
    Quota,
    /// A rate, of paths or of calls.
    Rate,
    /// The size of the call.
    Size,
}

impl Beliefs {
    /// What is believed of one kind.
    pub const fn of(&self, kind: Kind) -> &Belief {
        match kind {
            Kind::Files => &self.files,
            Kind::Wildcards => &self.wildcards,
        }
    }

    /// The same, to be changed.
    pub const fn of_mut(&mut self, kind: Kind) -> &mut Belief {
        match kind {
            Kind::Files => &mut self.files,
            Kind::Wildcards => &mut self.wildcards,
        }
    }

    /// How much the last call of each kind held; none unless it was accepted.
    pub const fn last(&self) -> Usage {
        Usage {
            files: self.files.last,
            wildcards: self.wildcards.last,
        }
    }

    /// The limits that hold for this distribution: the configured ones, and what was learned.
    pub fn narrow(&self, limits: &Limits) -> Limits {
        let least = |configured: Option<f64>, learned: Option<u32>| match (configured, learned) {
            (Some(rate), Some(most)) => Some(rate.min(f64::from(most))),
            (rate, most) => rate.or(most.map(f64::from)),
        };
        Limits {
            paths_per_second: least(limits.paths_per_second, self.files.most),
            wildcards_per_second: least(limits.wildcards_per_second, self.wildcards.most),
            ..*limits
        }
    }

    /// The buckets for what it takes a second, refilled. `limits` are the narrowed ones.
    pub fn flow(&self, limits: &Limits, now: OffsetDateTime) -> Flow {
        self.flow.map_or_else(
            || Flow::full(limits, now),
            |flow| flow.refilled(limits, now),
        )
    }

    /// What may be sent now besides what is `used`. `limits` are the narrowed ones, something last
    /// completed at `completed_at`, and `shortage` is the site's.
    pub fn room(
        &self,
        limits: &Limits,
        used: Usage,
        completed_at: Option<OffsetDateTime>,
        shortage: &Shortage,
        now: OffsetDateTime,
    ) -> Room {
        let (left, quota) = (limits.left(used), limits.quota());
        let says = |kind| {
            let starves = shortage.starves(kind, now);
            self.of(kind).says(completed_at, starves, now)
        };
        let room = |kind, left: u32, quota: u32| match says(kind) {
            Say::Full => 0,
            Say::Ask => quota,
            Say::Count => left.min(quota),
        };
        let room = Room {
            files: room(Kind::Files, left.files, quota.files),
            wildcards: room(Kind::Wildcards, left.wildcards, quota.wildcards),
            ..quota
        };
        self.flow(limits, now).narrow(room, limits)
    }

    /// When a kind that has no room now is to be looked at again unasked.
    pub fn ask_again_at(
        &self,
        kinds: Usage,
        shortage: &Shortage,
        now: OffsetDateTime,
    ) -> OffsetDateTime {
        let ask = |kind: Kind| {
            let belief = self.of(kind);
            let full = belief
                .full_at
                .map(|at| at + Duration::seconds(belief.full_for.into()));
            let starves = shortage.since(kind).filter(|at| *at + LONGEST_BELIEF > now);
            let counts = belief.counts_since().map_or(starves, |at| {
                Some(starves.map_or(at, |starves| starves.min(at)))
            });
            full.or(counts.map(|at| at + LONGEST_BELIEF))
        };
        let asks = Kind::ALL
            .into_iter()
            .filter(|kind| kind.of(kinds) > 0)
            .filter_map(ask);
        let at = asks.max().unwrap_or(now + LONGEST_BELIEF);
        at.clamp(now + Duration::SECOND, now + LONGEST_BELIEF)
    }

    /// A call with these is about to be made, besides what is `used`. Where it goes beyond what is
    /// counted, or the count was not confirmed for too long, one call asks: the next waits for its
    /// answer, or for as long as a belief holds.
    pub fn asking(
        &mut self,
        held: Usage,
        limits: &Limits,
        used: Usage,
        completed_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) {
        for kind in Kind::ALL {
            let beyond = kind.of(held) > kind.of_room(limits.left(used));
            let asks = || matches!(self.of(kind).says(completed_at, false, now), Say::Ask);
            if kind.of(held) > 0 && (beyond || asks()) {
                self.of_mut(kind).asked_at = Some(now);
            }
        }
    }

    /// CloudFront accepted a call, besides what is `used`.
    pub fn accepted(&mut self, held: Usage, limits: &Limits, used: Usage, now: OffsetDateTime) {
        self.answered(held, now);
        for kind in Kind::ALL {
            let configured = kind.of_room(limits.quota());
            if kind.of(held) > 0 {
                if kind.of(held) > kind.of_room(limits.left(used)) {
                    // There was room beyond what is counted: the next may ask, too.
                    self.of_mut(kind).asked_at = None;
                }
                self.of_mut(kind).full_at = None;
                self.of_mut(kind).last = kind.of(held);
                self.of_mut(kind).raise(kind.of(held), configured, now);
            }
        }
    }

    /// CloudFront gave a usable answer to a call that was not throttled.
    pub fn answered(&mut self, held: Usage, now: OffsetDateTime) {
        self.throttled = 0;
        self.answered_at = Some(now);
        for kind in Kind::ALL {
            if kind.of(held) > 0 {
                self.of_mut(kind).answered_at = Some(now);
                self.of_mut(kind).last = 0;
            }
        }
    }

    /// CloudFront throttled a call.
    pub fn throttled(&mut self, held: Usage, now: OffsetDateTime) {
        self.throttled += 1;
        self.answered_at = Some(now);
        for kind in Kind::ALL {
            if kind.of(held) > 0 {
                self.of_mut(kind).last = 0;
            }
        }
    }

    /// CloudFront said that the quota of what the call held is full. Where that is what the count
    /// says too, smaller calls that fit beside it go on.
    pub fn full(&mut self, held: Usage, limits: &Limits, others: Usage, now: OffsetDateTime) {
        for kind in Kind::ALL {
            if (1..=kind.of_room(limits.left(others))).contains(&kind.of(held)) {
                let belief = self.of_mut(kind);
                belief.full_at = Some(now);
                // With none of ours in progress somebody else fills it, and nobody tells us when
                // there is room.
                belief.full_for = if kind.of(others) > 0 { 30 } else { 5 };
            }
        }
    }
}

enum Say {
    /// CloudFront said that there is no room.
    Full,
    /// What is in progress is counted against the quota.
    Count,
    /// It was believed for long enough: CloudFront is asked.
    Ask,
}

/// How long a site has been waiting for room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shortage {
    /// When it first found too little; none: there is enough.
    pub began_at: Option<OffsetDateTime>,
    /// When something of it last went, of either kind.
    pub files_at: Option<OffsetDateTime>,
    pub wildcards_at: Option<OffsetDateTime>,
}

impl Shortage {
    /// Whether it has waited for as long as a belief holds while nothing of its own went: others
    /// whose small calls go on may renew what is believed of the room that is left, for ever.
    fn starves(&self, kind: Kind, now: OffsetDateTime) -> bool {
        self.since(kind)
            .is_some_and(|since| now - since >= LONGEST_BELIEF)
    }

    fn since(&self, kind: Kind) -> Option<OffsetDateTime> {
        let went_at = match kind {
            Kind::Files => self.files_at,
            Kind::Wildcards => self.wildcards_at,
        };
        self.began_at
            .map(|began_at| went_at.map_or(began_at, |at| at.max(began_at)))
    }
}

impl Belief {
    fn says(
        &self,
        completed_at: Option<OffsetDateTime>,
        starves: bool,
        now: OffsetDateTime,
    ) -> Say {
        if self.full_since(completed_at, now).is_some() {
            return Say::Full;
        }
        let counts_since = match starves {
            true => self.asked_at,
            false => self.counts_since(),
        };
        match counts_since {
            // A clock that was set back must not make a belief last: hence `abs`, here and below.
            Some(at) if (now - at).abs() < LONGEST_BELIEF => Say::Count,
            _ => Say::Ask,
        }
    }

    /// When CloudFront said that the quota is full, while that is believed.
    pub(super) fn full_since(
        &self,
        completed_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        let long = Duration::seconds(self.full_for.into());
        self.full_at.filter(|at| {
            (now - *at).abs() < long && completed_at.is_none_or(|completed| completed < *at)
        })
    }

    fn counts_since(&self) -> Option<OffsetDateTime> {
        self.answered_at.max(self.asked_at)
    }

    /// A call that held so many was too large.
    pub fn lower(&mut self, held: u32, why: RefusedFor, now: OffsetDateTime) {
        if self.accepted >= held {
            self.accepted = 0;
        }
        // Several in a row are one: what throttles everything for a while tells nothing of size.
        let again = self.refusals < 2 && self.accepted > 0;
        if self.refused.is_none() || again {
            let lately = self
                .refusal
                .is_some_and(|last| (now - last.at).abs() < LATELY);
            self.refusals = if lately {
                self.refusals.saturating_add(1)
            } else {
                1
            };
        }
        self.most = Some((held / 2).max(self.accepted).max(1));
        self.refused = Some(held);
        self.refusal = Some(Refusal {
            items: held,
            why,
            at: now,
        });
        self.learned_at = Some(now);
    }

    /// How many have gone within a second, with one that has just been refused, where that was
    /// believed to be fine: then it may be more than the distribution takes a second.
    pub fn within_a_second(&self, now: OffsetDateTime) -> Option<u32> {
        let is_recent = |at: OffsetDateTime| (now - at).abs() < Duration::SECOND + TRAVEL;
        let recent = self.answered_at.is_some_and(is_recent) && self.last > 0;
        let both = self.last.saturating_add(1);
        (recent && self.most.is_some_and(|most| both <= most)).then_some(both)
    }

    /// Even one alone is refused: if nothing was accepted since, size was not the reason.
    pub fn forget_unproven(&mut self) {
        if self.accepted == 0 {
            (self.most, self.refused, self.learned_at) = (None, None, None);
        }
    }

    fn raise(&mut self, held: u32, configured: u32, now: OffsetDateTime) {
        self.accepted = self.accepted.max(held);
        let (Some(most), Some(learned_at)) = (self.most, self.learned_at) else {
            return;
        };
        let again = i32::from(self.refusals.clamp(1, 8) - 1);
        let refused_for = LONGEST_REFUSED.min(REFUSED_FOR * (1 << again));
        let is_recent = (now - learned_at).abs() < refused_for;
        // A call seldom holds all that it might.
        let twice = held.saturating_mul(2).max(most);
        let next = match self.refused {
            // What was refused once may have been chance.
            Some(_) if self.refusals < 2 && held > most / 2 => twice,
            // Halfway to what was refused, until the two are close.
            Some(refused) if is_recent => {
                let gap = refused.saturating_sub(most);
                if held < most || gap <= most / 8 || gap < 2 {
                    return;
                }
                most + gap / 2
            }
            // More than was refused: that was chance, or CloudFront takes more by now.
            None if held > most / 2 => {
                self.refusals = 0;
                twice
            }
            None if is_recent => return,
            _ => {
                self.refused = None;
                most.saturating_add((most / 4).max(1))
            }
        };
        self.learned_at = Some(now);
        self.most = Some(next).filter(|next| *next < configured);
        if self.most.is_none() {
            (self.refused, self.accepted) = (None, 0);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

    fn files(files: u32) -> Usage {
        Usage {
            files,
            wildcards: 0,
        }
    }

    /// Sends as much as is believed to go to a distribution that takes `real` at once, for two
    /// minutes, and gives how many calls were refused.
    fn learn(real: u32) -> (u32, u32) {
        let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
        let (mut now, mut refused, mut last) = (START, 0, 0);
        for _ in 0..60 {
            now += Duration::seconds(2);
            let held = beliefs.narrow(&limits).quota().files;
            if held > real {
                refused += 1;
                beliefs.files.lower(held, RefusedFor::Rate, now);
            } else {
                beliefs.accepted(files(held), &limits, Usage::default(), now);
                last = held;
            }
        }
        (refused, last)
    }

    #[test]
    fn the_size_of_a_call_is_found_with_few_refusals() {
        for real in [1, 2, 7, 20, 150, 1_000, 2_999, 3_000] {
            let (refused, last) = learn(real);
            assert!(refused <= 14, "{real}: {refused} refused");
            assert!(
                last >= real - real / 8 - 1 && last <= real,
                "{real}: {last}"
            );
        }
        assert_eq!(learn(3_000).0, 0);
    }

    #[test]
    fn what_was_learned_is_raised_step_by_step_until_it_is_forgotten() {
        let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
        beliefs.files.lower(40, RefusedFor::Rate, START);
        let mut now = START;
        let mut steps = 0;
        while let Some(most) = beliefs.files.most {
            now += Duration::minutes(11);
            beliefs.accepted(files(1), &limits, Usage::default(), now);
            assert!(
                beliefs
                    .files
                    .most
                    .is_none_or(|raised| raised <= most + most / 4 + 1)
            );
            steps += 1;
        }
        assert!(steps > 5 && steps < 40, "{steps}");
    }

    #[test]
    fn a_refusal_by_chance_is_forgotten_in_a_minute_and_a_steady_one_is_seldom_tried() {
        let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
        beliefs.files.lower(2, RefusedFor::Rate, START);
        let mut now = START;
        while let Some(most) = beliefs.files.most {
            now += Duration::SECOND;
            beliefs.accepted(files(most), &limits, Usage::default(), now);
        }
        assert!(now - START < Duration::MINUTE, "{}", now - START);

        let (mut tries, mut now) = (0, START);
        beliefs.files.lower(2, RefusedFor::Rate, now);
        while now < START + Duration::HOUR {
            now += Duration::SECOND;
            match beliefs.files.most {
                Some(1) => beliefs.accepted(files(1), &limits, Usage::default(), now),
                _ => {
                    tries += 1;
                    beliefs.files.lower(2, RefusedFor::Rate, now);
                }
            }
        }
        assert!((6..=12).contains(&tries), "{tries}");
    }

    #[test]
    fn one_item_that_is_refused_too_shows_that_size_was_not_the_reason() {
        let mut belief = Belief::default();
        belief.lower(4, RefusedFor::Rate, START);
        belief.lower(2, RefusedFor::Rate, START);
        belief.forget_unproven();
        assert_eq!(belief.most, None);
        belief.lower(4, RefusedFor::Rate, START);
        belief.raise(2, 3_000, START);
        belief.forget_unproven();
        assert!(belief.most.is_some(), "two were accepted");
    }

    #[test]
    fn a_belief_delays_for_thirty_seconds_since_the_last_answer_of_its_kind() {
        let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
        let used = Usage {
            files: 3_000,
            wildcards: 15,
        };
        beliefs.accepted(used, &limits, Usage::default(), START);
        let room = |beliefs: &Beliefs, seconds: i64| {
            let room = beliefs.room(
                &limits,
                used,
                None,
                &Shortage::default(),
                START + Duration::seconds(seconds),
            );
            (room.files, room.wildcards)
        };
        assert_eq!(room(&beliefs, 29), (0, 0));
        assert_eq!(room(&beliefs, 30), (3_000, 15));
        assert_eq!(
            room(&beliefs, -3_600),
            (3_000, 15),
            "a clock that was set back"
        );
        beliefs.accepted(
            files(1),
            &limits,
            Usage::default(),
            START + Duration::seconds(20),
        );
        assert_eq!(
            room(&beliefs, 30),
            (0, 15),
            "the other kind was not asked about"
        );
    }

    #[test]
    fn one_call_asks_and_the_next_waits_for_its_answer() {
        let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
        let room = |beliefs: &Beliefs, used, seconds| {
            let now = START + Duration::seconds(seconds);
            beliefs
                .room(&limits, used, None, &Shortage::default(), now)
                .files
        };
        assert_eq!(room(&beliefs, files(0), 0), 3_000);
        beliefs.asking(files(3_000), &limits, files(0), None, START);
        assert_eq!(room(&beliefs, files(3_000), 1), 0, "it may be in progress");
        assert_eq!(room(&beliefs, files(0), 25), 3_000, "it counts no longer");
        assert_eq!(room(&beliefs, files(3_000), 30), 3_000, "the next one asks");
    }

    #[test]
    fn cloudfronts_word_that_a_kind_is_full_ends_with_a_completion() {
        let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
        let held = Usage {
            files: 0,
            wildcards: 1,
        };
        beliefs.full(held, &limits, held, START);
        let room = |completed_at, seconds| {
            let now = START + Duration::seconds(seconds);
            let room = beliefs.room(
                &limits,
                Usage::default(),
                completed_at,
                &Shortage::default(),
                now,
            );
            (room.files, room.wildcards)
        };
        assert_eq!(room(None, 29), (3_000, 0));
        assert_eq!(room(None, 30), (3_000, 15));
        assert_eq!(room(Some(START + Duration::SECOND), 2), (3_000, 15));
    }

    #[test]
    fn a_site_that_waits_beside_a_busy_neighbour_asks_after_thirty_seconds() {
        let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
        let used = files(2_990);
        let shortage = Shortage {
            began_at: Some(START),
            files_at: Some(START - Duration::SECOND),
            wildcards_at: None,
        };
        let at = |seconds| START + Duration::seconds(seconds);
        let room = |beliefs: &Beliefs, shortage: &Shortage, seconds| {
            beliefs
                .room(&limits, used, None, shortage, at(seconds))
                .files
        };
        for second in 0..40 {
            // The neighbour's small publishes are accepted all the time.
            beliefs.accepted(files(1), &limits, used, at(second));
        }
        assert_eq!(room(&beliefs, &shortage, 29), 10);
        assert_eq!(room(&beliefs, &shortage, 40), 3_000);
        assert_eq!(
            room(&beliefs, &Shortage::default(), 40),
            10,
            "the neighbour"
        );
        beliefs.asking(files(20), &limits, used, None, at(40));
        assert_eq!(room(&beliefs, &shortage, 69), 10, "it has been asked");
        assert_eq!(room(&beliefs, &shortage, 70), 3_000);

        let mut refused = beliefs;
        refused.full(files(20), &limits, used, at(41));
        assert_eq!(
            room(&refused, &Shortage::default(), 42),
            10,
            "the neighbour goes on"
        );
        beliefs.accepted(files(20), &limits, used, at(41));
        assert_eq!(
            room(&beliefs, &shortage, 42),
            3_000,
            "there was room: more may ask"
        );
        let lately = Shortage {
            files_at: Some(at(35)),
            ..shortage
        };
        assert_eq!(
            room(&beliefs, &lately, 42),
            10,
            "something of its own has gone"
        );
    }
}
