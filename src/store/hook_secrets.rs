//! Signing secrets of the publish hook: sealed, and shown once.

use std::collections::HashMap;

use secrecy::SecretString;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::listen::announce_sites;
use super::seal::Holder;
use super::site_changes::hold_site;
use super::{Answered, FormHash, Result, SealError, SiteId, Store};
use crate::domain::HookSecret;

/// A signing secret as the settings page shows it: everything but the secret.
#[derive(Clone, Debug)]
pub struct HookSecretView {
    pub id: Uuid,
    pub created_at: OffsetDateTime,
    /// When it last signed a call.
    pub last_used_at: Option<OffsetDateTime>,
    /// Whether it waits to be shown, once.
    pub unrevealed: bool,
}

impl Store {
    /// Stores a signing secret. With `reveal_once` it can be shown by [`Store::reveal`].
    pub async fn add_hook_secret(
        &self,
        site: SiteId,
        id: Uuid,
        secret: &SecretString,
        reveal_once: bool,
        now: OffsetDateTime,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        self.insert_hook_secret(&mut tx, site, id, secret, reveal_once, now)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Stores a signing secret that a form asks for, and answers the form with it. Returns `None`
    /// if the site has as many secrets as it may, or the earlier answer was revoked since.
    pub async fn add_hook_secret_once(
        &self,
        site: SiteId,
        id: Uuid,
        secret: SecretString,
        form: &FormHash,
        now: OffsetDateTime,
    ) -> Result<Option<Answered>> {
        let mut answer = self.begin_answer(form, secret, now).await?;
        let (tx, secret) = (&mut answer.tx, &answer.secret);
        let has = if answer.is_first {
            // Locked while counting, so that two forms at once do not add one secret too many.
            sqlx::query!("SELECT FROM site WHERE id = $1 FOR NO KEY UPDATE", site.0)
                .fetch_optional(&mut **tx)
                .await?;
            let secrets = sqlx::query_scalar!(
                r#"SELECT count(*) as "secrets!" FROM hook_secret WHERE site_id = $1"#,
                site.0,
            )
            .fetch_one(&mut **tx)
            .await?;
            let has_room = usize::try_from(secrets).is_ok_and(|secrets| secrets < HookSecret::MOST);
            if has_room {
                self.insert_hook_secret(tx, site, id, secret, false, now)
                    .await?;
            }
            has_room
        } else {
            let rows = sqlx::query!(
                "SELECT id, secret FROM hook_secret WHERE site_id = $1",
                site.0,
            )
            .fetch_all(&mut **tx)
            .await?;
            rows.iter()
                .any(|row| self.holds(Holder::HookSecret(site, row.id), &row.secret, secret))
        };
        answer.end(has).await
    }

    async fn insert_hook_secret(
        &self,
        connection: &mut PgConnection,
        site: SiteId,
        id: Uuid,
        secret: &SecretString,
        reveal_once: bool,
        now: OffsetDateTime,
    ) -> Result<()> {
        let sealed = self.seal(Holder::HookSecret(site, id), secret)?;
        hold_site(connection, site).await?;
        sqlx::query!(
            "INSERT INTO hook_secret (id, site_id, secret, unrevealed, created_at) VALUES ($1, $2, $3, $4, $5)",
            id,
            site.0,
            sealed,
            reveal_once,
            now,
        )
        .execute(&mut *connection)
        .await?;
        announce_sites(connection).await
    }

    /// The secrets in force, newest first.
    pub async fn hook_secrets(&self, site: SiteId) -> Result<Vec<HookSecretView>> {
        Ok(sqlx::query_as!(
            HookSecretView,
            "SELECT id, created_at, last_used_at, unrevealed FROM hook_secret WHERE site_id = $1 ORDER BY id DESC",
            site.0,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// The secrets of every site. One that cannot be opened is left out, so that only its own
    /// publisher is turned away.
    pub(super) async fn open_hook_secrets(&self) -> Result<HashMap<SiteId, Vec<HookSecret>>> {
        let rows = sqlx::query!("SELECT id, site_id, secret FROM hook_secret ORDER BY id DESC")
            .fetch_all(&self.pool)
            .await?;
        let mut secrets: HashMap<SiteId, Vec<HookSecret>> = HashMap::new();
        for row in rows {
            let site = SiteId(row.site_id);
            let opened = self
                .open(Holder::HookSecret(site, row.id), &row.secret)
                .and_then(|text| {
                    HookSecret::parse(row.id, &text).map_err(|_| SealError::Unreadable)
                });
            match opened {
                Ok(secret) => secrets.entry(site).or_default().push(secret),
                Err(error) => {
                    tracing::error!(%site, secret = %row.id, %error, "a signing secret is left out");
                }
            }
        }
        Ok(secrets)
    }
}
