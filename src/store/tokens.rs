//! Bearer tokens of the publish hook: hashed, shown once.

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::hash::{TokenHash, hash};
use super::listen::announce_sites;
use super::seal::SecretOf;
use super::site_changes::lock_site;
use super::{Answered, Result, ShownTo, SiteId, Store};

/// A token as the settings page shows it: everything but the token.
#[derive(Clone, Debug)]
pub struct TokenView {
    pub id: Uuid,
    pub name: String,
    /// Its last four characters.
    pub ending: String,
    pub created_at: OffsetDateTime,
    /// When it last came with a publish.
    pub last_used_at: Option<OffsetDateTime>,
    /// Whether it waits to be shown, once.
    pub unrevealed: bool,
}

/// A token in force, as the hook sees it.
#[derive(Debug)]
pub struct PublishToken {
    pub site: SiteId,
    pub id: Uuid,
    pub name: Arc<str>,
}

impl Store {
    /// Stores a token by its hash, unless it is stored already. Returns `None` if it is not in
    /// force: another one has its name, or it was revoked.
    pub async fn add_token(
        &self,
        site: SiteId,
        id: Uuid,
        name: &str,
        token: SecretString,
        shown: ShownTo<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<Answered>> {
        let mut answer = self.begin_answer(shown.form(), token, now).await?;
        let (tx, token) = (&mut answer.tx, &answer.secret);
        if answer.is_first {
            self.insert_token(tx, site, (id, name), token, shown, now)
                .await?;
            announce_sites(tx).await?;
        }
        let token = hash(token.expose_secret());
        let has = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM publish_token
                              WHERE site_id = $1 AND token_hash = $2 AND revoked_at IS NULL) as "has!""#,
            site.0,
            token.as_slice(),
        )
        .fetch_one(&mut **tx)
        .await?;
        answer.end(has).await
    }

    /// Stores a token by its hash, unless it or its name is taken.
    pub(super) async fn insert_token(
        &self,
        connection: &mut PgConnection,
        site: SiteId,
        (id, name): (Uuid, &str),
        token: &SecretString,
        shown: ShownTo<'_>,
        now: OffsetDateTime,
    ) -> Result<()> {
        let token_hash = hash(token.expose_secret());
        let unrevealed = shown
            .is_revealed()
            .then(|| self.seal(SecretOf::Token(site, id), token))
            .transpose()?;
        lock_site(connection, site).await?;
        // A site that is removed and made again may keep the token that its publishers have.
        sqlx::query!(
            "DELETE FROM publish_token t USING site s
             WHERE t.token_hash = $1 AND s.id = t.site_id AND s.removed_at IS NOT NULL",
            token_hash.as_slice(),
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "INSERT INTO publish_token (id, site_id, name, token_hash, ending, unrevealed, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            id,
            site.0,
            name,
            token_hash.as_slice(),
            ending(token),
            unrevealed,
            now,
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Whether the site has ever had a token, even one that is revoked now.
    pub async fn has_had_token(&self, site: SiteId) -> Result<bool> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM publish_token WHERE site_id = $1) as "had!""#,
            site.0,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// The tokens in force, newest first.
    pub async fn tokens(&self, site: SiteId) -> Result<Vec<TokenView>> {
        Ok(sqlx::query_as!(
            TokenView,
            r#"SELECT id, name, ending, created_at, last_used_at, unrevealed IS NOT NULL as "unrevealed!"
               FROM publish_token WHERE site_id = $1 AND revoked_at IS NULL ORDER BY id DESC"#,
            site.0,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    pub(super) async fn token_hashes(&self) -> Result<HashMap<TokenHash, Arc<PublishToken>>> {
        let rows = sqlx::query!(
            "SELECT token_hash, site_id, id, name FROM publish_token WHERE revoked_at IS NULL"
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let token = PublishToken {
                    site: SiteId(row.site_id),
                    id: row.id,
                    name: row.name.into(),
                };
                Some((row.token_hash.try_into().ok()?, Arc::new(token)))
            })
            .collect())
    }
}

/// A token's last characters: no more of it goes to the server, which may log what it is given.
fn ending(token: &SecretString) -> &str {
    let text = token.expose_secret();
    let ending = text.char_indices().nth_back(3);
    ending.map_or(text, |(at, _)| &text[at..])
}
