//! Planning: which waiting publishes are sent now, and as which invalidation batches.
//!
//! Whenever quota and rate allow one more `CreateInvalidation` for a distribution, [`plan`] is
//! given all that waits. So nothing is delayed on purpose, and what has gathered during the last
//! call goes together.
//!
//! **Who goes.** Oldest first, each publish whole. What several publishes ask for, or what a
//! wildcard among them covers, goes once. A publish that does not fit now waits and *reserves* all
//! the room that it needs: younger publishes may use only what is left beyond that. Room becomes
//! free when invalidations complete, so no publish is overtaken forever, and yet fifteen wildcards
//! in progress do not hold up a publish of plain paths. Nor do hundreds of publishes that each wait
//! for a wildcard and hold pages too: once a whole quota of a kind is reserved, whatever else needs
//! that kind reserves nothing until its turn is nearer. A publish that needs nothing more than what
//! goes anyway always goes along. If one waits, whatever of it goes anyway is not sent again.
//!
//! **What is cut.** Only a publish that is larger than the full quota, since it would wait for
//! ever: its first batch fills the room there is, the rest follows in batches of at most the full
//! quota, and no younger publish is planned before them. While an older one waits, only what fits
//! beside it goes: a queue of wildcards does not hold up a rebuild of plain paths.
//!
//! **What is folded.** Nothing under [`Policy::Exact`], all under [`Policy::Everything`]; for
//! [`Policy::Economical`] see [`super::fold`]. Folding comes first and looks at all that waits, so
//! a storm that would take many batches becomes a few wildcards in one. Publishes are then fitted
//! with their folded items. Where there is no room for a wildcard that saves money, they wait for
//! it, as for any wildcard.

mod batches;
mod policy;
mod wanted;

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;

pub use self::batches::MAX_BATCH_BYTES;
use self::batches::{Choice, choose, pack};
use self::policy::folds;
pub use self::policy::{DEFAULT_THRESHOLD, Policy, Terms};
pub use self::wanted::Wanted;
use super::coverage::Cover;
use super::fold::KnownPaths;
use super::{Item, KindCounts, Room};

/// A publish that was accepted and not yet planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub publish: Uuid,
    /// What is still to be sent of it, in canonical form.
    pub items: Vec<Item>,
}

impl Waiting {
    /// When it arrived, by its identifier.
    pub fn since(&self) -> Option<OffsetDateTime> {
        let (seconds, _) = self.publish.get_timestamp()?.to_unix();
        OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()
    }

    /// What these ask for, each item once.
    pub fn asked(waiting: &[Self]) -> KindCounts {
        Self::cover(waiting).counts()
    }

    fn cover(waiting: &[Self]) -> Cover<'_> {
        waiting.iter().flat_map(|publish| &publish.items).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The waiting publishes, oldest first.
    pub waiting: &'a [Waiting],
    pub room: Room,
    /// What the room grows to once nothing is in progress. Below one of each nothing could ever be
    /// sent, so it is read as one.
    pub quota: Room,
    pub terms: Terms,
    /// What the site has published lately.
    pub known_paths: &'a KnownPaths,
    /// The quotas cannot clear the backlog within the time the owner allows.
    pub overdue: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The invalidation batches in the order of sending. The first fits the room of now, each other
    /// the full quota.
    pub batches: Vec<PlannedBatch>,
    /// The publishes whose items are all covered by the batches, oldest first.
    pub taken: Vec<Uuid>,
    /// Whether publishes are left because there is no room for them.
    pub has_backlog: bool,
    /// The most of each kind that one of those needs, as it would be sent.
    pub short: KindCounts,
    /// Whether publishes are left because they need more than [`Terms::paths_left`].
    pub is_limited: bool,
    /// The wildcards that folding put in place of what was asked.
    pub folds: Vec<Item>,
    pub saved: Saved,
}

/// The items of one `InvalidationBatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedBatch {
    /// Each once, oldest first.
    pub items: Vec<Item>,
    /// Those that the batch covers at least one item of, oldest first. The covered items need not
    /// be sent again, even for publishes that are not taken yet.
    pub publishes: Vec<Uuid>,
}

/// Paths that did not have to be sent and paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Because several publishes asked for the same, or for what a wildcard among them covers.
    pub coalesced: u64,
    /// Because wildcards took the place of what was asked.
    pub folded: u64,
}

/// Decides which of the waiting publishes go now, and in which batches.
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let folds = folds(input);
    let choice = choose(input, &folds.iter().collect());
    let batches = pack(&choice.chosen, input.room, input.quota);
    finish(input, &choice, &batches, &folds)
}

fn finish(
    input: &PlanInput<'_>,
    choice: &Choice<'_>,
    batches: &[Vec<&Item>],
    folds: &[Item],
) -> Plan {
    let chosen = &choice.chosen;
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
        short: choice.short,
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
        } else if choice.limited.binary_search(&i).is_ok() {
            plan.is_limited = true;
        } else {
            plan.has_backlog = true;
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
    let distinct = distinct.counts().total();
    plan.saved = Saved {
        coalesced: asked as u64 - distinct,
        folded: distinct.saturating_sub(chosen.counts().total()),
    };
    plan.folds = folds
        .iter()
        .filter(|fold| batch_of.contains_key(fold))
        .cloned()
        .collect();
    plan
}
