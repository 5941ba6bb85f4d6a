//! What a site's owner allows to be sent and spent, and what that means now.

use time::{Date, Duration, OffsetDateTime, UtcOffset};

use super::meter::{MonthlyLimit, PastLimit, Prices};
use super::plan::{DEFAULT_THRESHOLD, Terms};
use super::{Limits, Policy};

/// A publish of this many items, such as a page with its lists, feeds and related pages, is never
/// folded because of what is in progress.
const A_FEW: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending {
    /// How much more than what was asked may be purged.
    pub policy: Policy,
    /// Items above which the policy economical folds; kept while another policy is chosen. At least
    /// 1.
    pub fold_above: u32,
    /// The most paths a month; `None` means any number.
    pub monthly_limit: Option<MonthlyLimit>,
}

impl Default for Spending {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            fold_above: DEFAULT_THRESHOLD,
            monthly_limit: None,
        }
    }
}

/// What a month has taken so far.
///
/// AWS counts free paths for each of its accounts, and does not say which account an access key
/// belongs to. So what is counted is all that went through the access key in force, and through the
/// keys that its sites used before it: a rotated key usually belongs to the same account. What
/// others send for the account is not known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonthUsage {
    /// Paths and tags of the site that CloudFront accepted.
    pub site_paths: u64,
    /// What its publishes had asked for.
    pub site_asked: u64,
    /// Paths and tags that CloudFront accepted for the access key, of all sites.
    pub key_paths: u64,
}

/// What of a site is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Paths of the site that are planned and not accepted yet.
    pub planned: u64,
    /// Items in progress at its distribution, counted as they would be unfolded.
    pub in_progress: u64,
}

impl Spending {
    /// The terms that are left by what the month has taken and what is under way.
    pub fn terms(&self, month: &MonthUsage, in_flight: InFlight, prices: &Prices) -> Terms {
        let planned = in_flight.planned;
        let mut terms = Terms {
            policy: self.policy,
            fold_above: self.threshold(in_flight.in_progress),
            free_paths_left: prices.free_left(month.key_paths + planned),
            paths_left: None,
        };
        let used = month.site_paths + planned;
        match self.monthly_limit {
            Some(limit) if limit.then == PastLimit::Hold => {
                terms.paths_left = Some(limit.paths.saturating_sub(used));
            }
            Some(limit) if used >= limit.paths => {
                // From here on each path counts, as if none were free.
                terms.free_paths_left = 0;
                if terms.policy == Policy::Exact {
                    terms.policy = Policy::Economical;
                }
            }
            _ => {}
        }
        terms
    }

    /// Whether more is planned than the monthly limit leaves, as after it was lowered.
    pub fn is_exceeded(&self, month: &MonthUsage, in_flight: InFlight) -> bool {
        let used = month.site_paths + in_flight.planned;
        let holds = |limit: MonthlyLimit| limit.then == PastLimit::Hold && used > limit.paths;
        self.monthly_limit.is_some_and(holds)
    }

    /// How many items are sent unfolded now. What is still in progress counts, so that a
    /// rebuild that arrives in small publishes costs no more than one that arrives at once. A
    /// publish of a few items is never folded because of earlier ones.
    fn threshold(&self, in_progress: u64) -> u32 {
        let in_progress = u32::try_from(in_progress).unwrap_or(u32::MAX);
        let least = (self.fold_above / 10).max(A_FEW).min(self.fold_above);
        self.fold_above.saturating_sub(in_progress).max(least)
    }
}

/// The first day of the month, in UTC as on AWS's bill.
pub fn month_of(at: OffsetDateTime) -> Date {
    let day = at.to_offset(UtcOffset::UTC).date();
    day.replace_day(1).unwrap_or(day)
}

/// When the month's meter starts again.
pub fn next_month(at: OffsetDateTime) -> OffsetDateTime {
    let first = month_of(at);
    let days = first.month().length(first.year());
    let next = first.saturating_add(Duration::days(days.into()));
    next.midnight().assume_utc()
}

/// More about why publishes wait than [`super::WaitReason`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitNote {
    /// The month's limit is reached, and the owner chose to hold.
    MonthlyLimit { until: OffsetDateTime },
    /// The quotas leave publishes waiting, and the policy exact does not fold them.
    Backlog { since: OffsetDateTime },
}

impl WaitNote {
    /// What it means and what can be done about it, if it is worth mentioning yet.
    pub fn sentence(&self, now: OffsetDateTime, limits: &Limits) -> Option<String> {
        match self {
            Self::MonthlyLimit { until } => Some(format!(
                "The site has sent the paths that its monthly limit allows. This waits until {} {} {} (UTC), or until \
                 the limit is raised under Settings → CDN. A publish that alone needs more than the limit waits until \
                 it is raised.",
                until.day(),
                until.month(),
                until.year()
            )),
            Self::Backlog { since } => (now - *since > limits.max_backlog).then(|| {
                "More is waiting than CloudFront's quotas let through in good time, and the site sends exactly what \
                 was asked. It goes bit by bit; another policy, under Settings → CDN, sends it sooner."
                    .to_owned()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    fn limited(policy: Policy, then: PastLimit) -> Spending {
        Spending {
            policy,
            monthly_limit: Some(MonthlyLimit { paths: 500, then }),
            ..Spending::default()
        }
    }

    fn used(paths: u64) -> MonthUsage {
        MonthUsage {
            site_paths: paths,
            key_paths: paths * 2,
            ..MonthUsage::default()
        }
    }

    fn planned(planned: u64) -> InFlight {
        InFlight {
            planned,
            in_progress: 0,
        }
    }

    #[test]
    fn what_is_in_progress_counts_towards_folding() {
        let threshold = |fold_above, in_progress| {
            let spending = Spending {
                fold_above,
                ..Spending::default()
            };
            spending.threshold(in_progress)
        };
        assert_eq!(threshold(100, 0), 100);
        assert_eq!(threshold(100, 60), 40);
        assert_eq!(threshold(100, 5_000), 10);
        assert_eq!(threshold(500, 5_000), 50);
        assert_eq!(threshold(7, 5_000), 7);
    }

    #[test]
    fn past_the_limit_exact_becomes_economical() {
        let spending = limited(Policy::Exact, PastLimit::Economical);
        let prices = Prices::default();
        let before = spending.terms(&used(499), InFlight::default(), &prices);
        assert_eq!((before.policy, before.free_paths_left), (Policy::Exact, 2));
        let after = spending.terms(&used(400), planned(100), &prices);
        assert_eq!((after.policy, after.fold_above), (Policy::Economical, 100));
        assert_eq!((after.free_paths_left, after.paths_left), (0, None));
        let everything = limited(Policy::Everything, PastLimit::Economical);
        assert_eq!(
            everything
                .terms(&used(500), InFlight::default(), &prices)
                .policy,
            Policy::Everything,
            "which is the cheapest already"
        );
    }

    #[test]
    fn holding_counts_what_is_planned() {
        let spending = limited(Policy::Exact, PastLimit::Hold);
        let left = |paths, stored| {
            spending
                .terms(&used(paths), planned(stored), &Prices::default())
                .paths_left
        };
        assert_eq!(left(100, 0), Some(400));
        assert_eq!(left(100, 390), Some(10));
        assert_eq!(left(600, 0), Some(0));
        let is_exceeded = |stored| spending.is_exceeded(&used(100), planned(stored));
        assert!(!is_exceeded(400) && is_exceeded(401));
        let economical = limited(Policy::Exact, PastLimit::Economical);
        assert!(!economical.is_exceeded(&used(100), planned(401)));
    }

    #[test]
    fn months_are_utcs() {
        assert_eq!(
            month_of(datetime!(2026-12-01 01:00 +2)),
            date!(2026 - 11 - 01)
        );
        assert_eq!(
            next_month(datetime!(2026-12-31 23:59 UTC)),
            datetime!(2027-01-01 00:00 UTC)
        );
    }
}
