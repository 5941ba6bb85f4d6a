//! What is folded by the owner's choice.

use strum::{EnumString, IntoStaticStr};

use super::{PlanInput, Waiting};
use crate::domain::fold::{FoldGoal, PLAIN_WEIGHT, fold};
use crate::domain::{Item, KindCounts};

/// How much more than what was asked may be purged to save calls and money: the site owner's
/// choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Policy {
    /// Only what was asked.
    #[default]
    Exact,
    /// Fold when more than [`Terms::fold_above`] items wait, when the month's free paths run out,
    /// or when the backlog is overdue.
    Economical,
    /// Each batch is `/*`.
    Everything,
}

/// Above how many items the policy economical folds where the owner has not said.
pub const DEFAULT_THRESHOLD: u32 = 100;

/// What the owner's choice means now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The policy in force, perhaps past the monthly limit.
    pub policy: Policy,
    /// The most items that the policy economical sends as they were asked.
    pub fold_above: u32,
    /// How many more paths this month are free for the AWS account.
    pub free_paths_left: u64,
    /// How many paths may be sent before publishes are held for the month; `None` means any number.
    /// A publish that needs more is passed over, and does not hold up those that need less.
    pub paths_left: Option<u64>,
}

impl Terms {
    /// Whether [`super::plan()`] may fold what waits, and therefore needs the known paths.
    pub fn may_fold(&self, asked: KindCounts, overdue: bool) -> bool {
        let items = asked.total();
        let is_many = items > self.fold_above.into() || items > self.free_paths_left;
        self.policy == Policy::Economical && (overdue || is_many)
    }
}

/// The wildcards that go in place of what was asked.
pub(super) fn folds(input: &PlanInput<'_>) -> Vec<Item> {
    match input.terms.policy {
        Policy::Exact => Vec::new(),
        Policy::Everything if input.waiting.is_empty() => Vec::new(),
        Policy::Everything => vec![Item::everything()],
        Policy::Economical => economical(input),
    }
}

fn economical(input: &PlanInput<'_>) -> Vec<Item> {
    let asked = Waiting::cover(input.waiting);
    let count = asked.counts().total() as usize;
    let threshold = input.terms.fold_above.max(1) as usize;
    let many = count > threshold;
    let costly = count as u64 > input.terms.free_paths_left;
    let room = input.room;
    // Without room for a wildcard, folding would only delay what is late already.
    let late = input.overdue && room.items.wildcards > 0;
    if !(many || costly || late) {
        return Vec::new();
    }
    let mut goal = FoldGoal {
        items: count,
        // Batches that follow within seconds need wildcards too.
        wildcards: room.items.wildcards as usize / 4,
        asked_wildcards_count: false,
        weight: PLAIN_WEIGHT,
    };
    let items = asked.items();
    let is_path = |item: &&&Item| matches!(item, Item::Path(_));
    let paths = items.iter().filter(is_path).count();
    if many {
        goal.items = threshold;
        let excess = (paths / threshold).max(1) as u64;
        goal.weight = PLAIN_WEIGHT * excess * excess;
    }
    if late {
        let fitting = room.items.total().min(room.paths_per_request.into()) as usize;
        // Tags take none of the room that wildcards make.
        goal.items = goal.items.min(fitting.max(1) + count - paths);
        if asked.counts().wildcards > room.items.wildcards {
            goal.wildcards = room.items.wildcards as usize;
            goal.asked_wildcards_count = true;
        }
    }
    fold(&items, input.known_paths, goal)
}
