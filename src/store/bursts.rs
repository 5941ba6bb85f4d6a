//! Publishes that belong together on the activity page: a rebuild calls the hook hundreds of times.

use strum::VariantArray as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::activity::{Burst, PublishFilter, PublishSummary};
use super::{Page, SiteId, Store, StoreError};
use crate::domain::edge::EdgeState;

/// Fewer publishes are listed one by one.
const FEWEST: u16 = 6;
/// As far as a burst is followed beyond its page, so that it costs the same however long it is.
const FOLLOWED: u16 = 5_000;

/// A row of the list.
struct Row {
    newest: Uuid,
    burst: Burst,
    edge: Option<EdgeState>,
}

impl Store {
    /// Publishes, newest first, with each burst in one row. What is searched for or is part of a burst
    /// itself is listed one by one.
    pub async fn activity(
        &self,
        site: SiteId,
        mut filter: PublishFilter<'_>,
        limit: u16,
        now: OffsetDateTime,
    ) -> Result<Page<PublishSummary>, StoreError> {
        if filter.path.is_some() || filter.burst.is_some() {
            return self.publishes(site, filter, limit, now).await;
        }
        let mut rows = Vec::new();
        let mut is_all = false;
        // Whatever is not yet a burst within the first is none.
        for looked_at in [limit + FEWEST, FOLLOWED] {
            let mut found = self.find(site, filter, looked_at).await?.ids;
            if filter.after.is_some() && found.is_empty() {
                filter.after = None;
                found = self.find(site, filter, looked_at).await?.ids;
            }
            is_all = found.len() <= usize::from(looked_at);
            rows = self.rows(site, &found).await?;
            if is_all || rows.len() > usize::from(limit) {
                break;
            }
        }
        let is_cut = !is_all || rows.len() > usize::from(limit);
        let (older, newer) = match filter.after {
            Some(_) => (true, is_cut),
            None => (is_cut, filter.before.is_some()),
        };
        if filter.after.is_some() {
            rows.drain(..rows.len().saturating_sub(limit.into()));
        } else {
            rows.truncate(limit.into());
        }
        let newest: Vec<Uuid> = rows.iter().map(|row| row.newest).collect();
        let mut items = self.summaries(site, &newest, now).await?;
        for publish in &mut items {
            let row = rows.iter().find(|row| row.newest == publish.id);
            if let Some(row) = row.filter(|row| row.burst.publishes > 1) {
                publish.edge = row.edge;
                publish.burst = Some(row.burst);
            }
        }
        Ok(Page {
            items,
            next: rows.last().map(|row| row.burst.oldest).filter(|_| older),
            previous: rows.first().map(|row| row.newest).filter(|_| newer),
        })
    }

    async fn rows(&self, site: SiteId, publishes: &[Uuid]) -> Result<Vec<Row>, StoreError> {
        let by_rank: Vec<String> = EdgeState::VARIANTS
            .iter()
            .map(|state| state.into_str().to_owned())
            .collect();
        let rows = sqlx::query!(
            r#"WITH listed AS (
                 SELECT p.id, p.received_at, p.state, p.published_by,
                        array_position($4, e.worst) AS edge
                 FROM publish p LEFT JOIN edge_check e ON e.site_id = p.site_id AND e.publish_id = p.id
                 WHERE p.site_id = $1 AND p.id = ANY($2)),
               marked AS (
                 SELECT *, (state, published_by) IS DISTINCT FROM (lag(state) OVER w, lag(published_by) OVER w)
                           OR received_at > lag(received_at) OVER w + interval '10 seconds' AS begins
                 FROM listed WINDOW w AS (ORDER BY id)),
               numbered AS (
                 SELECT *, count(*) FILTER (WHERE begins) OVER (ORDER BY id) AS burst FROM marked),
               sized AS (
                 SELECT *, count(*) OVER (PARTITION BY burst) >= $3 AS is_burst FROM numbered)
               SELECT (array_agg(id ORDER BY id DESC))[1] as "newest!", (array_agg(id ORDER BY id))[1] as "oldest!",
                      min(received_at) as "since!", count(*) as "publishes!", max(edge) as edge
               FROM sized GROUP BY burst, CASE WHEN NOT is_burst THEN id END
               ORDER BY 1 DESC"#,
            site.0,
            publishes,
            i64::from(FEWEST),
            &by_rank,
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| Row {
            newest: row.newest,
            burst: Burst {
                publishes: row.publishes.cast_unsigned(),
                oldest: row.oldest,
                since: row.since,
            },
            edge: row.edge.and_then(|rank| {
                let rank = usize::try_from(rank).ok()?.checked_sub(1)?;
                EdgeState::VARIANTS.get(rank).copied()
            }),
        });
        Ok(rows.collect())
    }
}
