//! CloudFront's quotas, rates and prices, all configurable: AWS has changed them before.

use time::{Duration, OffsetDateTime};

use super::meter::Prices;
use super::{Kind, KindCounts, PerKind, Room};

/// How far the clocks of replicas may differ.
pub const SKEW: Duration = Duration::seconds(5);
/// How long an invalidation is presumed to be in progress: AWS's 95th percentile.
pub const IN_PROGRESS: Duration = Duration::seconds(25);

/// Whether that was less than so long ago. What lies ahead was noted by a clock that was ahead, and
/// must not last until this one has caught up.
pub fn is_within(long: Duration, at: OffsetDateTime, now: OffsetDateTime) -> bool {
    now - at < long && at - now < SKEW
}

/// Whether what was accepted at `since` is still presumed to be in progress.
pub fn is_in_progress(since: OffsetDateTime, now: OffsetDateTime) -> bool {
    is_within(IN_PROGRESS, since, now)
}

/// What CloudFront is believed to allow. A refusal by CloudFront always overrules it.
///
/// Defaults are those of the CloudFront developer guide's quotas for invalidations, where it gives
/// one; the request rate is unpublished, and its default is what an AWS maintainer named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Items that a distribution may have in progress.
    pub in_progress: PerKind<u32>,
    pub paths_per_request: u32,
    /// `CreateInvalidation` calls a second for each access key, in the long run.
    pub requests_per_second: f64,
    /// `CreateInvalidation` calls that may come at once after a pause.
    pub request_burst: u32,
    /// Items a second for each distribution; `None` means unlimited.
    pub per_second: PerKind<Option<f64>>,
    /// Whether what holds for a kind was configured, rather than taken from AWS's documents: then
    /// refusals teach nothing.
    pub known: PerKind<bool>,
    pub prices: Prices,
    /// How long the quotas may take to clear what waits before it is folded, where the site's
    /// policy allows that.
    pub max_backlog: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_progress: Room::default().items,
            paths_per_request: Room::default().paths_per_request,
            requests_per_second: 0.5,
            request_burst: 5,
            per_second: PerKind::default(),
            known: PerKind::default(),
            prices: Prices::default(),
            max_backlog: Duration::minutes(5),
        }
    }
}

impl Limits {
    /// How often a site may test its settings, as if that were the rate of an access key: each test
    /// is a call that counts against the limits of AWS, for whichever key was typed.
    pub const fn of_tests(&self) -> Self {
        Self {
            request_burst: 10,
            requests_per_second: 1.0 / 6.0,
            ..*self
        }
    }

    /// What the quotas allow while nothing is in progress: at most one second's worth where
    /// CloudFront limits paths by the second.
    pub fn quota(&self) -> Room {
        let second = |kind: Kind| self.per_second[kind].map_or(u32::MAX, |rate| whole(rate).max(1));
        Room {
            items: self.in_progress.at_most(PerKind::each(second)),
            paths_per_request: self.paths_per_request,
        }
    }

    /// How long the quotas need, at least, to let through what waits.
    pub fn clearing_time(&self, waiting: KindCounts) -> Duration {
        let ratio = |amount: u32, per: f64| f64::from(amount) / per.max(f64::MIN_POSITIVE);
        let rounds = |kind: Kind| ratio(waiting[kind], self.in_progress[kind].into());
        let rounds = rounds(Kind::Files).max(rounds(Kind::Wildcards));
        // The last round only has to be accepted.
        let in_progress = (rounds.ceil() - 1.0).max(0.0) * IN_PROGRESS.as_seconds_f64();
        let calls = f64::from(waiting.files.saturating_add(waiting.wildcards))
            / f64::from(self.paths_per_request.max(1));
        let by_rate =
            |kind: Kind| self.per_second[kind].map_or(0.0, |rate| ratio(waiting[kind], rate));
        let seconds = [
            in_progress,
            calls / self.requests_per_second,
            by_rate(Kind::Files),
            by_rate(Kind::Wildcards),
        ];
        Duration::saturating_seconds_f64(seconds.into_iter().fold(0.0, f64::max))
    }

    /// Whether the quotas cannot clear what waits in good time: by calculation, or because each
    /// call since `backlog_since` has left something waiting.
    pub fn is_overdue(
        &self,
        asked: KindCounts,
        backlog_since: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> bool {
        backlog_since.is_some_and(|since| now - since > self.max_backlog)
            || self.clearing_time(asked) > self.max_backlog
    }

    /// What the quotas leave while `used` is in progress.
    pub fn left(&self, used: KindCounts) -> KindCounts {
        self.in_progress.less(used)
    }
}

/// Whole tokens; sums of fractions fall short of whole numbers by a hair.
pub(super) fn whole(tokens: f64) -> u32 {
    // A cast of a number below zero or beyond `u32` gives the nearest one.
    (tokens + 1e-9).floor() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_publish_clears_at_once_and_many_wildcards_do_not() {
        let limits = Limits::default();
        let time = |files, wildcards| limits.clearing_time(KindCounts { files, wildcards });
        assert!(time(3_000, 15) <= Duration::seconds(3));
        assert_eq!(time(0, 16), IN_PROGRESS);
        assert_eq!(time(30_000, 0), IN_PROGRESS * 9);
        assert!(time(0, 300) > limits.max_backlog);
        let slow = Limits {
            per_second: PerKind {
                files: Some(10.0),
                wildcards: None,
            },
            ..limits
        };
        assert_eq!(
            slow.clearing_time(KindCounts::counted(6_000, 0)),
            Duration::minutes(10)
        );
        assert_eq!(slow.quota().items.files, 10);
    }
}
