//! Which publishes go now, and in which batches: what there is room for.

use super::{PlanInput, PlanLimit};
use crate::domain::{
    Item, Room,
    coverage::{Cover, Need},
};

/// The most bytes of items in one call, which has ten seconds to arrive.
pub const MOST_BYTES: usize = 1 << 20;

/// The items that go; and why the publishes wait that do not, by ascending index. Those after the
/// last of them wait for quota.
pub(super) fn choose<'a>(
    input: &PlanInput<'a>,
    folds: &Cover<'a>,
) -> (Cover<'a>, Vec<(usize, PlanLimit)>) {
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
        // What its wildcards cover need not go any more.
        let total = taken.total() - missing.replaced_in(&chosen) + need.total();
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
pub(super) fn pack<'a>(chosen: &Cover<'a>, room: Room, quota: Room) -> Vec<Vec<&'a Item>> {
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

impl Room {
    fn at_least_one(self) -> Self {
        Self {
            files: self.files.max(1),
            wildcards: self.wildcards.max(1),
            paths_per_request: self.paths_per_request.max(1),
        }
    }

    /// Whether there is room for all of `need` besides what is taken. A kind that is not needed
    /// does not matter.
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
