//! Creating, renaming and removing sites.

use secrecy::SecretString;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::history::STEP;
use super::listen::announce_sites;
use super::transitions::supersede;
use super::{FormHash, Result, ShownTo, SiteId, Store, StoreError};
use crate::domain::SiteName;

/// How long what CloudFront accepted for a removed site is kept, since it counts against the quota
/// of a distribution that others may share.
const STILL_COUNTS: Duration = Duration::hours(1);
/// The key of PostgreSQL's advisory lock that makes replicas take turns: "sweep", in ASCII.
const LOCK: i64 = 0x73_77_65_65_70;

/// The name of the token that a site is made with.
const FIRST_TOKEN: &str = "First token";

/// What the publishers of a new site authenticate with. Each is shown once, to whoever reveals it.
#[derive(Debug)]
pub struct FirstProofs {
    pub token: (Uuid, SecretString),
    pub secret: (Uuid, SecretString),
}

impl Store {
    /// Makes a site, or returns `None` if there is one of that name. If a form asked for it, that
    /// has an answer from then on.
    pub async fn create_site(
        &self,
        name: &SiteName,
        form: Option<&FormHash>,
        first: &FirstProofs,
        now: OffsetDateTime,
    ) -> Result<Option<SiteId>> {
        let mut tx = self.begin().await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO site (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING id",
            name.as_str(),
            now,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(id) = id else { return Ok(None) };
        if let Some(form) = form {
            let made = SecretString::from(name.as_str());
            self.keep_answer(&mut tx, form, &made, now).await?;
        }
        let (site, shown) = (SiteId(id), ShownTo::WhoeverReveals);
        let (id, secret) = &first.secret;
        self.insert_hook_secret(&mut tx, site, *id, secret, shown, now)
            .await?;
        let (id, token) = &first.token;
        self.insert_token(&mut tx, site, (*id, FIRST_TOKEN), token, shown, now)
            .await?;
        announce_sites(&mut tx).await?;
        tx.commit().await?;
        Ok(Some(site))
    }

    /// Gives a site another name. Returns `false` if there is one of that name.
    ///
    /// # Errors
    /// [`StoreError::SiteGone`] if the site was removed.
    pub async fn rename_site(&self, site: SiteId, name: &SiteName) -> Result<bool> {
        let mut tx = self.begin().await?;
        let renamed = sqlx::query!(
            "UPDATE site SET name = $2 WHERE id = $1 AND removed_at IS NULL",
            site.0,
            name.as_str(),
        )
        .execute(&mut *tx)
        .await;
        match renamed {
            Ok(done) if done.rows_affected() == 0 => Err(StoreError::SiteGone),
            Ok(_) => {
                announce_sites(&mut tx).await?;
                tx.commit().await?;
                Ok(true)
            }
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a site: at once it has no name, no settings and no secrets, and nothing more is sent
    /// for it. What it leaves is deleted by [`Store::sweep_step`]. Returns `false` if it was gone.
    pub async fn remove_site(&self, site: SiteId, now: OffsetDateTime) -> Result<bool> {
        let mut tx = match self.begin_change(site).await {
            Err(StoreError::SiteGone) => return Ok(false),
            tx => tx?,
        };
        sqlx::query!("DELETE FROM cdn_settings WHERE site_id = $1", site.0)
            .execute(&mut *tx)
            .await?;
        let removed = sqlx::query!(
            "UPDATE site SET removed_at = $2, paused_at = NULL, pause_error = NULL, resume_at = NULL,
                             settings_version = settings_version + 1
             WHERE id = $1 AND removed_at IS NULL",
            site.0,
            now,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if removed == 0 {
            return Ok(false);
        }
        // What it has stored is no longer sent, and holds nobody up.
        supersede(&mut tx, site, now).await?;
        // In the order in which all secrets are sealed again. The hashes of tokens stay, so that
        // its publishers learn that it is gone.
        sqlx::query!(
            "UPDATE publish_token SET unrevealed = NULL WHERE site_id = $1",
            site.0
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("DELETE FROM hook_secret WHERE site_id = $1", site.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query!("DELETE FROM key_pair WHERE site_id = $1", site.0)
            .execute(&mut *tx)
            .await?;
        // This frees its name; nobody else takes the new one. It comes late because the name is a
        // key: from here on, nothing that refers to the site can be stored, not even the usage of a
        // call that was just accepted.
        let name = format!("removed-{}-{}", site.0, now.unix_timestamp_nanos());
        sqlx::query!("UPDATE site SET name = $2 WHERE id = $1", site.0, name)
            .execute(&mut *tx)
            .await?;
        // Only then the endpoints: a transaction that the statement above waited for may still have
        // notified them.
        sqlx::query!("DELETE FROM endpoint WHERE site_id = $1", site.0)
            .execute(&mut *tx)
            .await?;
        announce_sites(&mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes some of what removed sites leave, and returns how many rows: zero if nothing is left
    /// for now, or another replica is doing so. A removed site itself is deleted if it was removed
    /// before `before` and nothing of it is left.
    ///
    /// Locked rows are left for the next time: sweeping waits for nobody.
    pub async fn sweep_step(&self, now: OffsetDateTime, before: OffsetDateTime) -> Result<u64> {
        let Some(mut tx) = self.begin_step(LOCK).await? else {
            return Ok(0);
        };
        let removed =
            sqlx::query_scalar!("SELECT id FROM site WHERE removed_at IS NOT NULL ORDER BY id")
                .fetch_all(&mut *tx)
                .await?;
        let mut deleted = 0;
        for site in removed {
            deleted = delete_some(&mut tx, site, now).await?;
            if deleted > 0 {
                break;
            }
        }
        if deleted == 0 {
            deleted = delete_sites(&mut tx, now, before).await?;
        }
        tx.commit().await?;
        Ok(deleted)
    }
}

/// Keeps a site from being removed until the transaction ends: a removal deletes its secrets, and
/// must not miss one that is being stored.
///
/// # Errors
/// [`StoreError::SiteGone`] if it was removed.
pub(super) async fn lock_site(connection: &mut PgConnection, site: SiteId) -> Result<()> {
    let there = sqlx::query!(
        "SELECT FROM site WHERE id = $1 AND removed_at IS NULL FOR KEY SHARE",
        site.0
    )
    .fetch_optional(connection)
    .await?;
    there.map(|_| ()).ok_or(StoreError::SiteGone)
}

/// The same, and alone: what is counted of the site stays as it is, so that two forms at once do
/// not add one too many.
pub(super) async fn lock_site_alone(connection: &mut PgConnection, site: SiteId) -> Result<()> {
    let there = sqlx::query!(
        "SELECT FROM site WHERE id = $1 AND removed_at IS NULL FOR NO KEY UPDATE",
        site.0
    )
    .fetch_optional(connection)
    .await?;
    there.map(|_| ()).ok_or(StoreError::SiteGone)
}

/// Deletes some of what one removed site leaves: publishes first, since they refer to the rest.
async fn delete_some(connection: &mut PgConnection, site: i32, now: OffsetDateTime) -> Result<u64> {
    let publishes = sqlx::query_scalar!(
        r#"WITH gone AS (
             DELETE FROM publish WHERE site_id = $1 AND id = ANY(ARRAY(
               SELECT id FROM publish WHERE site_id = $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING id),
           uncovered AS (
             DELETE FROM coverage WHERE site_id = $1 AND publish_id IN (SELECT id FROM gone)),
           unseen AS (
             DELETE FROM edge_check WHERE site_id = $1 AND publish_id IN (SELECT id FROM gone))
           SELECT count(*) as "count!" FROM gone"#,
        site,
        STEP,
    )
    .fetch_one(&mut *connection)
    .await?
    .unsigned_abs();
    if publishes > 0 {
        return Ok(publishes);
    }
    let invalidations = sqlx::query!(
        "DELETE FROM invalidation WHERE id = ANY(ARRAY(
           SELECT i.id FROM invalidation i
           WHERE i.site_id = $1 AND i.created_at < $3 AND (i.lease_until IS NULL OR i.lease_until < $4)
             AND NOT EXISTS (SELECT FROM coverage c WHERE c.invalidation_id = i.id)
           ORDER BY i.id LIMIT $2 FOR UPDATE SKIP LOCKED))",
        site,
        STEP,
        now - STILL_COUNTS,
        now,
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if invalidations > 0 {
        return Ok(invalidations);
    }
    Ok(sqlx::query!(
        "DELETE FROM known_path WHERE site_id = $1 AND path = ANY(ARRAY(
           SELECT path FROM known_path WHERE site_id = $1 ORDER BY path LIMIT $2))",
        site,
        STEP,
    )
    .execute(connection)
    .await?
    .rows_affected())
}

/// Deletes sites that were removed before `before` and have nothing left that counts.
async fn delete_sites(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    before: OffsetDateTime,
) -> Result<u64> {
    Ok(sqlx::query!(
        "DELETE FROM site s
         WHERE s.removed_at < $1
           AND NOT EXISTS (SELECT FROM publish p WHERE p.site_id = s.id)
           AND NOT EXISTS (SELECT FROM invalidation i WHERE i.site_id = s.id)
           AND NOT EXISTS (SELECT FROM usage u WHERE u.site_id = s.id
                             AND u.month >= date_trunc('month', $2::timestamptz AT TIME ZONE 'UTC')::date)",
        before,
        now,
    )
    .execute(connection)
    .await?
    .rows_affected())
}
