//! Signing secrets of the publish hook, as Standard Webhooks writes them: `whsec_` and the base64
//! of 24 to 64 bytes.

use std::collections::HashMap;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{SealError, SiteId, Store, StoreError};

const PREFIX: &str = "whsec_";

/// A text that is not a signing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be `whsec_` and the base64 of 24 to 64 random bytes; make one with `echo whsec_$(openssl rand -base64 32)`"
)]
pub struct NotAHookSecret;

/// A signing secret in force, ready to check signatures with.
#[derive(Debug)]
pub struct HookSecret {
    id: Uuid,
    key: hmac::Key,
}

impl HookSecret {
    pub fn parse(id: Uuid, text: &SecretString) -> Result<Self, NotAHookSecret> {
        let encoded = text
            .expose_secret()
            .strip_prefix(PREFIX)
            .ok_or(NotAHookSecret)?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| NotAHookSecret)?);
        if !(24..=64).contains(&bytes.len()) {
            return Err(NotAHookSecret);
        }
        Ok(Self {
            id,
            key: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
        })
    }

    /// A new secret's text.
    pub fn fresh() -> SecretString {
        let bytes = Zeroizing::new(crate::clock::Clock::random::<32>());
        let encoded = Zeroizing::new(STANDARD.encode(*bytes));
        SecretString::from(format!("{PREFIX}{}", *encoded))
    }

    /// One that nobody has.
    pub(super) fn decoy() -> Self {
        Self {
            id: Uuid::nil(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &crate::clock::Clock::random::<32>()),
        }
    }

    /// Its number.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Whether one of `signatures` is HMAC-SHA256 over the concatenation of `parts`. Takes the same
    /// time for any wrong signature.
    pub fn has_signed(&self, parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        let expected = context.sign();
        signatures
            .iter()
            .any(|given| constant_time::verify_slices_are_equal(expected.as_ref(), given).is_ok())
    }
}

/// A signing secret as the settings page shows it: everything but the secret.
#[derive(Clone, Debug)]
pub struct HookSecretView {
    /// Its number.
    pub id: Uuid,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// When it last signed a call.
    pub last_used_at: Option<OffsetDateTime>,
    /// Whether it waits to be shown, once.
    pub unrevealed: bool,
}

pub(super) fn place(site: SiteId, id: Uuid) -> String {
    format!("site/{}/hook_secret/{id}", site.0)
}

impl Store {
    /// Stores a signing secret. With `reveal_once` it can be shown by
    /// [`Store::reveal_hook_secret`].
    pub async fn add_hook_secret(
        &self,
        site: SiteId,
        id: Uuid,
        secret: &SecretString,
        reveal_once: bool,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let sealed = self.sealer.seal(&place(site, id), secret)?;
        sqlx::query!(
            "INSERT INTO hook_secret (id, site_id, secret, unrevealed, created_at) VALUES ($1, $2, $3, $4, $5)",
            id,
            site.0,
            sealed,
            reveal_once,
            now,
        )
        .execute(&self.pool)
        .await?;
        self.announce_sites().await
    }

    /// The secrets in force, newest first.
    pub async fn hook_secrets(&self, site: SiteId) -> Result<Vec<HookSecretView>, StoreError> {
        Ok(sqlx::query_as!(
            HookSecretView,
            "SELECT id, created_at, last_used_at, unrevealed FROM hook_secret WHERE site_id = $1 ORDER BY id DESC",
            site.0,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// The text of a secret that has never been shown. A second call finds nothing.
    pub async fn reveal_hook_secret(
        &self,
        site: SiteId,
        id: Uuid,
    ) -> Result<Option<SecretString>, StoreError> {
        let sealed = sqlx::query_scalar!(
            "UPDATE hook_secret SET unrevealed = false WHERE site_id = $1 AND id = $2 AND unrevealed RETURNING secret",
            site.0,
            id,
        )
        .fetch_optional(&self.pool)
        .await?;
        sealed
            .map(|sealed| Ok(self.sealer.open(&place(site, id), &sealed)?))
            .transpose()
    }

    /// Ends a secret at once, on every replica. Tells whether there was one.
    pub async fn revoke_hook_secret(&self, site: SiteId, id: Uuid) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "DELETE FROM hook_secret WHERE site_id = $1 AND id = $2",
            site.0,
            id
        )
        .execute(&self.pool)
        .await?;
        self.announce_sites().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Those of every site. One that cannot be opened is left out, so that it is only its own
    /// publisher who is turned away.
    pub(super) async fn open_hook_secrets(
        &self,
    ) -> Result<HashMap<SiteId, Vec<HookSecret>>, StoreError> {
        let rows = sqlx::query!("SELECT id, site_id, secret FROM hook_secret ORDER BY id DESC")
            .fetch_all(&self.pool)
            .await?;
        let mut secrets: HashMap<SiteId, Vec<HookSecret>> = HashMap::new();
        for row in rows {
            let site = SiteId(row.site_id);
            let opened = self
                .sealer
                .open(&place(site, row.id), &row.secret)
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
