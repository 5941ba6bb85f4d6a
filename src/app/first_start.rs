//! What a first start makes: the site, its first token and signing secret, the admin's password or
//! the link that sets it, and the key that seals secrets.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretBox;
use zeroize::Zeroizing;

use super::AppError;
use crate::admin::fresh_token;
use crate::clock::Clock;
use crate::config::{Config, EncryptionKey, PublicUrl};
use crate::domain::{DEFAULT_SITE, HookSecret, Settings};
use crate::store::{SealError, Sealer, Sender, ShownTo, Store, StoreError, hash};
use crate::web::AppState;

/// What is wrong, and what to do, where the file is gone and something is sealed.
const LOST: &str = "is missing, and a new key would not open what is stored: restore it from a backup. If there is none, \
                    stop the service and run `skycms-cdn rotate-encryption-key --remove-unreadable`, which makes a new \
                    key and removes what cannot be read; enter that again then";

/// What seals with the operator's keys, or with the embedded database by the one beside it.
pub(super) struct Keys {
    pub(super) sealer: Sealer,
    pub(super) unwritten: Option<NewKey>,
}

/// A key that is in no file yet.
pub(super) struct NewKey {
    path: PathBuf,
    text: Zeroizing<String>,
}

impl Keys {
    /// The keys of a service that is stopped. Where there is none, one is made, for [`settle`] to
    /// write down.
    pub(super) fn find_or_make(config: &Config, clock: &Clock) -> Result<Self, AppError> {
        Self::find(config, |path| {
            let bytes = clock.random::<32>();
            let text = Zeroizing::new(STANDARD.encode(*bytes));
            Ok(Self {
                unwritten: Some(NewKey { path, text }),
                ..Self::written(&[SecretBox::new(Box::new(*bytes))])?
            })
        })
    }

    /// The keys of a service that is running: none is made.
    pub(super) fn in_use(config: &Config) -> Result<Self, AppError> {
        Self::find(config, |path| Err(trouble(&path, LOST)))
    }

    fn find(
        config: &Config,
        if_missing: impl FnOnce(PathBuf) -> Result<Self, AppError>,
    ) -> Result<Self, AppError> {
        if !config.encryption_keys.is_empty() {
            return Self::written(&config.encryption_keys);
        }
        let path = config.data_dir.join("encryption.key");
        let Some(text) = read(&path)? else {
            return if_missing(path);
        };
        let bytes: [u8; 32] = STANDARD
            .decode(text.trim())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| trouble(&path, "does not hold a key; restore it from a backup"))?;
        Self::written(&[SecretBox::new(Box::new(bytes))])
    }

    fn written(keys: &[EncryptionKey]) -> Result<Self, AppError> {
        Ok(Self {
            sealer: Sealer::new(keys)?,
            unwritten: None,
        })
    }
}

/// Checks that the keys open all that is stored, before anything more is sealed. A new one is
/// written down only then: it must not take the place of one whose file was lost.
pub(super) async fn settle(store: &Store, unwritten: Option<&NewKey>) -> Result<(), AppError> {
    let opened = store.check_keys().await;
    let Some(NewKey { path, text }) = unwritten else {
        return opened.map_err(AppError::of_keys);
    };
    opened.map_err(|error| match error {
        StoreError::Seal(SealError::WrongKey) => trouble(path, LOST),
        error => error.into(),
    })?;
    write_whole(path, text.as_bytes())
        .map_err(|error| trouble(path, format!("cannot be written: {error}")))
}

/// What a key file holds; `None` if it is not there.
fn read(path: &Path) -> Result<Option<Zeroizing<String>>, AppError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(trouble(path, format!("cannot be read: {error}"))),
    }
}

fn trouble(path: &Path, problem: impl Into<String>) -> AppError {
    AppError::KeyFile {
        path: path.display().to_string(),
        problem: problem.into(),
    }
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
            let (secret, shown) = match &config.access.hook_secret {
                Some(secret) => (secret.clone(), ShownTo::Nobody),
                None => (HookSecret::text(*clock.random()), ShownTo::WhoeverReveals),
            };
            store
                .add_hook_secret(site, clock.id(), secret, shown, now)
                .await?;
        }
        if let Some(pair) = &config.access.key_pair {
            let sender = Sender {
                name: "PUBLISH_ACCESS_KEY_ID",
                everything_is_home: false,
            };
            store
                .add_key_pair(site, clock.id(), sender, pair, None, now)
                .await?;
        }
        let (name, token, shown) = match &config.publish_token {
            Some(token) => ("PUBLISH_TOKEN", token.clone(), ShownTo::Nobody),
            None => ("First token", fresh_token(clock), ShownTo::WhoeverReveals),
        };
        store
            .add_token(site, clock.id(), name, token, shown, now)
            .await?;
    }
    let settings = config
        .cloudfront
        .as_ref()
        .map(|form| Settings::parse(form, &[]))
        .transpose()
        .map_err(AppError::CloudFront)?;
    let unknown = store
        .set_environment_grants(&config.default_credentials_for, now)
        .await?;
    for site in unknown {
        tracing::warn!(
            site,
            "AWS_DEFAULT_CREDENTIALS_FOR names a site that does not exist"
        );
    }
    store.set_environment(site, settings.as_ref(), now).await?;
    Ok(())
}

/// The admin's password from the environment, or a link that sets it: a new one at each start until
/// it is set.
pub(super) async fn seed_password(state: &AppState, config: &Config) -> Result<(), AppError> {
    let store = &state.store;
    if store.password_hash().await?.is_some() {
        return Ok(());
    }
    if let Some(password) = &config.access.admin_password {
        let hash = state.hasher.hash(password).await?;
        if store.set_first_password(&hash, state.clock.now()).await? {
            tracing::info!("set the password of admin from ADMIN_PASSWORD; change it on the page");
        }
        return Ok(());
    }
    let link = new_set_up_link(store, &state.clock, &state.public).await?;
    tracing::info!("choose the password of admin within an hour at {link}");
    Ok(())
}

/// The address of a new one-time link that sets the admin's password.
pub(super) async fn new_set_up_link(
    store: &Store,
    clock: &Clock,
    public: &PublicUrl,
) -> Result<String, StoreError> {
    let token = clock.token();
    store.add_set_up_link(&hash(&token), clock.now()).await?;
    Ok(format!("{public}/set-up?token={token}"))
}
