//! The built-in account: its password's hash, the links that set it, and the browsers that know it.

use time::{Duration, OffsetDateTime};

use super::tokens::TokenHash;
use super::{Store, StoreError};

/// The built-in account.
pub const ADMIN: &str = "admin";
/// How long a set-up link works.
const LINK_LIFETIME: Duration = Duration::hours(1);
/// How long a browser is known without signing in again.
const DEVICE_MEMORY: Duration = Duration::days(365);

impl Store {
    /// The hash of the admin's password; none: it has not been set.
    pub async fn password_hash(&self) -> Result<Option<String>, StoreError> {
        Ok(
            sqlx::query_scalar!("SELECT password_hash FROM account WHERE name = $1", ADMIN)
                .fetch_optional(&self.pool)
                .await?,
        )
    }

    /// Sets the admin's password where it has none. Tells whether it had none.
    pub async fn set_first_password(
        &self,
        hash: &str,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "INSERT INTO account (name, password_hash, changed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            ADMIN,
            hash,
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Sets the admin's password and ends its sessions. With `link`, only if that link works, which
    /// it then does no more. Tells whether it was done.
    pub async fn set_password(
        &self,
        hash: &str,
        link: Option<&TokenHash>,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        if let Some(link) = link {
            let used = sqlx::query!(
                "DELETE FROM set_up_link WHERE token_hash = $1 AND expires_at > $2",
                link.as_slice(),
                now,
            )
            .execute(&mut *tx)
            .await?;
            if used.rows_affected() != 1 {
                return Ok(false);
            }
        }
        sqlx::query!("DELETE FROM set_up_link")
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "INSERT INTO account (name, password_hash, changed_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET password_hash = EXCLUDED.password_hash, changed_at = EXCLUDED.changed_at",
            ADMIN,
            hash,
            now,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "DELETE FROM session WHERE user_name = $1 AND source = 'password'",
            ADMIN
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Stores a link that sets the admin's password, once, within an hour.
    pub async fn add_set_up_link(
        &self,
        token: &TokenHash,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO set_up_link (token_hash, expires_at) VALUES ($1, $2)",
            token.as_slice(),
            now + LINK_LIFETIME,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Whether a set-up link works.
    pub async fn set_up_link_works(
        &self,
        token: &TokenHash,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM set_up_link WHERE token_hash = $1 AND expires_at > $2) as "works!""#,
            token.as_slice(),
            now,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Whether this browser has signed in before.
    pub async fn knows_device(
        &self,
        device: &TokenHash,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM known_device WHERE token_hash = $1 AND used_at > $2) as "known!""#,
            device.as_slice(),
            now - DEVICE_MEMORY,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Remembers that this browser has signed in.
    pub async fn remember_device(
        &self,
        device: &TokenHash,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO known_device (token_hash, account, used_at) VALUES ($1, $2, $3)
             ON CONFLICT (token_hash) DO UPDATE SET used_at = EXCLUDED.used_at",
            device.as_slice(),
            ADMIN,
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes sessions, links, tries and tokens whose time is over.
    pub async fn forget_expired(&self, now: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM session WHERE ends_at < $1", now)
            .execute(&self.pool)
            .await?;
        sqlx::query!("DELETE FROM set_up_link WHERE expires_at < $1", now)
            .execute(&self.pool)
            .await?;
        sqlx::query!("DELETE FROM embed_token WHERE expires_at < $1", now)
            .execute(&self.pool)
            .await?;
        sqlx::query!(
            "DELETE FROM known_device WHERE used_at < $1",
            now - DEVICE_MEMORY
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "DELETE FROM sign_in_tries WHERE last_at < $1",
            now - crate::domain::slow_down::LONGEST_MEMORY,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
