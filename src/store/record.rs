//! Recording how a call of `CreateInvalidation` ended. Whoever records must show the claim's token:
//! a replica that was stopped for longer than its lease changes nothing any more.
//!
//! Rows are locked in one order everywhere: distribution, site, access key, invalidation,
//! publishes.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::claim::store_batch;
use super::listen::SITES;
use super::rates::{lock_bucket, store_bucket};
use super::transitions::{announce_change, count_usage, lock_publishes, move_publishes};
use super::{SendClaim, SiteId, Store, StoreError};
use crate::domain::coverage::Cover;
use crate::domain::{AfterCreate, AwsError, Item, Limits, PlannedBatch, Saved, WaitReason};

/// How a call ended, ready to be recorded.
#[derive(Debug)]
pub struct SendRecord {
    /// What becomes of the invalidation.
    pub after: AfterCreate,
    /// How to mend it, in words, where AWS refused.
    pub fix: Option<String>,
    /// Identifiers for the two halves, should it be split.
    pub halves: [Uuid; 2],
}

impl Store {
    /// Pauses a site whose settings cannot even be read.
    pub async fn pause(
        &self,
        site: SiteId,
        error: &AwsError,
        until: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        pause(&mut tx, site, error, until, now, now).await?;
        Ok(tx.commit().await?)
    }

    /// Records how a claimed call ended. `false`: the claim was not ours any more, and nothing
    /// changed.
    pub async fn record_send(
        &self,
        claim: &SendClaim,
        record: &SendRecord,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        release_distribution(&mut tx, claim, &record.after, now).await?;
        let try_again = pause_or_resume(&mut tx, claim, &record.after, now).await?;
        let next_call = adjust_rate(&mut tx, claim, &record.after, limits, now).await?;
        let fix = record.fix.as_deref();
        let ours = match &record.after {
            AfterCreate::InProgress { id, next_poll } => {
                accepted(
                    &mut tx,
                    claim,
                    "InProgress",
                    Some(id.as_str()),
                    None,
                    Some(*next_poll),
                    now,
                )
                .await?
            }
            AfterCreate::Completed { id } => {
                accepted(
                    &mut tx,
                    claim,
                    "Completed",
                    Some(id.as_str()),
                    None,
                    None,
                    now,
                )
                .await?
            }
            AfterCreate::Unconfirmed(error) => {
                accepted(
                    &mut tx,
                    claim,
                    "Unconfirmed",
                    None,
                    Some((error, fix)),
                    None,
                    now,
                )
                .await?
            }
            AfterCreate::Hold {
                why,
                until,
                error,
                surely_refused,
            } => {
                let until = next_call.map_or(*until, |next| next.max(*until));
                let until = try_again.unwrap_or(until);
                held(&mut tx, claim, *why, until, error, fix, *surely_refused).await?
            }
            AfterCreate::Failed(error) => failed(&mut tx, claim, error, fix, now).await?,
            AfterCreate::Split(error) => {
                failed(&mut tx, claim, error, fix, now).await?
                    && split(&mut tx, claim, record.halves, now).await?
            }
        };
        if !ours {
            tx.rollback().await?;
            return Ok(false);
        }
        move_publishes(&mut tx, claim.site, claim.invalidation).await?;
        announce_change(&mut tx, claim.site).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn release_distribution(
    connection: &mut PgConnection,
    claim: &SendClaim,
    after: &AfterCreate,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let (until, why) = match after {
        AfterCreate::Hold { why, until, .. } if *why != WaitReason::Settings => {
            (Some(*until), Some(why.into_str()))
        }
        _ => (None, None),
    };
    let unanswered = why == Some(WaitReason::Retry.into_str());
    sqlx::query!(
        "UPDATE distribution SET lease_token = NULL, lease_until = NULL, blocked_until = $3, blocked_for = $4,
                                 failures = CASE WHEN $5 THEN failures + 1 ELSE 0 END,
                                 backlog_since = CASE WHEN $4 = 'quota' THEN coalesce(backlog_since, $6)
                                                      ELSE backlog_since END
         WHERE id = $1 AND lease_token = $2",
        claim.settings.distribution_id.as_str(),
        claim.token,
        until,
        why,
        unanswered,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The first clear refusal pauses the site; whatever shows that the settings work ends the pause. A
/// refusal of settings that were replaced while the call was under way says nothing: then it tells
/// when to try again, which is now.
async fn pause_or_resume(
    connection: &mut PgConnection,
    claim: &SendClaim,
    after: &AfterCreate,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, StoreError> {
    match after {
        AfterCreate::Hold {
            why: WaitReason::Settings,
            until,
            error,
            ..
        } => {
            let paused =
                pause(connection, claim.site, error, *until, claim.claimed_at, now).await?;
            return Ok((!paused).then_some(now));
        }
        after if claim.paused_since.is_some() && after.shows_working_settings() => {
            sqlx::query!(
                "UPDATE site SET paused_at = NULL, pause_error = NULL, resume_at = NULL WHERE id = $1",
                claim.site.0,
            )
            .execute(&mut *connection)
            .await?;
            announce_pause(connection).await?;
        }
        _ => {}
    }
    Ok(None)
}

/// Pauses the site, unless its settings were replaced since `known_since`. Tells whether it did.
async fn pause(
    connection: &mut PgConnection,
    site: SiteId,
    error: &AwsError,
    until: OffsetDateTime,
    known_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let paused = sqlx::query!(
        "UPDATE site SET paused_at = coalesce(paused_at, $2), pause_error = $3, resume_at = $4
         WHERE id = $1 AND NOT EXISTS (
           SELECT FROM cdn_settings
           WHERE site_id = $1 AND slot <> 'draft' AND saved_at > $5)",
        site.0,
        now,
        serde_json::json!(error),
        until,
        known_since,
    )
    .execute(&mut *connection)
    .await?;
    if paused.rows_affected() == 0 {
        return Ok(false);
    }
    announce_pause(connection).await?;
    Ok(true)
}

async fn announce_pause(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify($1, '')")
        .bind(SITES)
        .execute(connection)
        .await?;
    Ok(())
}

/// Slows the access key's rate after AWS throttled, and lets it recover. After a throttling it
/// tells when the next call may be made, and the distribution waits until then.
async fn adjust_rate(
    connection: &mut PgConnection,
    claim: &SendClaim,
    after: &AfterCreate,
    limits: &Limits,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, StoreError> {
    let key = claim.settings.access_key_name();
    let throttled = match after {
        AfterCreate::Hold {
            why: WaitReason::Rate,
            ..
        } => true,
        AfterCreate::InProgress { .. } | AfterCreate::Completed { .. } => false,
        _ => return Ok(None),
    };
    let bucket = lock_bucket(connection, key, limits, now).await?;
    if !throttled {
        store_bucket(connection, key, bucket.accepted(limits)).await?;
        return Ok(None);
    }
    let bucket = bucket.throttled(limits);
    store_bucket(connection, key, bucket).await?;
    let next = bucket.next_call();
    sqlx::query!(
        "UPDATE distribution SET blocked_until = greatest(blocked_until, $2)
         WHERE id = $1 AND blocked_for = 'rate' AND lease_token IS NULL",
        claim.settings.distribution_id.as_str(),
        next,
    )
    .execute(connection)
    .await?;
    Ok(next)
}

async fn accepted(
    connection: &mut PgConnection,
    claim: &SendClaim,
    status: &str,
    cloudfront_id: Option<&str>,
    error: Option<(&AwsError, Option<&str>)>,
    next_poll: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE invalidation SET status = $3, unknown_attempts = 0, cloudfront_id = $4, submitted_at = $5::timestamptz, next_at = $6,
                                 ended_at = CASE WHEN $6::timestamptz IS NULL THEN $5 END,
                                 error = $7, fix = $8, waiting_for = NULL, lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND lease_token = $2 AND status = 'Queued'",
        claim.invalidation,
        claim.token,
        status,
        cloudfront_id,
        now,
        next_poll,
        error.map(|(e, _)| serde_json::json!(e)),
        error.and_then(|(_, fix)| fix),
    )
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    count_usage(
        connection,
        claim.invalidation,
        claim.settings.access_key_name(),
        now,
    )
    .await?;
    Ok(true)
}

/// The invalidation stays queued. Refusals for quota or rate do not count as attempts.
async fn held(
    connection: &mut PgConnection,
    claim: &SendClaim,
    why: WaitReason,
    until: OffsetDateTime,
    error: &AwsError,
    fix: Option<&str>,
    surely_refused: bool,
) -> Result<bool, StoreError> {
    let free = matches!(why, WaitReason::Quota | WaitReason::Rate);
    let done = sqlx::query!(
        "UPDATE invalidation SET waiting_for = $3, next_at = $4, error = $5, fix = $6,
                                 attempts = attempts - CASE WHEN $7 THEN 1 ELSE 0 END,
                                 unknown_attempts = unknown_attempts - CASE WHEN $8 THEN 1 ELSE 0 END,
                                 lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND lease_token = $2 AND status = 'Queued'",
        claim.invalidation,
        claim.token,
        why.into_str(),
        until,
        serde_json::json!(error),
        fix,
        free,
        surely_refused,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn failed(
    connection: &mut PgConnection,
    claim: &SendClaim,
    error: &AwsError,
    fix: Option<&str>,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE invalidation SET status = 'Failed', ended_at = $3, next_at = NULL, error = $4, fix = $5,
                                 waiting_for = NULL, lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND lease_token = $2 AND status = 'Queued'",
        claim.invalidation,
        claim.token,
        now,
        serde_json::json!(error),
        fix,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces a refused invalidation by its two halves, each under a reference of its own: CloudFront
/// refused the whole, so nothing of it was purged. Each publish moves to the halves that cover its
/// items.
async fn split(
    connection: &mut PgConnection,
    claim: &SendClaim,
    ids: [Uuid; 2],
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    lock_publishes(connection, claim.site).await?;
    let publishes = sqlx::query!(
        "SELECT p.id, p.items FROM coverage c JOIN publish p ON p.site_id = c.site_id AND p.id = c.publish_id
         WHERE c.invalidation_id = $1 ORDER BY p.id",
        claim.invalidation,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut asked_left = sqlx::query_scalar!(
        "SELECT asked FROM invalidation WHERE id = $1",
        claim.invalidation
    )
    .fetch_one(&mut *connection)
    .await?;
    let (left, right) = crate::domain::split(claim.batch.items.clone());
    let last = ids[1];
    for (items, id) in [left, right].into_iter().zip(ids) {
        let sent: Cover<'_> = items.iter().collect();
        let mut asked = 0;
        let mut covered = PlannedBatch::default();
        for publish in &publishes {
            let mine = publish
                .items
                .iter()
                .filter_map(|text| Item::from_canonical(text).ok())
                .filter(|item| sent.covering(item).is_some())
                .count();
            if mine > 0 {
                covered.publishes.push(publish.id);
                asked += i32::try_from(mine).unwrap_or(i32::MAX);
            }
        }
        covered.items = items;
        // Together they asked for what the whole did, whose saving may belong to batches planned
        // with it.
        let asked = if id == last { asked_left } else { asked };
        asked_left = asked_left.saturating_sub(asked);
        let saved = Saved {
            coalesced: u64::try_from(asked)
                .unwrap_or_default()
                .saturating_sub(covered.items.len() as u64),
            folded: 0,
        };
        store_batch(
            connection,
            claim.site,
            claim.settings.distribution_id.as_str(),
            &covered,
            saved,
            id,
            now,
        )
        .await?;
    }
    sqlx::query!(
        "DELETE FROM coverage WHERE invalidation_id = $1",
        claim.invalidation
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE invalidation SET fix = 'Nothing to do: it was tried again in two halves.'
         WHERE id = $1",
        claim.invalidation,
    )
    .execute(connection)
    .await?;
    Ok(true)
}
