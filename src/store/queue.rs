//! What waits, and which site an invalidation belongs to: for metrics and logs.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Store};
use crate::domain::spending::month_of;
use crate::domain::{Limits, Quotas, TraceParent, WaitReason};

/// How the service and its sites stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub queue: Queue,
    pub sites: Vec<SiteStanding>,
    /// What is believed of each distribution's quotas.
    pub distributions: Vec<(String, Quotas)>,
}

/// What waits to be accepted by CloudFront.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    /// Items of publishes that wait.
    pub items: i64,
    /// How long the oldest of them has waited; zero when none waits.
    pub oldest: time::Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteStanding {
    pub name: String,
    /// Whether AWS rejects its settings.
    pub paused: bool,
    /// Why it could send nothing new when it was last looked at; none: it could.
    pub waits_for: Option<WaitReason>,
    /// Paths and tags that CloudFront accepted this month.
    pub month_paths: i64,
    /// The most its owner allows a month; none: any number.
    pub month_limit: Option<i64>,
}

/// The site and the publishes that an invalidation belongs to.
#[derive(Clone, Debug, Default)]
pub struct Covered {
    /// The site's name.
    pub site: String,
    /// The publishes it covers, oldest first.
    pub publishes: Vec<CoveredPublish>,
}

/// A publish that an invalidation covers.
#[derive(Clone, Debug)]
pub struct CoveredPublish {
    pub id: Uuid,
    pub received_at: OffsetDateTime,
    /// When CloudFront had accepted all of it.
    pub submitted_at: Option<OffsetDateTime>,
    /// The publisher's trace.
    pub traceparent: Option<TraceParent>,
}

impl Store {
    /// How the service and each site stand.
    pub async fn standing(&self, limits: &Limits, now: OffsetDateTime) -> Result<Standing> {
        let distributions = self.believed(None, limits, now).await?;
        let mut connection = self.pool.acquire().await?;
        let queue = sqlx::query!(
            r#"SELECT coalesce(sum(cardinality(items)), 0) as "items!", min(received_at) as oldest
               FROM publish WHERE ended_at IS NULL AND submitted_at IS NULL"#
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
            queue: Queue {
                items: queue.items,
                oldest: queue.oldest.map_or(time::Duration::ZERO, |at| now - at),
            },
            sites,
            distributions,
        })
    }

    /// What an invalidation covers; none: it does not exist any more.
    pub async fn covered(&self, invalidation: Uuid) -> Result<Option<Covered>> {
        let rows = sqlx::query!(
            r#"SELECT s.name, p.id as "id?", p.received_at as "received_at?", p.submitted_at as "submitted_at?",
                      p.traceparent as "traceparent?"
               FROM invalidation i
               JOIN site s ON s.id = i.site_id
               LEFT JOIN coverage c ON c.invalidation_id = i.id
               LEFT JOIN publish p ON p.site_id = c.site_id AND p.id = c.publish_id
               WHERE i.id = $1 ORDER BY p.id"#,
            invalidation,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut covered: Option<Covered> = None;
        for row in rows {
            let covered = covered.get_or_insert_with(|| Covered {
                site: row.name,
                publishes: Vec::new(),
            });
            if let (Some(id), Some(received_at)) = (row.id, row.received_at) {
                covered.publishes.push(CoveredPublish {
                    id,
                    received_at,
                    submitted_at: row.submitted_at,
                    traceparent: row.traceparent.as_deref().and_then(TraceParent::parse),
                });
            }
        }
        Ok(covered)
    }
}
