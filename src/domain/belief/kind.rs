//! What is believed of one kind of item at a distribution.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use super::MAX_BELIEF_AGE;
use crate::domain::bucket::TRAVEL;
use crate::domain::limits::is_within;

/// How long a refused size is not tried again: at first, since it may have been chance, and after
/// it has been refused again and again.
const REFUSED_FOR: Duration = Duration::seconds(30);
const MAX_REFUSED_FOR: Duration = Duration::minutes(10);
/// Refusals that are farther apart have nothing to do with each other.
const LATELY: Duration = Duration::HOUR;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Belief {
    /// How many one call may hold; `None` means as many as configured.
    pub most: Option<u32>,
    /// How many were refused, and are not tried again for a while.
    pub refused: Option<u32>,
    /// How often a size was refused lately, with time in between.
    pub refusals: u8,
    /// The most that were accepted in one call, until that many are refused.
    pub accepted: u32,
    /// How many the last answered call held; 0 unless it was accepted.
    pub last: u32,
    /// The last size that was refused.
    pub refusal: Option<Refusal>,
    /// When `most` last changed.
    #[serde(with = "time::serde::rfc3339::option")]
    pub learned_at: Option<OffsetDateTime>,
    /// When CloudFront last answered a call with some of these.
    #[serde(with = "time::serde::rfc3339::option")]
    pub answered_at: Option<OffsetDateTime>,
    /// When a call was last made because the count had not been confirmed for too long.
    #[serde(with = "time::serde::rfc3339::option")]
    pub asked_at: Option<OffsetDateTime>,
    /// When CloudFront said that its quota is full; `None` if it has accepted a call since.
    #[serde(with = "time::serde::rfc3339::option")]
    pub full_at: Option<OffsetDateTime>,
    /// How many seconds that is believed.
    pub full_for: u8,
}

/// A size that CloudFront refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// How many items the call held.
    pub items: u32,
    /// What it was refused for.
    #[serde(rename = "for")]
    pub why: RefusedFor,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// What CloudFront refuses a size for, under whichever code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum RefusedFor {
    /// The quota of what may be in progress.
    Quota,
    /// A rate, of paths or of calls.
    Rate,
    /// The size of the call.
    Size,
}

pub(super) enum Opinion {
    /// CloudFront said that there is no room.
    Full,
    /// What is in progress is counted against the quota.
    Count,
    /// The count has been believed for long enough: CloudFront is asked.
    Ask,
}

impl Belief {
    pub(super) fn opinion(
        &self,
        completed_at: Option<OffsetDateTime>,
        starves: bool,
        now: OffsetDateTime,
    ) -> Opinion {
        if self.full_since(completed_at, now).is_some() {
            return Opinion::Full;
        }
        let counts_since = match starves {
            true => self.asked_at,
            false => self.counts_since(),
        };
        match counts_since {
            Some(at) if is_within(MAX_BELIEF_AGE, at, now) => Opinion::Count,
            _ => Opinion::Ask,
        }
    }

    /// When CloudFront said that the quota is full, while that is believed.
    pub fn full_since(
        &self,
        completed_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        let long = Duration::seconds(self.full_for.into());
        self.full_at.filter(|at| {
            is_within(long, *at, now) && completed_at.is_none_or(|completed| completed < *at)
        })
    }

    pub(super) fn counts_since(&self) -> Option<OffsetDateTime> {
        self.answered_at.max(self.asked_at)
    }

    /// Notes that a call with this many was too large.
    pub fn lower(&mut self, size: u32, why: RefusedFor, now: OffsetDateTime) {
        if self.accepted >= size {
            self.accepted = 0;
        }
        if self.refused.is_none() {
            let is_recent = |last: Refusal| is_within(LATELY, last.at, now);
            let before = match self.refusal.is_some_and(is_recent) {
                true => self.refusals,
                false => 0,
            };
            self.refusals = before.saturating_add(1);
        }
        let most = (size / 2).max(self.accepted).max(1);
        // What was refused may be an old batch, much larger than what is believed by now.
        let least = |before: Option<u32>, now| before.map_or(now, |before| before.min(now));
        self.most = Some(least(self.most, most));
        self.refused = Some(least(self.refused, size));
        self.refusal = Some(Refusal {
            items: size,
            why,
            at: now,
        });
        self.learned_at = Some(now);
    }

    /// How many have gone within a second, including one that has just been refused, if that was
    /// believed to be fine: it may be more than the distribution accepts a second.
    pub fn within_a_second(&self, now: OffsetDateTime) -> Option<u32> {
        let is_recent = |at| is_within(Duration::SECOND + TRAVEL, at, now);
        let recent = self.answered_at.is_some_and(is_recent) && self.last > 0;
        let both = self.last.saturating_add(1);
        (recent && self.most.is_some_and(|most| both <= most)).then_some(both)
    }

    /// Even a single item is refused: unless something was accepted since, size was not the reason.
    pub fn forget_unproven(&mut self) {
        if self.accepted == 0 {
            (self.most, self.refused, self.learned_at) = (None, None, None);
        }
    }

    pub(super) fn raise(&mut self, size: u32, configured: u32, now: OffsetDateTime) {
        self.accepted = self.accepted.max(size);
        let (Some(most), Some(learned_at)) = (self.most, self.learned_at) else {
            return;
        };
        let again = i32::from(self.refusals.clamp(1, 8) - 1);
        let refused_for = MAX_REFUSED_FOR.min(REFUSED_FOR * (1 << again));
        let is_recent = is_within(refused_for, learned_at, now);
        let next = match self.refused {
            // It was chance: CloudFront accepts more.
            Some(refused) if size >= refused => {
                (self.refused, self.refusals) = (None, 0);
                size.saturating_mul(2)
            }
            // Halfway to what was refused, until the two are close.
            Some(refused) if is_recent => {
                let gap = refused.saturating_sub(most);
                if size < most || gap <= most / 8 || gap < 2 {
                    return;
                }
                most + gap / 2
            }
            // More than was refused: that was chance, or CloudFront accepts more by now. A call
            // seldom holds all that it might, so half counts.
            None if size > most / 2 => {
                self.refusals = 0;
                size.saturating_mul(2).max(most)
            }
            None if is_recent => return,
            _ => {
                self.refused = None;
                most.saturating_add((most / 4).max(1))
            }
        };
        self.learned_at = Some(now);
        self.most = Some(next).filter(|next| *next < configured);
        if self.most.is_none() {
            (self.refused, self.accepted) = (None, 0);
        }
    }
}
