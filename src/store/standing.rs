//! How the service and its sites stand, for metrics.

use time::{Duration, OffsetDateTime};

use super::{Result, Store};
use crate::domain::spending::month_of;
use crate::domain::{Limits, Quotas, WaitReason};

#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Items of publishes that wait to be accepted by CloudFront.
    pub queue_items: i64,
    /// How long the oldest of these publishes has waited; zero when none waits.
    pub queue_oldest: Duration,
    pub sites: Vec<SiteStanding>,
    /// What is believed of each distribution's quotas.
    pub distributions: Vec<(String, Quotas)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteStanding {
    pub name: String,
    /// Whether AWS rejects its settings.
    pub paused: bool,
    /// Why it could send nothing new when it was last looked at; `None` if it could.
    pub waits_for: Option<WaitReason>,
    /// Paths and tags that CloudFront accepted this month.
    pub month_paths: i64,
    /// The most its owner allows a month; `None` for any number.
    pub month_limit: Option<i64>,
}

impl Store {
    pub async fn standing(&self, limits: &Limits, now: OffsetDateTime) -> Result<Standing> {
        let distributions = self.believed(None, limits, now).await?;
        let mut connection = self.pool.acquire().await?;
        let queue = sqlx::query!(
            r#"SELECT coalesce(sum(files + wildcards), 0) as "items!", min(received_at) as oldest
               FROM publish
               WHERE ended_at IS NULL AND submitted_at IS NULL
                 AND site_id NOT IN (SELECT id FROM site WHERE removed_at IS NOT NULL)"#
        )
        .fetch_one(&mut *connection)
        .await?;
        let sites = sqlx::query_as!(
            SiteStanding,
            r#"SELECT s.name, s.paused_at IS NOT NULL as "paused!",
                      s.waits_for as "waits_for: WaitReason", s.monthly_limit as month_limit,
                      coalesce((SELECT sum(u.paths) FROM usage u WHERE u.month = $1 AND u.site_id = s.id), 0)::bigint
                        as "month_paths!"
               FROM site s WHERE s.removed_at IS NULL"#,
            month_of(now),
        )
        .fetch_all(&mut *connection)
        .await?;
        Ok(Standing {
            queue_items: queue.items,
            queue_oldest: queue.oldest.map_or(Duration::ZERO, |at| now - at),
            sites,
            distributions,
        })
    }
}
