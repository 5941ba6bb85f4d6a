//! Deleting what has expired and, in steps that hold nobody up, what ended long ago.

use sqlx::{PgConnection, Postgres, Transaction};
use time::{Duration, OffsetDateTime};

use super::accounts::DEVICE_MEMORY;
use super::{Result, Store};
use crate::domain::slow_down::CLIENT_MEMORY;

/// The most rows of each kind that one step deletes: a few milliseconds.
pub(super) const STEP: i64 = 500;
/// How far the clocks of replicas may be apart: what has expired for one, another may still accept.
const CLOCKS_APART: Duration = Duration::minutes(1);
/// How long a rate has to go unused to be as configured again.
const UNUSED: Duration = Duration::days(1);
/// The key of PostgreSQL's advisory lock that makes replicas take turns: "prune", in ASCII.
const LOCK: i64 = 0x70_72_75_6e_65;

/// How much there is to prune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prunable {
    pub publishes: i64,
    pub invalidations: i64,
    pub notifications: i64,
}

impl Prunable {
    pub const fn total(self) -> i64 {
        self.publishes + self.invalidations + self.notifications
    }
}

impl Store {
    /// Deletes expired sessions, links, attempts to sign in, tokens, rates and answers to forms.
    pub async fn forget_expired(&self, now: OffsetDateTime) -> Result<()> {
        sqlx::query!("DELETE FROM session WHERE ends_at < $1", now)
            .execute(&self.pool)
            .await?;
        sqlx::query!("DELETE FROM set_up_link WHERE expires_at < $1", now)
            .execute(&self.pool)
            .await?;
        sqlx::query!(
            "DELETE FROM embed_token WHERE expires_at < $1",
            now - CLOCKS_APART
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "DELETE FROM known_device WHERE used_at < $1",
            now - DEVICE_MEMORY
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "DELETE FROM access_key WHERE refilled_at < $1",
            now - UNUSED
        )
        .execute(&self.pool)
        .await?;
        self.forget_answers(now).await?;
        sqlx::query!(
            "DELETE FROM sign_in_tries WHERE last_at < $1",
            now - CLIENT_MEMORY,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Counts what pruning with the same `before` would delete in the end.
    pub async fn prunable(&self, before: OffsetDateTime) -> Result<Prunable> {
        Ok(sqlx::query_as!(
            Prunable,
            r#"SELECT (SELECT count(*) FROM publish WHERE ended_at < $1) as "publishes!",
                      (SELECT count(*) FROM invalidation i
                       WHERE i.ended_at < $1
                         AND NOT EXISTS (
                           SELECT FROM coverage c JOIN publish p ON (p.site_id, p.id) = (c.site_id, c.publish_id)
                           WHERE c.invalidation_id = i.id AND (p.ended_at >= $1 OR p.ended_at IS NULL))
                         AND NOT EXISTS (SELECT FROM cdn_settings s WHERE s.test_invalidation = i.id)) as "invalidations!",
                      (SELECT count(*) FROM delivery
                       WHERE ended_at < $1 AND (once IS NULL OR ended_at < $1 - interval '31 days')) as "notifications!""#,
            before,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Begins a step of deleting, unless another replica is in the middle of one. They take turns
    /// by the advisory lock with this key.
    pub(super) async fn begin_step(
        &self,
        lock: i64,
    ) -> Result<Option<Transaction<'static, Postgres>>> {
        let mut tx = self.begin().await?;
        let ours = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) as "ours!""#, lock)
            .fetch_one(&mut *tx)
            .await?;
        if !ours {
            return Ok(None);
        }
        // Planned for the few rows of a step. A plan that is made without knowing how many is one
        // for a tenth of the table, which may read all of what refers to it.
        sqlx::query("SET LOCAL plan_cache_mode = force_custom_plan")
            .execute(&mut *tx)
            .await?;
        Ok(Some(tx))
    }

    /// Deletes some of the publishes that ended before `before`, and of the notifications and the
    /// invalidations that ended before it and that no publish refers to any longer. What has not
    /// ended stays, however old. Returns how many rows: zero if all is done, or another replica is
    /// pruning.
    ///
    /// Locked rows are left for the next time: pruning waits for nobody.
    pub async fn prune_step(&self, before: OffsetDateTime) -> Result<u64> {
        let Some(mut tx) = self.begin_step(LOCK).await? else {
            return Ok(0);
        };
        let publishes = sqlx::query_scalar!(
            r#"WITH forgotten AS (
                 DELETE FROM publish WHERE ctid = ANY(ARRAY(
                   SELECT ctid FROM publish WHERE ended_at < $1 ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED))
                 RETURNING site_id, id),
               uncovered AS (
                 DELETE FROM coverage c USING forgotten f WHERE c.site_id = f.site_id AND c.publish_id = f.id),
               unseen AS (
                 DELETE FROM edge_check e USING forgotten f WHERE e.site_id = f.site_id AND e.publish_id = f.id)
               SELECT count(*) as "count!" FROM forgotten"#,
            before,
            STEP,
        )
        .fetch_one(&mut *tx)
        .await?
        .unsigned_abs();
        // Once the publishes are gone: until then, most old invalidations would be looked at in
        // vain.
        let invalidations = if publishes < STEP.unsigned_abs() {
            delete_invalidations(&mut tx, before).await?
        } else {
            0
        };
        let deliveries = delete_deliveries(&mut tx, before).await?;
        tx.commit().await?;
        Ok(publishes + invalidations + deliveries)
    }
}

async fn delete_invalidations(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> Result<u64> {
    // The settings page still shows how the last test ended.
    let deleted = sqlx::query!(
        "DELETE FROM invalidation WHERE ctid = ANY(ARRAY(
               SELECT i.ctid FROM invalidation i
               WHERE i.ended_at < $1
                 AND NOT EXISTS (SELECT FROM coverage c WHERE c.invalidation_id = i.id)
                 AND NOT EXISTS (SELECT FROM cdn_settings s WHERE s.test_invalidation = i.id)
               ORDER BY i.ended_at LIMIT $2 FOR UPDATE OF i SKIP LOCKED))",
        before,
        STEP,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

async fn delete_deliveries(connection: &mut PgConnection, before: OffsetDateTime) -> Result<u64> {
    // What is told only once, such as a month's limit, would be told again without its row: it
    // stays for that month, however short the history is.
    let deleted = sqlx::query!(
        "DELETE FROM delivery WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM delivery
           WHERE ended_at < $1 AND (once IS NULL OR ended_at < $1 - interval '31 days')
           ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        before,
        STEP,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}
