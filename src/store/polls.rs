//! Claiming and recording calls of `GetInvalidation`.

use time::OffsetDateTime;
use uuid::Uuid;

use super::claim::LEASE;
use super::transitions::{announce_change, move_publishes};
use super::{SiteId, Store, StoreError};
use crate::domain::{AfterGet, DistributionId, InvalidationId, Settings, WaitReason};

/// The right to ask about one invalidation and to record the answer.
#[derive(Clone, Debug)]
pub struct PollClaim {
    /// Our number of it.
    pub invalidation: Uuid,
    pub site: SiteId,
    /// Where it is.
    pub distribution: DistributionId,
    /// CloudFront's number of it.
    pub id: InvalidationId,
    /// When CloudFront accepted it.
    pub submitted_at: OffsetDateTime,
    /// The site's settings in force; none: they were removed.
    pub settings: Option<Settings>,
    token: Uuid,
}

impl Store {
    /// Claims invalidations that are due to be asked about, at most so many.
    pub async fn claim_polls(
        &self,
        most: usize,
        token: Uuid,
        now: OffsetDateTime,
    ) -> Result<Vec<PollClaim>, StoreError> {
        let rows = sqlx::query!(
            r#"UPDATE invalidation SET lease_token = $1, lease_until = $3, next_at = $3
               WHERE id IN (
                 SELECT id FROM invalidation
                 WHERE ended_at IS NULL AND status = 'InProgress' AND next_at <= $2
                 ORDER BY next_at LIMIT $4 FOR UPDATE SKIP LOCKED)
               RETURNING id, site_id, distribution_id, cloudfront_id as "cloudfront_id!",
                         submitted_at as "submitted_at!""#,
            token,
            now,
            now + LEASE,
            i64::try_from(most).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        let mut claims = Vec::with_capacity(rows.len());
        let mut known: Option<(i32, Option<Settings>)> = None;
        for row in rows {
            let settings = match &known {
                Some((site, settings)) if *site == row.site_id => settings.clone(),
                _ => {
                    let mut connection = self.pool.acquire().await?;
                    let read = self
                        .settings_in_force(&mut connection, SiteId(row.site_id))
                        .await;
                    let settings = match read {
                        Err(StoreError::Seal(error)) => {
                            // Other sites are not held up. It is looked at again when the lease has
                            // run out.
                            tracing::error!(site = %SiteId(row.site_id), %error, "cannot be asked about");
                            continue;
                        }
                        settings => settings?,
                    };
                    known = Some((row.site_id, settings.clone()));
                    settings
                }
            };
            claims.push(PollClaim {
                invalidation: row.id,
                site: SiteId(row.site_id),
                distribution: DistributionId::parse(&row.distribution_id).map_err(|_| {
                    StoreError::unknown("distribution ID", row.distribution_id.clone())
                })?,
                id: InvalidationId::parse(row.cloudfront_id)
                    .map_err(|e| StoreError::unknown("CloudFront id", e.to_string()))?,
                submitted_at: row.submitted_at,
                settings,
                token,
            });
        }
        Ok(claims)
    }

    /// Records CloudFront's answer. `false`: the claim was not ours any more, and nothing changed.
    pub async fn record_poll(
        &self,
        claim: &PollClaim,
        after: &AfterGet,
        fix: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let (status, next_at, error, waiting_for) = match after {
            AfterGet::Again {
                at,
                error,
                settings_rejected,
            } => (
                "InProgress",
                Some(*at),
                error.as_ref(),
                settings_rejected.then_some(WaitReason::Settings.into_str()),
            ),
            AfterGet::Completed => ("Completed", None, None, None),
            AfterGet::Unconfirmed(error) => ("Unconfirmed", None, Some(error), None),
            AfterGet::Failed(error) => ("Failed", None, Some(error), None),
        };
        let ended = next_at.is_none();
        let mut tx = self.pool.begin().await?;
        if ended {
            // Room in the quota: whoever waits for it may go.
            sqlx::query!(
                "UPDATE distribution SET blocked_until = NULL, blocked_for = NULL
                 WHERE id = $1 AND blocked_for = 'quota'",
                claim.distribution.as_str(),
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query!(
                "UPDATE invalidation SET next_at = $2
                 WHERE distribution_id = $1 AND status = 'Queued' AND ended_at IS NULL AND waiting_for = 'quota'",
                claim.distribution.as_str(),
                now,
            )
            .execute(&mut *tx)
            .await?;
        }
        let done = sqlx::query!(
            "UPDATE invalidation SET status = $3, next_at = $4, error = $5, fix = $6, waiting_for = $7,
                                     ended_at = CASE WHEN $4::timestamptz IS NULL THEN $8::timestamptz END,
                                     lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND status = 'InProgress'",
            claim.invalidation,
            claim.token,
            status,
            next_at,
            error.map(|e| serde_json::json!(e)),
            error.and(fix),
            waiting_for,
            now,
        )
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        if ended {
            move_publishes(&mut tx, claim.site, claim.invalidation).await?;
        }
        if ended || error.is_some() {
            announce_change(&mut tx, claim.site).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// When something is next due to be asked about, or to be sent by sites but `served`; none:
    /// nothing is pending.
    pub async fn next_due(&self, served: &[SiteId]) -> Result<Option<OffsetDateTime>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT min(at) FROM (
                 SELECT min(next_at) AS at FROM invalidation WHERE ended_at IS NULL AND status = 'InProgress'
                 UNION ALL
                 SELECT min(greatest(i.next_at, d.blocked_until, d.lease_until, s.resume_at))
                 FROM invalidation i
                 JOIN distribution d ON d.id = i.distribution_id
                 JOIN site s ON s.id = i.site_id
                 WHERE i.ended_at IS NULL AND i.status = 'Queued' AND s.id <> ALL($1)
                 UNION ALL
                 SELECT min(greatest(d.blocked_until, d.lease_until, s.resume_at, s.held_until))
                 FROM site s
                 JOIN LATERAL (
                   SELECT distribution_id FROM cdn_settings
                   WHERE site_id = s.id AND slot <> 'draft' ORDER BY slot LIMIT 1) c ON true
                 JOIN distribution d ON d.id = c.distribution_id
                 WHERE s.id <> ALL($1) AND s.id IN (SELECT site_id FROM waiting_site)
               ) due"#,
            &SiteId::numbers(served),
        )
        .fetch_one(&self.pool)
        .await?)
    }
}
