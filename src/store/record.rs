//! Recording how a call of `CreateInvalidation` ended. Whoever records must show the claim's token:
//! a replica that was stopped for longer than its lease can no longer change anything.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::listen::announce_change;
use super::pauses::pause_or_resume;
use super::pieces::store_pieces;
use super::rates::{lock_bucket, store_bucket};
use super::transitions::{count_usage, hold_settings, move_publishes};
use super::{Result, SendClaim, Store};
use crate::domain::advice::SPLIT;
use crate::domain::{
    AfterCreate, Attempt, AwsError, InvalidationStatus as Status, Item, Limits, RateLesson,
    Verdict, WaitReason,
};

/// How a call ended, ready to be recorded.
#[derive(Debug)]
pub struct SendRecord {
    /// What follows from it.
    pub verdict: Verdict,
    /// How to fix it, in words, where AWS refused.
    pub fix: Option<String>,
    /// Identifiers for the pieces, should it be split.
    pub ids: Vec<Uuid>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It stands.
    Ours,
    /// The site has moved to another distribution meanwhile: how the call ended is noted with the
    /// invalidation, which was set aside.
    SetAside,
    /// The claim was no longer ours, and nothing changed.
    TakenOver,
}

impl Store {
    /// Records how a claimed call ended.
    pub async fn record_send(
        &self,
        claim: &SendClaim,
        record: &SendRecord,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Recorded> {
        let verdict = &record.verdict;
        let mut tx = self.begin().await?;
        let proves = !claim.inputs.is_proven() && verdict.after.shows_working_settings();
        if proves {
            prove(&mut tx, claim, now).await?;
        }
        release_distribution(&mut tx, claim, verdict).await?;
        if matches!(verdict.after, AfterCreate::Split { .. }) {
            hold_settings(&mut tx, claim.inputs.site).await?;
        }
        let try_again = pause_or_resume(&mut tx, claim, verdict, now).await?;
        let next_call = adjust_rate(&mut tx, claim, verdict.rate, limits, now).await?;
        if proves {
            share_rate(&mut tx, claim).await?;
        }
        let fix = record.fix.as_deref();
        let mut changed = vec![claim.stored.id];
        let ours = match &verdict.after {
            AfterCreate::InProgress { id, next_poll } => {
                let (id, next_poll) = (Some(id.as_str()), Some(*next_poll));
                accepted(&mut tx, claim, Status::InProgress, id, None, next_poll, now).await?
            }
            AfterCreate::Completed { id } => {
                let id = Some(id.as_str());
                accepted(&mut tx, claim, Status::Completed, id, None, None, now).await?
            }
            AfterCreate::Unconfirmed(error) => {
                let error = Some((error, fix));
                accepted(&mut tx, claim, Status::Unconfirmed, None, error, None, now).await?
            }
            AfterCreate::Hold {
                why,
                until,
                error,
                attempt,
            } => {
                let until = next_call.map_or(*until, |next| next.max(*until));
                let until = try_again.unwrap_or(until);
                held(&mut tx, claim, *why, until, error, fix, *attempt, now).await?
            }
            AfterCreate::Failed { error, rest_too } => {
                let ours = failed(&mut tx, claim, error, fix, now).await?;
                if ours
                    && *rest_too
                    && let Some(search) = claim.stored.search
                {
                    changed.extend(fail_rest(&mut tx, search, error, fix, now).await?);
                }
                ours
            }
            AfterCreate::Split {
                error,
                pieces,
                searching,
            } => {
                let ours = failed(&mut tx, claim, error, Some(SPLIT), now).await?;
                if ours {
                    split(&mut tx, claim, pieces, &record.ids, *searching, now).await?;
                }
                ours
            }
        };
        let recorded = if ours {
            move_publishes(&mut tx, claim.inputs.site, &changed).await?;
            announce_change(&mut tx, claim.inputs.site).await?;
            Recorded::Ours
        } else if set_aside(&mut tx, claim, &verdict.after).await? {
            Recorded::SetAside
        } else {
            Recorded::TakenOver
        };
        // The lease is given back in any case, if it is still ours.
        tx.commit().await?;
        Ok(recorded)
    }
}

/// Notes that AWS accepted the site's signature, unless the settings were replaced since.
async fn prove(
    connection: &mut PgConnection,
    claim: &SendClaim,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE cdn_settings SET proven_at = $2
         WHERE site_id = $1 AND slot <> 'draft' AND saved_at <= $3 AND access_key_id = $4",
        claim.inputs.site.0,
        now,
        claim.taking.now,
        claim.inputs.settings.access_key_name(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The site's own rate becomes the access key's, unless another site has proved the key before.
async fn share_rate(connection: &mut PgConnection, claim: &SendClaim) -> Result<()> {
    sqlx::query!(
        "UPDATE access_key SET id = $2
         WHERE id = $1 AND NOT EXISTS (SELECT FROM access_key WHERE id = $2)",
        claim.inputs.rate_key,
        claim.inputs.settings.access_key_name(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn release_distribution(
    connection: &mut PgConnection,
    claim: &SendClaim,
    verdict: &Verdict,
) -> Result<()> {
    sqlx::query!(
        "UPDATE distribution SET lease_token = NULL, lease_until = NULL, beliefs = $3
         WHERE id = $1 AND lease_token = $2",
        claim.inputs.settings.distribution_id.as_str(),
        claim.taking.token,
        serde_json::json!(verdict.beliefs),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Slows the access key's rate after AWS throttled, and lets it recover. After a throttling it
/// returns when the next call may be made.
async fn adjust_rate(
    connection: &mut PgConnection,
    claim: &SendClaim,
    lesson: Option<RateLesson>,
    limits: &Limits,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>> {
    let key = &claim.inputs.rate_key;
    let is_slowed = claim.taking.bucket.rate < claim.inputs.limits.requests_per_second;
    let throttled = match lesson {
        Some(RateLesson::Throttled) => true,
        Some(RateLesson::Accepted) if is_slowed => false,
        _ => return Ok(None),
    };
    let bucket = lock_bucket(connection, key, limits, now).await?;
    let bucket = match throttled {
        true => bucket.throttled(limits),
        false => bucket.accepted(limits),
    };
    store_bucket(connection, key, bucket).await?;
    Ok(bucket.next_call().filter(|_| throttled))
}

async fn accepted(
    connection: &mut PgConnection,
    claim: &SendClaim,
    status: Status,
    cloudfront_id: Option<&str>,
    error: Option<(&AwsError, Option<&str>)>,
    next_poll: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE invalidation SET status = $3, unknown_since = NULL, throttled = 0, cloudfront_id = $4, submitted_at = $5::timestamptz, next_at = $6,
                                 unanswered_since = CASE WHEN $3 = 'Unconfirmed' THEN unanswered_since END,
                                 ended_at = CASE WHEN $6::timestamptz IS NULL THEN $5 END,
                                 error = $7, fix = $8, waiting_for = NULL, lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND lease_token = $2 AND (status = 'Queued' OR set_aside)",
        claim.stored.id,
        claim.taking.token,
        status.into_str(),
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
        claim.stored.id,
        claim.inputs.settings.access_key_name(),
        now,
    )
    .await?;
    Ok(true)
}

/// The invalidation stays queued. Refusals for quota or rate do not count as attempts.
#[expect(clippy::too_many_arguments, reason = "the columns of one row")]
async fn held(
    connection: &mut PgConnection,
    claim: &SendClaim,
    why: WaitReason,
    until: OffsetDateTime,
    error: &AwsError,
    fix: Option<&str>,
    attempt: Attempt,
    now: OffsetDateTime,
) -> Result<bool> {
    let free = matches!(why, WaitReason::Quota | WaitReason::Rate);
    let unanswered_since = match attempt {
        Attempt::Unknown => Some(claim.unanswered_since()),
        // Nothing could be asked: the time that passed counts for nothing.
        Attempt::NotSent if claim.stored.unknown_since.is_some() => Some(now),
        Attempt::NotSent | Attempt::Refused => None,
    };
    let done = sqlx::query!(
        "UPDATE invalidation SET waiting_for = $3, next_at = $4, error = $5, fix = $6,
                                 attempts = attempts - CASE WHEN $7 THEN 1 ELSE 0 END,
                                 unknown_since = CASE WHEN $8 THEN unknown_since END,
                                 throttled = CASE WHEN $10 THEN throttled + 1 WHEN $11 THEN 0 ELSE throttled END,
                                 unanswered_since = $9, lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND lease_token = $2 AND status = 'Queued'",
        claim.stored.id,
        claim.taking.token,
        why.into_str(),
        until,
        serde_json::json!(error),
        fix,
        free,
        attempt == Attempt::Unknown || claim.stored.unknown_since.is_some(),
        unanswered_since,
        why == WaitReason::Rate,
        attempt == Attempt::Refused,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes a definite refusal of what was set aside during the call: there is nothing left to send
/// again.
async fn set_aside(
    connection: &mut PgConnection,
    claim: &SendClaim,
    after: &AfterCreate,
) -> Result<bool> {
    let unknown = matches!(
        after,
        AfterCreate::Hold {
            attempt: Attempt::Unknown,
            ..
        }
    );
    let done = sqlx::query!(
        "UPDATE invalidation SET unknown_since = CASE WHEN $3 THEN unknown_since END,
                                 lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND lease_token = $2 AND set_aside",
        claim.stored.id,
        claim.taking.token,
        unknown || claim.stored.unknown_since.is_some(),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Fails what is left of a search.
async fn fail_rest(
    connection: &mut PgConnection,
    search: Uuid,
    error: &AwsError,
    fix: Option<&str>,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        "UPDATE invalidation SET status = 'Failed', ended_at = $2, next_at = NULL, error = $3, fix = $4,
                                 waiting_for = NULL
         WHERE search = $1 AND status = 'Queued' AND unknown_since IS NULL AND lease_token IS NULL
         RETURNING id",
        search,
        now,
        serde_json::json!(error),
        fix,
    )
    .fetch_all(connection)
    .await?)
}

async fn failed(
    connection: &mut PgConnection,
    claim: &SendClaim,
    error: &AwsError,
    fix: Option<&str>,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE invalidation SET status = 'Failed', ended_at = $3, next_at = NULL, error = $4, fix = $5,
                                 waiting_for = NULL, lease_token = NULL, lease_until = NULL
         WHERE id = $1 AND lease_token = $2 AND status = 'Queued'",
        claim.stored.id,
        claim.taking.token,
        now,
        serde_json::json!(error),
        fix,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces a refused invalidation with its pieces: CloudFront refused the whole, so nothing of it
/// was purged. One that was only too large leaves no trace; one with an item at fault stays as
/// failed.
async fn split(
    connection: &mut PgConnection,
    claim: &SendClaim,
    pieces: &[Vec<Item>],
    ids: &[Uuid],
    searching: bool,
    now: OffsetDateTime,
) -> Result<()> {
    let whole = claim.stored.id;
    let search = claim.stored.search.or(searching.then_some(whole));
    store_pieces(connection, &claim.inputs, whole, pieces, ids, search, now).await?;
    if !searching {
        sqlx::query!("DELETE FROM invalidation WHERE id = $1", whole)
            .execute(connection)
            .await?;
    }
    Ok(())
}
