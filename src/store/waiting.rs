//! What waits to be planned, and why.

use std::collections::HashSet;
use std::slice;

use sqlx::{FromRow, Postgres, QueryBuilder};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::items::remove_covered;
use super::listen::{announce_change, announce_sites};
use super::transitions::{lock_publishes, move_publishes};
use super::{Connection, PlanInputs, Result, SiteId, Store, outbox, parse_items};
use crate::domain::{DistributionId, Kind, KindCounts, WaitReason, Waiting, Wanted};

/// The most that one plan looks at, so that huge publishes do not fill the memory.
const MAX_PLAN_PUBLISHES: usize = 10_000;
const MAX_PLAN_ITEMS: usize = 30_000;
const MAX_PLAN_BYTES: usize = 8 << 20;
/// How many publishes are read first, and at most at a time.
const FIRST_PAGE: usize = 32;
const MAX_PAGE: usize = 500;
/// A page ends with the publish that reaches this many bytes, as PostgreSQL stores them: a
/// page of publishes of ten thousand paths would be too much to read for a site without room.
const PAGE_BYTES: i64 = 128 << 10;
/// How long a publish may take from its arrival until others see it. What arrived this shortly
/// before a look may not have been seen by it.
const ARRIVING: Duration = Duration::SECOND;

/// Why a site can send nothing new now.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    pub why: WaitReason,
    /// When it is looked at again in any case.
    pub until: OffsetDateTime,
    /// The time until which the monthly limit holds some of it back.
    pub limited_until: Option<OffsetDateTime>,
    /// Whether there is no room for some that the monthly limit lets go.
    pub has_backlog: bool,
    /// Whether what is stored waits for the same.
    pub stored_too: bool,
}

impl Wait {
    /// One that concerns what is new.
    pub const fn new(why: WaitReason, until: OffsetDateTime) -> Self {
        Self {
            why,
            until,
            limited_until: None,
            has_backlog: false,
            stored_too: false,
        }
    }
}

/// How much of what waits has been read.
#[derive(Default)]
struct Read {
    publishes: usize,
    items: usize,
    bytes: usize,
}

impl Read {
    /// Whether this is as much as one plan looks at.
    const fn is_full(&self) -> bool {
        self.publishes >= MAX_PLAN_PUBLISHES
            || self.items >= MAX_PLAN_ITEMS
            || self.bytes >= MAX_PLAN_BYTES
    }

    /// How many publishes there is still room for, if they are like those before.
    fn next_page(&self) -> usize {
        if self.publishes == 0 {
            return FIRST_PAGE;
        }
        let by_items = (MAX_PLAN_ITEMS - self.items) * self.publishes / self.items.max(1);
        let by_bytes = (MAX_PLAN_BYTES - self.bytes) * self.publishes / self.bytes.max(1);
        by_items.min(by_bytes).clamp(1, MAX_PAGE)
    }
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    items: Vec<String>,
    /// How many publishes the page has, those beyond its bytes included.
    found: i64,
    /// Whether any invalidation covers some of it.
    is_begun: bool,
}

/// Which publishes are read: all at the front of the queue, and behind it only what may go.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Filter {
    /// Those that hold items of only this kind, or are begun and may have only such left.
    only: Option<Kind>,
    most_items: Option<i64>,
}

/// The publishes that wait after this one. Each filter makes a statement of its own, so that each
/// has its index.
fn page_of(site: SiteId, after: Uuid, most: usize, filter: Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "SELECT id, items, found,
                EXISTS (SELECT FROM coverage c WHERE c.site_id = ",
    );
    query.push_bind(site.0).push(
        " AND c.publish_id = id) AS is_begun
         FROM (
           SELECT id, items, count(*) OVER () AS found, sum(size) OVER (ORDER BY id) - size AS before
           FROM (SELECT id, items, pg_column_size(items) AS size FROM publish
                 WHERE site_id = ",
    );
    query.push_bind(site.0);
    query.push(" AND NOT planned AND ended_at IS NULL AND id > ");
    query.push_bind(after);
    match filter.only {
        Some(Kind::Files) => query.push(" AND files > 0 AND (wildcards = 0 OR "),
        Some(Kind::Wildcards) => query.push(" AND wildcards > 0 AND (files = 0 OR "),
        None => &mut query,
    };
    if filter.only.is_some() {
        query.push(
            "EXISTS (SELECT FROM coverage c
                     WHERE c.site_id = publish.site_id AND c.publish_id = publish.id))",
        );
    }
    if let Some(most) = filter.most_items {
        query.push(" AND files + wildcards <= ").push_bind(most);
    }
    query.push(match filter.only {
        Some(Kind::Wildcards) => " ORDER BY id LIMIT ",
        // The order of the index `publish_open`: a plan made while the table was small would go by
        // the primary key, and read all that the site ever published.
        Some(Kind::Files) | None => " ORDER BY planned, id LIMIT ",
    });
    query
        .push_bind(i64::try_from(most).unwrap_or_default())
        .push(") page) sized WHERE before < ")
        .push_bind(PAGE_BYTES)
        .push(" ORDER BY id");
    query
}

impl Store {
    /// What is left of a site's publishes that wait to be planned, oldest first: at least as many
    /// as are wanted, if there are that many and one plan can use them. Where the first ones are
    /// more than that and cannot go, those behind them that can are read as well.
    pub async fn waiting(
        &self,
        connection: &mut Connection,
        site: SiteId,
        distribution: &DistributionId,
        wanted: Wanted,
    ) -> Result<Vec<Waiting>> {
        let connection = connection.sql();
        let (mut waiting, mut different) = (Vec::new(), HashSet::new());
        // Of what may go, each item once; and of what there is no room for.
        let (mut seen, mut held) = (KindCounts::default(), KindCounts::default());
        let mut read = Read::default();
        let mut after = Uuid::nil();
        let mut filter = Filter::default();
        loop {
            let page = read.next_page();
            let rows = page_of(site, after, page, filter)
                .build_query_as::<Row>()
                .fetch_all(&mut *connection)
                .await?;
            let is_last = rows.last().is_none_or(|last| {
                let all_read = usize::try_from(last.found).is_ok_and(|found| found == rows.len());
                all_read && rows.len() < page
            });
            let mut publishes = Vec::with_capacity(rows.len());
            let is_begun = rows.iter().any(|row| row.is_begun);
            for row in rows {
                after = row.id;
                read.publishes += 1;
                read.items += row.items.len();
                read.bytes += row.items.iter().map(String::len).sum::<usize>();
                publishes.push(Waiting {
                    publish: row.id,
                    items: parse_items(row.items)?,
                });
            }
            if is_begun {
                remove_covered(&mut *connection, site, distribution, &mut publishes).await?;
            }
            for publish in publishes {
                let asked = &publish.items;
                let (need, may_take) = (KindCounts::of(asked), wanted.may_take(asked.len()));
                let has_room = wanted.has_room_for(need, seen);
                if may_take && !has_room {
                    held = held + need;
                } else if may_take && !wanted.is_enough(seen) {
                    for item in asked {
                        if different.insert(item.clone()) {
                            seen = seen + KindCounts::of(slice::from_ref(item));
                        }
                    }
                }
                waiting.push(publish);
            }
            if is_last || wanted.is_enough(seen) {
                return Ok(waiting);
            }
            let is_front = filter == Filter::default();
            if read.is_full() || is_front && wanted.has_quota_of_wildcards(held) {
                // Where anything of the front is small enough for the budget, that goes first.
                let is_any_small = seen != KindCounts::default();
                filter = Filter {
                    only: wanted.only_missing(seen),
                    most_items: wanted.most_items().filter(|_| !is_any_small),
                };
                if !is_front || filter == Filter::default() {
                    return Ok(waiting);
                }
                read = Read::default();
            }
        }
    }

    /// One of each kind that publishes wait with; none if nothing waits. Nothing is unpacked for
    /// this: in a storm it is asked again and again while a quota is full.
    pub async fn kinds_waiting(
        &self,
        connection: &mut Connection,
        site: SiteId,
    ) -> Result<KindCounts> {
        let row = sqlx::query!(
            r#"SELECT EXISTS (SELECT FROM (SELECT FROM publish WHERE site_id = $1 AND NOT planned AND ended_at IS NULL
                                                                 AND files > 0 ORDER BY planned, id LIMIT 1) f) as "files!",
                      EXISTS (SELECT FROM publish WHERE site_id = $1 AND NOT planned AND ended_at IS NULL
                                                    AND wildcards > 0) as "wildcards!""#,
            site.0,
        )
        .fetch_one(connection.sql())
        .await?;
        Ok(KindCounts::counted(row.files, row.wildcards))
    }

    /// Takes publishes that have nothing left to send out of the queue: invalidations of the
    /// distribution cover all of it. Nothing changes if the settings have changed, or if what was
    /// planned has been taken back.
    pub async fn settle(&self, inputs: &PlanInputs, publishes: &[Uuid]) -> Result<()> {
        let site = inputs.site;
        let mut tx = self.begin().await?;
        let same = sqlx::query_scalar!(
            "SELECT id FROM site WHERE id = $1 AND settings_version = $2 FOR SHARE",
            site.0,
            inputs.settings_version,
        )
        .fetch_optional(&mut *tx)
        .await?;
        if same.is_none() {
            return Ok(());
        }
        lock_publishes(&mut tx, site).await?;
        let covering = sqlx::query_scalar!(
            r#"WITH settled AS (
                 UPDATE publish SET planned = true
                 WHERE site_id = $1 AND id = ANY($2) AND NOT planned AND ended_at IS NULL RETURNING id)
               SELECT DISTINCT c.invalidation_id as "id!" FROM coverage c JOIN settled s ON s.id = c.publish_id
               WHERE c.site_id = $1"#,
            site.0,
            publishes,
        )
        .fetch_all(&mut *tx)
        .await?;
        move_publishes(&mut tx, site, &covering).await?;
        announce_change(&mut tx, site).await?;
        Ok(tx.commit().await?)
    }

    /// Notes why a site can send nothing new now, and when it is looked at again in any case.
    /// Returns `false` if something has ended at the distribution meanwhile, or the settings have
    /// changed; nothing is noted then, since nobody would come back to say that there is room.
    pub async fn note_wait(
        &self,
        connection: &mut Connection,
        inputs: &PlanInputs,
        wait: Wait,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let site = inputs.site.0;
        let mut tx = connection.begin().await?;
        // With this lock, either whoever makes room finds the site waiting, or this finds the room.
        let has_changed = sqlx::query_scalar!(
            r#"WITH same AS (
                 SELECT FROM distribution WHERE id = $7 AND completed_at IS NOT DISTINCT FROM $8 FOR SHARE),
               before AS (
                 SELECT site.id, limited_until FROM site, same
                 WHERE site.id = $1 AND settings_version = $6 FOR NO KEY UPDATE OF site)
               UPDATE site SET waits_for = $2, waits_since = $10, waits_until = $3, stored_waits = $11,
                               limited_until = CASE WHEN $2 = 'quota' THEN $4::timestamptz
                                                    ELSE coalesce($4, site.limited_until) END,
                               backlog_since = CASE WHEN $9 THEN coalesce(backlog_since, $5) ELSE backlog_since END
               FROM before WHERE site.id = before.id
               RETURNING before.limited_until IS DISTINCT FROM site.limited_until as "has_changed!""#,
            site,
            wait.why.into_str(),
            wait.until,
            wait.limited_until,
            now,
            inputs.settings_version,
            inputs.settings.distribution_id.as_str(),
            inputs.completed_at,
            wait.has_backlog,
            now - ARRIVING,
            wait.stored_too,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(has_changed) = has_changed else {
            return Ok(false);
        };
        if has_changed {
            announce_sites(&mut tx).await?;
        }
        if wait.limited_until.is_some() {
            outbox::notify_limited(&mut tx, inputs.site, now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}
