//! What every recorded outcome brings with it: publishes move on, and usage is counted.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, SiteId, Store, outbox};
use crate::domain::advice::SUPERSEDED;

/// The first key of PostgreSQL's advisory locks that make changes of a site's publishes take turns:
/// "publ", in ASCII.
const PUBLISHES: i32 = 0x70_75_62_6c;

/// Waits for the turn to change what covers the site's publishes and what state they are in; the
/// turn lasts until the transaction ends. One lock for all of them: locking thousands of rows means
/// writing them.
pub(super) async fn lock_publishes(connection: &mut PgConnection, site: SiteId) -> Result<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1, $2)")
        .bind(PUBLISHES)
        .bind(site.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps the site's settings as they are until the transaction ends, before several of its
/// invalidations are changed or replaced by others: whoever moves the site elsewhere locks all of
/// them, and would not see the new ones.
pub(super) async fn lock_settings(connection: &mut PgConnection, site: SiteId) -> Result<()> {
    sqlx::query!("SELECT FROM site WHERE id = $1 FOR SHARE", site.0)
        .fetch_optional(connection)
        .await?;
    Ok(())
}

/// Brings the publishes that an invalidation covers up to date with all the invalidations that
/// cover them. It needs the turn of [`lock_publishes`]: of two invalidations that end at the same
/// moment, the second to get it sees what the first one did.
pub(super) async fn move_publishes(
    connection: &mut PgConnection,
    site: SiteId,
    invalidations: &[Uuid],
) -> Result<()> {
    sqlx::query!(
        "WITH outcome AS (
           SELECT c.site_id, c.publish_id,
                  CASE
                    WHEN bool_and(i.ended_at IS NOT NULL) THEN
                      CASE WHEN bool_or(i.status = 'Failed') THEN 'failed'
                           WHEN bool_or(i.status = 'Unconfirmed') THEN 'unconfirmed'
                           ELSE 'completed' END
                    WHEN bool_or(i.submitted_at IS NOT NULL) THEN 'in_progress'
                    ELSE 'queued'
                  END AS state,
                  bool_or(i.submitted_at IS NOT NULL) AS begun,
                  CASE WHEN bool_and(i.submitted_at IS NOT NULL) THEN max(i.submitted_at) END AS submitted_at,
                  CASE WHEN bool_and(i.ended_at IS NOT NULL) THEN max(i.ended_at) END AS ended_at
           FROM coverage mine
           JOIN coverage c ON c.site_id = mine.site_id AND c.publish_id = mine.publish_id
           JOIN invalidation i ON i.id = c.invalidation_id
           WHERE mine.invalidation_id = ANY($1) AND NOT i.set_aside
           GROUP BY c.site_id, c.publish_id),
         moved AS (
           -- One of which a part still waits is begun as soon as others got a part of it accepted.
           UPDATE publish p SET state = CASE WHEN p.planned THEN o.state ELSE 'in_progress' END,
                                submitted_at = CASE WHEN p.planned THEN o.submitted_at END,
                                ended_at = CASE WHEN p.planned THEN o.ended_at END
           FROM outcome o
           WHERE p.site_id = o.site_id AND p.id = o.publish_id
             AND CASE WHEN p.planned
                   THEN (p.state, p.submitted_at, p.ended_at) IS DISTINCT FROM (o.state, o.submitted_at, o.ended_at)
                   ELSE o.begun AND p.state = 'queued' END
           RETURNING p.site_id, p.id, p.state, p.items, p.ended_at),
         -- One message for all that ended the same way at this moment.
         told AS (
           INSERT INTO delivery (endpoint_id, event, happened_at, publish_id, publishes, next_at)
           SELECT e.id, 'publish.' || m.state, max(m.ended_at),
                  CASE WHEN count(*) = 1 THEN (array_agg(m.id))[1] END, count(*), max(m.ended_at)
           FROM moved m JOIN endpoint e ON e.site_id = m.site_id
           WHERE m.ended_at IS NOT NULL AND e.off_at IS NULL AND 'publish.' || m.state = ANY(e.events)
           GROUP BY e.id, m.state)
         -- Readers' copies are looked at next; in a storm, of at most a hundred publishes.
         INSERT INTO edge_check (site_id, publish_id, next_at)
         SELECT m.site_id, m.id, m.ended_at FROM moved m
         WHERE m.state = 'completed'
           AND (SELECT s.public_address IS NOT NULL FROM site s WHERE s.id = $2)
           AND EXISTS (SELECT FROM unnest(m.items) AS item WHERE left(item, 1) = '/' AND right(item, 1) <> '*')
         ORDER BY m.id DESC
         LIMIT greatest(0, 100 - (SELECT count(*) FROM (
           SELECT FROM edge_check e WHERE e.site_id = $2 AND e.next_at IS NOT NULL LIMIT 100) waiting))
         ON CONFLICT DO NOTHING",
        invalidations,
        site.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts an accepted invalidation in the usage of the month in which CloudFront accepted it.
pub(super) async fn count_usage(
    connection: &mut PgConnection,
    invalidation: Uuid,
    access_key: &str,
    now: OffsetDateTime,
) -> Result<()> {
    let site = sqlx::query_scalar!(
        "INSERT INTO usage (month, site_id, access_key_id, requests, paths, asked)
         SELECT date_trunc('month', submitted_at AT TIME ZONE 'UTC')::date, site_id, $2, 1, item_count, asked
         FROM invalidation WHERE id = $1
         ON CONFLICT (month, site_id, access_key_id) DO UPDATE SET
           requests = usage.requests + 1, paths = usage.paths + EXCLUDED.paths, asked = usage.asked + EXCLUDED.asked
         RETURNING site_id",
        invalidation,
        access_key,
    )
    .fetch_one(&mut *connection)
    .await?;
    outbox::notify_month(connection, SiteId(site), now).await
}

/// Gives up what is not accepted yet by a distribution that is no longer the site's, and takes up
/// again what was set aside when the site moved away from the one that now is. Without settings its
/// publishes wait.
///
/// What was certainly never accepted is deleted: nobody has seen its caller reference. What still
/// lacks an answer is set aside, and is failed in the history: if the site moves back, the same
/// reference is sent again, or counts if it was accepted meanwhile, so that nothing is billed under
/// two.
pub(super) async fn supersede(
    connection: &mut PgConnection,
    site: SiteId,
    now: OffsetDateTime,
) -> Result<()> {
    let moved = sqlx::query!(
        "WITH in_force AS (SELECT distribution_id AS id FROM settings_in_force WHERE site_id = $1)
         SELECT id, set_aside FROM invalidation
         WHERE id = ANY(ARRAY(
           SELECT id FROM invalidation
           WHERE site_id = $1 AND status = 'Queued' AND distribution_id IS DISTINCT FROM (SELECT id FROM in_force)
           UNION ALL
           SELECT id FROM invalidation
           WHERE site_id = $1 AND set_aside AND distribution_id = (SELECT id FROM in_force)
             AND (status <> 'Failed' OR unknown_since IS NOT NULL)))
           -- Restated beside the lock: one may be recorded as accepted at this very moment.
           AND (status = 'Queued' OR set_aside AND (status <> 'Failed' OR unknown_since IS NOT NULL))
         ORDER BY id FOR UPDATE",
        site.0,
    )
    .fetch_all(&mut *connection)
    .await?;
    if moved.is_empty() {
        return Ok(());
    }
    let ids = |back: bool| {
        let moved = moved.iter().filter(|row| row.set_aside == back);
        moved.map(|row| row.id).collect::<Vec<Uuid>>()
    };
    let (away, back) = (ids(false), ids(true));
    lock_publishes(connection, site).await?;
    // All of a publish is planned again, so what the old distribution refused of it is no reason for
    // it to fail.
    sqlx::query!(
        "DELETE FROM coverage c
         USING invalidation left_behind, coverage again, invalidation refused
         WHERE left_behind.id = ANY($1) AND again.invalidation_id = left_behind.id
           AND c.site_id = again.site_id AND c.publish_id = again.publish_id AND refused.id = c.invalidation_id
           AND refused.distribution_id = left_behind.distribution_id
           AND refused.status = 'Failed' AND NOT refused.set_aside",
        &away,
    )
    .execute(&mut *connection)
    .await?;
    plan_again(connection, &away).await?;
    sqlx::query!(
        "UPDATE invalidation SET status = 'Failed', set_aside = true, ended_at = $2, next_at = NULL,
                                 waiting_for = NULL, fix = $3
         WHERE id = ANY($1) AND unknown_since IS NOT NULL",
        &away,
        now,
        SUPERSEDED,
    )
    .execute(&mut *connection)
    .await?;
    // What has been sent elsewhere meanwhile does not wait for it again.
    sqlx::query!(
        "DELETE FROM coverage c USING publish p
         WHERE c.invalidation_id = ANY($1) AND p.site_id = c.site_id AND p.id = c.publish_id AND p.planned",
        &back,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "WITH accepted AS (
           -- The call was under way when the site moved.
           UPDATE invalidation SET set_aside = false WHERE id = ANY($1) AND status NOT IN ('Failed', 'Queued'))
         UPDATE invalidation SET status = 'Queued', set_aside = false, ended_at = NULL, next_at = $2, fix = NULL,
                                waiting_for = 'retry', lease_token = NULL, lease_until = NULL, unanswered_since = $2
         WHERE id = ANY($1) AND status = 'Failed' AND EXISTS (SELECT FROM coverage c WHERE c.invalidation_id = id)",
        &back,
        now,
    )
    .execute(&mut *connection)
    .await?;
    move_publishes(connection, site, &back).await
}

impl Store {
    /// Takes back what of a site is planned and certainly was not accepted: its publishes are
    /// planned again. Whoever has read what covers them reads again: the version of the settings,
    /// which is restated, grows.
    pub async fn take_back(&self, site: SiteId) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "UPDATE site SET settings_version = settings_version + 1 WHERE id = $1",
            site.0,
        )
        .execute(&mut *tx)
        .await?;
        let planned = sqlx::query_scalar!(
            "SELECT id FROM invalidation
             WHERE site_id = $1 AND status = 'Queued' AND unknown_since IS NULL AND lease_token IS NULL
             ORDER BY id FOR UPDATE",
            site.0,
        )
        .fetch_all(&mut *tx)
        .await?;
        lock_publishes(&mut tx, site).await?;
        plan_again(&mut tx, &planned).await?;
        Ok(tx.commit().await?)
    }
}

/// Lets what these invalidations cover be planned again, and deletes those that were certainly
/// never accepted.
async fn plan_again(connection: &mut PgConnection, invalidations: &[Uuid]) -> Result<()> {
    sqlx::query!(
        "UPDATE publish p SET planned = false FROM coverage c
         WHERE c.invalidation_id = ANY($1) AND p.site_id = c.site_id AND p.id = c.publish_id AND p.ended_at IS NULL",
        invalidations,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "WITH gone AS (
           DELETE FROM invalidation WHERE id = ANY($1) AND status = 'Queued' AND unknown_since IS NULL RETURNING id)
         DELETE FROM coverage WHERE invalidation_id IN (SELECT id FROM gone)",
        invalidations,
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}
