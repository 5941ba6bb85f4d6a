//! A site at a glance: its last day, what waits, and what is being worked off.

use sqlx::postgres::types::PgInterval;
use time::{Duration, OffsetDateTime};

use super::publishes::first_id_of;
use super::{Result, SiteId, Store};

/// How many publishes are looked through to find when the queue was last empty: a few, and more
/// only if that was longer ago.
const LOOKED_THROUGH: [u32; 3] = [100, 2_000, 20_000];

/// Publishes and times of one hour, or of the whole day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    pub publishes: u64,
    /// Median time from accepted to completed.
    pub median: Option<Duration>,
    pub p95: Option<Duration>,
}

/// The last 24 hours.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// Each hour with its beginning, oldest first.
    pub hours: Vec<(OffsetDateTime, Pace)>,
    pub whole: Pace,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Underway {
    /// Items that wait to be sent.
    pub items: i64,
    /// When the oldest of them began to wait.
    pub oldest: Option<OffsetDateTime>,
}

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
    /// The last 24 hours. Reads every publish of them: keep the answer for some seconds.
    pub async fn day(&self, site: SiteId, now: OffsetDateTime) -> Result<Day> {
        let first = now - Duration::hours(24);
        let rows = sqlx::query!(
            r#"SELECT date_bin('1 hour', received_at, $2) as hour, count(*) as "publishes!",
                      percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY ended_at - received_at)
                        FILTER (WHERE state = 'completed') as "times: Vec<PgInterval>"
               FROM publish WHERE site_id = $1 AND id >= $3 AND received_at >= $2
               GROUP BY GROUPING SETS ((1), ())"#,
            site.0,
            first,
            first_id_of(first),
        )
        .fetch_all(&self.pool)
        .await?;
        let mut day = Day {
            hours: (0..24)
                .map(|hour| (first + Duration::hours(hour), Pace::default()))
                .collect(),
            whole: Pace::default(),
        };
        for row in rows {
            let time = |index: usize| {
                row.times
                    .as_ref()
                    .and_then(|times| times.get(index))
                    .map(duration)
            };
            let pace = Pace {
                publishes: row.publishes.unsigned_abs(),
                median: time(0),
                p95: time(1),
            };
            match row.hour {
                None => day.whole = pace,
                Some(hour) => {
                    if let Some(slot) = day.hours.iter_mut().find(|(start, _)| *start == hour) {
                        slot.1 = pace;
                    }
                }
            }
        }
        Ok(day)
    }

    pub async fn underway(&self, site: SiteId) -> Result<Underway> {
        Ok(sqlx::query_as!(
            Underway,
            r#"SELECT coalesce(sum(items), 0)::bigint as "items!", min(since) as oldest FROM (
                 SELECT files + wildcards AS items, received_at AS since FROM publish
                 WHERE site_id = $1 AND NOT planned AND ended_at IS NULL
                 UNION ALL
                 SELECT item_count, created_at FROM invalidation
                 WHERE site_id = $1 AND ended_at IS NULL AND status = 'Queued') waiting"#,
            site.0,
        )
        .fetch_one(&self.pool)
        .await?)
    }

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

fn duration(interval: &PgInterval) -> Duration {
    Duration::days(i64::from(interval.days)) + Duration::microseconds(interval.microseconds)
}
