//! Claiming the next `CreateInvalidation`: one at a time for each distribution, whoever sends it.
//!
//! A [`Lane`] is an open transaction that holds the distribution's row. It is closed before CloudFront is called, by
//! committing a claim or a reason to wait.

use sqlx::{PgConnection, Postgres, Transaction};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{SiteId, Store, StoreError};
use crate::domain::{
    Bucket, CallerReference, DistributionId, InvalidationBatch, Item, Limits, Plan, PlannedBatch,
    Settings, Usage, WaitReason, Waiting,
};

/// How long a claim holds. A call ends within half of it; after it anyone may send the same reference again.
pub(super) const LEASE: Duration = Duration::seconds(30);
/// Waiting publishes that one plan looks at.
const PLAN_PUBLISHES: usize = 10_000;
/// Items that one plan looks at, so that huge publishes do not fill the memory.
const PLAN_ITEMS: usize = 30_000;
/// Publishes read at a time.
const PAGE: i64 = 500;
/// Invalidations of a distribution that may wait for another try before nothing new is planned: one that CloudFront
/// never answers must not hold up the others, and an outage must not turn each publish into a call of its own.
const RETRYING: usize = 2;

/// A distribution that is held, and what there is to send to it.
pub struct Lane {
    tx: Transaction<'static, Postgres>,
    /// Whose turn it is.
    pub site: SiteId,
    /// The settings in force.
    pub settings: Settings,
    /// What is in progress at the distribution.
    pub in_progress: Usage,
    /// Calls without a usable answer since the last one with.
    failures: i32,
    paused_since: Option<OffsetDateTime>,
    queued: Vec<Queued>,
}

/// A stored invalidation that waits to be sent.
#[derive(Clone, Debug)]
pub struct Queued {
    id: Uuid,
    caller_reference: String,
    items: Vec<String>,
    /// What it would add to what is in progress.
    pub usage: Usage,
    planned_at: OffsetDateTime,
    next_at: OffsetDateTime,
}

/// The right to make one call of `CreateInvalidation` and to record how it ended.
#[derive(Clone, Debug)]
pub struct SendClaim {
    /// Our number of the invalidation.
    pub invalidation: Uuid,
    /// Whose it is.
    pub site: SiteId,
    /// The settings to send it with.
    pub settings: Settings,
    /// Reference and items.
    pub batch: InvalidationBatch,
    /// When it was planned.
    pub planned_at: OffsetDateTime,
    /// Calls to its distribution without a usable answer, before this one.
    pub failures: u32,
    /// Whether others of ours are in progress there.
    pub others_in_progress: bool,
    /// Since when the site has been paused.
    pub paused_since: Option<OffsetDateTime>,
    pub(super) token: Uuid,
}

impl Store {
    /// Sites that have something to send which nothing known holds back, the longest unserved first.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn sites_to_send(&self, now: OffsetDateTime) -> Result<Vec<SiteId>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT s.id
             FROM site s
             JOIN LATERAL (
               SELECT distribution_id FROM cdn_settings
               WHERE site_id = s.id AND slot <> 'draft' ORDER BY slot LIMIT 1) c ON true
             JOIN distribution d ON d.id = c.distribution_id
             WHERE (s.resume_at IS NULL OR s.resume_at <= $1)
               AND (d.lease_until IS NULL OR d.lease_until <= $1)
               AND (d.blocked_until IS NULL OR d.blocked_until <= $1)
               AND (EXISTS (SELECT FROM publish p WHERE p.site_id = s.id AND NOT p.planned AND p.ended_at IS NULL)
                    OR EXISTS (SELECT FROM invalidation i
                               WHERE i.distribution_id = d.id AND i.site_id = s.id
                                 AND i.status = 'Queued' AND i.ended_at IS NULL AND i.next_at <= $1))
             ORDER BY d.sent_at NULLS FIRST LIMIT 64",
            now,
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(SiteId)
        .collect())
    }

    /// Takes hold of the site's distribution, unless somebody else has it or it has to wait.
    ///
    /// # Errors
    /// If the database does not answer, or the secret cannot be opened.
    pub async fn open_lane(
        &self,
        site: SiteId,
        now: OffsetDateTime,
    ) -> Result<Option<Lane>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let distribution = sqlx::query!(
            "SELECT id, failures FROM distribution
             WHERE id = (SELECT distribution_id FROM cdn_settings
                         WHERE site_id = $1 AND slot <> 'draft' ORDER BY slot LIMIT 1)
               AND (lease_until IS NULL OR lease_until <= $2)
               AND (blocked_until IS NULL OR blocked_until <= $2)
             FOR UPDATE SKIP LOCKED",
            site.0,
            now,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(distribution) = distribution else {
            return Ok(None);
        };
        // New settings wait for this lock, so that they find what is about to be planned for the old ones.
        let paused_since =
            sqlx::query_scalar!("SELECT paused_at FROM site WHERE id = $1 FOR SHARE", site.0)
                .fetch_one(&mut *tx)
                .await?;
        let settings = self.settings_in_force(&mut tx, site).await?;
        let Some(settings) = settings.filter(|s| s.distribution_id.as_str() == distribution.id)
        else {
            return Ok(None);
        };
        let in_progress = in_progress(&mut tx, &settings.distribution_id).await?;
        let queued = queued(&mut tx, site, &settings.distribution_id).await?;
        Ok(Some(Lane {
            tx,
            site,
            settings,
            in_progress,
            failures: distribution.failures,
            paused_since,
            queued,
        }))
    }
}

/// What counts against the quota: what CloudFront has accepted, and what it may have.
async fn in_progress(
    connection: &mut PgConnection,
    distribution: &DistributionId,
) -> Result<Usage, StoreError> {
    let sum = sqlx::query!(
        r#"SELECT coalesce(sum(files), 0) as "files!", coalesce(sum(wildcards), 0) as "wildcards!"
           FROM invalidation
           WHERE distribution_id = $1 AND ended_at IS NULL AND (status = 'InProgress' OR doubts > 0)"#,
        distribution.as_str(),
    )
    .fetch_one(connection)
    .await?;
    Ok(Usage {
        files: count(sum.files),
        wildcards: count(sum.wildcards),
    })
}

async fn queued(
    connection: &mut PgConnection,
    site: SiteId,
    distribution: &DistributionId,
) -> Result<Vec<Queued>, StoreError> {
    Ok(sqlx::query!(
        r#"SELECT id, caller_reference, items, files, wildcards, created_at, next_at as "next_at!", doubts
           FROM invalidation
           WHERE distribution_id = $1 AND site_id = $2 AND status = 'Queued' AND ended_at IS NULL
           ORDER BY next_at, id"#,
        distribution.as_str(),
        site.0,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(|row| Queued {
        id: row.id,
        caller_reference: row.caller_reference,
        items: row.items,
        usage: if row.doubts > 0 {
            // It may be in progress already, and is counted there.
            Usage::default()
        } else {
            Usage {
                files: count(i64::from(row.files)),
                wildcards: count(i64::from(row.wildcards)),
            }
        },
        planned_at: row.created_at,
        next_at: row.next_at,
    })
    .collect())
}

fn count(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Lane {
    /// The stored invalidation whose turn it is.
    #[must_use]
    pub fn due(&self, now: OffsetDateTime) -> Option<Queued> {
        self.queued.iter().find(|q| q.next_at <= now).cloned()
    }

    /// Whether something new may be planned although stored invalidations wait for another try.
    ///
    /// # Errors
    /// When the first of those is due, if they come first.
    pub fn may_plan(&self) -> Result<(), OffsetDateTime> {
        match self.queued.first() {
            Some(first) if self.paused_since.is_some() || self.queued.len() >= RETRYING => {
                Err(first.next_at)
            }
            _ => Ok(()),
        }
    }

    /// The publishes that wait to be planned, oldest first, as many as one plan can use.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn waiting(&mut self) -> Result<Vec<Waiting>, StoreError> {
        let (mut waiting, mut items) = (Vec::new(), 0);
        let mut after = Uuid::nil();
        while waiting.len() < PLAN_PUBLISHES && items < PLAN_ITEMS {
            let page = sqlx::query!(
                "SELECT id, items FROM publish
                 WHERE site_id = $1 AND NOT planned AND ended_at IS NULL AND id > $2 ORDER BY id LIMIT $3",
                self.site.0,
                after,
                PAGE,
            )
            .fetch_all(&mut *self.tx)
            .await?;
            let last = i64::try_from(page.len()).unwrap_or(PAGE) < PAGE;
            for row in page {
                after = row.id;
                items += row.items.len();
                waiting.push(Waiting {
                    publish: row.id,
                    items: parse_items(row.items)?,
                });
            }
            if last {
                break;
            }
        }
        Ok(waiting)
    }

    /// Takes one call from the access key's rate.
    ///
    /// # Errors
    /// If the database does not answer. Inside: when the next call may be made.
    pub async fn take_call(
        &mut self,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Result<(), OffsetDateTime>, StoreError> {
        let key = self.settings.access_key_name().to_owned();
        let bucket = lock_bucket(&mut self.tx, &key, limits, now).await?;
        match bucket.take() {
            Ok(taken) => {
                store_bucket(&mut self.tx, &key, taken).await?;
                Ok(Ok(()))
            }
            Err(next) => Ok(Err(next)),
        }
    }

    /// Lets the distribution wait.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn wait(mut self, why: WaitReason, until: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE distribution SET blocked_until = $2, blocked_for = $3 WHERE id = $1",
            self.settings.distribution_id.as_str(),
            until,
            why.as_str(),
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(self.tx.commit().await?)
    }

    /// Claims a stored invalidation.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn claim(
        mut self,
        queued: Queued,
        token: Uuid,
        now: OffsetDateTime,
    ) -> Result<SendClaim, StoreError> {
        let lease_until = now + LEASE;
        sqlx::query!(
            "UPDATE invalidation SET attempts = attempts + 1, doubts = doubts + 1, waiting_for = NULL,
                                     lease_token = $2, lease_until = $3, next_at = $3
             WHERE id = $1 AND status = 'Queued'",
            queued.id,
            token,
            lease_until,
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "UPDATE distribution SET lease_token = $2, lease_until = $3, blocked_until = NULL, blocked_for = NULL,
                                     sent_at = $4
             WHERE id = $1",
            self.settings.distribution_id.as_str(),
            token,
            lease_until,
            now,
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
            token,
        })
    }

    /// Stores planned batches with fresh references, moves the publishes they cover to them, and claims the first.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn claim_planned(
        mut self,
        plan: &Plan,
        fresh_id: impl Fn() -> Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<SendClaim>, StoreError> {
        let mut first = None;
        // What planning saved is told with the first batch; the others ask for what they hold.
        let mut saved = plan.saved.coalesced + plan.saved.folded;
        for batch in &plan.batches {
            let asked =
                batch.items.len() + usize::try_from(std::mem::take(&mut saved)).unwrap_or_default();
            let stored = store_batch(
                &mut self.tx,
                self.site,
                self.settings.distribution_id.as_str(),
                batch,
                asked,
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
        match first {
            Some(queued) => Ok(Some(self.claim(queued, fresh_id(), now).await?)),
            None => Ok(None),
        }
    }
}

/// Stores a batch as a queued invalidation with the publishes it covers.
pub(super) async fn store_batch(
    connection: &mut PgConnection,
    site: SiteId,
    distribution: &str,
    batch: &PlannedBatch,
    asked: usize,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<Queued, StoreError> {
    let items: Vec<String> = batch.items.iter().map(ToString::to_string).collect();
    let usage = Usage::of(&batch.items);
    let caller_reference = CallerReference::of(id).to_string();
    sqlx::query!(
        "INSERT INTO invalidation (id, site_id, distribution_id, caller_reference, items, files, wildcards, asked,
                                   created_at, next_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        id,
        site.0,
        distribution,
        caller_reference,
        &items,
        i32::try_from(usage.files).unwrap_or(i32::MAX),
        i32::try_from(usage.wildcards).unwrap_or(i32::MAX),
        i32::try_from(asked).unwrap_or(i32::MAX),
        now,
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

/// Reads back items as they were stored.
pub(super) fn parse_items(items: Vec<String>) -> Result<Vec<Item>, StoreError> {
    items
        .into_iter()
        .map(|text| Item::from_canonical(&text).map_err(|_| StoreError::unknown("item", text)))
        .collect()
}

/// The access key's bucket, refilled, with its row locked until the transaction ends.
pub(super) async fn lock_bucket(
    connection: &mut PgConnection,
    key: &str,
    limits: &Limits,
    now: OffsetDateTime,
) -> Result<Bucket, StoreError> {
    let full = Bucket::full(limits, now);
    sqlx::query!(
        "INSERT INTO access_key (id, tokens, rate, refilled_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        key,
        full.tokens,
        full.rate,
        full.refilled_at,
    )
    .execute(&mut *connection)
    .await?;
    let bucket = sqlx::query_as!(
        Bucket,
        "SELECT tokens, rate, refilled_at FROM access_key WHERE id = $1 FOR UPDATE",
        key,
    )
    .fetch_one(connection)
    .await?;
    Ok(bucket.refilled(limits, now))
}

/// Stores a bucket that [`lock_bucket`] gave.
pub(super) async fn store_bucket(
    connection: &mut PgConnection,
    key: &str,
    bucket: Bucket,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE access_key SET tokens = $2, rate = $3, refilled_at = $4 WHERE id = $1",
        key,
        bucket.tokens,
        bucket.rate,
        bucket.refilled_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}
