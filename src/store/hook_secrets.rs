//! Signing secrets of the publish hook: sealed, and shown once.

use std::collections::HashMap;

use secrecy::SecretString;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::listen::announce_sites;
use super::seal::SecretOf;
use super::site_changes::lock_site_alone;
use super::{Answered, Result, SealError, ShownTo, SiteId, Store};
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
    /// Stores a signing secret. Returns `None` if the site has as many secrets as it may, or the
    /// form's earlier answer was revoked since.
    pub async fn add_hook_secret(
        &self,
        site: SiteId,
        id: Uuid,
        secret: SecretString,
        shown: ShownTo<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<Answered>> {
        let mut answer = self.begin_answer(shown.form(), secret, now).await?;
        let (tx, secret) = (&mut answer.tx, &answer.secret);
        if answer.is_first {
            self.insert_hook_secret(tx, site, id, secret, shown, now)
                .await?;
            announce_sites(tx).await?;
        }
        let rows = sqlx::query!(
            "SELECT id, secret FROM hook_secret WHERE site_id = $1",
            site.0,
        )
        .fetch_all(&mut **tx)
        .await?;
        let has = rows
            .iter()
            .any(|row| self.holds(SecretOf::HookSecret(site, row.id), &row.secret, secret));
        answer.end(has).await
    }

    /// Stores a signing secret, unless the site has as many as it may.
    pub(super) async fn insert_hook_secret(
        &self,
        connection: &mut PgConnection,
        site: SiteId,
        id: Uuid,
        secret: &SecretString,
        shown: ShownTo<'_>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let sealed = self.seal(SecretOf::HookSecret(site, id), secret)?;
        lock_site_alone(connection, site).await?;
        sqlx::query!(
            "INSERT INTO hook_secret (id, site_id, secret, unrevealed, created_at)
             SELECT $1, s.id, $3, $4, $5 FROM site s
             WHERE s.id = $2 AND (SELECT count(*) FROM hook_secret h WHERE h.site_id = $2) < $6",
            id,
            site.0,
            sealed,
            shown.is_revealed(),
            now,
            i64::try_from(HookSecret::MAX_PER_SITE).unwrap_or(i64::MAX),
        )
        .execute(connection)
        .await?;
        Ok(())
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
                .open(SecretOf::HookSecret(site, row.id), &row.secret)
                .and_then(|text| {
                    HookSecret::parse(row.id, &text).map_err(|_| SealError::Unreadable)
                });
            match opened {
                Ok(secret) => secrets.entry(site).or_default().push(secret),
                Err(error) => {
                    tracing::error!(%site, secret = %row.id, %error, "could not read a signing secret; ignoring it");
                }
            }
        }
        Ok(secrets)
    }
}
