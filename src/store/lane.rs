//! Claiming the next `CreateInvalidation`: one at a time for each distribution, whoever sends it.
//!
//! A [`Lane`] is an open transaction that holds the distribution's row. It is closed before
//! CloudFront is called, by committing a claim or a reason to wait.

use std::collections::HashSet;

use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use super::known_paths;
use super::rates::flow;
use super::spending::{month_usage, spending};
use super::transitions::announce_change;
use super::{SiteId, Store, StoreError};
use crate::domain::limits::IN_PROGRESS;
use crate::domain::{
    DistributionId, Flow, InFlight, InvalidationBatch, Item, KnownPaths, Limits, Settings,
    Spending, Terms, TraceParent, Usage, WaitReason, Waiting,
};

/// Waiting publishes that one plan looks at.
const PLAN_PUBLISHES: usize = 10_000;
/// Items that one plan looks at, so that huge publishes do not fill the memory.
const PLAN_ITEMS: usize = 30_000;
/// Publishes read at a time.
const PAGE: i64 = 500;
/// Invalidations of a distribution that may wait for another try before nothing new is planned: one
/// that CloudFront never answers must not hold up the others, and an outage must not turn each
/// publish into a call of its own.
const RETRYING: usize = 2;

/// A distribution that is held, and what there is to send to it.
pub struct Lane {
    pub(super) tx: Transaction<'static, Postgres>,
    /// Whose turn it is.
    pub site: SiteId,
    /// The settings in force.
    pub settings: Settings,
    /// What is in progress at the distribution.
    pub in_progress: Usage,
    /// What it takes a second.
    pub flow: Flow,
    /// What the site's owner allows.
    pub spending: Spending,
    /// Since when each call has left publishes waiting for room.
    pub backlog_since: Option<OffsetDateTime>,
    /// Calls without a usable answer since the last one with.
    pub(super) failures: i32,
    pub(super) paused_since: Option<OffsetDateTime>,
    held_until: Option<OffsetDateTime>,
    pub(super) limits: Limits,
    folded_in_progress: u64,
    queued: Vec<Queued>,
}

/// A stored invalidation that waits to be sent.
#[derive(Clone, Debug)]
pub struct Queued {
    pub(super) id: Uuid,
    pub(super) caller_reference: String,
    pub(super) items: Vec<String>,
    /// What it would add to what is in progress.
    pub usage: Usage,
    pub(super) planned_at: OffsetDateTime,
    pub(super) next_at: OffsetDateTime,
}

/// The right to make one call of `CreateInvalidation` and to record how it ended.
#[derive(Clone, Debug)]
pub struct SendClaim {
    /// Our number of the invalidation.
    pub invalidation: Uuid,
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
    /// The trace of the first of its publishes that has one.
    pub traceparent: Option<TraceParent>,
    /// When the call was claimed, and so which settings it was sent with.
    pub(super) claimed_at: OffsetDateTime,
    pub(super) token: Uuid,
}

impl Store {
    /// Sites but `served` that have something to send which nothing known holds back, the longest
    /// unserved first.
    pub async fn sites_to_send(
        &self,
        served: &[SiteId],
        now: OffsetDateTime,
    ) -> Result<Vec<SiteId>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT s.id
             FROM site s
             JOIN LATERAL (
               SELECT distribution_id FROM cdn_settings
               WHERE site_id = s.id AND slot <> 'draft' ORDER BY slot LIMIT 1) c ON true
             JOIN distribution d ON d.id = c.distribution_id
             WHERE s.id <> ALL($2)
               AND (s.resume_at IS NULL OR s.resume_at <= $1)
               AND (d.lease_until IS NULL OR d.lease_until <= $1)
               AND (d.blocked_until IS NULL OR d.blocked_until <= $1)
               AND ((s.held_until IS NULL OR s.held_until <= $1)
                      AND s.id IN (SELECT site_id FROM waiting_site)
                    OR EXISTS (SELECT FROM invalidation i
                               WHERE i.distribution_id = d.id AND i.site_id = s.id
                                 AND i.status = 'Queued' AND i.ended_at IS NULL AND i.next_at <= $1))
             ORDER BY d.sent_at NULLS FIRST LIMIT 64",
            now,
            &SiteId::numbers(served),
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(SiteId)
        .collect())
    }

    /// Takes hold of the site's distribution, unless somebody else has it, or it or the site has to
    /// wait.
    pub async fn open_lane(
        &self,
        site: SiteId,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Option<Lane>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let distribution = sqlx::query!(
            "SELECT id, failures, backlog_since, file_tokens, wildcard_tokens, refilled_at FROM distribution
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
        // New settings wait for this lock, so that they find what is about to be planned for the
        // old ones.
        let owner = sqlx::query!(
            "SELECT paused_at, held_until FROM site
             WHERE id = $1 AND (resume_at IS NULL OR resume_at <= $2) FOR SHARE",
            site.0,
            now,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(owner) = owner else {
            return Ok(None);
        };
        let settings = self.settings_in_force(&mut tx, site).await?;
        let Some(settings) = settings.filter(|s| s.distribution_id.as_str() == distribution.id)
        else {
            return Ok(None);
        };
        let spending = spending(&mut tx, site).await?;
        let in_progress = in_progress(&mut tx, &settings.distribution_id, now).await?;
        let queued = queued(&mut tx, site, &settings.distribution_id).await?;
        Ok(Some(Lane {
            tx,
            site,
            settings,
            in_progress: in_progress.usage,
            folded_in_progress: in_progress.folded,
            flow: flow(
                distribution.file_tokens,
                distribution.wildcard_tokens,
                distribution.refilled_at,
                limits,
                now,
            ),
            spending,
            backlog_since: distribution.backlog_since,
            failures: distribution.failures,
            paused_since: owner.paused_at,
            held_until: owner.held_until,
            limits: *limits,
            queued,
        }))
    }
}

/// What is in progress at a distribution.
#[derive(Clone, Copy, Debug)]
pub(super) struct InProgress {
    /// What counts against the quota.
    pub(super) usage: Usage,
    /// How many more items it would have been unfolded.
    pub(super) folded: u64,
}

/// What counts against the quota: what CloudFront has accepted, and what it may have. Of an
/// unconfirmed invalidation nobody tells when it completes: it is presumed to take as long as
/// others.
pub(super) async fn in_progress(
    connection: &mut PgConnection,
    distribution: &DistributionId,
    now: OffsetDateTime,
) -> Result<InProgress, StoreError> {
    let sum = sqlx::query!(
        r#"SELECT coalesce(sum(files), 0) as "files!", coalesce(sum(wildcards), 0) as "wildcards!",
                  coalesce(sum(folded), 0) as "folded!"
           FROM (
             SELECT files, wildcards, folded FROM invalidation
             WHERE distribution_id = $1 AND ended_at IS NULL AND (status = 'InProgress' OR unknown_attempts > 0)
             UNION ALL
             SELECT files, wildcards, folded FROM invalidation
             WHERE distribution_id = $1 AND status = 'Unconfirmed' AND ended_at > $2) counted"#,
        distribution.as_str(),
        now - IN_PROGRESS,
    )
    .fetch_one(connection)
    .await?;
    Ok(InProgress {
        usage: Usage {
            files: count(sum.files),
            wildcards: count(sum.wildcards),
        },
        folded: sum.folded.unsigned_abs(),
    })
}

async fn queued(
    connection: &mut PgConnection,
    site: SiteId,
    distribution: &DistributionId,
) -> Result<Vec<Queued>, StoreError> {
    Ok(sqlx::query!(
        r#"SELECT id, caller_reference, items, files, wildcards, created_at, next_at as "next_at!", unknown_attempts
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
        usage: if row.unknown_attempts > 0 {
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

pub(super) fn count(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Lane {
    /// The stored invalidation whose turn it is.
    pub fn due(&self, now: OffsetDateTime) -> Option<Queued> {
        self.queued.iter().find(|q| q.next_at <= now).cloned()
    }

    /// Whether the site's monthly limit lets nothing new be planned.
    pub fn is_held(&self, now: OffsetDateTime) -> bool {
        self.held_until.is_some_and(|until| until > now)
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

    /// The publishes that wait to be planned, oldest first: at least as many as ask for `enough`
    /// different items, if there are, and as one plan can use.
    pub async fn waiting(&mut self, enough: usize) -> Result<Vec<Waiting>, StoreError> {
        let (mut waiting, mut items, mut different) = (Vec::new(), 0, HashSet::new());
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
                let asked = parse_items(row.items)?;
                different.extend(asked.iter().cloned());
                waiting.push(Waiting {
                    publish: row.id,
                    items: asked,
                });
            }
            if last || different.len() >= enough {
                break;
            }
        }
        Ok(waiting)
    }

    /// What the site's owner allows now, after this month's paths.
    pub async fn terms(&mut self, now: OffsetDateTime) -> Result<Terms, StoreError> {
        let in_flight = InFlight {
            planned: self.queued.iter().map(|q| q.items.len() as u64).sum(),
            in_progress: self.in_progress.total() + self.folded_in_progress,
        };
        let key = self.settings.access_key_name();
        let month = month_usage(&mut self.tx, self.site, Some(key), now).await?;
        Ok(self.spending.terms(&month, in_flight, &self.limits.prices))
    }

    /// What the site has published lately.
    pub async fn known_paths(&mut self) -> Result<KnownPaths, StoreError> {
        known_paths::load(&mut self.tx, self.site).await
    }

    /// Lets the distribution wait.
    pub async fn wait(
        mut self,
        why: WaitReason,
        until: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE distribution SET blocked_until = $2, blocked_for = $3,
                                     backlog_since = CASE WHEN $3 = 'quota' THEN coalesce(backlog_since, $4)
                                                          ELSE backlog_since END
             WHERE id = $1",
            self.settings.distribution_id.as_str(),
            until,
            why.into_str(),
            now,
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(self.tx.commit().await?)
    }

    /// Lets the site's new publishes wait: its monthly limit is reached.
    pub async fn hold_site(mut self, until: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE site SET held_until = $2 WHERE id = $1",
            self.site.0,
            until,
        )
        .execute(&mut *self.tx)
        .await?;
        announce_change(&mut self.tx, self.site).await?;
        Ok(self.tx.commit().await?)
    }
}

/// Reads back items as they were stored.
///
/// # Errors
/// If one is not canonical.
pub fn parse_items(items: Vec<String>) -> Result<Vec<Item>, StoreError> {
    items
        .into_iter()
        .map(|text| Item::from_canonical(&text).map_err(|_| StoreError::unknown("item", text)))
        .collect()
}
