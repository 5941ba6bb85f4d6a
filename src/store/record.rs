//! Recording how a call of `CreateInvalidation` ended. Whoever records must show the claim's token:
//! a replica that was stopped for longer than its lease can no longer change anything.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::batches::store_pieces;
use super::listen::announce_change;
use super::pauses::pause_or_resume;
use super::rates::{lock_bucket, store_bucket};
use super::transitions::{count_usage, lock_publishes, lock_settings, move_publishes};
use super::{Result, SendClaim, Store, integer};
use crate::domain::advice::SPLIT;
use crate::domain::{
    AfterCreate, Attempt, AwsError, Beliefs, InvalidationId, InvalidationStatus as Status, Item,
    Limits, RateLesson, Verdict, WaitReason,
};

/// How a call ended, ready to be recorded.
#[derive(Debug)]
pub struct SendRecord {
    pub verdict: Verdict,
    /// How to fix it, in words, where AWS refused.
    pub fix: Option<String>,
    /// Identifiers for the pieces, should it be split.
    pub ids: Vec<Uuid>,
    /// When CloudFront accepted it, if it did.
    pub accepted_at: OffsetDateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    Ours,
    /// The site has moved to another distribution meanwhile: how the call ended is noted with the
    /// invalidation, which was set aside.
    SetAside,
    /// The claim was no longer ours, and nothing changed.
    TakenOver,
}

impl Store {
    pub async fn record_send(
        &self,
        claim: &SendClaim,
        record: &SendRecord,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Recorded> {
        let mut tx = self.begin_unflushed().await?;
        let mut recording = Recording {
            tx: &mut tx,
            claim,
            record,
            now,
        };
        let recorded = recording.write(limits).await?;
        // The lease is given back in any case, if it is still ours.
        tx.commit().await?;
        Ok(recorded)
    }
}

/// Whether other invalidations of the site are changed or made as well.
const fn changes_others(after: &AfterCreate) -> bool {
    matches!(
        after,
        AfterCreate::Split { .. } | AfterCreate::Failed { rest_too: true, .. }
    )
}

/// A record that is being written.
struct Recording<'a> {
    tx: &'a mut PgConnection,
    claim: &'a SendClaim,
    record: &'a SendRecord,
    now: OffsetDateTime,
}

impl Recording<'_> {
    async fn write(&mut self, limits: &Limits) -> Result<Recorded> {
        let (claim, record) = (self.claim, self.record);
        let (site, verdict) = (claim.inputs.site, &record.verdict);
        let proves = !claim.inputs.is_proven() && verdict.after.shows_working_settings();
        if proves {
            self.prove().await?;
        }
        let made_room = self.release_distribution(&verdict.beliefs).await?;
        if changes_others(&verdict.after) {
            lock_settings(self.tx, site).await?;
        }
        let try_again = pause_or_resume(self.tx, claim, verdict, self.now).await?;
        let next_call = self.adjust_rate(verdict.rate, limits).await?;
        if proves {
            self.share_rate().await?;
        }
        let mut changed = vec![claim.stored.id];
        let ours = match &verdict.after {
            AfterCreate::InProgress { id, next_poll } => {
                self.accepted(Status::InProgress, Some(id), None, Some(*next_poll))
                    .await?
            }
            AfterCreate::Completed { id } => {
                self.accepted(Status::Completed, Some(id), None, None)
                    .await?
            }
            AfterCreate::Unconfirmed(error) => {
                self.accepted(Status::Unconfirmed, None, Some(error), None)
                    .await?
            }
            AfterCreate::Queued {
                why,
                until,
                error,
                attempt,
            } => {
                let until = next_call.map_or(*until, |next| next.max(*until));
                let until = match why {
                    // Whoever recorded that end could not know that this would wait for it.
                    WaitReason::Quota if made_room => self.now,
                    _ => try_again.unwrap_or(until),
                };
                self.queued(*why, until, error, *attempt).await?
            }
            AfterCreate::Failed { error, rest_too } => {
                let ours = self.failed(error, record.fix.as_deref()).await?;
                if ours
                    && *rest_too
                    && let Some(search) = claim.stored.search
                {
                    changed.extend(self.fail_rest(search, error).await?);
                }
                ours
            }
            AfterCreate::Split {
                error,
                pieces,
                searching,
            } => {
                let ours = self.failed(error, Some(SPLIT)).await?;
                if ours {
                    self.split(pieces, &record.ids, *searching).await?;
                }
                ours
            }
        };
        if ours {
            // Whoever removes the site takes the same turn, and waits in it for whatever refers to
            // the site, as the count of usage does.
            lock_publishes(self.tx, site).await?;
            if verdict.after.is_accepted() {
                let key = claim.inputs.settings.access_key_name();
                count_usage(self.tx, claim.stored.id, key, self.now).await?;
            }
            move_publishes(self.tx, site, &changed).await?;
            announce_change(self.tx, site).await?;
            return Ok(Recorded::Ours);
        }
        Ok(match self.set_aside(&verdict.after).await? {
            true => Recorded::SetAside,
            false => Recorded::TakenOver,
        })
    }

    /// Notes that AWS accepted the site's signature, unless the settings were replaced since.
    async fn prove(&mut self) -> Result<()> {
        let claim = self.claim;
        sqlx::query!(
            "UPDATE cdn_settings SET proven_at = $2
             WHERE site_id = $1 AND slot <> 'draft' AND saved_at <= $3 AND access_key_id = $4",
            claim.inputs.site.0,
            self.now,
            claim.taking.now,
            claim.inputs.settings.access_key_name(),
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// The site's own rate becomes the access key's, unless another site has proved the key before.
    async fn share_rate(&mut self) -> Result<()> {
        sqlx::query!(
            "UPDATE access_key SET id = $2
             WHERE id = $1 AND NOT EXISTS (SELECT FROM access_key WHERE id = $2)",
            self.claim.inputs.rate_key,
            self.claim.inputs.settings.access_key_name(),
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Gives the lease back, and returns whether something has ended at the distribution since the
    /// call was planned: then it may have made room after CloudFront found none.
    async fn release_distribution(&mut self, beliefs: &Beliefs) -> Result<bool> {
        let made_room = sqlx::query_scalar!(
            r#"UPDATE distribution SET lease_token = NULL, lease_until = NULL,
                                       beliefs = CASE WHEN completed_at IS DISTINCT FROM $4 THEN $5::jsonb ELSE $3 END
               WHERE id = $1 AND lease_token = $2
               RETURNING completed_at IS DISTINCT FROM $4 as "made_room!""#,
            self.claim.inputs.settings.distribution_id.as_str(),
            self.claim.taking.token,
            serde_json::json!(beliefs),
            self.claim.inputs.completed_at,
            serde_json::json!(beliefs.with_room()),
        )
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(made_room.unwrap_or_default())
    }

    /// Slows the access key's rate after AWS throttled, and lets it recover. After a throttling it
    /// returns when the next call may be made.
    async fn adjust_rate(
        &mut self,
        lesson: Option<RateLesson>,
        limits: &Limits,
    ) -> Result<Option<OffsetDateTime>> {
        let claim = self.claim;
        let is_slowed = claim.taking.bucket.rate < claim.inputs.limits.requests_per_second;
        let throttled = match lesson {
            Some(RateLesson::Throttled) => true,
            Some(RateLesson::Accepted) if is_slowed => false,
            _ => return Ok(None),
        };
        let key = &claim.inputs.rate_key;
        let bucket = lock_bucket(self.tx, key, limits, self.now).await?;
        let bucket = match throttled {
            true => bucket.throttled(limits),
            false => bucket.accepted(limits),
        };
        store_bucket(self.tx, key, bucket).await?;
        Ok(bucket.next_call().filter(|_| throttled))
    }

    async fn accepted(
        &mut self,
        status: Status,
        cloudfront_id: Option<&InvalidationId>,
        error: Option<&AwsError>,
        next_poll: Option<OffsetDateTime>,
    ) -> Result<bool> {
        let (claim, now) = (self.claim, self.now);
        let done = sqlx::query!(
            "UPDATE invalidation SET status = $3, unknown_since = NULL, throttled = 0, cloudfront_id = $4,
                                     submitted_at = $9, next_at = $6,
                                     unanswered_since = CASE WHEN $3 = 'Unconfirmed' THEN unanswered_since END,
                                     ended_at = CASE WHEN $6::timestamptz IS NULL THEN $5::timestamptz END,
                                     error = $7, fix = $8, waiting_for = NULL, lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND (status = 'Queued' OR set_aside)",
            claim.stored.id,
            claim.taking.token,
            status.into_str(),
            cloudfront_id.map(InvalidationId::as_str),
            now,
            next_poll,
            error.map(|error| serde_json::json!(error)),
            error.and(self.record.fix.as_deref()),
            self.record.accepted_at,
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The invalidation stays queued. Refusals for quota or rate do not count as attempts.
    async fn queued(
        &mut self,
        why: WaitReason,
        until: OffsetDateTime,
        error: &AwsError,
        attempt: Attempt,
    ) -> Result<bool> {
        let claim = self.claim;
        let free = matches!(why, WaitReason::Quota | WaitReason::Rate);
        let unanswered_since = match attempt {
            Attempt::Unknown | Attempt::RefusedAfterUnknown => {
                Some(claim.unanswered_since(self.now))
            }
            // Nothing could be asked: the time that passed counts for nothing.
            Attempt::NotSent if claim.stored.unknown_since.is_some() => Some(self.now),
            Attempt::NotSent | Attempt::Refused => None,
        };
        // An attempt without an answer is another one that may have been accepted.
        let throttled = match (why, attempt) {
            (WaitReason::Rate, _) => claim.stored.throttled.saturating_add(1),
            (_, Attempt::NotSent) => claim.stored.throttled,
            _ => 0,
        };
        let done = sqlx::query!(
            "UPDATE invalidation SET waiting_for = $3, next_at = $4, error = $5, fix = $6,
                                     attempts = attempts - CASE WHEN $7 THEN 1 ELSE 0 END,
                                     unknown_since = $8, unanswered_since = $9, throttled = $10,
                                     lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND status = 'Queued'",
            claim.stored.id,
            claim.taking.token,
            why.into_str(),
            until,
            serde_json::json!(error),
            self.record.fix,
            free,
            claim.unknown_since(attempt),
            unanswered_since,
            integer(throttled),
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Notes a definite refusal of what was set aside during the call: there is nothing left to
    /// send again.
    async fn set_aside(&mut self, after: &AfterCreate) -> Result<bool> {
        let claim = self.claim;
        let attempt = match after {
            AfterCreate::Queued { attempt, .. } => *attempt,
            _ => Attempt::Refused,
        };
        let done = sqlx::query!(
            "UPDATE invalidation SET unknown_since = $3, lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND set_aside",
            claim.stored.id,
            claim.taking.token,
            claim.unknown_since(attempt),
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn fail_rest(&mut self, search: Uuid, error: &AwsError) -> Result<Vec<Uuid>> {
        Ok(sqlx::query_scalar!(
            "UPDATE invalidation SET status = 'Failed', ended_at = $2, next_at = NULL, error = $3, fix = $4,
                                     waiting_for = NULL
             WHERE search = $1 AND status = 'Queued' AND unknown_since IS NULL AND lease_token IS NULL
             RETURNING id",
            search,
            self.now,
            serde_json::json!(error),
            self.record.fix,
        )
        .fetch_all(&mut *self.tx)
        .await?)
    }

    async fn failed(&mut self, error: &AwsError, fix: Option<&str>) -> Result<bool> {
        let done = sqlx::query!(
            "UPDATE invalidation SET status = 'Failed', ended_at = $3, next_at = NULL, error = $4, fix = $5,
                                     waiting_for = NULL, lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND status = 'Queued'",
            self.claim.stored.id,
            self.claim.taking.token,
            self.now,
            serde_json::json!(error),
            fix,
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces a refused invalidation with its pieces: CloudFront refused the whole, so nothing of
    /// it was purged. One that was only too large leaves no trace; one with an item at fault stays
    /// as failed.
    async fn split(&mut self, pieces: &[Vec<Item>], ids: &[Uuid], searching: bool) -> Result<()> {
        let (whole, inputs) = (self.claim.stored.id, &self.claim.inputs);
        let search = self.claim.stored.search.or(searching.then_some(whole));
        store_pieces(self.tx, inputs, whole, pieces, ids, search, self.now).await?;
        if !searching {
            sqlx::query!("DELETE FROM invalidation WHERE id = $1", whole)
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }
}
