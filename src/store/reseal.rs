//! All sealed secrets together: whether the keys open them, and sealing them again.

use sqlx::PgConnection;

use super::listen::announce_sites;
use super::seal::SecretOf;
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

impl SecretOf {
    /// Replaces a sealed secret with another one or, if there is none, removes it. Where a row is
    /// nothing without it, the row goes too.
    async fn replace(
        self,
        sealed: Option<&[u8]>,
        connection: &mut PgConnection,
    ) -> sqlx::Result<()> {
        match (self, sealed) {
            (Self::Settings(site, slot), Some(sealed)) => sqlx::query!(
                "UPDATE cdn_settings SET secret_access_key = $3 WHERE site_id = $1 AND slot = $2",
                site.0,
                slot,
                sealed,
            ),
            (Self::Settings(site, slot), None) => sqlx::query!(
                "DELETE FROM cdn_settings WHERE site_id = $1 AND slot = $2",
                site.0,
                slot,
            ),
            // Without its text, the token still works.
            (Self::Token(_, id), sealed) => sqlx::query!(
                "UPDATE publish_token SET unrevealed = $2 WHERE id = $1 AND unrevealed IS NOT NULL",
                id,
                sealed,
            ),
            (Self::HookSecret(_, id), Some(sealed)) => {
                sqlx::query!(
                    "UPDATE hook_secret SET secret = $2 WHERE id = $1",
                    id,
                    sealed
                )
            }
            (Self::HookSecret(_, id), None) => {
                sqlx::query!("DELETE FROM hook_secret WHERE id = $1", id)
            }
            (Self::KeyPair(_, id), Some(sealed)) => {
                sqlx::query!("UPDATE key_pair SET secret = $2 WHERE id = $1", id, sealed)
            }
            (Self::KeyPair(_, id), None) => sqlx::query!("DELETE FROM key_pair WHERE id = $1", id),
            (Self::SecondStep, sealed) => {
                sqlx::query!("UPDATE account SET second_step = $1", sealed)
            }
            (Self::EndpointUrl(_, id), Some(sealed)) => {
                sqlx::query!("UPDATE endpoint SET url = $2 WHERE id = $1", id, sealed)
            }
            (Self::EndpointSecret(_, id), Some(sealed)) => {
                sqlx::query!("UPDATE endpoint SET secret = $2 WHERE id = $1", id, sealed)
            }
            (Self::EndpointUrl(_, id) | Self::EndpointSecret(_, id), None) => {
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
        for (of, sealed) in sealed_rows(&mut connection).await? {
            self.open(of, &sealed)?;
        }
        Ok(())
    }

    /// Seals every secret again with the first key. What no key opens stops it or, with
    /// `remove_unreadable`, is removed.
    ///
    /// # Errors
    /// [`SealError::WrongKey`], with nothing changed; or if the database does not answer.
    pub async fn reseal(&self, remove_unreadable: bool) -> Result<Resealed> {
        let mut tx = self.begin_patiently().await?;
        for lock in LOCKS {
            sqlx::query(lock).execute(&mut *tx).await?;
        }
        let mut done = Resealed::default();
        for (of, sealed) in sealed_rows(&mut tx).await? {
            match self.open(of, &sealed) {
                Ok(secret) => {
                    let sealed = self.seal(of, &secret)?;
                    of.replace(Some(&sealed), &mut tx).await?;
                    done.sealed += 1;
                }
                Err(SealError::WrongKey) if remove_unreadable => {
                    of.replace(None, &mut tx).await?;
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

/// Every sealed secret.
async fn sealed_rows(connection: &mut PgConnection) -> sqlx::Result<Vec<(SecretOf, Vec<u8>)>> {
    let mut rows = sqlx::query!(
        r#"SELECT site_id as "site: SiteId", slot as "slot: Slot", secret_access_key as "sealed!"
           FROM cdn_settings WHERE secret_access_key IS NOT NULL"#
    )
    .map(|row| {
        (
            SecretOf::Settings(row.site, row.slot.into_str()),
            row.sealed,
        )
    })
    .fetch_all(&mut *connection)
    .await?;
    let tokens = sqlx::query!(
        r#"SELECT site_id as "site: SiteId", id, unrevealed as "sealed!" FROM publish_token
           WHERE unrevealed IS NOT NULL"#
    )
    .map(|row| (SecretOf::Token(row.site, row.id), row.sealed));
    rows.extend(tokens.fetch_all(&mut *connection).await?);
    let secrets = sqlx::query!(r#"SELECT site_id as "site: SiteId", id, secret FROM hook_secret"#)
        .map(|row| (SecretOf::HookSecret(row.site, row.id), row.secret));
    rows.extend(secrets.fetch_all(&mut *connection).await?);
    let key_pairs = sqlx::query!(r#"SELECT site_id as "site: SiteId", id, secret FROM key_pair"#)
        .map(|row| (SecretOf::KeyPair(row.site, row.id), row.secret));
    rows.extend(key_pairs.fetch_all(&mut *connection).await?);
    let accounts = sqlx::query!(
        r#"SELECT second_step as "sealed!" FROM account WHERE second_step IS NOT NULL"#
    )
    .map(|row| (SecretOf::SecondStep, row.sealed));
    rows.extend(accounts.fetch_all(&mut *connection).await?);
    for row in sqlx::query!(r#"SELECT site_id as "site: SiteId", id, url, secret FROM endpoint"#)
        .fetch_all(connection)
        .await?
    {
        rows.push((SecretOf::EndpointUrl(row.site, row.id), row.url));
        let secret = row.secret;
        rows.extend(secret.map(|secret| (SecretOf::EndpointSecret(row.site, row.id), secret)));
    }
    Ok(rows)
}
