//! What is being worked off now.

use time::OffsetDateTime;

use super::{Result, SiteId, Store};

/// How many publishes are looked through to find when the queue was last empty: a few, and more
/// only if that was longer ago.
const LOOKED_THROUGH: [u32; 3] = [100, 2_000, 20_000];

/// What is being worked off: the publishes accepted since the queue was last empty or, while it is
/// empty, those of the last time it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// When the first of them was accepted.
    pub since: OffsetDateTime,
    pub total: u64,
    /// How many have ended, in whatever way.
    pub ended: u64,
    /// How many of those are unconfirmed or failed.
    pub in_trouble: u64,
    /// When the last one ended, once all have.
    pub ended_at: Option<OffsetDateTime>,
    /// Whether there are more than were counted.
    pub is_more: bool,
}

impl Store {
    /// What is being worked off; `None` if nothing was ever published. Where there is more than can
    /// be counted, what was `kept` of it will do as long as some of it is under way.
    ///
    /// The queue was empty when a publish arrived if every earlier one had ended by then.
    pub async fn workload(&self, site: SiteId, kept: Option<Workload>) -> Result<Option<Workload>> {
        let mut workload = None;
        for most in LOOKED_THROUGH {
            workload = self.workload_among(site, most).await?;
            let Some(more) = workload.filter(|workload| workload.is_more) else {
                break;
            };
            if kept.is_some() && more.ended_at.is_none() {
                return Ok(kept);
            }
        }
        Ok(workload)
    }

    async fn workload_among(&self, site: SiteId, most: u32) -> Result<Option<Workload>> {
        let row = sqlx::query!(
            r#"WITH recent AS (
                 SELECT id, received_at, ended_at, state FROM publish
                 WHERE site_id = $1 ORDER BY id DESC LIMIT $2),
               marked AS (
                 SELECT *, max(coalesce(ended_at, 'infinity')) OVER (
                             ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier_ended_at
                 FROM recent),
               first AS (
                 SELECT id FROM marked
                 WHERE earlier_ended_at IS NULL OR earlier_ended_at <= received_at ORDER BY id DESC LIMIT 1)
               SELECT min(received_at) as since, count(*) as "total!", count(ended_at) as "ended!",
                      count(*) FILTER (WHERE state IN ('unconfirmed', 'failed')) as "in_trouble!",
                      max(ended_at) as ended_at
               FROM marked WHERE id >= (SELECT id FROM first)"#,
            site.0,
            i64::from(most),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.since.map(|since| Workload {
            since,
            total: row.total.unsigned_abs(),
            ended: row.ended.unsigned_abs(),
            in_trouble: row.in_trouble.unsigned_abs(),
            ended_at: row.ended_at.filter(|_| row.ended == row.total),
            is_more: row.total == i64::from(most),
        }))
    }
}
