//! What the activity page lists: publishes, and in one row those that belong together, since a
//! rebuild calls the hook hundreds of times.

use std::cmp::Reverse;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::publishes::{Burst, ListedPublish, PublishFilter, PublishSummary, list, summaries};
use super::{Page, Result, SiteId, Store};
use crate::domain::PublishState;

/// How far apart two publishes of a burst may be.
const APART: Duration = Duration::seconds(5);
/// The smallest burst; fewer publishes are listed one by one.
const MIN_BURST: u16 = 6;
/// How many publishes are looked at for a page, so that it costs no more however long a burst is.
const LOOKED_AT: usize = 5_000;

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
        let connection = &mut *self.pool.acquire().await?;
        // The last publishes looked at may be the start of a burst, too few yet to make one row.
        let enough = usize::from(limit + MIN_BURST);
        let mut found: Vec<ListedPublish> = Vec::new();
        let mut next = filter;
        let (mut rows, is_all) = loop {
            // Few rows for short bursts, few statements for long ones.
            let wanted = (found.len().max(enough) * 3).min(LOOKED_AT + 1 - found.len());
            let read = list(connection, site, next, wanted).await?;
            if filter.after.is_some() && found.is_empty() && read.is_empty() {
                filter.after = None;
                next = filter;
                continue;
            }
            let is_all = read.len() < wanted;
            if let Some(last) = read.last() {
                next.go_on_from(last.id);
            }
            found.extend(read);
            found.sort_unstable_by_key(|publish| Reverse(publish.id));
            let rows = grouped(&found);
            if is_all || rows.len() >= enough || found.len() > LOOKED_AT {
                break (rows, is_all);
            }
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
        // A list of one state leaves out publishes in other states that came in between, and only
        // the pages of completed ones are checked.
        let state = filter.state.unwrap_or(PublishState::Completed);
        let checked = |row: &Row| match state {
            PublishState::Completed => row.oldest(),
            _ => row.newest,
        };
        let (newest, oldest): (Vec<Uuid>, Vec<Uuid>) =
            rows.iter().map(|row| (row.newest, checked(row))).unzip();
        let mut items = summaries(connection, site, &newest, &oldest, now).await?;
        for publish in &mut items {
            let row = rows.iter().find(|row| row.newest == publish.id);
            publish.burst = row.and_then(|row| row.burst);
        }
        Ok(Page {
            items,
            next: rows.last().map(Row::oldest).filter(|_| older),
            previous: rows.first().map(|row| row.newest).filter(|_| newer),
        })
    }
}

/// Groups publishes into rows, newest first like them.
fn grouped(publishes: &[ListedPublish]) -> Vec<Row> {
    let bursts = publishes.chunk_by(|newer, older| {
        newer.state == older.state
            && newer.published_by == older.published_by
            && newer.received_at - older.received_at <= APART
    });
    let mut rows = Vec::new();
    for together in bursts {
        match together {
            [newest, .., oldest] if together.len() >= MIN_BURST.into() => rows.push(Row {
                newest: newest.id,
                burst: Some(Burst {
                    publishes: together.len() as u64,
                    oldest: oldest.id,
                    since: oldest.received_at,
                }),
            }),
            few => rows.extend(few.iter().map(|publish| Row {
                newest: publish.id,
                burst: None,
            })),
        }
    }
    rows
}
