//! Claims of a [`Lane`]: what is planned is stored, and what is stored is claimed, in its
//! transaction.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::known_paths;
use super::lane::{Lane, Queued, SendClaim, parse_items};
use super::{SiteId, StoreError};
use crate::domain::{
    CallerReference, InvalidationBatch, Plan, PlannedBatch, Saved, TraceParent, Usage, Waiting,
};

/// How long a claim holds. A call begins in its first half and ends within the second; after it
/// anyone may send the same reference again.
pub(super) const LEASE: Duration = Duration::seconds(30);

impl SendClaim {
    /// Before when the call must begin, if it is to end while the claim holds.
    pub fn call_before(&self) -> OffsetDateTime {
        self.claimed_at + LEASE / 2
    }
}

impl Lane {
    /// Claims a stored invalidation.
    pub async fn claim(
        mut self,
        queued: Queued,
        token: Uuid,
        now: OffsetDateTime,
    ) -> Result<SendClaim, StoreError> {
        let lease_until = now + LEASE;
        let flow = self.flow.spent(queued.usage, &self.limits);
        let traceparent = sqlx::query_scalar!(
            "UPDATE invalidation SET attempts = attempts + 1, unknown_attempts = unknown_attempts + 1, waiting_for = NULL,
                                     lease_token = $2, lease_until = $3, next_at = $3
             WHERE id = $1 AND status = 'Queued'
             RETURNING (SELECT p.traceparent FROM coverage c
                        JOIN publish p ON p.site_id = c.site_id AND p.id = c.publish_id
                        WHERE c.invalidation_id = $1 AND p.traceparent IS NOT NULL
                        ORDER BY p.id LIMIT 1)",
            queued.id,
            token,
            lease_until,
        )
        .fetch_optional(&mut *self.tx)
        .await?
        .flatten();
        sqlx::query!(
            "UPDATE distribution SET lease_token = $2, lease_until = $3, blocked_until = NULL, blocked_for = NULL,
                                     sent_at = $4, file_tokens = $6, wildcard_tokens = $7, refilled_at = $8,
                                     backlog_since = CASE WHEN EXISTS (
                                       SELECT FROM publish p
                                       WHERE p.site_id = $5 AND NOT p.planned AND p.ended_at IS NULL)
                                       THEN backlog_since END
             WHERE id = $1",
            self.settings.distribution_id.as_str(),
            token,
            lease_until,
            now,
            self.site.0,
            flow.file_tokens,
            flow.wildcard_tokens,
            flow.refilled_at,
        )
        .execute(&mut *self.tx)
        .await?;
        self.tx.commit().await?;
        Ok(SendClaim {
            invalidation: queued.id,
            site: self.site,
            settings: self.settings,
            batch: InvalidationBatch {
                caller_reference: CallerReference::parse(queued.caller_reference)
                    .map_err(|e| StoreError::unknown("caller reference", e.to_string()))?,
                items: parse_items(queued.items)?,
            },
            planned_at: queued.planned_at,
            failures: u32::try_from(self.failures).unwrap_or_default(),
            others_in_progress: self.in_progress != Usage::default(),
            paused_since: self.paused_since,
            traceparent: traceparent.as_deref().and_then(TraceParent::parse),
            claimed_at: now,
            token,
        })
    }

    /// Stores planned batches with fresh references, moves the publishes they cover to them, and
    /// claims the first. `waiting` is what was planned.
    pub async fn claim_planned(
        mut self,
        plan: &Plan,
        waiting: &[Waiting],
        fresh_id: impl Fn() -> Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<SendClaim>, StoreError> {
        let mut first = None;
        // What planning saved is told with the first batch; the others ask for what they hold.
        let mut saved = plan.saved;
        for batch in &plan.batches {
            let saved = std::mem::take(&mut saved);
            let stored = store_batch(
                &mut self.tx,
                self.site,
                self.settings.distribution_id.as_str(),
                batch,
                saved,
                fresh_id(),
                now,
            )
            .await?;
            first.get_or_insert(stored);
        }
        sqlx::query!(
            "UPDATE publish SET planned = true WHERE site_id = $1 AND id = ANY($2) AND NOT planned",
            self.site.0,
            &plan.taken,
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "UPDATE distribution SET backlog_since = CASE WHEN $2 THEN coalesce(backlog_since, $3) END WHERE id = $1",
            self.settings.distribution_id.as_str(),
            plan.waits.is_some(),
            now,
        )
        .execute(&mut *self.tx)
        .await?;
        known_paths::remember(&mut self.tx, self.site, plan, waiting, now).await?;
        match first {
            Some(queued) => Ok(Some(self.claim(queued, fresh_id(), now).await?)),
            None => Ok(None),
        }
    }
}

/// Stores a batch as a queued invalidation with the publishes it covers, and what it saved.
pub(super) async fn store_batch(
    connection: &mut PgConnection,
    site: SiteId,
    distribution: &str,
    batch: &PlannedBatch,
    saved: Saved,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Queued, StoreError> {
    let items: Vec<String> = batch.items.iter().map(ToString::to_string).collect();
    let usage = Usage::of(&batch.items);
    let asked = items.len() as u64 + saved.coalesced + saved.folded;
    let caller_reference = CallerReference::of(id).to_string();
    sqlx::query!(
        "INSERT INTO invalidation (id, site_id, distribution_id, caller_reference, items, files, wildcards, asked, folded,
                                   created_at, next_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, $9, $9)",
        id,
        site.0,
        distribution,
        caller_reference,
        &items,
        i32::try_from(usage.files).unwrap_or(i32::MAX),
        i32::try_from(usage.wildcards).unwrap_or(i32::MAX),
        i32::try_from(asked).unwrap_or(i32::MAX),
        now,
        i32::try_from(saved.folded).unwrap_or(i32::MAX),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO coverage (invalidation_id, site_id, publish_id) SELECT $1, $2, unnest($3::uuid[])",
        id,
        site.0,
        &batch.publishes,
    )
    .execute(connection)
    .await?;
    Ok(Queued {
        id,
        caller_reference,
        items,
        usage,
        planned_at: now,
        next_at: now,
    })
}
