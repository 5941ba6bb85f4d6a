//! Reading back what was sent to CloudFront, and what is to be.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Page, Result, SiteId, Store};
use crate::domain::{AwsError, InvalidationStatus, WaitReason};

/// The most bytes of items in a list of invalidations.
const PAGE_BYTES: i64 = 1 << 20;

/// One CloudFront invalidation.
#[derive(Clone, Debug)]
pub struct Invalidation {
    pub id: Uuid,
    pub cloudfront_id: Option<String>,
    /// The reference it is sent with.
    pub caller_reference: String,
    pub distribution_id: String,
    pub status: InvalidationStatus,
    /// What it purges; in lists, only the first few items.
    pub items: Vec<String>,
    pub item_count: i32,
    /// How many times `CreateInvalidation` was called.
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

/// Which of an invalidation's items are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Items {
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

impl Store {
    /// Invalidations, newest first.
    pub async fn invalidations(
        &self,
        site: SiteId,
        filter: InvalidationFilter,
        limit: u16,
    ) -> Result<Page<Invalidation>> {
        let mut connection = self.pool.acquire().await?;
        let rows = i64::from(limit) + 1;
        let before = filter.before.unwrap_or(Uuid::max());
        // Two statements: a single one for both would be planned for the case that needs no index
        // of states.
        let ids = match filter.status {
            None => {
                sqlx::query_scalar!(
                    "SELECT id FROM invalidation
                     WHERE site_id = $1 AND id < $2
                     ORDER BY id DESC LIMIT $3",
                    site.0,
                    before,
                    rows,
                )
                .fetch_all(&mut *connection)
                .await?
            }
            Some(status) => {
                sqlx::query_scalar!(
                    "SELECT id FROM invalidation
                     WHERE site_id = $1 AND status = $2 AND id < $3
                     ORDER BY id DESC LIMIT $4",
                    site.0,
                    status.into_str(),
                    before,
                    rows,
                )
                .fetch_all(&mut *connection)
                .await?
            }
        };
        let mut items =
            invalidations_by_id(&mut connection, &ids, Items::First, Some(PAGE_BYTES)).await?;
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
    /// all; `None` if there is no such invalidation.
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
}

/// Reads invalidations, newest first: as many as have no more than `most` bytes of items together,
/// but at least one.
pub(super) async fn invalidations_by_id(
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
