//! Which publishes go now, and in which batches: what there is room for.

use std::slice;

use super::PlanInput;
use crate::domain::coverage::Cover;
use crate::domain::{Item, KindCounts, PerKind, Room};

/// The most bytes of items in one call, which has ten seconds to arrive.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// What goes, and what does not.
pub(super) struct Choice<'a> {
    /// The items that go.
    pub(super) chosen: Cover<'a>,
    /// The publishes that need more paths than are left, by ascending index.
    pub(super) limited: Vec<usize>,
    /// The most of each kind that was needed by one that there was no room for.
    pub(super) short: KindCounts,
}

pub(super) fn choose<'a>(input: &PlanInput<'a>, folds: &Cover<'a>) -> Choice<'a> {
    let room = input.room;
    let quota = input.quota.at_least_one();
    let mut chosen = Cover::default();
    let (mut reserved, mut short) = (KindCounts::default(), KindCounts::default());
    let mut limited = Vec::new();
    for (i, waiting) in input.waiting.iter().enumerate() {
        let sent = waiting
            .items
            .iter()
            .map(|item| folds.covering(item).unwrap_or(item));
        let missing: Cover<'_> = sent
            .filter(|item| chosen.covering(item).is_none())
            .collect();
        let need = missing.counts();
        let taken = chosen.counts();
        // What its wildcards cover no longer has to be sent.
        let total = taken.total() - missing.replaced_in(&chosen) as u64 + need.total();
        if input.terms.paths_left.is_some_and(|left| total > left) {
            limited.push(i);
            continue;
        }
        if room.allows(taken + reserved, need)
            && total <= u64::from(room.paths_per_request)
            && chosen.bytes() + missing.bytes() <= MAX_BATCH_BYTES
        {
            chosen.extend(missing.items());
            continue;
        }
        short = short.at_least(need);
        let would_wait_for_ever = !quota.allows(KindCounts::default(), need)
            || need.total() > u64::from(quota.paths_per_request)
            || missing.bytes() > MAX_BATCH_BYTES;
        if would_wait_for_ever && reserved == KindCounts::default() && room.allows_some(taken, need)
        {
            chosen.extend(missing.items());
            break;
        }
        // An older one waits, perhaps only for the other kind: what fits beside it goes.
        let left = if would_wait_for_ever {
            let most = input.terms.paths_left.unwrap_or(u64::MAX);
            add_some(&mut chosen, &missing, room, reserved, most)
        } else {
            need
        };
        // Behind a whole quota's worth, its turn is not the next: until then it holds back nothing.
        let is_far = need.kinds().any(|kind| reserved[kind] >= quota.items[kind]);
        if !is_far {
            reserved = reserved + left;
        }
    }
    Choice {
        chosen,
        limited,
        short,
    }
}

/// Adds what one call has room for besides what is reserved, up to `most` items in all, and returns
/// what is left.
fn add_some<'a>(
    chosen: &mut Cover<'a>,
    missing: &Cover<'a>,
    room: Room,
    reserved: KindCounts,
    most: u64,
) -> KindCounts {
    let most = most.min(room.paths_per_request.into());
    let mut left = KindCounts::default();
    for item in missing.items() {
        let (need, taken) = (KindCounts::of(slice::from_ref(item)), chosen.counts());
        if room.allows(taken + reserved, need)
            && taken.total() < most
            && chosen.bytes() + item.as_str().len() <= MAX_BATCH_BYTES
        {
            chosen.insert(item);
        } else {
            left = left + need;
        }
    }
    left
}

/// Spreads the items over batches: the first fits `room`, every other one `quota`.
pub(super) fn pack<'a>(chosen: &Cover<'a>, room: Room, quota: Room) -> Vec<Vec<&'a Item>> {
    let quota = quota.at_least_one();
    let mut batches: Vec<(KindCounts, usize, Vec<&Item>)> = Vec::new();
    // Per kind, the first batch that may have room left: a full batch stays full.
    let mut first_open = [0, 0];
    for item in chosen.items() {
        let (need, length) = (KindCounts::of(slice::from_ref(item)), item.as_str().len());
        let at = &mut first_open[usize::from(item.is_wildcard())];
        loop {
            if *at == batches.len() {
                batches.push(Default::default());
            }
            let most = if *at == 0 { room } else { quota };
            let (taken, bytes, items) = &mut batches[*at];
            let fits = items.len() < most.paths_per_request as usize
                && (items.is_empty() || *bytes + length <= MAX_BATCH_BYTES);
            if most.allows(*taken, need) && fits {
                *taken = *taken + need;
                *bytes += length;
                items.push(item);
                break;
            }
            *at += 1;
        }
    }
    batches.into_iter().map(|(_, _, items)| items).collect()
}

impl Room {
    fn at_least_one(self) -> Self {
        Self {
            items: PerKind::each(|kind| self.items[kind].max(1)),
            paths_per_request: self.paths_per_request.max(1),
        }
    }

    /// Whether there is room for all of `need` besides what is taken. A kind that is not needed
    /// does not matter.
    fn allows(self, taken: KindCounts, need: KindCounts) -> bool {
        let both = taken + need;
        need.kinds().all(|kind| both[kind] <= self.items[kind])
    }

    /// Whether there is room for any of `need` besides what is taken.
    fn allows_some(self, taken: KindCounts, need: KindCounts) -> bool {
        taken.total() < u64::from(self.paths_per_request)
            && need.kinds().any(|kind| taken[kind] < self.items[kind])
    }
}
