//! Who is signed in. The browser has the token; only its SHA-256 is stored.

use std::net::IpAddr;

use strum::{EnumString, IntoStaticStr};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::accounts::{ADMIN, PasswordShown, end_presses};
use super::hash::TokenHash;
use super::{FormHash, Result, Site, SiteId, Store};
use crate::domain::session::{IDLE, Role, Source};

/// `used_at` is written at most this often.
const NOTED_EVERY: Duration = Duration::minutes(1);

/// How pages look, if the browser is not to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str, ascii_case_insensitive)]
pub enum Theme {
    Dark,
    Light,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user: String,
    pub role: Role,
    pub source: Source,
    /// Shown in a frame of SkyCMS.
    pub framed: bool,
    /// How SkyCMS's own page looks, if it said so.
    pub theme: Option<Theme>,
    /// The sites that SkyCMS's token named; `None` if it named none.
    pub sites: Option<Vec<SiteId>>,
}

impl Session {
    /// A session outside any frame, with nothing else known about it.
    pub fn of(user: &str, role: Role, source: Source) -> Self {
        Self {
            user: user.to_owned(),
            role,
            source,
            framed: false,
            theme: None,
            sites: None,
        }
    }

    pub fn sees(&self, site: &Site) -> bool {
        let named = self.sites.as_ref();
        let is_named = named.map(|sites| sites.contains(&site.id));
        self.source.shows(&site.name, is_named)
    }

    pub fn manages_sites(&self) -> bool {
        self.source.lets_manage_sites(self.role)
    }
}

/// What is noted about a session as it begins.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Its name on the page that lists sessions.
    pub id: Uuid,
    pub address: IpAddr,
    /// A hash of what SkyCMS's token was signed with: the session ends with that. A password's
    /// session has none.
    pub issuer: Option<TokenHash>,
    pub at: OffsetDateTime,
}

#[derive(Clone, Debug)]
pub struct ListedSession {
    pub id: Uuid,
    pub user: String,
    pub role: Role,
    pub source: Source,
    pub began_at: OffsetDateTime,
    pub used_at: OffsetDateTime,
    pub address: String,
    pub is_own: bool,
}

impl Store {
    /// Stores a session. With `password`, only if what was shown is still what it takes: whoever
    /// sets another password, or turns the second step on, ends all other sessions, and must not
    /// miss one that is about to begin. Returns whether it did.
    pub async fn add_session(
        &self,
        token: &TokenHash,
        session: &Session,
        password: Option<&PasswordShown>,
        beginning: &Beginning,
    ) -> Result<bool> {
        let now = beginning.at;
        let mut tx = self.begin().await?;
        if let Some(password) = password {
            let account = sqlx::query!(
                "SELECT FROM account
                 WHERE name = $1 AND password_hash = $2 AND (second_step IS NULL OR $3) FOR SHARE",
                ADMIN,
                password.hash,
                password.with_code,
            )
            .fetch_optional(&mut *tx)
            .await?;
            if account.is_none() {
                return Ok(false);
            }
        }
        sqlx::query!(
            "INSERT INTO session (token_hash, user_name, role, source, framed, used_at, ends_at, site_ids,
                                  id, began_at, address, issuer, theme)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $6, $10, $11, $12)",
            token.as_slice(),
            session.user,
            session.role.into_str(),
            session.source.into_str(),
            session.framed,
            now,
            now + session.source.lifetime(),
            session.sites.as_deref() as _,
            beginning.id,
            beginning.address.to_string(),
            beginning.issuer.as_ref().map(|issuer| &issuer[..]),
            session.theme.map(|theme| theme.into_str()),
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The session of that token, which counts as using it.
    pub async fn use_session(
        &self,
        token: &TokenHash,
        issuer: Option<&TokenHash>,
        now: OffsetDateTime,
    ) -> Result<Option<Session>> {
        let Some((session, used_at)) = self.session(token, issuer, now).await? else {
            return Ok(None);
        };
        if now - used_at >= NOTED_EVERY {
            sqlx::query!(
                "UPDATE session SET used_at = $2 WHERE token_hash = $1 AND used_at < $2",
                token.as_slice(),
                now,
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(Some(session))
    }

    /// The session of that token, and when it was last used; this does not count as using it. One
    /// that SkyCMS vouched for is over once its secret is no longer the one in force, `issuer`.
    pub async fn session(
        &self,
        token: &TokenHash,
        issuer: Option<&TokenHash>,
        now: OffsetDateTime,
    ) -> Result<Option<(Session, OffsetDateTime)>> {
        let row = sqlx::query!(
            r#"SELECT user_name, role as "role: Role", source as "source: Source", framed, used_at,
                      site_ids as "sites: Vec<SiteId>", theme as "theme: Theme"
               FROM session WHERE token_hash = $1 AND ends_at > $2 AND used_at > $3
                              AND (source = 'password' OR issuer = $4)"#,
            token.as_slice(),
            now,
            now - IDLE,
            issuer.map(|issuer| &issuer[..]),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| {
            let session = Session {
                user: row.user_name,
                role: row.role,
                source: row.source,
                framed: row.framed,
                theme: row.theme,
                sites: row.sites,
            };
            (session, row.used_at)
        }))
    }

    pub async fn end_session(&self, token: &TokenHash) -> Result<()> {
        sqlx::query!(
            "DELETE FROM session WHERE token_hash = $1",
            token.as_slice()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Sessions that have not ended, the latest first: all, or those of one user.
    pub async fn sessions(
        &self,
        of: Option<(&str, Source)>,
        own: Option<&TokenHash>,
        issuer: Option<&TokenHash>,
        now: OffsetDateTime,
    ) -> Result<Vec<ListedSession>> {
        Ok(sqlx::query_as!(
            ListedSession,
            r#"SELECT id, user_name as "user", role as "role: Role", source as "source: Source", began_at, used_at,
                      address, coalesce(token_hash = $1, false) as "is_own!"
               FROM session
               WHERE ends_at > $2 AND used_at > $3 AND (source = 'password' OR issuer = $4)
                 AND ($5::text IS NULL OR user_name = $5 AND source = $6)
               ORDER BY used_at DESC LIMIT 500"#,
            own.map(|own| &own[..]),
            now,
            now - IDLE,
            issuer.map(|issuer| &issuer[..]),
            of.map(|(user, _)| user),
            of.map(|(_, source)| source.into_str()),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Ends one listed session, with `of` only one of that user, and notes it under `ended`.
    /// Returns whether there was one.
    pub async fn end_listed_session(
        &self,
        id: Uuid,
        of: Option<(&str, Source)>,
        ended: &FormHash,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        end_presses(&mut tx).await?;
        let done = sqlx::query!(
            "DELETE FROM session WHERE id = $1 AND ($2::text IS NULL OR user_name = $2 AND source = $3)",
            id,
            of.map(|(user, _)| user),
            of.map(|(_, source)| source.into_str()),
        )
        .execute(&mut *tx)
        .await?;
        let is_ended = done.rows_affected() > 0;
        if is_ended {
            self.note_end(&mut tx, ended, now).await?;
        }
        tx.commit().await?;
        Ok(is_ended)
    }

    /// Ends all sessions but `own`; with `of` only those of one user. Returns how many it ended.
    pub async fn end_sessions(
        &self,
        of: Option<(&str, Source)>,
        own: Option<&TokenHash>,
    ) -> Result<u64> {
        let mut tx = self.begin().await?;
        end_presses(&mut tx).await?;
        let done = sqlx::query!(
            "DELETE FROM session
             WHERE token_hash IS DISTINCT FROM $1 AND ($2::text IS NULL OR user_name = $2 AND source = $3)",
            own.map(|own| &own[..]),
            of.map(|(user, _)| user),
            of.map(|(_, source)| source.into_str()),
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// Uses up a token from SkyCMS. Returns whether it was still unused.
    pub async fn use_embed_token(
        &self,
        jti: &TokenHash,
        expires_at: OffsetDateTime,
    ) -> Result<bool> {
        let done = sqlx::query!(
            "INSERT INTO embed_token (jti_hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            jti.as_slice(),
            expires_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
