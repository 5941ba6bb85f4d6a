//! How much of what waits has to be read.

use super::Policy;
use crate::domain::{Kind, Room, Usage};

/// What one plan can use of what waits: no more has to be read.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub policy: Policy,
    pub room: Room,
    /// As in [`super::PlanInput`].
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
