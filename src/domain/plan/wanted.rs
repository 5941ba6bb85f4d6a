//! How much of what waits has to be read.

use super::{Policy, Terms};
use crate::domain::intake::MAX_ITEMS;
use crate::domain::{Kind, KindCounts, Room};

/// What one plan can use of what waits. No more has to be read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub terms: Terms,
    pub room: Room,
    /// What there is room for while nothing is in progress.
    pub quota: Room,
}

impl Wanted {
    /// What there is no room for, if nothing can go for want of it: one of each kind that may be
    /// sent for what waits, of which `waiting` has one of each kind. None where some may go, or
    /// where only what waits tells whether the monthly limit holds it.
    pub fn lacks(&self, waiting: KindCounts) -> Option<KindCounts> {
        let (policy, wildcard) = (self.terms.policy, Kind::Wildcards.one());
        let may_need = match policy {
            Policy::Exact => waiting,
            Policy::Economical => waiting.at_least(wildcard),
            Policy::Everything => wildcard,
        };
        let has_room = may_need.kinds().any(|kind| self.room.items[kind] > 0);
        // Nothing else goes, so no publish needs more than it holds itself.
        let most = match policy {
            Policy::Exact | Policy::Economical => MAX_ITEMS as u64,
            Policy::Everything => 1,
        };
        let may_be_limited = self.terms.paths_left.is_some_and(|left| left < most);
        (!has_room && !may_be_limited).then_some(may_need)
    }

    /// Whether nothing can go, whatever waits.
    pub fn is_nothing(&self) -> bool {
        self.terms.paths_left == Some(0) || self.room.items == KindCounts::default()
    }

    /// The one kind of which more may go than these different items, if there is one such kind and
    /// nothing is folded.
    pub fn only_missing(&self, different: KindCounts) -> Option<Kind> {
        let mut kinds = self.room.items.less(different).kinds();
        let kind = kinds.next().filter(|_| kinds.next().is_none());
        kind.filter(|_| self.terms.policy == Policy::Exact)
    }

    /// Whether as many wildcards wait as may go once there is room, while there is none: whatever
    /// else needs one is not next, and no more of that has to be read. Where a wildcard may go, all
    /// that waits is read: what it covers goes along, however much of it there is.
    pub fn has_quota_of_wildcards(&self, waiting: KindCounts) -> bool {
        let quota = self.quota.items.wildcards.max(1);
        self.only_missing(KindCounts::default()) == Some(Kind::Files) && waiting.wildcards >= quota
    }

    /// How many items a publish may hold to be planned at all; `None`: any number.
    pub fn most_items(&self) -> Option<i64> {
        let most = self.terms.paths_left?;
        Some(i64::try_from(most).unwrap_or(i64::MAX))
    }

    /// Whether a publish of this many items may be planned at all.
    pub fn may_take(&self, items: usize) -> bool {
        let most = self.terms.paths_left;
        most.is_none_or(|most| items as u64 <= most)
    }

    /// Whether a publish that needs these may go beside this many different items: it goes whole,
    /// and so not where a kind of it is full.
    pub fn has_room_for(&self, need: KindCounts, different: KindCounts) -> bool {
        let has_room = |kind: Kind| different[kind] < self.room.items[kind];
        self.terms.policy != Policy::Exact || need.kinds().all(has_room)
    }

    /// Whether this many different items are enough. What there is no room for does not count, so
    /// that what comes after it is seen too. Where there is folding, no number is enough, and where
    /// nothing can go, any is: what is at the front says why.
    pub fn is_enough(&self, different: KindCounts) -> bool {
        let Room {
            items,
            paths_per_request,
        } = self.room;
        let most = items.total().min(paths_per_request.into());
        self.is_nothing()
            || self.terms.policy == Policy::Exact && different.at_most(items).total() >= most
    }
}
