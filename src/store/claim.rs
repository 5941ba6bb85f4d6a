//! Claiming the next `CreateInvalidation`: one at a time for each distribution, whoever sends it.
//!
//! What a claim goes by ([`PlanInputs`]) is read and planned without a lock. The transaction here
//! restates it and changes nothing if any of it has changed since; the caller then reads again.
//!
//! Rows are locked in the order that docs/ARCHITECTURE.md gives.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::batches::{Batch, store_batches};
use super::listen::announce_sites;
use super::rates::{lock_bucket, store_bucket};
use super::stored::{LEASE, QueuedInvalidation};
use super::transitions::lock_publishes;
use super::{Connection, PlanInputs, Result, SiteId, Store, known_paths, outbox};
use crate::domain::spending::next_month;
use crate::domain::{Attempt, Beliefs, Bucket, KindCounts, Plan, Search, TraceParent, Waiting};

/// The right to make one call of `CreateInvalidation` and to record how it ended.
#[derive(Clone, Debug)]
pub struct SendClaim {
    pub inputs: PlanInputs,
    /// What is sent, as it was before the claim.
    pub stored: QueuedInvalidation,
    pub taking: Taking,
    /// The results of the other pieces, if this is a piece of a search.
    pub search: Option<Search>,
    /// The trace of the first of its publishes that has one.
    pub traceparent: Option<TraceParent>,
}

impl SendClaim {
    /// The time by which the call must have begun, if it is to end while the claim holds.
    pub fn call_before(&self) -> OffsetDateTime {
        self.taking.now + LEASE / 2
    }

    /// When its first call without an answer began: this one, if there was none before. Where the
    /// call ended long after any call does, the machine slept, and the time that passed counts for
    /// nothing.
    pub fn unanswered_since(&self, ended_at: OffsetDateTime) -> OffsetDateTime {
        let slept = ended_at - self.taking.now > LEASE;
        let since = self.stored.unanswered_since.unwrap_or(self.taking.now);
        if slept { ended_at } else { since }
    }

    /// When the latest attempt that CloudFront may have accepted began, if any, now that this one
    /// has ended like this.
    pub(super) fn unknown_since(&self, attempt: Attempt) -> Option<OffsetDateTime> {
        match attempt {
            Attempt::Unknown => Some(self.taking.now),
            Attempt::Refused | Attempt::RefusedAfterUnknown | Attempt::NotSent => {
                self.stored.unknown_since
            }
        }
    }

    /// When it, or its site, began to wait for room.
    pub fn waiting_since(&self) -> OffsetDateTime {
        let (planned_at, short_since) = (self.stored.planned_at, self.inputs.shortage.began_at);
        short_since.map_or(planned_at, |since| since.min(planned_at))
    }

    /// What else of ours is in progress at the distribution.
    pub fn others(&self) -> KindCounts {
        let counted = self.stored.counts.less(self.stored.needs(self.taking.now));
        self.inputs.used.less(counted)
    }

    /// What is believed about the distribution once this has been sent, in a call that began at
    /// `began_at`: reading and planning may have taken long, and nothing was spent meanwhile.
    pub fn beliefs(&self, began_at: OffsetDateTime) -> Beliefs {
        self.inputs
            .spent(self.stored.needs(self.taking.now), began_at)
    }
}

/// What a claim takes: one call of the access key's rate, and the distribution's lease.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    /// The access key's rate, less this call.
    pub bucket: Bucket,
    /// The lease's token.
    pub token: Uuid,
    /// When the call is claimed, and so which settings it is sent with.
    pub now: OffsetDateTime,
}

impl Store {
    /// Claims a stored invalidation, or returns `None` if something has changed and must be read
    /// again.
    pub async fn claim_stored(
        &self,
        connection: &mut Connection,
        inputs: &PlanInputs,
        stored: QueuedInvalidation,
        taking: Taking,
    ) -> Result<Option<SendClaim>> {
        let search = match stored.search {
            Some(search) => Some(self.search(search).await?),
            None => None,
        };
        let needs = stored.needs(taking.now);
        let mut tx = connection.begin().await?;
        let Some(taking) = take_call(&mut tx, inputs, needs, taking).await? else {
            return Ok(None);
        };
        let claimed = sqlx::query!(
            "UPDATE invalidation SET attempts = attempts + 1, unknown_since = $4,
                                     unanswered_since = coalesce($5, $4), waiting_for = NULL,
                                     lease_token = $2, lease_until = $3, next_at = $3
             WHERE id = $1 AND status = 'Queued' AND next_at <= $4
             RETURNING (SELECT p.traceparent FROM coverage c
                        JOIN publish p ON p.site_id = c.site_id AND p.id = c.publish_id
                        WHERE c.invalidation_id = $1 AND p.traceparent IS NOT NULL
                        ORDER BY p.id LIMIT 1) AS traceparent",
            stored.id,
            taking.token,
            taking.now + LEASE,
            taking.now,
            stored.unanswered_since,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(claimed) = claimed else {
            return Ok(None);
        };
        tx.commit().await?;
        Ok(Some(SendClaim {
            inputs: inputs.clone(),
            stored,
            taking,
            search,
            traceparent: claimed.traceparent.as_deref().and_then(TraceParent::parse),
        }))
    }

    /// Stores planned batches with fresh references, moves the publishes they cover to them, and
    /// claims the first. `waiting` is what was planned. Returns `None` if something has changed and
    /// must be read again.
    pub async fn claim_planned(
        &self,
        connection: &mut Connection,
        inputs: &PlanInputs,
        plan: &Plan,
        waiting: &[Waiting],
        ids: Vec<Uuid>,
        taking: Taking,
    ) -> Result<Option<SendClaim>> {
        let (Some(first), Some(&id)) = (plan.batches.first(), ids.first()) else {
            return Ok(None);
        };
        let needs = KindCounts::of(&first.items);
        let mut tx = connection.begin().await?;
        let Some(taking) = take_call(&mut tx, inputs, needs, taking).await? else {
            return Ok(None);
        };
        let limited_until = plan.is_limited.then(|| next_month(taking.now));
        if inputs.is_marked || plan.has_backlog || limited_until.is_some() {
            let (site, now) = (inputs.site, taking.now);
            mark(&mut tx, site, plan.has_backlog, limited_until, now).await?;
        }
        // What a publish has been waiting beside may be ending, at a distribution that the site has
        // left since, and must not end this publish too.
        lock_publishes(&mut tx, inputs.site).await?;
        let mut batches: Vec<Batch<'_>> = plan
            .batches
            .iter()
            .zip(ids)
            .map(|(batch, id)| Batch::new(id, &batch.items, &batch.publishes))
            .collect();
        // What planning saved is counted with the first batch; the others ask for what they hold.
        if let Some(first) = batches.first_mut() {
            first.asked += plan.saved.coalesced + plan.saved.folded;
            first.folded = plan.saved.folded;
            first.claim = Some(taking.token);
        }
        let (all_waited, traceparent) =
            store_batches(&mut tx, inputs, &batches, &plan.taken, taking.now).await?;
        if !all_waited {
            return Ok(None);
        }
        known_paths::remember(&mut tx, inputs.site, plan, waiting, taking.now).await?;
        tx.commit().await?;
        Ok(Some(SendClaim {
            inputs: inputs.clone(),
            stored: QueuedInvalidation::new(id, first.items.clone(), taking.now),
            taking,
            search: None,
            traceparent,
        }))
    }
}

/// Takes the distribution's lease and one of the access key's calls, if both and the site's
/// settings are still as they were read. Its locks last until the transaction ends.
async fn take_call(
    connection: &mut PgConnection,
    inputs: &PlanInputs,
    needs: KindCounts,
    taking: Taking,
) -> Result<Option<Taking>> {
    let (now, left, was) = (taking.now, taking.bucket, inputs.stored_bucket);
    // New settings wait for the site's lock, so that they find what is about to be stored for the
    // old ones. Each part begins with what the previous one has locked.
    let taken = sqlx::query!(
        r#"WITH lease AS (
             UPDATE distribution SET lease_token = $3, lease_until = $4, calls = calls + 1, sent_at = $5,
                                     beliefs = $6
             WHERE id = $1 AND calls = $2 AND (lease_until IS NULL OR lease_until <= $5)
             RETURNING id),
           owner AS (
             SELECT s.id FROM lease, site s WHERE s.id = $7 AND s.settings_version = $8 AND s.removed_at IS NULL
             FOR SHARE OF s),
           call AS (
             INSERT INTO access_key (id, tokens, rate, refilled_at) SELECT $9, $10, $11, $12 FROM owner
             ON CONFLICT (id) DO UPDATE
               SET tokens = EXCLUDED.tokens, rate = EXCLUDED.rate, refilled_at = EXCLUDED.refilled_at
               WHERE (access_key.tokens, access_key.rate, access_key.refilled_at) = ($13, $14, $15)
             RETURNING id)
           SELECT EXISTS (SELECT FROM owner) as "is_same!", EXISTS (SELECT FROM call) as "has_call!""#,
        inputs.settings.distribution_id.as_str(),
        inputs.calls,
        taking.token,
        now + LEASE,
        now,
        serde_json::json!(inputs.spent(needs, now)),
        inputs.site.0,
        inputs.settings_version,
        inputs.rate_key,
        left.tokens,
        left.rate,
        left.refilled_at,
        was.map(|bucket| bucket.tokens),
        was.map(|bucket| bucket.rate),
        was.map(|bucket| bucket.refilled_at),
    )
    .fetch_one(&mut *connection)
    .await?;
    if taken.has_call || !taken.is_same {
        return Ok(taken.has_call.then_some(taking));
    }
    // Others have used the rate meanwhile, which the plan does not depend on.
    let bucket = lock_bucket(connection, &inputs.rate_key, &inputs.limits, now).await?;
    let Ok(bucket) = bucket.take(&inputs.limits) else {
        return Ok(None);
    };
    store_bucket(connection, &inputs.rate_key, bucket).await?;
    Ok(Some(Taking { bucket, ..taking }))
}

/// Records that the site does not wait, and what is left behind: whether there was no room for some
/// publishes, and how long the monthly limit holds some back.
async fn mark(
    connection: &mut PgConnection,
    site: SiteId,
    has_backlog: bool,
    limited_until: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<()> {
    let has_changed = sqlx::query_scalar!(
        r#"WITH before AS (SELECT id, limited_until FROM site WHERE id = $1 FOR NO KEY UPDATE)
           UPDATE site SET waits_for = NULL, waits_since = NULL, waits_until = NULL, limited_until = $2,
                           backlog_since = CASE WHEN $3 THEN coalesce(backlog_since, $4) END
           FROM before WHERE site.id = before.id
           RETURNING before.limited_until IS DISTINCT FROM $2 as "has_changed!""#,
        site.0,
        limited_until,
        has_backlog,
        now,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if has_changed == Some(true) {
        announce_sites(connection).await?;
    }
    if limited_until.is_some() {
        outbox::notify_limited(connection, site, now).await?;
    }
    Ok(())
}
