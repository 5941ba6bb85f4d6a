//! Key pairs for senders that speak CloudFront's own API. Their secrets are sealed rather than
//! hashed: a signature can only be checked by computing it again.

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::form_answers::Answer;
use super::listen::announce_sites;
use super::seal::SecretOf;
use super::site_changes::lock_site;
use super::{FormHash, Result, Site, SiteId, Store};
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

/// The sender that a new key pair is for.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    pub name: &'a str,
    /// Whether it means the home page by `/*`.
    pub everything_is_home: bool,
}

impl KeyPairView {
    pub fn secret_since(&self) -> &OffsetDateTime {
        self.rotated_at.as_ref().unwrap_or(&self.created_at)
    }
}

impl Store {
    /// Stores a key pair, and answers the form with it that asks for it, if one does. Returns the
    /// pair that holds, this one or the form's earlier answer, and whether this is the first time;
    /// `None` if its access key ID was not free, or the earlier answer no longer holds.
    pub async fn add_key_pair(
        &self,
        site: SiteId,
        id: Uuid,
        sender: Sender<'_>,
        pair: &NewKeyPair,
        form: Option<&FormHash>,
        now: OffsetDateTime,
    ) -> Result<Option<(NewKeyPair, bool)>> {
        let mut answer = self.begin_answer(form, pair.secret.clone(), now).await?;
        let (tx, secret) = (&mut answer.tx, &answer.secret);
        if answer.is_first {
            let sealed = self.seal(SecretOf::KeyPair(site, id), secret)?;
            lock_site(tx, site).await?;
            sqlx::query!(
                "INSERT INTO key_pair (id, site_id, access_key_id, name, secret, everything_is_home, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (access_key_id) DO NOTHING",
                id,
                site.0,
                pair.access_key_id,
                sender.name,
                sealed,
                sender.everything_is_home,
                now,
            )
            .execute(&mut **tx)
            .await?;
            announce_sites(tx).await?;
        }
        self.end_with_pair(answer, site).await
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

    /// Gives a key pair another secret, and answers the form with it that asks for it, if one does;
    /// the old one stops working at once, on every replica. Returns `None` if there is no such key
    /// pair, or the earlier answer no longer holds.
    pub async fn rotate_key_pair(
        &self,
        site: SiteId,
        id: Uuid,
        secret: SecretString,
        form: Option<&FormHash>,
        now: OffsetDateTime,
    ) -> Result<Option<(NewKeyPair, bool)>> {
        let mut answer = self.begin_answer(form, secret, now).await?;
        let (tx, secret) = (&mut answer.tx, &answer.secret);
        if answer.is_first {
            let sealed = self.seal(SecretOf::KeyPair(site, id), secret)?;
            sqlx::query!(
                "UPDATE key_pair SET secret = $3, rotated_at = $4 WHERE site_id = $1 AND id = $2",
                site.0,
                id,
                sealed,
                now,
            )
            .execute(&mut **tx)
            .await?;
            announce_sites(tx).await?;
        }
        self.end_with_pair(answer, site).await
    }

    /// Ends with the key pair of the site that has the answer's secret, if one still does.
    async fn end_with_pair(
        &self,
        mut answer: Answer,
        site: SiteId,
    ) -> Result<Option<(NewKeyPair, bool)>> {
        let rows = sqlx::query!(
            "SELECT id, access_key_id, secret FROM key_pair WHERE site_id = $1",
            site.0,
        )
        .fetch_all(&mut *answer.tx)
        .await?;
        let secret = &answer.secret;
        let row = rows
            .into_iter()
            .find(|row| self.holds(SecretOf::KeyPair(site, row.id), &row.secret, secret));
        let Some(row) = row else { return Ok(None) };
        let answered = answer.end(true).await?;
        Ok(answered.map(|(secret, is_first)| {
            let pair = NewKeyPair {
                access_key_id: row.access_key_id,
                secret,
            };
            (pair, is_first)
        }))
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
            let secret = match self.open(SecretOf::KeyPair(site.id, row.id), &row.secret) {
                Ok(secret) => secret,
                Err(error) => {
                    tracing::error!(site = %site.id, key_pair = %row.id, %error, "could not read a key pair; ignoring it");
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
