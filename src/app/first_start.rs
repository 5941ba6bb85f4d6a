//! What a first start makes: the site, its first token and signing secret, the admin's password or
//! the link that sets it, and the key that seals secrets.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretBox};
use zeroize::Zeroizing;

use super::AppError;
use crate::admin::fresh_token;
use crate::clock::Clock;
use crate::config::{Config, EncryptionKey, PublicUrl};
use crate::domain::{DEFAULT_SITE, HookSecret, Settings};
use crate::store::{Store, StoreError};
use crate::web::{Hasher, fresh};

/// The operator's keys; with the embedded database one that is generated beside it.
pub(super) fn encryption_keys(
    config: &Config,
    clock: &Clock,
) -> Result<Vec<EncryptionKey>, AppError> {
    if config.encryption_keys.is_empty() {
        let path = config.data_dir.join("encryption.key");
        return Ok(vec![generated_key(&path, clock)?]);
    }
    let copy = |key: &EncryptionKey| SecretBox::new(Box::new(*key.expose_secret()));
    Ok(config.encryption_keys.iter().map(copy).collect())
}

fn generated_key(path: &Path, clock: &Clock) -> Result<EncryptionKey, AppError> {
    let trouble = |problem: String| AppError::KeyFile {
        path: path.display().to_string(),
        problem,
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = Zeroizing::new(STANDARD.encode(*clock.random::<32>()));
            write_whole(path, text.as_bytes())
                .map_err(|e| trouble(format!("cannot be written: {e}")))?;
            text
        }
        Err(error) => return Err(trouble(format!("cannot be read: {error}"))),
    };
    let bytes: [u8; 32] = STANDARD
        .decode(text.trim())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| trouble("does not hold a key; restore it from a backup".into()))?;
    Ok(SecretBox::new(Box::new(bytes)))
}

/// Writes a file that only its owner reads: whole and on disk under its name, or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    std::fs::File::open(directory)?.sync_all()
}

/// What a first start makes, and what the environment decides at each start. A first start that was
/// cut short is made up for: the token comes last, and shows that everything is there.
pub(super) async fn seed(store: &Store, config: &Config, clock: &Clock) -> Result<(), AppError> {
    let now = clock.now();
    let _turn = store.first_start_turn().await?;
    let site = store.ensure_site(DEFAULT_SITE, now).await?;
    if !store.has_had_token(site).await? {
        if store.hook_secrets(site).await?.is_empty() {
            let (secret, reveal_once) = match &config.access.hook_secret {
                Some(secret) => (secret.clone(), false),
                None => (HookSecret::text(*clock.random()), true),
            };
            store
                .add_hook_secret(site, clock.id(), &secret, reveal_once, now)
                .await?;
        }
        if let Some(pair) = &config.access.key_pair {
            let name = "PUBLISH_ACCESS_KEY_ID";
            store
                .add_key_pair(site, clock.id(), name, pair, false, now)
                .await?;
        }
        let (name, token, reveal_once) = match &config.publish_token {
            Some(token) => ("PUBLISH_TOKEN", token.clone(), false),
            None => ("First token", fresh_token(clock), true),
        };
        store
            .add_token(site, clock.id(), name, &token, reveal_once, now)
            .await?;
    }
    let settings = config
        .cloudfront
        .as_ref()
        .map(|form| Settings::parse(form, &[]))
        .transpose()
        .map_err(AppError::CloudFront)?;
    let unknown = store
        .set_environment_grants(&config.default_credentials_for)
        .await?;
    for site in unknown {
        tracing::warn!(
            site,
            "AWS_DEFAULT_CREDENTIALS_FOR names a site that is not there"
        );
    }
    store.set_environment(site, settings.as_ref(), now).await?;
    Ok(())
}

/// The admin's password from the environment, or a link that sets it: a new one at each start until
/// it is set.
pub(super) async fn seed_password(
    store: &Store,
    config: &Config,
    clock: &Clock,
    public: &PublicUrl,
    hasher: &Hasher,
) -> Result<(), AppError> {
    if store.password_hash().await?.is_some() {
        return Ok(());
    }
    if let Some(password) = &config.access.admin_password {
        let hash = hasher.hash(password).await?;
        if store.set_first_password(&hash, clock.now()).await? {
            tracing::info!(
                "the password of admin is the one in ADMIN_PASSWORD; change it on the page"
            );
        }
        return Ok(());
    }
    let link = new_set_up_link(store, clock, public).await?;
    tracing::info!("choose the password of admin within an hour at {link}");
    Ok(())
}

/// The address of a new one-time link that sets the admin's password.
pub(super) async fn new_set_up_link(
    store: &Store,
    clock: &Clock,
    public: &PublicUrl,
) -> Result<String, StoreError> {
    let (token, stored) = fresh(clock);
    store.add_set_up_link(&stored, clock.now()).await?;
    Ok(format!("{public}/set-up?token={token}"))
}
