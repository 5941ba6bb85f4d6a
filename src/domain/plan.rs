//! Planning: which waiting publishes are sent now, and as which invalidation batches.
//!
//! Whenever quota and rate allow one more `CreateInvalidation` for a distribution, [`plan`] is
//! asked with all that waits. So nothing is delayed on purpose, and what gathered during the last
//! call goes together.
//!
//! **Who goes.** Oldest first, each publish whole. What several publishes ask for, or what a
//! wildcard among them covers, goes once. A publish that does not fit now waits and *reserves* all
//! the room that it needs: younger publishes may use only what is left beyond that. Room comes back
//! when invalidations complete, so no publish is overtaken for ever, and yet fifteen wildcards in
//! progress do not hold up a publish of plain paths. A publish that needs nothing more than what
//! goes anyway always goes along. Of one that waits, what goes anyway is not sent again.
//!
//! **What is cut.** Only a publish that is larger than the full quota, since it would wait for
//! ever: its first batch fills the room there is, the rest follows in batches of at most the full
//! quota, and nothing younger is planned before them.
//!
//! **What is folded.** Nothing under [`Policy::Exact`], all under [`Policy::Everything`]; for
//! [`Policy::Economical`] see [`super::fold`]. Folding comes first and looks at all that waits, so
//! a storm that would take many batches becomes a few wildcards in one. Publishes are then fitted
//! with their folded items. Where there is no room for a wildcard that saves money, they wait for
//! it, as for any wildcard.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Item, Kind, Limits, Room, Usage,
    coverage::{Cover, Need},
    fold::{FoldGoal, KnownPaths, PLAIN_WEIGHT, fold},
};

/// A publish that was accepted and not yet planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub publish: Uuid,
    /// What of it is still to be sent, canonical.
    pub items: Vec<Item>,
}

impl Waiting {
    /// What these ask for, each item once.
    pub fn asked(waiting: &[Self]) -> Usage {
        let need = Self::cover(waiting).need();
        let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Usage {
            files: count(need.files),
            wildcards: count(need.wildcards),
        }
    }

    fn cover(waiting: &[Self]) -> Cover<'_> {
        waiting.iter().flat_map(|publish| &publish.items).collect()
    }
}

/// How much more than what was asked may be purged to save calls and money: the site owner's
/// choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Only what was asked.
    #[default]
    Exact,
    /// Fold when more than `threshold` items wait, when the month's free paths run out, or when the
    /// backlog is overdue.
    Economical {
        /// The most items that are sent as they were asked.
        threshold: u32,
    },
    /// Each batch is `/*`.
    Everything,
}

/// What one plan can use of what waits: no more has to be read.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub policy: Policy,
    pub room: Room,
    /// As in [`PlanInput`].
    pub budget: Option<u64>,
}

impl Wanted {
    /// The one kind that there is room for, where publishes that hold none of it cannot go.
    pub fn only_kind(&self) -> Option<Kind> {
        if self.policy != Policy::Exact || self.budget.is_some() {
            return None;
        }
        match (self.room.files, self.room.wildcards) {
            (0, 1..) => Some(Kind::Wildcards),
            (1.., 0) => Some(Kind::Files),
            _ => None,
        }
    }

    /// Whether a publish of so many items may be planned at all.
    pub fn may_take(&self, items: usize) -> bool {
        self.budget.is_none_or(|budget| items as u64 <= budget)
    }

    /// Whether so many different items are enough. What there is no room for counts for nothing, so
    /// that what is behind it is seen too; and what is folded may be any number.
    pub fn is_enough(&self, different: Usage) -> bool {
        let room = self.room;
        let total = |files: u32, wildcards: u32| {
            files.saturating_add(wildcards).min(room.paths_per_request)
        };
        let usable = total(
            different.files.min(room.files),
            different.wildcards.min(room.wildcards),
        );
        self.policy == Policy::Exact && usable >= total(room.files, room.wildcards)
    }
}

/// Bytes of items that one call holds at most: it has ten seconds to arrive.
const MOST_BYTES: usize = 1 << 20;

/// The default threshold of [`Policy::Economical`].
pub const DEFAULT_THRESHOLD: u32 = 100;

/// All that [`plan`] goes by.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// The waiting publishes, oldest first.
    pub waiting: &'a [Waiting],
    pub room: Room,
    /// What the room grows to once nothing is in progress. Below one of each nothing could ever be
    /// sent, so it is read as one.
    pub quota: Room,
    pub policy: Policy,
    /// What the site has published lately.
    pub known_paths: &'a KnownPaths,
    /// How many more paths this month are free for the AWS account.
    pub free_paths_left: u64,
    /// How many items may be sent at all; none: any number. A publish that needs more is passed
    /// over, and holds up none that needs less.
    pub budget: Option<u64>,
    /// The quotas cannot clear the backlog within the time the owner allows.
    pub overdue: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The invalidation batches in the order of sending. The first fits the room of now, each other
    /// the full quota.
    pub batches: Vec<PlannedBatch>,
    /// The publishes whose items are all covered by the batches, oldest first.
    pub taken: Vec<Uuid>,
    /// Why the oldest publish that is left has to wait; `None` if none is left.
    pub waits: Option<PlanLimit>,
    /// Whether publishes are left that there is not enough to spend for.
    pub is_limited: bool,
    /// The wildcards that nobody asked for by themselves.
    pub folds: Vec<Item>,
    pub saved: Saved,
}

/// The items of one `InvalidationBatch`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedBatch {
    /// Each once, oldest first.
    pub items: Vec<Item>,
    /// Those of whose items the batch covers at least one, oldest first: of what is left of the
    /// others, these items need not be sent again.
    pub publishes: Vec<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanLimit {
    /// Until an invalidation in progress completes.
    Quota,
    /// Until the next call: this one is full.
    NextCall,
    /// Until there is more to spend.
    Budget,
}

/// Paths that did not have to be sent and paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saved {
    /// Because several publishes asked for the same, or for what a wildcard among them covers.
    pub coalesced: u64,
    /// Because wildcards took the place of what was asked.
    pub folded: u64,
}

/// Decides which of the waiting publishes go now, and in which batches.
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let folds = match input.policy {
        Policy::Exact => Vec::new(),
        Policy::Everything if input.waiting.is_empty() => Vec::new(),
        Policy::Everything => vec![Item::everything()],
        Policy::Economical { threshold } => economical(input, threshold),
    };
    let (chosen, waits) = choose(input, &folds.iter().collect());
    let batches = pack(&chosen, input.room, input.quota);
    finish(input, &chosen, &batches, &waits, &folds)
}

fn economical(input: &PlanInput<'_>, threshold: u32) -> Vec<Item> {
    let asked = Waiting::cover(input.waiting);
    let count = asked.need().total();
    let threshold = threshold.max(1) as usize;
    let many = count > threshold;
    let costly = count as u64 > input.free_paths_left;
    let room = input.room;
    // Without room for a wildcard, folding would only delay what is late already.
    let late = input.overdue && room.wildcards > 0;
    if !(many || costly || late) {
        return Vec::new();
    }
    let mut goal = FoldGoal {
        items: count,
        // The batches that follow within the next seconds need wildcards too.
        wildcards: room.wildcards as usize / 4,
        asked_wildcards_count: false,
        weight: PLAIN_WEIGHT,
    };
    if many {
        goal.items = threshold;
        let excess = (count / threshold) as u64;
        goal.weight = PLAIN_WEIGHT * excess * excess;
    }
    if late {
        let fitting =
            (room.files as usize + room.wildcards as usize).min(room.paths_per_request as usize);
        goal.items = goal.items.min(fitting.max(1));
        if asked.need().wildcards > room.wildcards as usize {
            goal.wildcards = room.wildcards as usize;
            goal.asked_wildcards_count = true;
        }
    }
    fold(&asked.items(), input.known_paths, goal)
}

/// The items that go, and why publishes that do not go wait: by index, ascending. Those after the
/// last wait for quota.
fn choose<'a>(input: &PlanInput<'a>, folds: &Cover<'a>) -> (Cover<'a>, Vec<(usize, PlanLimit)>) {
    let room = input.room;
    let quota = input.quota.at_least_one();
    let mut chosen = Cover::default();
    let mut reserved = Need::default();
    let mut waits = Vec::new();
    for (i, waiting) in input.waiting.iter().enumerate() {
        let sent = waiting
            .items
            .iter()
            .map(|item| folds.covering(item).unwrap_or(item));
        let missing: Cover<'_> = sent
            .filter(|item| chosen.covering(item).is_none())
            .collect();
        let need = missing.need();
        let taken = chosen.need();
        let total = taken.total() + need.total();
        if input.budget.is_some_and(|budget| total as u64 > budget) {
            waits.push((i, PlanLimit::Budget));
            continue;
        }
        let enough_room = room.allows(taken + reserved, need);
        if enough_room
            && total <= room.paths_per_request as usize
            && taken.bytes + need.bytes <= MOST_BYTES
        {
            chosen.extend(missing.items());
            continue;
        }
        let would_wait_for_ever = !quota.allows(Need::default(), need)
            || need.total() > quota.paths_per_request as usize
            || need.bytes > MOST_BYTES;
        if would_wait_for_ever && reserved == Need::default() && room.allows_some(taken, need) {
            chosen.extend(missing.items());
            break;
        }
        reserved = reserved + need;
        let reason = if enough_room {
            PlanLimit::NextCall
        } else {
            PlanLimit::Quota
        };
        waits.push((i, reason));
    }
    (chosen, waits)
}

/// Spreads the items over batches, the first within `room`, each other within `quota`.
fn pack<'a>(chosen: &Cover<'a>, room: Room, quota: Room) -> Vec<Vec<&'a Item>> {
    let quota = quota.at_least_one();
    let mut batches: Vec<(Need, Vec<&Item>)> = Vec::new();
    // Per kind, the first batch that may have room left: a full batch stays full.
    let mut first_open = [0, 0];
    for item in chosen.items() {
        let wildcard = item.is_wildcard();
        let need = Need {
            files: usize::from(!wildcard),
            wildcards: usize::from(wildcard),
            bytes: item.as_str().len(),
        };
        let at = &mut first_open[usize::from(wildcard)];
        loop {
            if *at == batches.len() {
                batches.push((Need::default(), Vec::new()));
            }
            let most = if *at == 0 { room } else { quota };
            let (taken, items) = &mut batches[*at];
            let fits = taken.total() < most.paths_per_request as usize
                && (items.is_empty() || taken.bytes + need.bytes <= MOST_BYTES);
            if most.allows(*taken, need) && fits {
                *taken = *taken + need;
                items.push(item);
                break;
            }
            *at += 1;
        }
    }
    batches.into_iter().map(|(_, items)| items).collect()
}

fn finish(
    input: &PlanInput<'_>,
    chosen: &Cover<'_>,
    batches: &[Vec<&Item>],
    waits: &[(usize, PlanLimit)],
    folds: &[Item],
) -> Plan {
    let batch_of: HashMap<&Item, usize> = batches
        .iter()
        .enumerate()
        .flat_map(|(i, items)| items.iter().map(move |item| (*item, i)))
        .collect();
    let mut plan = Plan {
        batches: batches
            .iter()
            .map(|items| PlannedBatch {
                items: items.iter().copied().cloned().collect(),
                publishes: Vec::new(),
            })
            .collect(),
        is_limited: waits.iter().any(|(_, why)| *why == PlanLimit::Budget),
        ..Plan::default()
    };
    let mut asked = 0;
    let mut distinct = Cover::default();
    for (i, waiting) in input.waiting.iter().enumerate() {
        let covered = waiting
            .items
            .iter()
            .filter_map(|item| Some((item, chosen.covering(item)?)));
        let (items, covering): (Vec<_>, Vec<_>) = covered.unzip();
        if items.len() == waiting.items.len() {
            plan.taken.push(waiting.publish);
        } else if plan.waits.is_none() {
            let known = waits.binary_search_by_key(&i, |(at, _)| *at).ok();
            plan.waits = Some(known.map_or(PlanLimit::Quota, |at| waits[at].1));
        }
        for item in covering {
            let publishes = &mut plan.batches[batch_of[item]].publishes;
            if publishes.last() != Some(&waiting.publish) {
                publishes.push(waiting.publish);
            }
        }
        asked += items.len();
        distinct.extend(items);
    }
    let distinct = distinct.need().total();
    plan.saved = Saved {
        coalesced: (asked - distinct) as u64,
        folded: distinct.saturating_sub(chosen.need().total()) as u64,
    };
    plan.folds = folds
        .iter()
        .filter(|fold| batch_of.contains_key(fold))
        .cloned()
        .collect();
    plan
}

impl Limits {
    /// Whether the quotas cannot clear what waits in good time: by reckoning, or because each call
    /// since `backlog_since` has left something waiting.
    pub fn is_overdue(
        &self,
        asked: Usage,
        backlog_since: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> bool {
        backlog_since.is_some_and(|since| now - since > self.max_backlog)
            || self.clearing_time(asked) > self.max_backlog
    }
}

impl Room {
    fn at_least_one(self) -> Self {
        Self {
            files: self.files.max(1),
            wildcards: self.wildcards.max(1),
            paths_per_request: self.paths_per_request.max(1),
        }
    }

    /// Whether there is room for all of `need` besides what is taken. What needs none of a kind
    /// does not care for it.
    fn allows(self, taken: Need, need: Need) -> bool {
        (need.files == 0 || taken.files + need.files <= self.files as usize)
            && (need.wildcards == 0 || taken.wildcards + need.wildcards <= self.wildcards as usize)
    }

    /// Whether there is room for any of `need` besides what is taken.
    fn allows_some(self, taken: Need, need: Need) -> bool {
        taken.total() < self.paths_per_request as usize
            && ((need.files > 0 && taken.files < self.files as usize)
                || (need.wildcards > 0 && taken.wildcards < self.wildcards as usize))
    }
}
