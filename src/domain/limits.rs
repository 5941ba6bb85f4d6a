//! CloudFront's quotas and rates, all configurable: AWS has changed them before.

use super::{Item, Room};

/// What CloudFront is believed to allow. A refusal by CloudFront always overrules it.
///
/// Defaults are those of the CloudFront developer guide's quotas for invalidations, where it gives one; the request
/// rate is unpublished, and its default is what an AWS maintainer named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Files in progress a distribution.
    pub files_in_progress: u32,
    /// Wildcard paths in progress a distribution.
    pub wildcards_in_progress: u32,
    /// Paths one request may hold.
    pub paths_per_request: u32,
    /// `CreateInvalidation` calls a second for each access key, in the long run.
    pub requests_per_second: f64,
    /// `CreateInvalidation` calls that may come at once after a pause.
    pub request_burst: u32,
    /// Files and tags a second a distribution; none: not limited.
    pub paths_per_second: Option<f64>,
    /// Wildcard paths a second a distribution; none: not limited.
    pub wildcards_per_second: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files_in_progress: 3_000,
            wildcards_in_progress: 15,
            paths_per_request: 3_000,
            requests_per_second: 0.5,
            request_burst: 5,
            paths_per_second: None,
            wildcards_per_second: None,
        }
    }
}

impl Limits {
    /// What the quotas allow while nothing is in progress.
    #[must_use]
    pub const fn quota(&self) -> Room {
        Room {
            files: self.files_in_progress,
            wildcards: self.wildcards_in_progress,
            paths_per_request: self.paths_per_request,
        }
    }

    /// What the quotas leave while `used` is in progress.
    #[must_use]
    pub const fn left(&self, used: Usage) -> Room {
        Room {
            files: self.files_in_progress.saturating_sub(used.files),
            wildcards: self.wildcards_in_progress.saturating_sub(used.wildcards),
            paths_per_request: self.paths_per_request,
        }
    }
}

/// What counts against the quotas of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files and tags.
    pub files: u32,
    /// Wildcard paths.
    pub wildcards: u32,
}

impl Usage {
    /// What a batch adds.
    #[must_use]
    pub fn of(items: &[Item]) -> Self {
        let wildcards = items.iter().filter(|item| item.is_wildcard()).count();
        let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            files: count(items.len() - wildcards),
            wildcards: count(wildcards),
        }
    }

    /// Whether there is room for it.
    #[must_use]
    pub const fn fits(self, room: Room) -> bool {
        self.files <= room.files && self.wildcards <= room.wildcards
    }
}
