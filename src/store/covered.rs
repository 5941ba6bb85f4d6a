//! Which site and which publishes an invalidation belongs to: for logs and metrics.

use std::collections::HashSet;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, SiteId, Store};
use crate::domain::TraceParent;

/// How many publishes a log line names.
const NAMED: usize = 5;

#[derive(Clone, Debug)]
pub struct Covered {
    /// The site's name.
    pub site: String,
    /// The publishes it covers, oldest first, as far as they were read.
    pub publishes: Vec<CoveredPublish>,
    /// How many it covers.
    count: usize,
}

/// Which of the publishes that an invalidation covers are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Publishes {
    All,
    /// Those that a log line names.
    Named,
}

#[derive(Clone, Debug)]
pub struct CoveredPublish {
    pub id: Uuid,
    pub received_at: OffsetDateTime,
    /// When CloudFront had accepted all of it.
    pub submitted_at: Option<OffsetDateTime>,
    pub traceparent: Option<TraceParent>,
}

impl Covered {
    /// Nothing is known but the site's number.
    pub fn unknown(site: SiteId) -> Self {
        Self {
            site: site.to_string(),
            publishes: Vec::new(),
            count: 0,
        }
    }

    /// The publishes' identifiers, for the log; the first few, if there are many.
    pub fn publish_ids(&self) -> String {
        let ids = self.publishes.iter().map(|publish| publish.id);
        some_of(&ids.collect::<Vec<_>>(), self.count)
    }

    /// The traces that `publishes` belong to, each once; the first few, if there are many. None
    /// where no publisher named one.
    pub fn trace_ids(&self) -> Option<String> {
        let mut seen = HashSet::new();
        let traces: Vec<_> = self
            .publishes
            .iter()
            .filter_map(|publish| publish.traceparent.as_ref())
            .map(TraceParent::trace_id)
            .filter(|trace| seen.insert(*trace))
            .collect();
        (!traces.is_empty()).then(|| some_of(&traces, traces.len()))
    }
}

/// The first few of `count`, and how many more there are.
fn some_of(first: &[impl ToString], count: usize) -> String {
    let some: Vec<String> = first.iter().take(NAMED).map(ToString::to_string).collect();
    let some = some.join(" ");
    match count.saturating_sub(NAMED) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

impl Store {
    /// What an invalidation covers, or `None` if it no longer exists.
    pub async fn covered(
        &self,
        invalidation: Uuid,
        publishes: Publishes,
    ) -> Result<Option<Covered>> {
        let most = match publishes {
            Publishes::All => None,
            Publishes::Named => Some(NAMED as i64),
        };
        let rows = sqlx::query!(
            r#"SELECT s.name, (SELECT count(*) FROM coverage WHERE invalidation_id = $1) as "count!",
                      p.id as "id?", p.received_at as "received_at?", p.submitted_at as "submitted_at?",
                      p.traceparent as "traceparent?"
               FROM invalidation i
               JOIN site s ON s.id = i.site_id
               LEFT JOIN (
                 SELECT site_id, publish_id FROM coverage WHERE invalidation_id = $1
                 ORDER BY publish_id LIMIT $2) c ON true
               LEFT JOIN publish p ON p.site_id = c.site_id AND p.id = c.publish_id
               WHERE i.id = $1 ORDER BY p.id"#,
            invalidation,
            most,
        )
        .fetch_all(&self.pool)
        .await?;
        let first = rows.first().map(|row| (row.name.clone(), row.count));
        let publishes = rows.into_iter().filter_map(|row| {
            Some(CoveredPublish {
                id: row.id?,
                received_at: row.received_at?,
                submitted_at: row.submitted_at,
                traceparent: row.traceparent.as_deref().and_then(TraceParent::parse),
            })
        });
        Ok(first.map(|(site, count)| Covered {
            site,
            publishes: publishes.collect(),
            count: usize::try_from(count).unwrap_or_default(),
        }))
    }
}
