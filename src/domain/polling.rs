//! What follows from CloudFront's answer to `GetInvalidation`, and when it is asked again.

use time::{Duration, OffsetDateTime};

use super::{AwsError, GetOutcome};

/// How long a call without a usable answer is repeated.
pub(super) const PERSISTENCE: Duration = Duration::hours(24);
/// CloudFront may not know an invalidation right after it accepted it.
const SETTLING: Duration = Duration::minutes(1);
/// How long a key may be denied `GetInvalidation` while the site works.
const DENIED_FOR: Duration = Duration::MINUTE;
/// How long questions may be refused with a code that is not known here.
const REFUSED_FOR: Duration = Duration::minutes(10);

/// What becomes of an invalidation in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterGet {
    /// It is asked about again.
    Again {
        at: OffsetDateTime,
        /// What is in the way, if anything.
        error: Option<AwsError>,
        settings_rejected: bool,
    },
    Completed,
    /// CloudFront accepted it, but can no longer be asked about it.
    Unconfirmed(AwsError),
    /// CloudFront no longer knows it.
    Failed(AwsError),
}

impl AfterGet {
    /// What AWS said, where it was not an answer.
    pub const fn error(&self) -> Option<&AwsError> {
        match self {
            Self::Completed => None,
            Self::Again { error, .. } => error.as_ref(),
            Self::Unconfirmed(error) | Self::Failed(error) => Some(error),
        }
    }
}

/// What is known when a call of `GetInvalidation` has ended.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub now: OffsetDateTime,
    pub submitted_at: OffsetDateTime,
    /// When the first question after the last usable answer went without one; `None` if the last
    /// question was answered, or this is the first.
    pub unanswered_since: Option<OffsetDateTime>,
    /// Whether the settings in force are still those of its distribution.
    pub same_distribution: bool,
    /// Whether AWS rejects the settings in force for `CreateInvalidation` too.
    pub is_paused: bool,
}

pub fn after_get(outcome: GetOutcome, asked: Asked) -> AfterGet {
    let age = asked.now - asked.submitted_at;
    // Not from its acceptance: nobody may have asked for a day, because this machine slept.
    let unanswered = asked.now - asked.unanswered_since.unwrap_or(asked.now);
    let again = |error, settings_rejected| AfterGet::Again {
        at: asked.now
            + if settings_rejected {
                Duration::seconds(30)
            } else {
                poll_interval(age)
            },
        error,
        settings_rejected,
    };
    match outcome {
        GetOutcome::Completed { .. } => AfterGet::Completed,
        GetOutcome::InProgress { .. } => again(None, false),
        GetOutcome::Gone(error) if age < SETTLING => again(Some(error), false),
        GetOutcome::Gone(error) => AfterGet::Failed(error),
        GetOutcome::SettingsRejected(error) => {
            // Where a site works otherwise, a key that may not ask now may not ask tomorrow either.
            let denied = error.denies_action() && !asked.is_paused && unanswered >= DENIED_FOR;
            if denied || !asked.same_distribution || unanswered > PERSISTENCE {
                AfterGet::Unconfirmed(error)
            } else {
                again(Some(error), true)
            }
        }
        GetOutcome::TryLater(error) => {
            let refused = error.has_aws_code()
                && !error.is_throttling()
                && error.http_status.is_some_and(|status| status < 500);
            let longest = if refused { REFUSED_FOR } else { PERSISTENCE };
            if unanswered > longest {
                AfterGet::Unconfirmed(error)
            } else {
                again(Some(error), false)
            }
        }
    }
}

/// How long to wait before asking about an invalidation of this age. CloudFront completes most
/// within 25 s, so it is asked every two seconds at first, and then after a quarter of the age.
pub fn poll_interval(age: Duration) -> Duration {
    (age / 4_i32).clamp(Duration::seconds(2), Duration::MINUTE)
}
