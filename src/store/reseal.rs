//! All sealed secrets together: whether the keys open them, and sealing them again.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Result, SealError, SiteId, Slot, Store, accounts, endpoints, hook_secrets, key_pairs, settings,
    tokens,
};

/// What [`Store::reseal`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets that are now sealed with the first key.
    pub sealed: usize,
    /// Secrets that no key opened, and that were removed.
    pub removed: usize,
}

const NO_SITE: i32 = 0;

/// A row with a sealed secret.
#[derive(Clone, Copy, Debug)]
enum Holder {
    Settings(Slot),
    Token(Uuid),
    HookSecret(Uuid),
    KeyPair(Uuid),
    SecondStep,
    EndpointUrl(Uuid),
    EndpointSecret(Uuid),
}

struct SealedRow {
    site: SiteId,
    holder: Holder,
    sealed: Vec<u8>,
}

impl SealedRow {
    fn place(&self) -> String {
        match self.holder {
            Holder::Settings(slot) => settings::place(self.site, slot),
            Holder::Token(id) => tokens::place(self.site, id),
            Holder::HookSecret(id) => hook_secrets::place(self.site, id),
            Holder::KeyPair(id) => key_pairs::place(self.site, id),
            Holder::SecondStep => accounts::SECOND_STEP.to_owned(),
            Holder::EndpointUrl(id) => endpoints::place_of_url(self.site, id),
            Holder::EndpointSecret(id) => endpoints::place_of_secret(self.site, id),
        }
    }

    async fn replace(&self, sealed: &[u8], connection: &mut PgConnection) -> sqlx::Result<()> {
        match self.holder {
            Holder::Settings(slot) => sqlx::query!(
                "UPDATE cdn_settings SET secret_access_key = $3 WHERE site_id = $1 AND slot = $2",
                self.site.0,
                slot.into_str(),
                sealed,
            ),
            Holder::Token(id) => sqlx::query!(
                "UPDATE publish_token SET unrevealed = $2 WHERE id = $1 AND unrevealed IS NOT NULL",
                id,
                sealed,
            ),
            Holder::HookSecret(id) => {
                sqlx::query!(
                    "UPDATE hook_secret SET secret = $2 WHERE id = $1",
                    id,
                    sealed
                )
            }
            Holder::KeyPair(id) => {
                sqlx::query!("UPDATE key_pair SET secret = $2 WHERE id = $1", id, sealed)
            }
            Holder::SecondStep => sqlx::query!("UPDATE account SET second_step = $1", sealed),
            Holder::EndpointUrl(id) => {
                sqlx::query!("UPDATE endpoint SET url = $2 WHERE id = $1", id, sealed)
            }
            Holder::EndpointSecret(id) => {
                sqlx::query!("UPDATE endpoint SET secret = $2 WHERE id = $1", id, sealed)
            }
        }
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn remove(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        match self.holder {
            Holder::Settings(slot) => sqlx::query!(
                "DELETE FROM cdn_settings WHERE site_id = $1 AND slot = $2",
                self.site.0,
                slot.into_str(),
            ),
            // The token itself still works: only its text is gone.
            Holder::Token(id) => {
                sqlx::query!(
                    "UPDATE publish_token SET unrevealed = NULL WHERE id = $1",
                    id
                )
            }
            Holder::HookSecret(id) => sqlx::query!("DELETE FROM hook_secret WHERE id = $1", id),
            Holder::KeyPair(id) => sqlx::query!("DELETE FROM key_pair WHERE id = $1", id),
            Holder::SecondStep => sqlx::query!("UPDATE account SET second_step = NULL"),
            Holder::EndpointUrl(id) | Holder::EndpointSecret(id) => {
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
        let mut tx = self.begin().await?;
        for row in sealed_rows(&mut tx).await? {
            self.sealer.open(&row.place(), &row.sealed)?;
        }
        Ok(())
    }

    /// Seals every secret again with the first key. What no key opens stops it, or with
    /// `remove_unreadable` is removed.
    ///
    /// # Errors
    /// [`SealError::WrongKey`], with nothing changed; or if the database does not answer.
    pub async fn reseal(&self, remove_unreadable: bool) -> Result<Resealed> {
        let mut tx = self.begin().await?;
        let mut done = Resealed::default();
        for row in sealed_rows(&mut tx).await? {
            let place = row.place();
            match self.sealer.open(&place, &row.sealed) {
                Ok(secret) => {
                    let sealed = self.sealer.seal(&place, &secret)?;
                    row.replace(&sealed, &mut tx).await?;
                    done.sealed += 1;
                }
                Err(SealError::WrongKey) if remove_unreadable => {
                    row.remove(&mut tx).await?;
                    done.removed += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        tx.commit().await?;
        self.announce_sites().await?;
        Ok(done)
    }
}

/// Every row with a sealed secret, locked until the transaction ends.
async fn sealed_rows(connection: &mut PgConnection) -> Result<Vec<SealedRow>> {
    let mut rows = Vec::new();
    let mut add = |site, holder, sealed| {
        rows.push(SealedRow {
            site: SiteId(site),
            holder,
            sealed,
        });
    };
    for row in sqlx::query!(
        r#"SELECT site_id, slot as "slot: Slot", secret_access_key as "sealed!" FROM cdn_settings
           WHERE secret_access_key IS NOT NULL ORDER BY site_id, slot FOR UPDATE"#
    )
    .fetch_all(&mut *connection)
    .await?
    {
        add(row.site_id, Holder::Settings(row.slot), row.sealed);
    }
    for row in sqlx::query!(
        r#"SELECT site_id, id, unrevealed as "sealed!" FROM publish_token
           WHERE unrevealed IS NOT NULL ORDER BY id FOR UPDATE"#
    )
    .fetch_all(&mut *connection)
    .await?
    {
        add(row.site_id, Holder::Token(row.id), row.sealed);
    }
    for row in sqlx::query!("SELECT site_id, id, secret FROM hook_secret ORDER BY id FOR UPDATE")
        .fetch_all(&mut *connection)
        .await?
    {
        add(row.site_id, Holder::HookSecret(row.id), row.secret);
    }
    for row in sqlx::query!("SELECT site_id, id, secret FROM key_pair ORDER BY id FOR UPDATE")
        .fetch_all(&mut *connection)
        .await?
    {
        add(row.site_id, Holder::KeyPair(row.id), row.secret);
    }
    for sealed in sqlx::query_scalar!(
        r#"SELECT second_step as "sealed!" FROM account WHERE second_step IS NOT NULL FOR UPDATE"#
    )
    .fetch_all(&mut *connection)
    .await?
    {
        add(NO_SITE, Holder::SecondStep, sealed);
    }
    for row in sqlx::query!("SELECT site_id, id, url, secret FROM endpoint ORDER BY id FOR UPDATE")
        .fetch_all(connection)
        .await?
    {
        add(row.site_id, Holder::EndpointUrl(row.id), row.url);
        if let Some(secret) = row.secret {
            add(row.site_id, Holder::EndpointSecret(row.id), secret);
        }
    }
    Ok(rows)
}
