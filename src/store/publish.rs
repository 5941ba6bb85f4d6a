//! Reading back one publish, how far its purge has got, and what holds it.

use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::invalidations::{Items, covering};
use super::{IdempotencyKey, Invalidation, Result, SiteId, Store, parse_items};
use crate::domain::coverage::Cover;
use crate::domain::edge::EdgeCheck;
use crate::domain::spending::month_of;
use crate::domain::{
    InvalidationStatus, Item, Policy, PublishState, Publisher, WaitNote, WaitReason, Widened,
};

#[derive(Clone, Debug)]
pub struct Publish {
    pub id: Uuid,
    pub state: PublishState,
    pub received_at: OffsetDateTime,
    /// When CloudFront had accepted all of it.
    pub submitted_at: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
    pub items: Vec<String>,
    /// Which of them stand for something narrower.
    pub widened: Vec<Widened>,
    /// Why it is held before any invalidation covers it.
    pub waiting_for: Option<WaitReason>,
    pub note: Option<WaitNote>,
    pub invalidations: Vec<Invalidation>,
    /// What readers get of its pages, once those have been checked.
    pub edge: Vec<EdgeCheck>,
    /// Whether its pages will be checked, or checked again.
    pub edge_is_due: bool,
    /// The sender's own reference, if it came through CloudFront's API.
    pub caller_reference: Option<String>,
    /// The failed publish that it sends again.
    pub retry_of: Option<Uuid>,
    /// The publish that sends it again.
    pub retried_as: Option<Uuid>,
    pub publisher: Option<Publisher>,
}

impl Publish {
    /// What was not purged of a publish that failed: the items that only failed invalidations
    /// cover.
    pub fn failed_items(&self) -> Result<Vec<Item>> {
        if self.state == PublishState::Failed {
            self.items_left(|status| status != InvalidationStatus::Failed)
        } else {
            Ok(Vec::new())
        }
    }

    /// The items not covered by any invalidation whose status `is_done` accepts.
    pub fn items_left(&self, is_done: impl Fn(InvalidationStatus) -> bool) -> Result<Vec<Item>> {
        let done = self.invalidations.iter().filter(|i| is_done(i.status));
        let done = parse_items(done.flat_map(|i| i.items.iter().cloned()).collect())?;
        let cover: Cover<'_> = done.iter().collect();
        let mut items = parse_items(self.items.clone())?;
        items.retain(|item| cover.covering(item).is_none());
        Ok(items)
    }
}

impl Store {
    /// One publish with its invalidations, and of what these purge `items`; all of it if it failed.
    pub async fn publish(
        &self,
        site: SiteId,
        id: Uuid,
        items: Items,
        now: OffsetDateTime,
    ) -> Result<Option<Publish>> {
        let mut connection = self.pool.acquire().await?;
        let retry = IdempotencyKey::of_retry(id);
        let row = sqlx::query!(
            r#"SELECT p.state as "state: PublishState", p.received_at, p.submitted_at, p.ended_at, p.items,
                      p.widened as "widened: Json<Vec<Widened>>", p.planned,
                      p.idempotency_key, p.published_by,
                      (SELECT r.id FROM publish r WHERE r.site_id = $1 AND r.idempotency_key = $3)
                        as retried_as,
                      e.checks as "checks?: Json<Vec<serde_json::Value>>", e.next_at IS NOT NULL as "edge_is_due!"
               FROM publish p LEFT JOIN edge_check e ON e.site_id = p.site_id AND e.publish_id = p.id
               WHERE p.site_id = $1 AND p.id = $2"#,
            site.0,
            id,
            retry.key,
        )
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let key = row.idempotency_key.as_deref();
        let held = if row.planned {
            None
        } else {
            let holds = holds(&mut connection, site, now).await?;
            holds.on(row.items.len() as u64)
        };
        let items = match row.state {
            // Telling which items are left takes all of them.
            PublishState::Failed => Items::All,
            _ => items,
        };
        let invalidations = covering(&mut connection, site, id, items).await?;
        let checks = row.checks.map(|checks| checks.0).unwrap_or_default();
        // What only a newer version has a word for is left out.
        let edge = checks
            .into_iter()
            .filter_map(|check| serde_json::from_value(check).ok());
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
            edge: edge.collect(),
            edge_is_due: row.edge_is_due,
            caller_reference: key
                .and_then(IdempotencyKey::caller_reference)
                .map(str::to_owned),
            retry_of: key.and_then(IdempotencyKey::retried),
            retried_as: row.retried_as,
            publisher: row.published_by.as_deref().and_then(Publisher::parse),
        }))
    }

    /// How many publishes have not ended, counted up to 10,000.
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

    /// Why publishes of a site that no invalidation covers yet are held.
    pub async fn held(
        &self,
        site: SiteId,
        now: OffsetDateTime,
    ) -> Result<Option<(WaitReason, Option<WaitNote>)>> {
        let mut connection = self.pool.acquire().await?;
        let holds = holds(&mut connection, site, now).await?;
        // Settings hold all of them, the month's limit perhaps only some.
        let settings = holds.why.filter(|(why, _)| *why == WaitReason::Settings);
        Ok(settings.or_else(|| holds.on(u64::MAX)))
    }
}

/// What holds publishes of a site that no invalidation covers yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holds {
    /// What holds those that fit the month's limit, if anything does.
    why: Option<(WaitReason, Option<WaitNote>)>,
    /// How many paths are left of the limit while it holds back some, and how long it does.
    limited: Option<(u64, OffsetDateTime)>,
}

impl Holds {
    /// Why one of this many items is held.
    pub(super) fn on(&self, items: u64) -> Option<(WaitReason, Option<WaitNote>)> {
        match self.limited {
            Some((left, until)) if items > left => {
                Some((WaitReason::Quota, Some(WaitNote::MonthlyLimit { until })))
            }
            _ => self.why,
        }
    }
}

pub(super) async fn holds(
    connection: &mut PgConnection,
    site: SiteId,
    now: OffsetDateTime,
) -> Result<Holds> {
    let row = sqlx::query!(
        r#"SELECT s.paused_at IS NOT NULL OR f.site_id IS NULL as "settings!", s.policy as "policy: Policy",
                  s.waits_for as "waits_for: WaitReason", s.limited_until, s.backlog_since,
                  CASE WHEN s.limited_until > $2 THEN
                    s.monthly_limit
                    - (SELECT coalesce(sum(u.paths), 0)::bigint FROM usage u
                       WHERE u.site_id = s.id AND u.month = $3)
                    - (SELECT coalesce(sum(i.item_count), 0)::bigint FROM invalidation i
                       WHERE i.site_id = s.id AND i.distribution_id = f.distribution_id AND i.status = 'Queued')
                  END as "paths_left?"
           FROM site s LEFT JOIN settings_in_force f ON f.site_id = s.id
           WHERE s.id = $1"#,
        site.0,
        now,
        month_of(now),
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        return Ok(Holds::default());
    };
    let backlog = row
        .backlog_since
        .filter(|_| row.policy == Policy::Exact)
        .map(|since| WaitNote::Backlog { since });
    let left = u64::try_from(row.paths_left.unwrap_or_default()).unwrap_or_default();
    Ok(Holds {
        why: match row.settings {
            true => Some((WaitReason::Settings, None)),
            false => row.waits_for.map(|why| (why, backlog)),
        },
        limited: row
            .limited_until
            .filter(|until| *until > now)
            .map(|until| (left, until)),
    })
}
