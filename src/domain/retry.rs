//! What follows from CloudFront's answer to `CreateInvalidation`: the one retry policy. The database
//! keeps its result, and is the only loop.

use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::limits::IN_PROGRESS;
use super::pieces::{Search, Suspicion, fit, suspect};
use super::polling::{PERSISTENCE, poll_interval};
use super::{
    AwsError, Beliefs, CreateOutcome, InvalidationId, Item, Kind, LONGEST_BELIEF, Limits,
    RefusedFor, Room, Shortage, Usage,
};

/// The longest pause between tries.
const LONGEST_BACKOFF: Duration = Duration::seconds(30);
/// The pause before a call is tried again that never left this machine.
const NOT_SENT_PAUSE: Duration = Duration::seconds(5);
/// A batch of a size that was never accepted, of which an earlier attempt may have been, is sent
/// again as a whole while it is throttled: so often, with such pauses, and for as long as
/// a belief holds.
const THROTTLED_BEFORE_SPLIT: u32 = 5;
const THROTTLED_PAUSE: Duration = Duration::seconds(5);
/// The pause before a call is repeated that was refused for a quota which it may fill itself.
const DOUBTFUL_PAUSE: Duration = Duration::seconds(10);
/// The longest pause between two tries of rejected settings.
const LONGEST_PAUSE: Duration = Duration::minutes(10);

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
pub struct Sent<'a> {
    /// When the call ended.
    pub now: OffsetDateTime,
    /// When the invalidation was planned.
    pub planned_at: OffsetDateTime,
    /// What it held.
    pub items: &'a [Item],
    /// Since when calls for it have had no answer; this one, if none before.
    pub unanswered_since: OffsetDateTime,
    /// When the first of the earlier attempts began that may have been accepted, if any.
    pub unknown_since: Option<OffsetDateTime>,
    /// How often it had been throttled since another answer.
    pub throttled: u32,
    /// What else of ours is in progress at its distribution.
    pub others: Usage,
    /// Whether the access key's rate had another call left.
    pub spare_call: bool,
    /// What was believed of the distribution.
    pub beliefs: Beliefs,
    /// What is configured.
    pub limits: &'a Limits,
    /// What came of the other pieces, where it is one of a search.
    pub search: Option<Search>,
    /// Since when the site has been paused.
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
    /// CloudFront refused it.
    Refused,
    /// It never left this machine.
    NotSent,
    /// It may have been accepted.
    Unknown,
}

/// What becomes of a queued invalidation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterCreate {
    /// CloudFront has it.
    InProgress {
        id: InvalidationId,
        next_poll: OffsetDateTime,
    },
    /// CloudFront has it, and is done already.
    Completed { id: InvalidationId },
    /// An earlier attempt was accepted; its id was lost with the answer.
    Unconfirmed(AwsError),
    /// It stays queued.
    Hold {
        why: WaitReason,
        /// Until when: the invalidation, or the site if `why` is its settings.
        until: OffsetDateTime,
        error: AwsError,
        attempt: Attempt,
    },
    /// It cannot go as a whole: pieces of it are tried instead.
    Split {
        error: AwsError,
        pieces: Vec<Vec<Item>>,
        /// Whether an item is looked for that is at fault, rather than a size that fits.
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
    /// What AWS said, where it was not yes.
    pub const fn error(&self) -> Option<&AwsError> {
        match self {
            Self::InProgress { .. } | Self::Completed { .. } => None,
            Self::Hold { error, .. }
            | Self::Unconfirmed(error)
            | Self::Split { error, .. }
            | Self::Failed { error, .. } => Some(error),
        }
    }

    /// Whether CloudFront let the caller in, whatever it then said about the batch.
    pub fn shows_working_settings(&self) -> bool {
        match self {
            Self::InProgress { .. }
            | Self::Completed { .. }
            | Self::Unconfirmed(_)
            | Self::Split { .. } => true,
            Self::Hold { why, .. } => *why == WaitReason::Quota,
            // Not where it was given up after a day without an answer.
            Self::Failed { error, .. } => {
                error.has_code_of_aws() && error.http_status.is_some_and(|status| status < 500)
            }
        }
    }
}

/// Decides what follows from CloudFront's answer to `CreateInvalidation`.
pub fn after_create(outcome: CreateOutcome, sent: &Sent<'_>) -> Verdict {
    let now = sent.now;
    let held = Usage::of(sent.items);
    let mut beliefs = sent.beliefs;
    let mut rate = None;
    let hold = |why, after, error, attempt| AfterCreate::Hold {
        why,
        until: now + after,
        error,
        attempt,
    };
    let after = match outcome {
        CreateOutcome::Accepted { id, completed, .. } => {
            beliefs.accepted(held, sent.limits, sent.others, now);
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
            beliefs.answered(held, now);
            AfterCreate::Unconfirmed(error)
        }
        CreateOutcome::QuotaFull(error) => {
            beliefs.answered(held, now);
            let little = held
                .kinds()
                .all(|kind| kind.of(sent.others) <= kind.of(held) / 2);
            // An earlier attempt may have been accepted, and be what the quota is full of: pieces
            // would be billed again.
            let doubtful = sent
                .unknown_since
                .is_some_and(|since| (now - since).abs() < LONGEST_BELIEF);
            // It has waited for longer than the others take to complete: perhaps some never do.
            let long = (now - sent.planned_at).abs() > IN_PROGRESS;
            if doubtful {
                hold(WaitReason::Quota, DOUBTFUL_PAUSE, error, Attempt::Unknown)
            } else if sent.items.len() > 1 && (little || held.is_mixed()) {
                smaller(error, RefusedFor::Quota, sent, &mut beliefs)
            } else if sent.items.len() > 1 && long {
                // Which says nothing about what one call may hold.
                smaller(error, RefusedFor::Quota, sent, &mut beliefs.clone())
            } else {
                one_alone(held, &mut beliefs);
                beliefs.full(held, sent.limits, sent.others, now);
                let until = beliefs.ask_again_at(held, &Shortage::default(), now);
                hold(WaitReason::Quota, until - now, error, Attempt::Refused)
            }
        }
        CreateOutcome::Throttled(error) => {
            let (suspect, too_large) = (sent.is_suspect(held), sent.is_too_large(held));
            let too_soon = too_soon(held, sent, &mut beliefs);
            beliefs.throttled(held, now);
            if too_large {
                // Then it was not too fast, nor were those before it.
                rate = Some(RateLesson::Accepted);
                smaller(error, RefusedFor::Rate, sent, &mut beliefs)
            } else if suspect {
                // Its size is the likelier reason, which says nothing about the rate of calls.
                hold(WaitReason::Rate, THROTTLED_PAUSE, error, Attempt::Refused)
            } else {
                if !too_soon {
                    one_alone(held, &mut beliefs);
                    // With a call to spare it is chance, unless it happens again.
                    if !sent.spare_call || sent.items.len() == 1 || beliefs.throttled > 1 {
                        rate = Some(RateLesson::Throttled);
                    }
                }
                // The access key's bucket may say later.
                hold(WaitReason::Rate, Duration::SECOND, error, Attempt::Refused)
            }
        }
        CreateOutcome::SettingsRejected(error) => {
            beliefs.not_asked(held);
            let since = sent.paused_since.unwrap_or(now);
            let after = (now - since).clamp(Duration::seconds(30), LONGEST_PAUSE);
            hold(WaitReason::Settings, after, error, Attempt::Refused)
        }
        CreateOutcome::BatchTooLarge(error) if sent.items.len() > 1 => {
            beliefs.answered(held, now);
            smaller(error, RefusedFor::Size, sent, &mut beliefs)
        }
        CreateOutcome::BatchTooLarge(error) | CreateOutcome::BatchRefused(error) => {
            beliefs.answered(held, now);
            match suspect(sent.items, sent.search) {
                Suspicion::Pieces { pieces, searching } => AfterCreate::Split {
                    error,
                    pieces,
                    searching,
                },
                Suspicion::Hopeless { rest_too } => AfterCreate::Failed { error, rest_too },
            }
        }
        CreateOutcome::NotSent(error) => {
            beliefs.not_asked(held);
            let after = match error.code.as_str() {
                AwsError::TOO_LATE => Duration::SECOND,
                _ => NOT_SENT_PAUSE,
            };
            hold(WaitReason::Retry, after, error, Attempt::NotSent)
        }
        CreateOutcome::Unknown(error) if now - sent.unanswered_since > PERSISTENCE => {
            AfterCreate::Failed {
                error,
                rest_too: false,
            }
        }
        CreateOutcome::Unknown(error) => {
            let unanswered: Duration = now - sent.unanswered_since;
            let after = (unanswered / 2_i32).clamp(Duration::SECOND, LONGEST_BACKOFF);
            hold(WaitReason::Retry, after, error, Attempt::Unknown)
        }
    };
    Verdict {
        after,
        beliefs,
        rate,
    }
}

impl Sent<'_> {
    /// Whether CloudFront has accepted a call of this size.
    fn is_proven(&self, held: Usage) -> bool {
        let is_proven = |kind: &Kind| kind.of(held) <= self.beliefs.of(*kind).accepted;
        Kind::ALL.iter().all(is_proven)
    }

    /// Whether `Throttling` may be about the size of a call that may have been accepted before.
    fn is_suspect(&self, held: Usage) -> bool {
        self.unknown_since.is_some() && self.items.len() > 1 && !self.is_proven(held)
    }

    /// Whether `Throttling` is taken to be about the size of the call. A size that was accepted
    /// before is suspected after two other refusals in a row, so that chance makes nothing smaller;
    /// any other at once where the rate of calls is not the likelier reason.
    fn is_too_large(&self, held: Usage) -> bool {
        if self.items.len() == 1 {
            return false;
        }
        // A throttled repeat says nothing about whether an earlier attempt was accepted. If
        // CloudFront takes calls of this size, it may have been, and pieces would be billed again;
        // if it takes none, the earlier attempt was refused too.
        if let Some(since) = self.unknown_since {
            let often = self.throttled >= THROTTLED_BEFORE_SPLIT;
            return !self.is_proven(held) && often && (self.now - since).abs() > LONGEST_BELIEF;
        }
        let is_trial = |kind: Kind| {
            let belief = self.beliefs.of(kind);
            belief.most.is_some() && kind.of(held) > belief.accepted
        };
        let grown = Kind::ALL.into_iter().any(is_trial);
        match self.is_proven(held) {
            true => self.beliefs.throttled > 1,
            false => self.spare_call || self.beliefs.throttled > 0 || grown,
        }
    }
}

/// The call held too much: what it held goes in pieces that hold less. One of both kinds goes as
/// two first, so that what is learned is about one.
fn smaller(
    error: AwsError,
    why: RefusedFor,
    sent: &Sent<'_>,
    beliefs: &mut Beliefs,
) -> AfterCreate {
    let held = Usage::of(sent.items);
    let mut room = Room {
        files: held.files,
        wildcards: held.wildcards,
        paths_per_request: held.files.max(held.wildcards),
    };
    if !held.is_mixed() {
        for kind in held.kinds() {
            let mut belief = *beliefs.of(kind);
            belief.lower(kind.of(held), why, sent.now);
            room.paths_per_request = belief.most.unwrap_or(1);
            // What is configured is known: nothing is remembered against it.
            if !sent.limits.is_known(kind) {
                *beliefs.of_mut(kind) = belief;
            }
        }
    }
    AfterCreate::Split {
        error,
        pieces: fit(sent.items, room),
        searching: false,
    }
}

/// A single item was throttled within a second of others that were accepted: that says more about
/// what the distribution takes a second than about the rate of calls, and is learned.
fn too_soon(held: Usage, sent: &Sent<'_>, beliefs: &mut Beliefs) -> bool {
    let kind = held.kinds().next();
    let Some(kind) = kind.filter(|kind| held.total() == 1 && !sent.limits.is_known(*kind)) else {
        return false;
    };
    let belief = beliefs.of_mut(kind);
    let both = belief.within_a_second(sent.now);
    if let Some(both) = both {
        belief.lower(both, RefusedFor::Rate, sent.now);
    }
    both.is_some()
}

/// A single item was refused for quota or rate: then size was not the reason.
fn one_alone(held: Usage, beliefs: &mut Beliefs) {
    if held.total() == 1 {
        for kind in held.kinds() {
            beliefs.of_mut(kind).forget_unproven();
        }
    }
}
