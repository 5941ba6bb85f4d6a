//! Reading back what was published and how far its purge is.

use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::edge::edge;
use super::{RepeatKey, Result, SiteId, Store, parse_items};
use crate::domain::coverage::Cover;
use crate::domain::edge::EdgeCheck;
use crate::domain::{
    AwsError, HeldNote, InvalidationStatus, Item, PolicyName, PublishState, Publisher, WaitReason,
    Widened,
};

/// What the items in a list of invalidations may weigh together, in bytes.
const PAGE_BYTES: i64 = 1 << 20;

/// A publish with its invalidations.
#[derive(Clone, Debug)]
pub struct Publish {
    pub id: Uuid,
    pub state: PublishState,
    pub received_at: OffsetDateTime,
    /// When CloudFront had accepted all of it.
    pub submitted_at: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
    /// Canonical items.
    pub items: Vec<String>,
    /// Which of them stand for something narrower.
    pub widened: Vec<Widened>,
    /// Why it is held before any invalidation covers it.
    pub waiting_for: Option<WaitReason>,
    pub note: Option<HeldNote>,
    pub invalidations: Vec<Invalidation>,
    /// What readers get of its pages, once that was looked at.
    pub edge: Vec<EdgeCheck>,
    /// Whether its pages will be looked at, or looked at again.
    pub edge_is_due: bool,
    /// The failed publish that it sends again.
    pub retry_of: Option<Uuid>,
    /// The publish that sends it again.
    pub retried_as: Option<Uuid>,
    pub publisher: Option<Publisher>,
}

impl Publish {
    /// What was not purged of a publish that failed: the items that only failed invalidations cover.
    pub fn failed_items(&self) -> Result<Vec<Item>> {
        if self.state == PublishState::Failed {
            self.items_besides(|status| status != InvalidationStatus::Failed)
        } else {
            Ok(Vec::new())
        }
    }

    /// The items that no invalidation covers whose status is one of these.
    pub fn items_besides(&self, is_done: impl Fn(InvalidationStatus) -> bool) -> Result<Vec<Item>> {
        let done = self.invalidations.iter().filter(|i| is_done(i.status));
        let done = parse_items(done.flat_map(|i| i.items.iter().cloned()).collect())?;
        let cover: Cover<'_> = done.iter().collect();
        let mut items = parse_items(self.items.clone())?;
        items.retain(|item| cover.covering(item).is_none());
        Ok(items)
    }
}

/// One CloudFront invalidation.
#[derive(Clone, Debug)]
pub struct Invalidation {
    pub id: Uuid,
    pub cloudfront_id: Option<String>,
    /// What it is sent with.
    pub caller_reference: String,
    pub distribution_id: String,
    pub status: InvalidationStatus,
    /// What it purges; no more than the first of them in lists.
    pub items: Vec<String>,
    pub item_count: i32,
    /// Calls of `CreateInvalidation`.
    pub attempts: i32,
    /// When it was planned.
    pub created_at: OffsetDateTime,
    /// When CloudFront accepted it.
    pub submitted_at: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
    pub waiting_for: Option<WaitReason>,
    /// What AWS last said.
    pub error: Option<AwsError>,
    pub fix: Option<String>,
}

/// How much is read of what invalidations purge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Items {
    All,
    /// The first few of each.
    First,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct InvalidationFilter {
    pub status: Option<InvalidationStatus>,
    /// Only older than this one.
    pub before: Option<Uuid>,
}

/// A page of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next one begins, if there is one.
    pub next: Option<Uuid>,
    /// Where the one before ends, if there is one.
    pub previous: Option<Uuid>,
}

impl<T> Page<T> {
    /// Makes a page of `limit` out of one row more than that, read from one end: downwards, newest
    /// first, or upwards from `after`, oldest first.
    pub(super) fn cut(
        mut items: Vec<T>,
        limit: u16,
        before: Option<Uuid>,
        after: Option<Uuid>,
        id: impl Fn(&T) -> Uuid,
    ) -> Self {
        let more = items.len() > usize::from(limit);
        items.truncate(usize::from(limit));
        if after.is_some() {
            items.reverse();
        }
        let (older, newer) = match after {
            Some(_) => (true, more),
            None => (more, before.is_some()),
        };
        Self {
            next: items.last().map(&id).filter(|_| older),
            previous: items.first().map(&id).filter(|_| newer),
            items,
        }
    }
}

impl Store {
    /// One publish with its invalidations, and all that these purge.
    pub async fn publish(
        &self,
        site: SiteId,
        id: Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<Publish>> {
        self.read_publish(site, id, Items::All, now).await
    }

    /// One publish with its invalidations, and no more of what these purge than one has to know.
    pub async fn publish_in_brief(
        &self,
        site: SiteId,
        id: Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<Publish>> {
        self.read_publish(site, id, Items::First, now).await
    }

    async fn read_publish(
        &self,
        site: SiteId,
        id: Uuid,
        items: Items,
        now: OffsetDateTime,
    ) -> Result<Option<Publish>> {
        let mut connection = self.connect().await?;
        let connection = connection.sql();
        let retry = RepeatKey::of_retry(id);
        let row = sqlx::query!(
            r#"SELECT state as "state: PublishState", received_at, submitted_at, ended_at, items,
                      widened as "widened: Json<Vec<Widened>>", planned,
                      idempotency_key as retry_key, published_by,
                      (SELECT r.id FROM publish r WHERE r.site_id = $1 AND r.idempotency_key = $3)
                        as retried_as
               FROM publish WHERE site_id = $1 AND id = $2"#,
            site.0,
            id,
            retry.key,
        )
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let held = if row.planned {
            None
        } else {
            held(connection, site, now).await?
        };
        let (edge, edge_is_due) = match row.state {
            PublishState::Completed => edge(connection, site, id).await?,
            _ => Default::default(),
        };
        let items = match row.state {
            // Which items are left takes all of them.
            PublishState::Failed => Items::All,
            _ => items,
        };
        let covering = sqlx::query_scalar!(
            "SELECT i.id FROM coverage c JOIN invalidation i ON i.id = c.invalidation_id
             WHERE c.site_id = $1 AND c.publish_id = $2 AND NOT i.set_aside",
            site.0,
            id,
        )
        .fetch_all(&mut *connection)
        .await?;
        let mut invalidations = invalidations_by_id(connection, &covering, items, None).await?;
        invalidations.reverse();
        Ok(Some(Publish {
            id,
            state: row.state,
            received_at: row.received_at,
            submitted_at: row.submitted_at,
            ended_at: row.ended_at,
            items: row.items,
            widened: row.widened.map(|widened| widened.0).unwrap_or_default(),
            waiting_for: held.map(|(why, _)| why),
            note: held.and_then(|(_, note)| note),
            invalidations,
            edge,
            edge_is_due,
            retry_of: row.retry_key.as_deref().and_then(RepeatKey::retried),
            retried_as: row.retried_as,
            publisher: row.published_by.as_deref().and_then(Publisher::parse),
        }))
    }

    /// When CloudFront last completed something for the site.
    pub async fn last_completed(&self, site: SiteId) -> Result<Option<OffsetDateTime>> {
        Ok(sqlx::query_scalar!(
            r#"SELECT ended_at as "ended_at!" FROM invalidation
               WHERE site_id = $1 AND status = 'Completed' ORDER BY id DESC LIMIT 1"#,
            site.0,
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// How many publishes have not ended, counted to 10,000.
    pub async fn open_publishes(&self, site: SiteId) -> Result<u64> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) as "count!" FROM (
                 SELECT FROM publish WHERE site_id = $1 AND ended_at IS NULL LIMIT 10000) open"#,
            site.0,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    /// Invalidations, newest first.
    pub async fn invalidations(
        &self,
        site: SiteId,
        filter: InvalidationFilter,
        limit: u16,
    ) -> Result<Page<Invalidation>> {
        let mut connection = self.connect().await?;
        let connection = connection.sql();
        let rows = i64::from(limit) + 1;
        // Two statements: one for both would be planned for the one that needs no index of states.
        let ids = match filter.status {
            None => {
                sqlx::query_scalar!(
                    "SELECT id FROM invalidation
                     WHERE site_id = $1 AND id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                     ORDER BY id DESC LIMIT $3",
                    site.0,
                    filter.before,
                    rows,
                )
                .fetch_all(&mut *connection)
                .await?
            }
            Some(status) => {
                sqlx::query_scalar!(
                    "SELECT id FROM invalidation
                     WHERE site_id = $1 AND status = $2
                       AND id < coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                     ORDER BY id DESC LIMIT $4",
                    site.0,
                    status.into_str(),
                    filter.before,
                    rows,
                )
                .fetch_all(&mut *connection)
                .await?
            }
        };
        let mut items =
            invalidations_by_id(connection, &ids, Items::First, Some(PAGE_BYTES)).await?;
        let limit = limit.min(u16::try_from(items.len()).unwrap_or(u16::MAX));
        let page = Page::cut(ids, limit, filter.before, None, |id| *id);
        items.retain(|item| page.items.last().is_some_and(|last| item.id >= *last));
        Ok(Page {
            items,
            next: page.next,
            previous: page.previous,
        })
    }

    /// A page of what an invalidation purges, from that position on, and how many items it has in
    /// all; none: there is no such invalidation.
    pub async fn invalidation_items(
        &self,
        site: SiteId,
        caller_reference: &str,
        from: u32,
        limit: u16,
    ) -> Result<Option<(Vec<String>, u32)>> {
        // PostgreSQL counts an array's items in 32 bits.
        let limit = i64::from(limit);
        let from = i64::from(from).min(i64::from(i32::MAX) - limit);
        let row = sqlx::query!(
            r#"SELECT items[$3::bigint + 1:$3 + $4] as "items!", item_count as "item_count!" FROM invalidation
               WHERE caller_reference = $2 AND site_id = $1"#,
            site.0,
            caller_reference,
            from,
            limit,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| (row.items, row.item_count.unsigned_abs())))
    }

    /// Why publishes of a site that no invalidation covers yet are held.
    pub async fn held(
        &self,
        site: SiteId,
        now: OffsetDateTime,
    ) -> Result<Option<(WaitReason, Option<HeldNote>)>> {
        let mut connection = self.connect().await?;
        held(connection.sql(), site, now).await
    }
}

pub(super) async fn held(
    connection: &mut PgConnection,
    site: SiteId,
    now: OffsetDateTime,
) -> Result<Option<(WaitReason, Option<HeldNote>)>> {
    let row = sqlx::query!(
        r#"SELECT s.paused_at IS NOT NULL OR f.site_id IS NULL as "settings!", s.policy as "policy: PolicyName",
                  s.waits_for as "waits_for: WaitReason", s.limited_until, s.backlog_since
           FROM site s LEFT JOIN settings_in_force f ON f.site_id = s.id
           WHERE s.id = $1"#,
        site.0,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.settings {
        return Ok(Some((WaitReason::Settings, None)));
    }
    if let Some(until) = row.limited_until.filter(|until| *until > now) {
        let note = HeldNote::MonthlyLimit { until };
        return Ok(Some((WaitReason::Quota, Some(note))));
    }
    let backlog = row
        .backlog_since
        .filter(|_| row.policy == PolicyName::Exact)
        .map(|since| HeldNote::Backlog { since });
    Ok(row.waits_for.map(|why| (why, backlog)))
}

/// Newest first; no more than weigh so many bytes together, but one at least.
async fn invalidations_by_id(
    connection: &mut PgConnection,
    ids: &[Uuid],
    items: Items,
    most: Option<i64>,
) -> Result<Vec<Invalidation>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as!(
        Invalidation,
        r#"SELECT id, cloudfront_id, caller_reference, distribution_id,
                  status as "status: InvalidationStatus",
                  CASE WHEN $2 THEN items ELSE first_items END as "items!",
                  item_count as "item_count!", attempts, created_at,
                  submitted_at, ended_at, waiting_for as "waiting_for: WaitReason",
                  error as "error: AwsError", fix
           FROM (SELECT *, row_number() OVER newest AS nr,
                        sum(octet_length(array_to_string(first_items, ' '))) OVER newest AS bytes
                 FROM invalidation WHERE id = ANY($1) WINDOW newest AS (ORDER BY id DESC)) listed
           WHERE $3::bigint IS NULL OR bytes <= $3 OR nr = 1 ORDER BY id DESC"#,
        ids,
        items == Items::All,
        most,
    )
    .fetch_all(connection)
    .await?)
}
