//! What CloudFront's quotas count: two kinds of item, how many of each there are, and how many
//! there may be.

use std::iter::Sum;
use std::ops::Add;

use strum::IntoStaticStr;

use super::Item;

/// The two kinds of item that CloudFront's quotas tell apart. Tags count as files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Kind {
    /// Paths without a wildcard, and tags.
    Files,
    /// Paths with a wildcard.
    Wildcards,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Files, Self::Wildcards];

    pub const fn of(self, usage: Usage) -> u32 {
        match self {
            Self::Files => usage.files,
            Self::Wildcards => usage.wildcards,
        }
    }

    pub const fn one_of_the_other(self) -> Usage {
        let (files, wildcards) = match self {
            Self::Files => (0, 1),
            Self::Wildcards => (1, 0),
        };
        Usage { files, wildcards }
    }

    pub const fn of_room(self, room: Room) -> u32 {
        match self {
            Self::Files => room.files,
            Self::Wildcards => room.wildcards,
        }
    }

    pub fn is_of(self, item: &Item) -> bool {
        item.is_wildcard() == (self == Self::Wildcards)
    }
}

/// What counts against the quotas of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files and tags.
    pub files: u32,
    pub wildcards: u32,
}

impl Usage {
    /// What these items add.
    pub fn of(items: &[Item]) -> Self {
        let wildcards = items.iter().filter(|item| item.is_wildcard()).count();
        Self::counted(items.len() - wildcards, wildcards)
    }

    /// So many of each.
    pub fn counted(files: impl TryInto<u32>, wildcards: impl TryInto<u32>) -> Self {
        Self {
            files: files.try_into().unwrap_or(u32::MAX),
            wildcards: wildcards.try_into().unwrap_or(u32::MAX),
        }
    }

    /// The kinds that there is at least one of.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| kind.of(self) > 0)
    }

    /// Those of some kinds only.
    pub fn only(self, is_wanted: impl Fn(Kind) -> bool) -> Self {
        let of = |kind: Kind| if is_wanted(kind) { kind.of(self) } else { 0 };
        Self {
            files: of(Kind::Files),
            wildcards: of(Kind::Wildcards),
        }
    }

    pub const fn is_mixed(self) -> bool {
        self.files > 0 && self.wildcards > 0
    }

    /// Without those of `other`.
    pub const fn less(self, other: Self) -> Self {
        Self {
            files: self.files.saturating_sub(other.files),
            wildcards: self.wildcards.saturating_sub(other.wildcards),
        }
    }

    /// No more of each kind than there is room for.
    pub fn at_most(self, room: Room) -> Self {
        Self {
            files: self.files.min(room.files),
            wildcards: self.wildcards.min(room.wildcards),
        }
    }

    pub const fn total(self) -> u64 {
        self.files as u64 + self.wildcards as u64
    }

    pub const fn fits(self, room: Room) -> bool {
        self.files <= room.files && self.wildcards <= room.wildcards
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            files: self.files.saturating_add(other.files),
            wildcards: self.wildcards.saturating_add(other.wildcards),
        }
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), Self::add)
    }
}

/// How much CloudFront accepts: by quota, or right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Paths without wildcard, and tags, that may be in progress.
    pub files: u32,
    /// Wildcard paths that may be in progress.
    pub wildcards: u32,
    /// Items that one `CreateInvalidation` may hold, of both kinds.
    pub paths_per_request: u32,
}

impl Room {
    /// No room for the kinds that `usage` has any of.
    pub const fn without(self, usage: Usage) -> Self {
        Self {
            files: if usage.files > 0 { 0 } else { self.files },
            wildcards: if usage.wildcards > 0 {
                0
            } else {
                self.wildcards
            },
            ..self
        }
    }

    pub fn at_most(self, other: Self) -> Self {
        Self {
            files: self.files.min(other.files),
            wildcards: self.wildcards.min(other.wildcards),
            paths_per_request: self.paths_per_request.min(other.paths_per_request),
        }
    }

    /// What `usage` leaves of it.
    pub const fn less(self, usage: Usage) -> Self {
        Self {
            files: self.files.saturating_sub(usage.files),
            wildcards: self.wildcards.saturating_sub(usage.wildcards),
            ..self
        }
    }
}

impl Default for Room {
    /// CloudFront's documented quotas for one distribution.
    fn default() -> Self {
        Self {
            files: 3_000,
            wildcards: 15,
            paths_per_request: 3_000,
        }
    }
}
