//! Reading invalidations: those that were sent to CloudFront and those that still wait.

use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Page, Result, SiteId, Store};
use crate::domain::{AwsError, InvalidationStatus, WaitReason};

/// The most bytes of items in a list of invalidations.
const MAX_BYTES: usize = 1 << 20;

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Invalidation {
    pub id: Uuid,
    pub cloudfront_id: Option<String>,
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
pub enum Items {
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
        let mut query = QueryBuilder::new(
            "SELECT id, cloudfront_id, caller_reference, distribution_id, status, first_items AS items,
                    item_count, attempts, created_at, submitted_at, ended_at, waiting_for, error, fix
             FROM invalidation WHERE site_id = ",
        );
        query.push_bind(site.0);
        // Literal, so that the index of states is used where there is one.
        if let Some(status) = filter.status {
            query.push(format_args!(" AND status = '{}'", status.into_str()));
        }
        if let Some(before) = filter.before {
            query.push(" AND id < ").push_bind(before);
        }
        query.push(format_args!(" ORDER BY id DESC LIMIT {limit} + 1"));
        let mut rows = query.build_query_as::<Invalidation>().fetch(&self.pool);
        let mut items = Vec::new();
        let (mut bytes, mut is_cut) = (0, false);
        while let Some(row) = rows.try_next().await? {
            bytes += row.items.iter().map(String::len).sum::<usize>();
            is_cut = items.len() == usize::from(limit) || bytes > MAX_BYTES && !items.is_empty();
            if is_cut {
                break;
            }
            items.push(row);
        }
        Ok(Page {
            next: items.last().map(|last| last.id).filter(|_| is_cut),
            previous: items
                .first()
                .map(|first| first.id)
                .filter(|_| filter.before.is_some()),
            items,
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

/// The invalidations that cover a publish, oldest first.
pub(super) async fn covering(
    connection: &mut PgConnection,
    site: SiteId,
    publish: Uuid,
    items: Items,
) -> Result<Vec<Invalidation>> {
    Ok(sqlx::query_as!(
        Invalidation,
        r#"SELECT i.id, i.cloudfront_id, i.caller_reference, i.distribution_id,
                  i.status as "status: InvalidationStatus",
                  CASE WHEN $3 THEN i.items ELSE i.first_items END as "items!",
                  i.item_count as "item_count!", i.attempts, i.created_at,
                  i.submitted_at, i.ended_at, i.waiting_for as "waiting_for: WaitReason",
                  i.error as "error: AwsError", i.fix
           FROM coverage c JOIN invalidation i ON i.id = c.invalidation_id
           WHERE c.site_id = $1 AND c.publish_id = $2 AND NOT i.set_aside ORDER BY i.id"#,
        site.0,
        publish,
        items == Items::All,
    )
    .fetch_all(connection)
    .await?)
}
