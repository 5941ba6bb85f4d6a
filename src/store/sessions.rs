//! Who is signed in. The token is the browser's; here is only its SHA-256.

use strum::{EnumString, IntoStaticStr};
use time::{Duration, OffsetDateTime};

use super::tokens::TokenHash;
use super::{Site, SiteId, Store, StoreError};
use crate::domain::DEFAULT_SITE;

/// A session that has not been used for so long is over.
const IDLE: Duration = Duration::hours(12);
/// `used_at` is written at most so often.
const NOTED_EVERY: Duration = Duration::minutes(1);

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Role {
    /// Everything.
    Admin,
    /// Activity and purge, no settings.
    Editor,
}

/// Who vouched for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Source {
    /// A password here.
    Password,
    /// A token of SkyCMS.
    SkyCms,
}

impl Source {
    /// How long a session lasts at most. SkyCMS can send its users again at any time, and may have
    /// stopped trusting them.
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::Password => Duration::days(7),
            Self::SkyCms => Duration::hours(12),
        }
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user: String,
    /// What they may do.
    pub role: Role,
    /// Who vouched for them.
    pub source: Source,
    /// Shown in a frame of SkyCMS.
    pub framed: bool,
    /// The sites that SkyCMS's token named; none: it named none.
    pub sites: Option<Vec<SiteId>>,
}

impl Session {
    /// Whether they see that site. Who has a password here sees all; whom SkyCMS sent without
    /// naming sites, `default`.
    pub fn sees(&self, site: &Site) -> bool {
        match (&self.sites, self.source) {
            (_, Source::Password) => true,
            (Some(sites), Source::SkyCms) => sites.contains(&site.id),
            (None, Source::SkyCms) => site.name == DEFAULT_SITE,
        }
    }

    /// Whether they may make, rename and remove sites.
    pub fn manages_sites(&self) -> bool {
        self.role == Role::Admin && self.source == Source::Password
    }
}

impl Store {
    /// Begins a session.
    pub async fn add_session(
        &self,
        token: &TokenHash,
        session: &Session,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let sites: Option<Vec<i32>> = session
            .sites
            .as_ref()
            .map(|sites| sites.iter().map(|site| site.0).collect());
        sqlx::query!(
            "INSERT INTO session (token_hash, user_name, role, source, framed, used_at, ends_at, site_ids)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            token.as_slice(),
            session.user,
            session.role.into_str(),
            session.source.into_str(),
            session.framed,
            now,
            now + session.source.lifetime(),
            sites.as_deref(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The session of that token, which is thereby used.
    pub async fn use_session(
        &self,
        token: &TokenHash,
        now: OffsetDateTime,
    ) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT user_name, role as "role: Role", source as "source: Source", framed, used_at,
                      site_ids
               FROM session WHERE token_hash = $1 AND ends_at > $2 AND used_at > $3"#,
            token.as_slice(),
            now,
            now - IDLE,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if now - row.used_at >= NOTED_EVERY {
            sqlx::query!(
                "UPDATE session SET used_at = $2 WHERE token_hash = $1 AND used_at < $2",
                token.as_slice(),
                now,
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(Some(Session {
            user: row.user_name,
            role: row.role,
            source: row.source,
            framed: row.framed,
            sites: row
                .site_ids
                .map(|sites| sites.into_iter().map(SiteId).collect()),
        }))
    }

    /// Ends a session.
    pub async fn end_session(&self, token: &TokenHash) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM session WHERE token_hash = $1",
            token.as_slice()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions_of(&self, user: &str, source: Source) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM session WHERE user_name = $1 AND source = $2",
            user,
            source.into_str(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Uses up a token of SkyCMS. Tells whether it was still unused.
    pub async fn use_embed_token(
        &self,
        jti: &TokenHash,
        expires_at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
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
