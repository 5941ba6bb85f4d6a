//! What is believed of a distribution's quotas and why, for people, programs and metrics.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Beliefs, Kind, KindCounts, Limits, Refusal};

/// What is believed of both quotas of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Quotas {
    /// Files and tags.
    pub files: Quota,
    /// Wildcards.
    pub wildcards: Quota,
}

/// What is believed of one quota of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Quota {
    /// Items of this service's that count as in progress.
    pub in_progress: u32,
    /// How many of these are counted in case: CloudFront has not said that they are in progress.
    pub unconfirmed: u32,
    /// Items that may be in progress, as far as is known.
    pub quota: u32,
    /// Items that one call may hold now.
    pub per_call: u32,
    /// What made that fewer than configured.
    #[schema(required)]
    pub learned: Option<Learned>,
    /// When CloudFront last said that the quota is full, while that is believed.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub full_since: Option<OffsetDateTime>,
}

/// How it is known that a call may hold fewer items than configured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Learned {
    /// When what a call may hold last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The call that CloudFront refused.
    pub refused: Refusal,
}

/// What is in progress at a distribution.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaUse {
    pub used: KindCounts,
    /// The part of it that is counted just in case.
    pub unconfirmed: KindCounts,
    /// When something last ended there.
    pub completed_at: Option<OffsetDateTime>,
}

impl Quotas {
    /// `limits` are the configured ones.
    pub fn new(beliefs: &Beliefs, limits: &Limits, in_use: &QuotaUse, now: OffsetDateTime) -> Self {
        let call = beliefs.narrow(limits).quota();
        let of = |kind: Kind| {
            let belief = beliefs.of(kind);
            Quota {
                in_progress: in_use.used[kind],
                unconfirmed: in_use.unconfirmed[kind],
                quota: limits.in_progress[kind],
                per_call: call.items[kind].min(call.paths_per_request),
                learned: belief
                    .most
                    .filter(|_| !limits.known[kind])
                    .and(belief.learned_at.zip(belief.refusal))
                    .map(|(at, refused)| Learned { at, refused }),
                full_since: belief.full_since(in_use.completed_at, now),
            }
        };
        Self {
            files: of(Kind::Files),
            wildcards: of(Kind::Wildcards),
        }
    }

    pub const fn of(&self, kind: Kind) -> &Quota {
        match kind {
            Kind::Files => &self.files,
            Kind::Wildcards => &self.wildcards,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::domain::{PerKind, RefusedFor};

    const NOW: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

    #[test]
    fn what_was_learned_is_shown_until_it_is_forgotten() {
        let (mut beliefs, limits) = (Beliefs::default(), Limits::default());
        let quotas_by =
            |beliefs: &Beliefs| Quotas::new(beliefs, &limits, &QuotaUse::default(), NOW);
        let quotas = quotas_by(&beliefs);
        assert_eq!((quotas.files.quota, quotas.files.per_call), (3_000, 3_000));
        assert_eq!(quotas.files.learned, None);

        beliefs.files.lower(300, RefusedFor::Size, NOW);
        let quotas = quotas_by(&beliefs);
        assert_eq!((quotas.files.quota, quotas.files.per_call), (3_000, 150));
        let learned = quotas.files.learned.map(|learned| learned.refused);
        assert_eq!(learned, beliefs.files.refusal);
        assert_eq!(quotas.wildcards.per_call, 15);

        let configured = Limits {
            known: PerKind::each(|_| true),
            ..limits
        };
        let quotas = Quotas::new(&beliefs, &configured, &QuotaUse::default(), NOW);
        assert_eq!((quotas.files.per_call, quotas.files.learned), (3_000, None));

        beliefs.files.forget_unproven();
        assert_eq!(quotas_by(&beliefs).files.learned, None);
    }
}
