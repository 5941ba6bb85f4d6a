//! What CloudFront's quotas count: two kinds of item, how many of each there are, and how many
//! there may be.

use std::iter::Sum;
use std::ops::{Add, Index};

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::Item;

/// The two kinds of item that CloudFront's quotas tell apart. Tags count as files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Kind {
    /// Paths without a wildcard, and tags.
    Files,
    /// Paths with a wildcard.
    Wildcards,
}

impl Kind {
    /// One of this kind, and none of the other.
    pub fn one(self) -> KindCounts {
        PerKind::each(|kind| u32::from(kind == self))
    }

    pub fn is_of(self, item: &Item) -> bool {
        item.is_wildcard() == (self == Self::Wildcards)
    }
}

/// One value for each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerKind<T> {
    /// Files and tags.
    pub files: T,
    pub wildcards: T,
}

impl<T> PerKind<T> {
    pub fn each(of: impl Fn(Kind) -> T) -> Self {
        Self {
            files: of(Kind::Files),
            wildcards: of(Kind::Wildcards),
        }
    }
}

impl<T> Index<Kind> for PerKind<T> {
    type Output = T;

    fn index(&self, kind: Kind) -> &T {
        match kind {
            Kind::Files => &self.files,
            Kind::Wildcards => &self.wildcards,
        }
    }
}

/// How many of each kind.
pub type KindCounts = PerKind<u32>;

impl KindCounts {
    /// How many there are among these items.
    pub fn of(items: &[Item]) -> Self {
        let wildcards = items.iter().filter(|item| item.is_wildcard()).count();
        Self::counted(items.len() - wildcards, wildcards)
    }

    /// This many of each kind.
    pub fn counted(files: impl TryInto<u32>, wildcards: impl TryInto<u32>) -> Self {
        Self {
            files: files.try_into().unwrap_or(u32::MAX),
            wildcards: wildcards.try_into().unwrap_or(u32::MAX),
        }
    }

    /// The kinds that there is at least one of.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        Kind::VARIANTS
            .iter()
            .copied()
            .filter(move |kind| self[*kind] > 0)
    }

    pub fn only(self, is_wanted: impl Fn(Kind) -> bool) -> Self {
        Self::each(|kind| if is_wanted(kind) { self[kind] } else { 0 })
    }

    pub const fn is_mixed(self) -> bool {
        self.files > 0 && self.wildcards > 0
    }

    /// Without those of `other`.
    pub fn less(self, other: Self) -> Self {
        Self::each(|kind| self[kind].saturating_sub(other[kind]))
    }

    /// No more of each kind than `most`.
    pub fn at_most(self, most: Self) -> Self {
        Self::each(|kind| self[kind].min(most[kind]))
    }

    /// No less of each kind than `least`.
    pub fn at_least(self, least: Self) -> Self {
        Self::each(|kind| self[kind].max(least[kind]))
    }

    pub const fn total(self) -> u64 {
        self.files as u64 + self.wildcards as u64
    }

    pub const fn fits(self, most: Self) -> bool {
        self.files <= most.files && self.wildcards <= most.wildcards
    }
}

impl Add for KindCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::each(|kind| self[kind].saturating_add(other[kind]))
    }
}

impl Sum for KindCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

/// How much CloudFront accepts: by quota, or right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Items that may be in progress.
    pub items: PerKind<u32>,
    /// Items that one `CreateInvalidation` may hold, of both kinds.
    pub paths_per_request: u32,
}

impl Room {
    /// No room for the kinds that `counts` has any of.
    pub fn without(self, counts: KindCounts) -> Self {
        Self {
            items: self.items.only(|kind| counts[kind] == 0),
            ..self
        }
    }

    pub fn at_most(self, other: Self) -> Self {
        Self {
            items: self.items.at_most(other.items),
            paths_per_request: self.paths_per_request.min(other.paths_per_request),
        }
    }

    /// What `used` leaves of it.
    pub fn less(self, used: KindCounts) -> Self {
        Self {
            items: self.items.less(used),
            ..self
        }
    }
}

impl Default for Room {
    /// CloudFront's documented quotas for one distribution.
    fn default() -> Self {
        Self {
            items: PerKind {
                files: 3_000,
                wildcards: 15,
            },
            paths_per_request: 3_000,
        }
    }
}
