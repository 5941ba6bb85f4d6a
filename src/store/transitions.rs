//! What every recorded outcome brings with it: the publishes move on, the meter counts, others hear
//! of it.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::listen::CHANGE;
use super::{SiteId, StoreError};
use crate::domain::advice::SUPERSEDED;

/// PostgreSQL's number of the locks that make changes of a site's publishes take turns: "publ", in
/// ASCII.
const PUBLISHES: i32 = 0x70_75_62_6c;

/// Waits for the turn to change what covers the site's publishes and what state they are in; it
/// lasts until the transaction ends. One lock for all of them: to lock thousands of rows is to
/// write them.
pub(super) async fn lock_publishes(
    connection: &mut PgConnection,
    site: SiteId,
) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock($1, $2)")
        .bind(PUBLISHES)
        .bind(site.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Brings the publishes that an invalidation covers up to date with all the invalidations that
/// cover them. Of two invalidations that end at the same moment, the second to get the lock sees
/// what the first one did.
pub(super) async fn move_publishes(
    connection: &mut PgConnection,
    site: SiteId,
    invalidation: Uuid,
) -> Result<(), StoreError> {
    lock_publishes(connection, site).await?;
    sqlx::query!(
        "WITH outcome AS (
           SELECT c.site_id, c.publish_id,
                  CASE
                    WHEN bool_and(i.ended_at IS NOT NULL) THEN
                      CASE WHEN bool_or(i.status = 'Failed') THEN 'failed'
                           WHEN bool_or(i.status = 'Unconfirmed') THEN 'unconfirmed'
                           ELSE 'completed' END
                    WHEN bool_or(i.status <> 'Queued') THEN 'in_progress'
                    ELSE 'queued'
                  END AS state,
                  CASE WHEN bool_and(i.submitted_at IS NOT NULL) THEN max(i.submitted_at) END AS submitted_at,
                  CASE WHEN bool_and(i.ended_at IS NOT NULL) THEN max(i.ended_at) END AS ended_at
           FROM coverage mine
           JOIN coverage c ON c.site_id = mine.site_id AND c.publish_id = mine.publish_id
           JOIN invalidation i ON i.id = c.invalidation_id
           WHERE mine.invalidation_id = $1
           GROUP BY c.site_id, c.publish_id)
         UPDATE publish p SET state = o.state, submitted_at = o.submitted_at, ended_at = o.ended_at
         FROM outcome o
         WHERE p.site_id = o.site_id AND p.id = o.publish_id AND p.planned
           AND (p.state, p.submitted_at, p.ended_at) IS DISTINCT FROM (o.state, o.submitted_at, o.ended_at)",
        invalidation,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts an accepted invalidation in the month's usage.
pub(super) async fn count_usage(
    connection: &mut PgConnection,
    invalidation: Uuid,
    access_key: &str,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO usage (month, site_id, access_key_id, requests, paths, asked)
         SELECT date_trunc('month', $3::timestamptz AT TIME ZONE 'UTC')::date, site_id, $2, 1, cardinality(items), asked
         FROM invalidation WHERE id = $1
         ON CONFLICT (month, site_id, access_key_id) DO UPDATE SET
           requests = usage.requests + 1, paths = usage.paths + EXCLUDED.paths, asked = usage.asked + EXCLUDED.asked",
        invalidation,
        access_key,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives up what a site has not got accepted by a distribution that is not the one in force any
/// more. Its publishes are planned again for the one that is; without any, they wait.
///
/// What was never accepted for sure is deleted: nobody has seen its caller reference. Where an
/// answer is missing, it stays in the history as failed, with the reason.
pub(super) async fn supersede(
    connection: &mut PgConnection,
    site: SiteId,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let stale = sqlx::query!(
        "SELECT i.id, i.unknown_attempts FROM invalidation i
         WHERE i.site_id = $1 AND i.status = 'Queued' AND i.distribution_id IS DISTINCT FROM (
           SELECT distribution_id FROM cdn_settings c
           WHERE c.site_id = $1 AND c.slot <> 'draft' ORDER BY slot LIMIT 1)
         ORDER BY i.id FOR UPDATE OF i",
        site.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    if stale.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = stale.iter().map(|row| row.id).collect();
    lock_publishes(connection, site).await?;
    sqlx::query!(
        "UPDATE publish p SET planned = false FROM coverage c
         WHERE c.invalidation_id = ANY($1) AND p.site_id = c.site_id AND p.id = c.publish_id AND p.ended_at IS NULL",
        &ids,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM coverage WHERE invalidation_id = ANY($1)", &ids)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "DELETE FROM invalidation WHERE id = ANY($1) AND unknown_attempts = 0",
        &ids
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE invalidation SET status = 'Failed', ended_at = $2, next_at = NULL, waiting_for = NULL,
                                 lease_token = NULL, lease_until = NULL,
                                 fix = $3
         WHERE id = ANY($1)",
        &ids,
        now,
        SUPERSEDED,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Tells every replica that something that pages show moved on.
pub(super) async fn announce_change(
    connection: &mut PgConnection,
    site: SiteId,
) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANGE)
        .bind(site.0.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
