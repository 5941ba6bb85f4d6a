//! Key pairs for senders that speak CloudFront's own API. Their secrets are sealed rather than
//! hashed: a signature can only be checked by computing it again.

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::listen::announce_sites;
use super::seal::Holder;
use super::site_changes::hold_site;
use super::{Result, Site, SiteId, Store};
use crate::domain::{KeyPair, NewKeyPair};

/// A key pair as it is listed: everything but its secret.
#[derive(Clone, Debug)]
pub struct KeyPairView {
    pub id: Uuid,
    pub access_key_id: String,
    pub name: String,
    pub everything_is_home: bool,
    pub created_at: OffsetDateTime,
    /// When its secret was last replaced.
    pub rotated_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
}

impl KeyPairView {
    pub fn secret_since(&self) -> &OffsetDateTime {
        self.rotated_at.as_ref().unwrap_or(&self.created_at)
    }
}

impl Store {
    /// Stores a key pair. Returns whether its access key ID was free.
    pub async fn add_key_pair(
        &self,
        site: SiteId,
        id: Uuid,
        name: &str,
        pair: &NewKeyPair,
        everything_is_home: bool,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let sealed = self.seal(Holder::KeyPair(site, id), &pair.secret)?;
        let mut tx = self.begin().await?;
        hold_site(&mut tx, site).await?;
        let done = sqlx::query!(
            "INSERT INTO key_pair (id, site_id, access_key_id, name, secret, everything_is_home, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (access_key_id) DO NOTHING",
            id,
            site.0,
            pair.access_key_id,
            name,
            sealed,
            everything_is_home,
            now,
        )
        .execute(&mut *tx)
        .await?;
        announce_sites(&mut tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// The key pairs in force, newest first.
    pub async fn key_pairs(&self, site: SiteId) -> Result<Vec<KeyPairView>> {
        Ok(sqlx::query_as!(
            KeyPairView,
            "SELECT id, access_key_id, name, everything_is_home, created_at, rotated_at, last_used_at
             FROM key_pair WHERE site_id = $1 ORDER BY id DESC",
            site.0,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Gives a key pair another secret; the old one stops working at once, on every replica.
    /// Returns its access key ID, if there is such a key pair.
    pub async fn rotate_key_pair(
        &self,
        site: SiteId,
        id: Uuid,
        secret: &SecretString,
        now: OffsetDateTime,
    ) -> Result<Option<String>> {
        let sealed = self.seal(Holder::KeyPair(site, id), secret)?;
        let mut tx = self.begin().await?;
        let access_key_id = sqlx::query_scalar!(
            "UPDATE key_pair SET secret = $3, rotated_at = $4 WHERE site_id = $1 AND id = $2 RETURNING access_key_id",
            site.0,
            id,
            sealed,
            now,
        )
        .fetch_optional(&mut *tx)
        .await?;
        announce_sites(&mut tx).await?;
        tx.commit().await?;
        Ok(access_key_id)
    }

    /// Revokes a key pair at once, on every replica. Returns its access key ID, if there was one.
    pub async fn revoke_key_pair(&self, site: SiteId, id: Uuid) -> Result<Option<String>> {
        let mut tx = self.begin().await?;
        let access_key_id = sqlx::query_scalar!(
            "DELETE FROM key_pair WHERE site_id = $1 AND id = $2 RETURNING access_key_id",
            site.0,
            id,
        )
        .fetch_optional(&mut *tx)
        .await?;
        announce_sites(&mut tx).await?;
        tx.commit().await?;
        Ok(access_key_id)
    }

    /// Each key pair of `sites`, by its access key ID. One that cannot be opened is left out, so
    /// that only its own sender is turned away.
    pub(super) async fn open_key_pairs(
        &self,
        sites: &HashMap<String, Arc<Site>>,
    ) -> Result<HashMap<String, (Arc<KeyPair>, Arc<Site>)>> {
        let rows = sqlx::query!(
            "SELECT id, site_id, access_key_id, name, secret, everything_is_home FROM key_pair"
        )
        .fetch_all(&self.pool)
        .await?;
        let mut pairs = HashMap::with_capacity(rows.len());
        let sites: HashMap<SiteId, &Arc<Site>> =
            sites.values().map(|site| (site.id, site)).collect();
        for row in rows {
            let Some(site) = sites.get(&SiteId(row.site_id)) else {
                continue;
            };
            let secret = match self.open(Holder::KeyPair(site.id, row.id), &row.secret) {
                Ok(secret) => secret,
                Err(error) => {
                    tracing::error!(site = %site.id, key_pair = %row.id, %error, "a key pair is left out");
                    continue;
                }
            };
            let pair = KeyPair {
                id: row.id,
                secret,
                access_key_id: row.access_key_id.clone(),
                name: row.name,
                everything_is_home: row.everything_is_home,
            };
            pairs.insert(row.access_key_id, (Arc::new(pair), Arc::clone(site)));
        }
        Ok(pairs)
    }
}
