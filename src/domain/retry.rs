//! What follows from CloudFront's answer: the one retry policy. The database keeps its result, and
//! is the only loop.

use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::{AwsError, CreateOutcome, GetOutcome, InvalidationId};

/// How long calls without a usable answer are tried again before the batch is given up.
const PERSISTENCE: Duration = Duration::hours(24);
/// CloudFront may not know an invalidation right after it accepted it.
const SETTLING: Duration = Duration::minutes(1);
/// How long a batch is refused for quota while nothing of ours is in progress, before it is tried
/// in halves: somebody else fills the quota, or it is smaller than believed.
const QUOTA_PATIENCE: Duration = Duration::minutes(2);
/// The longest pause between tries.
const LONGEST_BACKOFF: Duration = Duration::minutes(1);
/// The longest pause between two tries of rejected settings.
const LONGEST_PAUSE: Duration = Duration::minutes(10);
/// The code with which CloudFront refuses a batch for one of its items.
const INVALID_ARGUMENT: &str = "InvalidArgument";

/// Why something is held.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum WaitReason {
    /// CloudFront's quota of invalidations in progress is full.
    Quota,
    /// The access key's request rate is used up.
    Rate,
    /// CloudFront gave no usable answer; it is tried again.
    Retry,
    /// AWS rejects the site's settings.
    Settings,
}

/// What is known when a call of `CreateInvalidation` has ended.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// When the call ended.
    pub now: OffsetDateTime,
    /// When the invalidation was planned.
    pub planned_at: OffsetDateTime,
    /// Items in the batch.
    pub items: usize,
    /// Calls for this distribution that ended without a usable answer, this one not counted.
    pub failures: u32,
    /// Other invalidations of ours that are in progress at this distribution.
    pub others_in_progress: bool,
    /// Since when the site has been paused.
    pub paused_since: Option<OffsetDateTime>,
}

/// What becomes of a queued invalidation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterCreate {
    /// CloudFront has it.
    InProgress {
        /// CloudFront's number.
        id: InvalidationId,
        /// When to ask about it.
        next_poll: OffsetDateTime,
    },
    /// CloudFront has it, and is done already.
    Completed {
        /// CloudFront's number.
        id: InvalidationId,
    },
    /// An earlier attempt was accepted; its id was lost with the answer.
    Unconfirmed(AwsError),
    /// It stays queued. `surely_refused` tells that this attempt was not accepted.
    Hold {
        /// Why.
        why: WaitReason,
        /// Until when: of the distribution, or of the site if `why` is its settings.
        until: OffsetDateTime,
        /// What AWS said.
        error: AwsError,
        /// Whether this attempt is known to have had no effect.
        surely_refused: bool,
    },
    /// It cannot go as a whole, for one of its items or for its size: each half is tried on its
    /// own.
    Split(AwsError),
    /// It can never succeed.
    Failed(AwsError),
}

impl AfterCreate {
    /// What AWS said, where it was not yes.
    pub const fn error(&self) -> Option<&AwsError> {
        match self {
            Self::InProgress { .. } | Self::Completed { .. } => None,
            Self::Hold { error, .. }
            | Self::Unconfirmed(error)
            | Self::Split(error)
            | Self::Failed(error) => Some(error),
        }
    }

    /// Whether CloudFront let the caller in, whatever it then said about the batch.
    pub fn shows_working_settings(&self) -> bool {
        match self {
            Self::InProgress { .. }
            | Self::Completed { .. }
            | Self::Unconfirmed(_)
            | Self::Split(_) => true,
            Self::Hold { why, .. } => *why == WaitReason::Quota,
            // Not where it was given up after a day without an answer.
            Self::Failed(error) => {
                error.has_code_of_aws() && error.http_status.is_some_and(|status| status < 500)
            }
        }
    }
}

/// Decides what follows from CloudFront's answer to `CreateInvalidation`.
pub fn after_create(outcome: CreateOutcome, sent: &Sent) -> AfterCreate {
    let hold = |why, after, error, surely_refused| AfterCreate::Hold {
        why,
        until: sent.now + after,
        error,
        surely_refused,
    };
    match outcome {
        CreateOutcome::Accepted {
            id,
            completed: true,
            ..
        } => AfterCreate::Completed { id },
        CreateOutcome::Accepted { id, .. } => AfterCreate::InProgress {
            id,
            next_poll: sent.now + poll_interval(Duration::ZERO),
        },
        CreateOutcome::AlreadyUsed(error) => AfterCreate::Unconfirmed(error),
        CreateOutcome::QuotaFull(error)
            if sent.items > 1
                && !sent.others_in_progress
                && sent.now - sent.planned_at > QUOTA_PATIENCE =>
        {
            AfterCreate::Split(error)
        }
        CreateOutcome::QuotaFull(error) => {
            // The next completion of ours ends the wait early. With none of ours under way somebody
            // else fills it.
            let after = if sent.others_in_progress { 30 } else { 5 };
            hold(WaitReason::Quota, Duration::seconds(after), error, true)
        }
        // The access key's bucket may say later.
        CreateOutcome::Throttled(error) => hold(WaitReason::Rate, Duration::SECOND, error, true),
        CreateOutcome::SettingsRejected(error) => {
            let since = sent.paused_since.unwrap_or(sent.now);
            let after = (sent.now - since).clamp(Duration::seconds(30), LONGEST_PAUSE);
            hold(WaitReason::Settings, after, error, true)
        }
        CreateOutcome::BatchTooLarge(error) if sent.items > 1 => AfterCreate::Split(error),
        CreateOutcome::BatchRefused(error) if sent.items > 1 && error.code == INVALID_ARGUMENT => {
            AfterCreate::Split(error)
        }
        CreateOutcome::BatchTooLarge(error) | CreateOutcome::BatchRefused(error) => {
            AfterCreate::Failed(error)
        }
        CreateOutcome::NotSent(error) | CreateOutcome::Unknown(error)
            if sent.now - sent.planned_at > PERSISTENCE =>
        {
            AfterCreate::Failed(error)
        }
        CreateOutcome::NotSent(error) => {
            hold(WaitReason::Retry, backoff(sent.failures), error, true)
        }
        CreateOutcome::Unknown(error) => {
            hold(WaitReason::Retry, backoff(sent.failures), error, false)
        }
    }
}

/// What becomes of an invalidation in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterGet {
    /// It is asked about again.
    Again {
        /// When.
        at: OffsetDateTime,
        /// What is in the way, if anything.
        error: Option<AwsError>,
        /// Whether the settings are what is in the way.
        settings_rejected: bool,
    },
    /// CloudFront said `Completed`.
    Completed,
    /// CloudFront accepted it, but nobody can ask any more.
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

/// Decides what follows from CloudFront's answer to `GetInvalidation` about something accepted at
/// `submitted_at`. `same_distribution`: whether the settings in force are still those of its
/// distribution.
pub fn after_get(
    outcome: GetOutcome,
    submitted_at: OffsetDateTime,
    now: OffsetDateTime,
    same_distribution: bool,
) -> AfterGet {
    let age = now - submitted_at;
    let again = |error, settings_rejected| AfterGet::Again {
        at: now
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
        GetOutcome::SettingsRejected(error) if same_distribution => again(Some(error), true),
        GetOutcome::SettingsRejected(error) => AfterGet::Unconfirmed(error),
        GetOutcome::TryLater(error) => again(Some(error), false),
    }
}

/// How long to wait before asking about an invalidation of this age. CloudFront completes most
/// within 25 s, so the first questions come quickly, and the later ones at a quarter of the age.
pub fn poll_interval(age: Duration) -> Duration {
    (age / 4_i32).clamp(Duration::seconds(2), Duration::MINUTE)
}

/// How long to wait after so many calls without a usable answer.
fn backoff(failures: u32) -> Duration {
    Duration::seconds(1 << failures.min(6)).min(LONGEST_BACKOFF)
}
