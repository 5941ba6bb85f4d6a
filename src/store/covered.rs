//! Which site and which publishes an invalidation belongs to: for logs and metrics.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Store};
use crate::domain::TraceParent;

#[derive(Clone, Debug, Default)]
pub struct Covered {
    /// The site's name.
    pub site: String,
    /// The publishes it covers, oldest first.
    pub publishes: Vec<CoveredPublish>,
}

#[derive(Clone, Debug)]
pub struct CoveredPublish {
    pub id: Uuid,
    pub received_at: OffsetDateTime,
    /// When CloudFront had accepted all of it.
    pub submitted_at: Option<OffsetDateTime>,
    pub traceparent: Option<TraceParent>,
}

impl Store {
    /// What an invalidation covers, or `None` if it no longer exists.
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
