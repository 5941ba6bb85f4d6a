//! All sealed secrets together: whether the keys open them, and sealing them again.

use sqlx::PgConnection;

use super::listen::announce_sites;
use super::seal::Holder;
use super::{Result, SealError, SiteId, Slot, Store};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets that are now sealed with the first key.
    pub sealed: usize,
    /// Secrets that no key opened, and that were removed.
    pub removed: usize,
}

/// These lock every row with a sealed secret, in the order in which removing a site deletes them.
const LOCKS: [&str; 6] = [
    "SELECT FROM cdn_settings WHERE secret_access_key IS NOT NULL ORDER BY site_id, slot FOR UPDATE",
    "SELECT FROM publish_token WHERE unrevealed IS NOT NULL ORDER BY id FOR UPDATE",
    "SELECT FROM hook_secret ORDER BY id FOR UPDATE",
    "SELECT FROM key_pair ORDER BY id FOR UPDATE",
    "SELECT FROM account WHERE second_step IS NOT NULL FOR UPDATE",
    "SELECT FROM endpoint ORDER BY id FOR UPDATE",
];

impl Holder {
    async fn replace(self, sealed: &[u8], connection: &mut PgConnection) -> sqlx::Result<()> {
        match self {
            Self::Settings(site, slot) => sqlx::query!(
                "UPDATE cdn_settings SET secret_access_key = $3 WHERE site_id = $1 AND slot = $2",
                site.0,
                slot,
                sealed,
            ),
            Self::Token(_, id) => sqlx::query!(
                "UPDATE publish_token SET unrevealed = $2 WHERE id = $1 AND unrevealed IS NOT NULL",
                id,
                sealed,
            ),
            Self::HookSecret(_, id) => {
                sqlx::query!(
                    "UPDATE hook_secret SET secret = $2 WHERE id = $1",
                    id,
                    sealed
                )
            }
            Self::KeyPair(_, id) => {
                sqlx::query!("UPDATE key_pair SET secret = $2 WHERE id = $1", id, sealed)
            }
            Self::SecondStep => sqlx::query!("UPDATE account SET second_step = $1", sealed),
            Self::EndpointUrl(_, id) => {
                sqlx::query!("UPDATE endpoint SET url = $2 WHERE id = $1", id, sealed)
            }
            Self::EndpointSecret(_, id) => {
                sqlx::query!("UPDATE endpoint SET secret = $2 WHERE id = $1", id, sealed)
            }
        }
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn remove(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        match self {
            Self::Settings(site, slot) => sqlx::query!(
                "DELETE FROM cdn_settings WHERE site_id = $1 AND slot = $2",
                site.0,
                slot,
            ),
            // The token itself still works: only its text is gone.
            Self::Token(_, id) => {
                sqlx::query!(
                    "UPDATE publish_token SET unrevealed = NULL WHERE id = $1",
                    id
                )
            }
            Self::HookSecret(_, id) => sqlx::query!("DELETE FROM hook_secret WHERE id = $1", id),
            Self::KeyPair(_, id) => sqlx::query!("DELETE FROM key_pair WHERE id = $1", id),
            Self::SecondStep => sqlx::query!("UPDATE account SET second_step = NULL"),
            Self::EndpointUrl(_, id) | Self::EndpointSecret(_, id) => {
                sqlx::query!("DELETE FROM endpoint WHERE id = $1", id)
            }
        }
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Store {
    /// Checks that the keys open every sealed secret.
    ///
    /// # Errors
    /// [`SealError::WrongKey`] if they do not; or if the database does not answer.
    pub async fn check_keys(&self) -> Result<()> {
        let mut connection = self.pool.acquire().await?;
        for (holder, sealed) in sealed_rows(&mut connection).await? {
            self.open(holder, &sealed)?;
        }
        Ok(())
    }

    /// Seals every secret again with the first key. What no key opens stops it or, with
    /// `remove_unreadable`, is removed.
    ///
    /// # Errors
    /// [`SealError::WrongKey`], with nothing changed; or if the database does not answer.
    pub async fn reseal(&self, remove_unreadable: bool) -> Result<Resealed> {
        let mut tx = self.begin().await?;
        for lock in LOCKS {
            sqlx::query(lock).execute(&mut *tx).await?;
        }
        let mut done = Resealed::default();
        for (holder, sealed) in sealed_rows(&mut tx).await? {
            match self.open(holder, &sealed) {
                Ok(secret) => {
                    let sealed = self.seal(holder, &secret)?;
                    holder.replace(&sealed, &mut tx).await?;
                    done.sealed += 1;
                }
                Err(SealError::WrongKey) if remove_unreadable => {
                    holder.remove(&mut tx).await?;
                    done.removed += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        announce_sites(&mut tx).await?;
        tx.commit().await?;
        Ok(done)
    }
}

/// Every row with a sealed secret.
async fn sealed_rows(connection: &mut PgConnection) -> Result<Vec<(Holder, Vec<u8>)>> {
    let mut rows = Vec::new();
    for row in sqlx::query!(
        r#"SELECT site_id, slot as "slot: Slot", secret_access_key as "sealed!" FROM cdn_settings
           WHERE secret_access_key IS NOT NULL ORDER BY site_id, slot"#
    )
    .fetch_all(&mut *connection)
    .await?
    {
        let holder = Holder::Settings(SiteId(row.site_id), row.slot.into_str());
        rows.push((holder, row.sealed));
    }
    for row in sqlx::query!(
        r#"SELECT site_id, id, unrevealed as "sealed!" FROM publish_token
           WHERE unrevealed IS NOT NULL ORDER BY id"#
    )
    .fetch_all(&mut *connection)
    .await?
    {
        let holder = Holder::Token(SiteId(row.site_id), row.id);
        rows.push((holder, row.sealed));
    }
    for row in sqlx::query!("SELECT site_id, id, secret FROM hook_secret ORDER BY id")
        .fetch_all(&mut *connection)
        .await?
    {
        let holder = Holder::HookSecret(SiteId(row.site_id), row.id);
        rows.push((holder, row.secret));
    }
    for row in sqlx::query!("SELECT site_id, id, secret FROM key_pair ORDER BY id")
        .fetch_all(&mut *connection)
        .await?
    {
        let holder = Holder::KeyPair(SiteId(row.site_id), row.id);
        rows.push((holder, row.secret));
    }
    for sealed in sqlx::query_scalar!(
        r#"SELECT second_step as "sealed!" FROM account WHERE second_step IS NOT NULL"#
    )
    .fetch_all(&mut *connection)
    .await?
    {
        rows.push((Holder::SecondStep, sealed));
    }
    for row in sqlx::query!("SELECT site_id, id, url, secret FROM endpoint ORDER BY id")
        .fetch_all(connection)
        .await?
    {
        let site = SiteId(row.site_id);
        rows.push((Holder::EndpointUrl(site, row.id), row.url));
        if let Some(secret) = row.secret {
            rows.push((Holder::EndpointSecret(site, row.id), secret));
        }
    }
    Ok(rows)
}
