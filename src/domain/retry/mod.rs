//! What follows from CloudFront's answer to `CreateInvalidation`: the only retry policy. Its result
//! is kept in the database, which is the only retry loop.

mod search;
mod size;

use time::{Duration, OffsetDateTime};

pub use self::search::Search;
use self::search::suspect;
use self::size::{THROTTLED_PAUSE, beside_others, one_alone, smaller, too_soon};
use super::limits::IN_PROGRESS;
use super::polling::{PERSISTENCE, poll_interval};
use super::{
    AwsError, Beliefs, CreateOutcome, InvalidationId, Item, KindCounts, Limits, MAX_BELIEF_AGE,
    RefusedFor, Shortage, WaitReason,
};

const MAX_BACKOFF: Duration = Duration::seconds(30);
/// The pause before another try of a call that never left this machine.
const NOT_SENT_PAUSE: Duration = Duration::seconds(5);
/// The pause before another try of a call that was refused for a quota that it may itself have
/// filled.
const UNKNOWN_PAUSE: Duration = Duration::seconds(10);
/// The pause between two tries of rejected settings, a tenth of the time that they have been
/// rejected: at first somebody may be fixing the key at AWS, and what waits is to go then. Each try
/// takes a call of the key's rate, and is an event in the account's CloudTrail.
const MIN_PAUSE: Duration = Duration::seconds(30);
const MAX_PAUSE: Duration = Duration::minutes(10);

/// What is known when a call of `CreateInvalidation` has ended.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// When the call ended.
    pub now: OffsetDateTime,
    pub planned_at: OffsetDateTime,
    /// When it, or its site, began to wait for room.
    pub waiting_since: OffsetDateTime,
    pub items: &'a [Item],
    /// When calls for it began to have no answer: this one, if none before it.
    pub unanswered_since: OffsetDateTime,
    /// When the last of the earlier attempts that may have been accepted began, if any.
    pub unknown_since: Option<OffsetDateTime>,
    /// How often it had been throttled in a row.
    pub throttled: u32,
    /// What else of ours is in progress at its distribution.
    pub others: KindCounts,
    /// Whether the access key's rate had another call left.
    pub spare_call: bool,
    pub beliefs: Beliefs,
    pub limits: &'a Limits,
    /// What came of the other pieces, where it is one of a search.
    pub search: Option<Search>,
    pub paused_since: Option<OffsetDateTime>,
}

/// What follows from a call of `CreateInvalidation`.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What becomes of the invalidation.
    pub after: AfterCreate,
    /// What is believed of the distribution now.
    pub beliefs: Beliefs,
    /// What it says about the access key's rate of calls.
    pub rate: Option<RateLesson>,
}

/// What a call says about the rate of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLesson {
    /// It was not too fast.
    Accepted,
    /// It was.
    Throttled,
}

/// What is known of an attempt that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    Refused,
    /// The same, perhaps because an earlier one was accepted, which still counts.
    RefusedAfterUnknown,
    /// It never left this machine.
    NotSent,
    Unknown,
}

/// What becomes of a queued invalidation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterCreate {
    InProgress {
        id: InvalidationId,
        next_poll: OffsetDateTime,
    },
    /// CloudFront has it, and is done already.
    Completed { id: InvalidationId },
    /// An earlier attempt was accepted; its id was lost with the answer.
    Unconfirmed(AwsError),
    /// It stays queued.
    Queued {
        why: WaitReason,
        /// The time until which it waits: the invalidation, or the site if `why` is its settings.
        until: OffsetDateTime,
        error: AwsError,
        attempt: Attempt,
    },
    /// It cannot go as a whole: pieces of it are tried instead.
    Split {
        error: AwsError,
        pieces: Vec<Vec<Item>>,
        /// Whether this is to find an item that is at fault, rather than a size that fits.
        searching: bool,
    },
    /// It can never succeed.
    Failed {
        error: AwsError,
        /// Nor can what is left of the batch that it was a piece of.
        rest_too: bool,
    },
}

impl AfterCreate {
    /// Whether CloudFront accepted it, and so bills it.
    pub const fn is_accepted(&self) -> bool {
        match self {
            Self::InProgress { .. } | Self::Completed { .. } | Self::Unconfirmed(_) => true,
            Self::Queued { .. } | Self::Failed { .. } | Self::Split { .. } => false,
        }
    }

    /// What AWS said, where it was not yes.
    pub const fn error(&self) -> Option<&AwsError> {
        match self {
            Self::InProgress { .. } | Self::Completed { .. } => None,
            Self::Queued { error, .. }
            | Self::Unconfirmed(error)
            | Self::Split { error, .. }
            | Self::Failed { error, .. } => Some(error),
        }
    }

    /// Whether CloudFront let the caller in, whatever it said about the batch.
    pub fn shows_working_settings(&self) -> bool {
        match self {
            Self::InProgress { .. }
            | Self::Completed { .. }
            | Self::Unconfirmed(_)
            | Self::Split { .. } => true,
            Self::Queued { why, .. } => *why == WaitReason::Quota,
            // Not if it was given up after a day without an answer.
            Self::Failed { error, .. } => {
                error.has_aws_code() && error.http_status.is_some_and(|status| status < 500)
            }
        }
    }
}

pub fn after_create(outcome: CreateOutcome, sent: &Sent<'_>) -> Verdict {
    let now = sent.now;
    let size = KindCounts::of(sent.items);
    let mut beliefs = sent.beliefs;
    if outcome.is_refused() {
        beliefs.flow = beliefs.flow.map(|flow| flow.without_debt(size));
    }
    let mut rate = None;
    let queued = |why, after, error, attempt| AfterCreate::Queued {
        why,
        until: now + after,
        error,
        attempt,
    };
    let after = match outcome {
        CreateOutcome::Accepted { id, completed, .. } => {
            if now - sent.waiting_since > MAX_BELIEF_AGE {
                beliefs.has_delayed(size);
            }
            beliefs.accepted(size, sent.limits, sent.others, now);
            rate = Some(RateLesson::Accepted);
            match completed {
                true => AfterCreate::Completed { id },
                false => AfterCreate::InProgress {
                    id,
                    next_poll: now + poll_interval(Duration::ZERO),
                },
            }
        }
        CreateOutcome::AlreadyUsed(error) => {
            beliefs.answered(size, now);
            AfterCreate::Unconfirmed(error)
        }
        CreateOutcome::QuotaFull(error) => {
            beliefs.answered(size, now);
            let little = size.kinds().all(|kind| sent.others[kind] <= size[kind] / 2);
            // An earlier attempt may have been accepted, and be what the quota is full of: pieces
            // would be billed again. One that a clock that was ahead has noted is as recent as any.
            let may_be_accepted = sent
                .unknown_since
                .is_some_and(|since| now - since < MAX_BELIEF_AGE);
            // For longer than others take to complete: perhaps some never will.
            let is_long = |since: OffsetDateTime| (now - since).abs() > IN_PROGRESS;
            let beside_others = beside_others(sent, size).filter(|_| is_long(sent.waiting_since));
            if may_be_accepted {
                let attempt = Attempt::RefusedAfterUnknown;
                queued(WaitReason::Quota, UNKNOWN_PAUSE, error, attempt)
            } else if sent.items.len() > 1 && (little || size.is_mixed()) {
                smaller(error, RefusedFor::Quota, sent, &mut beliefs)
            } else if let Some(pieces) = beside_others {
                AfterCreate::Split {
                    error,
                    pieces,
                    searching: false,
                }
            } else if sent.items.len() > 1 && is_long(sent.planned_at) {
                // This says nothing about what one call may hold.
                smaller(error, RefusedFor::Quota, sent, &mut beliefs.clone())
            } else {
                one_alone(size, &mut beliefs);
                beliefs.full(size, sent.limits, sent.others, now);
                let until = beliefs.ask_again_at(size, &Shortage::default(), now);
                queued(WaitReason::Quota, until - now, error, Attempt::Refused)
            }
        }
        CreateOutcome::Throttled(error) => {
            let (suspect, too_large) = (sent.is_suspect(size), sent.is_too_large(size));
            let too_soon = too_soon(size, sent, &mut beliefs);
            beliefs.throttled(size, now);
            if too_large {
                // Then neither this call nor those before it came too fast.
                rate = Some(RateLesson::Accepted);
                smaller(error, RefusedFor::Rate, sent, &mut beliefs)
            } else if suspect {
                // Its size is the likelier reason, which says nothing about the rate of calls.
                queued(WaitReason::Rate, THROTTLED_PAUSE, error, Attempt::Refused)
            } else {
                if !too_soon {
                    one_alone(size, &mut beliefs);
                    // With a call to spare it is chance, unless it happens again.
                    if !sent.spare_call || sent.items.len() == 1 || beliefs.throttled > 1 {
                        rate = Some(RateLesson::Throttled);
                    }
                }
                // The access key's bucket may make it later.
                queued(WaitReason::Rate, Duration::SECOND, error, Attempt::Refused)
            }
        }
        CreateOutcome::SettingsRejected(error) => {
            beliefs.not_asked(size);
            let since = sent.paused_since.unwrap_or(now);
            let after = ((now - since) / 10_i32).clamp(MIN_PAUSE, MAX_PAUSE);
            queued(WaitReason::Settings, after, error, Attempt::Refused)
        }
        CreateOutcome::BatchTooLarge(error) if sent.items.len() > 1 => {
            beliefs.answered(size, now);
            smaller(error, RefusedFor::Size, sent, &mut beliefs)
        }
        CreateOutcome::BatchTooLarge(error) | CreateOutcome::BatchRefused(error) => {
            beliefs.answered(size, now);
            suspect(error, sent.items, sent.search)
        }
        CreateOutcome::NotSent(error) => {
            beliefs.not_asked(size);
            let after = match error.code.as_str() {
                AwsError::TOO_LATE => Duration::SECOND,
                _ => NOT_SENT_PAUSE,
            };
            queued(WaitReason::Retry, after, error, Attempt::NotSent)
        }
        CreateOutcome::Unknown(error) if now - sent.unanswered_since > PERSISTENCE => {
            AfterCreate::Failed {
                error,
                rest_too: false,
            }
        }
        CreateOutcome::Unknown(error) => {
            let unanswered: Duration = now - sent.unanswered_since;
            let after = (unanswered / 2_i32).clamp(Duration::SECOND, MAX_BACKOFF);
            queued(WaitReason::Retry, after, error, Attempt::Unknown)
        }
    };
    Verdict {
        after,
        beliefs,
        rate,
    }
}
