//! Lists of publishes, and searching them.

use std::fmt::Display;

use sqlx::{PgConnection, Postgres, QueryBuilder};
use strum::VariantArray as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::known_paths::knows_path;
use super::publish::{Holds, holds};
use super::{Page, Result, SiteId, Store};
use crate::domain::edge::EdgeState;
use crate::domain::{PublishState, Publisher, WaitNote, WaitReason};

/// How many publishes a search for a path looks through, so that it takes no longer however many
/// there are: at first the latest ones, as quickly as any list, and on later pages more at a time,
/// in a few milliseconds.
const SEARCHED_FIRST: i64 = 100;
const SEARCHED_NEXT: i64 = 20_000;
/// How many times a search goes on by itself while it has found nothing: on later pages, or if the
/// path is known to have been published.
const SEARCHES: usize = 5;

#[derive(Clone, Copy, Debug, Default)]
pub struct PublishFilter<'a> {
    pub state: Option<PublishState>,
    /// Only those with an item that contains one of these texts.
    pub path: Option<(&'a str, &'a str)>,
    /// Only older than this one.
    pub before: Option<Uuid>,
    /// Only newer than this one, from the next one on.
    pub after: Option<Uuid>,
    /// Only those that arrived then or later.
    pub since: Option<OffsetDateTime>,
    /// Only those that arrived earlier.
    pub until: Option<OffsetDateTime>,
    /// Only those of a burst, from its oldest to its newest.
    pub burst: Option<(Uuid, Uuid)>,
}

impl PublishFilter<'_> {
    /// The range of identifiers: from the first up to, but without, the second.
    fn range(&self) -> (Option<Uuid>, Option<Uuid>) {
        if let Some((oldest, newest)) = self.burst {
            let end = Uuid::from_u128(newest.as_u128().saturating_add(1));
            return (Some(oldest), Some(end));
        }
        (self.since.map(first_id_of), self.until.map(first_id_of))
    }

    /// The order in which publishes are looked at.
    fn order(&self) -> &'static str {
        match self.after {
            None => "DESC",
            Some(_) => "ASC",
        }
    }

    /// Makes it begin after the last publish that was looked at.
    pub(super) fn go_on_from(&mut self, last: Uuid) {
        match self.after {
            None => self.before = Some(last),
            Some(_) => self.after = Some(last),
        }
    }

    /// Adds the table, every condition but that on the path, and how many publishes to look at.
    /// Which index helps depends on the filter, so each filter makes a statement of its own: one
    /// for all of them would have to be planned for every call.
    fn push(&self, query: &mut QueryBuilder<Postgres>, site: SiteId, most: impl Display) {
        query
            .push(" FROM publish WHERE site_id = ")
            .push_bind(site.0);
        let (first, end) = self.range();
        let end = end.into_iter().chain(self.before).min();
        let bounds = [
            (" AND id >= ", first),
            (" AND id < ", end),
            (" AND id > ", self.after),
        ];
        for (condition, bound) in bounds {
            if let Some(bound) = bound {
                query.push(condition).push_bind(bound);
            }
        }
        if let Some(state) = self.state {
            let column = match state {
                PublishState::Unconfirmed | PublishState::Failed => "trouble",
                PublishState::Queued | PublishState::InProgress => "ended_at IS NULL AND state",
                PublishState::Completed => "state",
            };
            query.push(format_args!(" AND {column} = '{}'", state.into_str()));
        }
        query.push(format_args!(" ORDER BY id {} LIMIT {most}", self.order()));
    }
}

/// The lowest identifier of a moment: identifiers begin with the time in milliseconds.
pub(super) fn first_id_of(at: OffsetDateTime) -> Uuid {
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// A publish in brief: without a rebuild's thousands of items.
#[derive(Clone, Debug)]
pub struct PublishSummary {
    pub id: Uuid,
    pub state: PublishState,
    pub received_at: OffsetDateTime,
    /// When CloudFront had accepted all of it.
    pub submitted_at: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
    /// Its first three items.
    pub items: Vec<String>,
    pub items_total: u64,
    /// Why it is held, or an invalidation that covers it.
    pub waiting_for: Option<WaitReason>,
    pub note: Option<WaitNote>,
    /// How many invalidations cover it.
    pub invalidations: u64,
    pub completed_invalidations: u64,
    /// AWS's code for why one of them failed.
    pub error: Option<String>,
    /// The worst that readers get of its pages, once those have been checked.
    pub edge: Option<EdgeState>,
    pub publisher: Option<Publisher>,
    /// The burst it stands for; `edge` is then the worst of all the burst's pages.
    pub burst: Option<Burst>,
}

/// Several publishes by one publisher in the same state, each within five seconds of the one
/// before. If they could be further apart, a busy site's whole day would be one burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// How many, including the newest, which stands for them.
    pub publishes: u64,
    pub oldest: Uuid,
    /// When the oldest arrived.
    pub since: OffsetDateTime,
}

/// What a list is made from.
#[derive(sqlx::FromRow)]
struct Found {
    /// Publishes, in the order in which they were looked at.
    ids: Vec<Uuid>,
    /// The last one that a search has looked at, if there may be more.
    end: Option<Uuid>,
}

/// A publish as programs list it, and as far as it matters for which burst it belongs to.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ListedPublish {
    pub id: Uuid,
    pub received_at: OffsetDateTime,
    pub state: PublishState,
    pub(super) published_by: Option<String>,
}

impl Store {
    /// Publishes, newest first.
    pub async fn publishes(
        &self,
        site: SiteId,
        mut filter: PublishFilter<'_>,
        limit: u16,
        now: OffsetDateTime,
    ) -> Result<Page<PublishSummary>> {
        let connection = &mut *self.pool.acquire().await?;
        let mut found = find(connection, site, filter, limit).await?;
        let goes_on = match (filter.path, filter.before.or(filter.after)) {
            (Some((_, meant)), None) if found.ids.is_empty() => {
                knows_path(connection, site, meant).await?
            }
            (_, further) => further.is_some(),
        };
        for _ in 0..SEARCHES {
            let Some(end) = found.end.filter(|_| goes_on && found.ids.is_empty()) else {
                break;
            };
            let mut further = filter;
            further.go_on_from(end);
            found = find(connection, site, further, limit).await?;
        }
        if filter.after.is_some() && found.ids.is_empty() && found.end.is_none() {
            // Nothing is newer: these are then the newest.
            filter.after = None;
            found = find(connection, site, filter, limit).await?;
        }
        let mut page = Page::cut(found.ids, limit, filter.before, filter.after, |id| *id);
        page.next = page.next.or(found.end);
        if filter.after.is_some() {
            page.previous = page.previous.or(found.end);
        }
        Ok(Page {
            items: summaries(connection, site, &page.items, &page.items, now).await?,
            next: page.next,
            previous: page.previous,
        })
    }

    /// A site's publishes, newest first.
    pub async fn publishes_before(
        &self,
        site: SiteId,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Page<ListedPublish>> {
        let filter = PublishFilter {
            before,
            ..PublishFilter::default()
        };
        let connection = &mut *self.pool.acquire().await?;
        let listed = list(connection, site, filter, usize::from(limit) + 1).await?;
        Ok(Page::cut(listed, limit, before, None, |publish| publish.id))
    }

    /// The last publish that purges one of these items, itself or by a wildcard, if it is among the
    /// latest ones. Few hold wildcards, which are looked at one by one: a list of all that purge a
    /// long path would be some megabytes.
    pub async fn last_publish_of(
        &self,
        site: SiteId,
        items: &[String],
        now: OffsetDateTime,
    ) -> Result<Option<PublishSummary>> {
        let mut connection = self.pool.acquire().await?;
        let found = sqlx::query_scalar!(
            "SELECT id FROM (SELECT id, items, wildcards FROM publish
                             WHERE site_id = $1 ORDER BY id DESC LIMIT $3) latest
             WHERE items && $2::text[]
                OR wildcards > 0 AND EXISTS (
                  SELECT FROM unnest(items) AS item, unnest($2::text[]) AS asked
                  WHERE right(item, 1) = '*' AND starts_with(asked, left(item, -1)))
             ORDER BY id DESC LIMIT 1",
            site.0,
            items,
            SEARCHED_NEXT * 5,
        )
        .fetch_optional(&mut *connection)
        .await?;
        let ids: Vec<Uuid> = found.into_iter().collect();
        Ok(summaries(&mut connection, site, &ids, &ids, now)
            .await?
            .pop())
    }
}

/// Finds one more than `limit`, from the end that the filter begins at.
async fn find(
    connection: &mut PgConnection,
    site: SiteId,
    filter: PublishFilter<'_>,
    limit: u16,
) -> sqlx::Result<Found> {
    let Some((typed, meant)) = filter.path else {
        let listed = list(connection, site, filter, usize::from(limit) + 1).await?;
        return Ok(Found {
            ids: listed.into_iter().map(|publish| publish.id).collect(),
            end: None,
        });
    };
    let rows = limit + 1;
    let looked_at = match filter.before.or(filter.after) {
        None => SEARCHED_FIRST,
        Some(_) => SEARCHED_NEXT,
    };
    let order = filter.order();
    let mut query = QueryBuilder::new("WITH looked_at AS MATERIALIZED (SELECT id");
    for (glue, text) in [(", ", typed), (" OR ", meant)] {
        query
            .push(glue)
            .push("strpos(array_to_string(items, E'\\n'), ");
        query.push_bind(text).push(") > 0");
    }
    query.push(" AS hit");
    filter.push(&mut query, site, looked_at);
    // Rows are read in the order they were found, without sorting them again, so that a search
    // stops at its first page of hits.
    query.push(format_args!(
        "), found AS MATERIALIZED (SELECT id FROM looked_at WHERE hit LIMIT {rows})
         SELECT ARRAY(SELECT id FROM found ORDER BY id {order}) AS ids,
                CASE WHEN (SELECT count(*) FROM found) < {rows}
                     THEN (SELECT id FROM looked_at ORDER BY id {order} OFFSET {looked_at} - 1) END AS end"
    ));
    query.build_query_as().fetch_one(connection).await
}

/// Lists at most so many, from the end that the filter begins at, whatever their path.
pub(super) async fn list(
    connection: &mut PgConnection,
    site: SiteId,
    filter: PublishFilter<'_>,
    most: usize,
) -> sqlx::Result<Vec<ListedPublish>> {
    let mut query = QueryBuilder::new("SELECT id, received_at, state, published_by");
    filter.push(&mut query, site, most);
    query.build_query_as().fetch_all(connection).await
}

/// Sums up publishes, newest first. The worst that readers get is that of the pages of each one and
/// of those before it down to its `oldest`, which stands at the same place.
pub(super) async fn summaries(
    connection: &mut PgConnection,
    site: SiteId,
    ids: &[Uuid],
    oldest: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<PublishSummary>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let states = EdgeState::VARIANTS.iter();
    let by_rank: Vec<&str> = states.map(EdgeState::into_str).collect();
    let rows = sqlx::query!(
        r#"SELECT p.id, p.state as "state: PublishState", p.received_at, p.submitted_at, p.ended_at, p.planned,
                  p.published_by, p.items[1:3] as "items!", cardinality(p.items) as "items_total!",
                  c.total as "total!", c.completed as "completed!",
                  c.waiting_for as "waiting_for: WaitReason", c.error,
                  (SELECT max(array_position($4::text[], e.worst)) FROM edge_check e
                   WHERE e.site_id = p.site_id AND e.publish_id BETWEEN listed.oldest AND p.id) as edge
           FROM unnest($2::uuid[], $3::uuid[]) AS listed (id, oldest)
           JOIN publish p ON p.site_id = $1 AND p.id = listed.id
           CROSS JOIN LATERAL (
             SELECT count(*) AS total, count(*) FILTER (WHERE i.status = 'Completed') AS completed, min(i.waiting_for) AS waiting_for,
                    min(i.error ->> 'code') FILTER (WHERE i.status = 'Failed') AS error
             FROM coverage c JOIN invalidation i ON i.id = c.invalidation_id AND NOT i.set_aside
             WHERE c.site_id = p.site_id AND c.publish_id = p.id) c
           ORDER BY p.id DESC"#,
        site.0,
        ids,
        oldest,
        &by_rank as &[&str],
    )
    .fetch_all(&mut *connection)
    .await?;
    let holds = if rows.iter().any(|row| !row.planned) {
        holds(connection, site, now).await?
    } else {
        Holds::default()
    };
    Ok(rows
        .into_iter()
        .map(|row| {
            let items_total = row.items_total.unsigned_abs().into();
            let held = holds.on(items_total).filter(|_| !row.planned);
            PublishSummary {
                id: row.id,
                state: row.state,
                received_at: row.received_at,
                submitted_at: row.submitted_at,
                ended_at: row.ended_at,
                items: row.items,
                items_total,
                waiting_for: held.map(|(why, _)| why).or(row.waiting_for),
                note: held.and_then(|(_, note)| note),
                invalidations: row.total.unsigned_abs(),
                completed_invalidations: row.completed.unsigned_abs(),
                error: row.error,
                edge: row.edge.and_then(ranked),
                publisher: row.published_by.as_deref().and_then(Publisher::parse),
                burst: None,
            }
        })
        .collect())
}

/// The state at a place among all of them, counted from 1, the best first.
fn ranked(place: i32) -> Option<EdgeState> {
    let place = usize::try_from(place).ok()?.checked_sub(1)?;
    EdgeState::VARIANTS.get(place).copied()
}
