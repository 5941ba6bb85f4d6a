//! Publishes that belong together on the activity page: a rebuild calls the hook hundreds of times.

use std::collections::HashMap;

use sqlx::PgConnection;
use strum::VariantArray as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::activity::{Burst, PublishFilter, PublishSummary, find, summaries};
use super::{Page, Result, SiteId, Store};
use crate::domain::PublishState;
use crate::domain::edge::EdgeState;

/// The smallest burst; fewer publishes are listed one by one.
const FEWEST: u16 = 6;
/// How far a burst is followed beyond its page, so that it costs no more however long it is.
const FOLLOWED: u16 = 5_000;

/// A row of the list.
struct Row {
    newest: Uuid,
    /// The burst it stands for, if that is more than one publish.
    burst: Option<Burst>,
}

impl Row {
    fn oldest(&self) -> Uuid {
        self.burst.map_or(self.newest, |burst| burst.oldest)
    }
}

impl Store {
    /// Publishes, newest first, with each burst in one row. The results of a search and the
    /// publishes within a burst are listed one by one.
    pub async fn activity(
        &self,
        site: SiteId,
        mut filter: PublishFilter<'_>,
        limit: u16,
        now: OffsetDateTime,
    ) -> Result<Page<PublishSummary>> {
        if filter.path.is_some() || filter.burst.is_some() {
            return self.publishes(site, filter, limit, now).await;
        }
        let connection = &mut self.connect().await?;
        // The last publishes looked at may be the start of a burst, too few yet to make one row.
        let enough = usize::from(limit + FEWEST);
        let mut looked_at = limit + FEWEST;
        let (mut rows, is_all) = loop {
            let mut found = find(connection, site, filter, looked_at).await?.ids;
            if filter.after.is_some() && found.is_empty() {
                filter.after = None;
                found = find(connection, site, filter, looked_at).await?.ids;
            }
            let is_all = found.len() <= usize::from(looked_at);
            found.sort_unstable_by(|a, b| b.cmp(a));
            let rows = listed(connection.sql(), site, &found).await?;
            if is_all || rows.len() >= enough || looked_at == FOLLOWED {
                break (rows, is_all);
            }
            looked_at = (looked_at * 8).min(FOLLOWED);
        };
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
        let mut items = summaries(connection.sql(), site, &newest, now).await?;
        let mut worst = worst_of_bursts(connection.sql(), site, &rows, filter.state).await?;
        for publish in &mut items {
            let row = rows.iter().find(|row| row.newest == publish.id);
            if let Some(burst) = row.and_then(|row| row.burst) {
                publish.edge = worst.remove(&publish.id);
                publish.burst = Some(burst);
            }
        }
        Ok(Page {
            items,
            next: rows.last().map(Row::oldest).filter(|_| older),
            previous: rows.first().map(|row| row.newest).filter(|_| newer),
        })
    }
}

/// Groups these publishes into rows, newest first.
async fn listed(
    connection: &mut PgConnection,
    site: SiteId,
    publishes: &[Uuid],
) -> Result<Vec<Row>> {
    // The oldest publish of each burst; one that belongs to no burst is its own oldest.
    let ends = sqlx::query!(
        "SELECT id, received_at FROM (
           SELECT id, received_at,
                  state IS DISTINCT FROM lead(state) OVER w
                  OR published_by IS DISTINCT FROM lead(published_by) OVER w
                  OR received_at > lead(received_at) OVER w + interval '5 seconds' AS ends
           FROM publish WHERE site_id = $1 AND id = ANY($2) WINDOW w AS (ORDER BY id DESC)) marked
         WHERE ends ORDER BY id DESC",
        site.0,
        publishes,
    )
    .fetch_all(connection)
    .await?;
    let (mut rows, mut rest) = (Vec::new(), publishes);
    for end in ends {
        let length = rest.iter().take_while(|id| **id >= end.id).count();
        let (together, older) = rest.split_at(length);
        rest = older;
        match together {
            [newest, ..] if length >= FEWEST.into() => rows.push(Row {
                newest: *newest,
                burst: Some(Burst {
                    publishes: length as u64,
                    oldest: end.id,
                    since: end.received_at,
                }),
            }),
            few => rows.extend(few.iter().map(|id| Row {
                newest: *id,
                burst: None,
            })),
        }
    }
    Ok(rows)
}

/// The worst that readers get of the pages of each burst, keyed by its newest publish.
async fn worst_of_bursts(
    connection: &mut PgConnection,
    site: SiteId,
    rows: &[Row],
    state: Option<PublishState>,
) -> Result<HashMap<Uuid, EdgeState>> {
    let bursts = rows.iter().filter(|row| row.burst.is_some());
    let (newest, oldest): (Vec<Uuid>, Vec<Uuid>) =
        bursts.map(|row| (row.newest, row.oldest())).unzip();
    if newest.is_empty() {
        return Ok(HashMap::new());
    }
    let states = EdgeState::VARIANTS.iter();
    let by_rank: Vec<&str> = states.map(EdgeState::into_str).collect();
    // A list of one state leaves out publishes in other states that came in between.
    let rows = sqlx::query!(
        r#"SELECT b.newest as "newest!", max(array_position($4, e.worst)) as "rank!"
           FROM unnest($2::uuid[], $3::uuid[]) AS b (newest, oldest)
           JOIN edge_check e ON e.site_id = $1 AND e.publish_id BETWEEN b.oldest AND b.newest
           JOIN publish p ON p.site_id = e.site_id AND p.id = e.publish_id
           WHERE e.worst IS NOT NULL AND ($5::text IS NULL OR p.state = $5) GROUP BY b.newest"#,
        site.0,
        &newest,
        &oldest,
        &by_rank as &[&str],
        state.map(|state| state.into_str()),
    )
    .fetch_all(connection)
    .await?;
    let worst = rows.into_iter().filter_map(|row| {
        let rank = usize::try_from(row.rank).ok()?.checked_sub(1)?;
        Some((row.newest, *EdgeState::VARIANTS.get(rank)?))
    });
    Ok(worst.collect())
}
