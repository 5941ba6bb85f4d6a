//! The wiring that `main` and the tests share.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::cloudfront::{self, CloudFront};
use crate::config::{Config, EncryptionKey};
use crate::dispatcher::{Dispatcher, Wake};
use crate::domain::{FieldErrors, Settings};
use crate::janitor;
use crate::metrics::Metrics;
use crate::postgres::{Embedded, PostgresError};
use crate::store::{self, Changes, Directory, Inbox, SealError, Sealer, Store, StoreError};
use crate::web::{self, AppState, LiveChanges, PublicUrl, RecentDays};

/// The site of an installation that never asked for more.
pub const DEFAULT_SITE: &str = "default";
/// How long the database may take to answer at start.
const DATABASE_PATIENCE: Duration = Duration::from_secs(30);
/// How long answers under way and outcomes of calls may take when stopping.
const STOP_PATIENCE: Duration = Duration::from_secs(9);

/// Why the service did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The embedded PostgreSQL did not start.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// `DATABASE_URL` is not one.
    #[error("DATABASE_URL: is not an address such as postgres://user:password@host/database")]
    DatabaseUrl,
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Database(StoreError),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The generated key could not be read or written.
    #[error("{path}: {problem}")]
    KeyFile {
        /// Which file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The settings in the environment are not right.
    #[error("CloudFront__…: {0}")]
    CloudFront(FieldErrors),
    /// The address could not be listened on.
    #[error("LISTEN_ADDR: cannot listen on {address}: {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Serving failed.
    #[error("the server stopped: {0}")]
    Serve(#[from] std::io::Error),
}

/// A service that is ready to serve.
pub struct App {
    listener: TcpListener,
    state: AppState,
    dispatcher: Dispatcher,
    tasks: TaskTracker,
    history_days: u16,
    embedded: Option<Embedded>,
}

impl App {
    /// Connects, migrates, and makes what a first start needs.
    ///
    /// # Errors
    /// In words that say what to do; see [`AppError`].
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, AppError> {
        let (options, embedded) = database(config).await?;
        let sealer = Sealer::new(&encryption_keys(config)?)?;
        let store = Store::new(options, sealer);
        migrate(&store).await?;
        seed(&store, config, &clock).await?;

        let listener = TcpListener::bind(config.listen_addr)
            .await
            .map_err(|source| AppError::Listen {
                address: config.listen_addr,
                source,
            })?;
        let public = PublicUrl::new(config.public_url.as_ref(), listener.local_addr()?);
        let cloudfront = CloudFront::new(cloudfront::Options {
            endpoint: config.cloudfront_endpoint.clone(),
            ..cloudfront::Options::default()
        });
        let (tasks, stop, wake) = (
            TaskTracker::new(),
            CancellationToken::new(),
            Wake::default(),
        );
        let metrics = Metrics::default();
        let dispatcher = Dispatcher::new(
            store.clone(),
            cloudfront.clone(),
            clock.clone(),
            config.limits,
            wake.clone(),
        )
        .counting(metrics.clone());
        let inbox = Inbox::start(store.clone(), &tasks, {
            let wake = wake.clone();
            move || wake.wake()
        });
        let state = AppState {
            directory: Directory::load(&store).await?,
            store,
            inbox,
            clock,
            cloudfront,
            limits: config.limits,
            changes: LiveChanges::default(),
            days: RecentDays::default(),
            wake,
            public,
            metrics,
            metrics_token: config.metrics_token.clone().map(Arc::new),
            serve: config.serve,
            stop,
        };
        Ok(Self {
            listener,
            state,
            dispatcher,
            tasks,
            history_days: config.history_days,
            embedded,
        })
    }

    /// Where the service listens.
    ///
    /// # Errors
    /// If the operating system does not tell.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What handlers share, for tests.
    #[must_use]
    pub const fn state(&self) -> &AppState {
        &self.state
    }

    /// Serves until `shutdown`, then finishes what is under way.
    ///
    /// # Errors
    /// If serving fails.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let Self {
            listener,
            state,
            dispatcher,
            tasks,
            history_days,
            embedded,
        } = self;
        let stop = state.stop.clone();
        tracing::info!(address = %listener.local_addr()?, "ready at {}", state.public);
        let store = state.store.clone();
        let dispatching = tasks.spawn(dispatcher.run(stop.clone()));
        tasks.spawn(
            stop.clone()
                .run_until_cancelled_owned(follow(state.clone())),
        );
        tasks.spawn(janitor::run(
            store.clone(),
            state.clock.clone(),
            history_days,
            stop.clone(),
        ));
        let mut serving = tokio::spawn(web::serve(listener, state, stop.clone()));
        let ended = tokio::select! {
            () = shutdown => None,
            ended = &mut serving => Some(ended),
        };
        tracing::info!("stopping");
        stop.cancel();
        tasks.close();
        let finish = async {
            let served = match ended {
                Some(served) => served,
                None => serving.await,
            };
            let _ = dispatching.await;
            tasks.wait().await;
            store.close().await;
            served
        };
        let served = tokio::time::timeout(STOP_PATIENCE, finish).await;
        if let Some(embedded) = embedded {
            embedded.stop().await;
        }
        match served {
            Ok(served) => served.map_err(std::io::Error::other)??,
            Err(_) => {
                tracing::warn!(
                    "something did not finish in time; its leases run out by themselves"
                );
            }
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// `DATABASE_URL`'s server, or the machine's own PostgreSQL as a child.
async fn database(config: &Config) -> Result<(PgConnectOptions, Option<Embedded>), AppError> {
    if let Some(url) = &config.database_url {
        let options =
            PgConnectOptions::from_str(url.expose_secret()).map_err(|_| AppError::DatabaseUrl)?;
        return Ok((options, None));
    }
    let embedded = Embedded::start(&config.data_dir).await?;
    Ok((embedded.connect_options(), Some(embedded)))
}

/// The operator's keys; with the embedded database one that is generated beside it.
fn encryption_keys(config: &Config) -> Result<Vec<EncryptionKey>, AppError> {
    if config.encryption_keys.is_empty() {
        Ok(vec![generated_key(
            &config.data_dir.join("encryption.key"),
        )?])
    } else {
        Ok(config
            .encryption_keys
            .iter()
            .map(|key| SecretBox::new(Box::new(*key.expose_secret())))
            .collect())
    }
}

fn generated_key(path: &Path) -> Result<EncryptionKey, AppError> {
    let trouble = |problem: String| AppError::KeyFile {
        path: path.display().to_string(),
        problem,
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            use std::io::Write as _;
            let text = Zeroizing::new(STANDARD.encode(Clock::random::<32>()));
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(|e| trouble(format!("cannot be made: {e}")))?;
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
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

/// Waits for the database and brings its schema up to date. A schema that cannot be brought up to date is told at once.
async fn migrate(store: &Store) -> Result<(), AppError> {
    let patience = tokio::time::sleep(DATABASE_PATIENCE);
    tokio::pin!(patience);
    loop {
        let Err(error) = store.ping().await else {
            return Ok(store.migrate().await?);
        };
        tracing::warn!(%error, "waiting for the database");
        tokio::select! {
            () = &mut patience => return Err(AppError::Database(error)),
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}

/// What a first start makes, and what the environment decides at each.
async fn seed(store: &Store, config: &Config, clock: &Clock) -> Result<(), AppError> {
    let now = clock.now();
    let (site, is_new) = store.ensure_site(DEFAULT_SITE, now).await?;
    if is_new {
        match &config.publish_token {
            Some(token) => {
                store
                    .add_token(site, clock.id(), "PUBLISH_TOKEN", token, false, now)
                    .await?;
            }
            None => {
                store
                    .add_token(site, clock.id(), "First token", &fresh_token(), true, now)
                    .await?;
            }
        }
    }
    let settings = config
        .cloudfront
        .as_ref()
        .map(|form| Settings::parse(form, &[]))
        .transpose()
        .map_err(AppError::CloudFront)?;
    store.set_environment(site, settings.as_ref(), now).await?;
    Ok(())
}

/// A new bearer token: 256 bits of randomness behind a prefix that secret scanners can know.
#[must_use]
pub fn fresh_token() -> SecretString {
    let bytes = Zeroizing::new(Clock::random::<32>());
    SecretString::from(format!("skycdn_{}", URL_SAFE_NO_PAD.encode(*bytes)))
}

/// Follows what other replicas tell, for ever.
async fn follow(state: AppState) {
    loop {
        let (heard, mut news) = tokio::sync::mpsc::unbounded_channel();
        let listening = store::listen(&state.store, move |change| {
            let _ = heard.send(change);
        });
        let acting = async {
            while let Some(change) = news.recv().await {
                if matches!(change, Changes::Work(_) | Changes::Anything) {
                    state.wake.wake();
                }
                if matches!(change, Changes::Sites | Changes::Anything)
                    && let Err(error) = state.directory.refresh(&state.store).await
                {
                    tracing::warn!(%error, "the sites could not be read again");
                }
                state.changes.announce(change);
            }
        };
        let (ended, ()) = tokio::join!(listening, acting);
        if let Err(error) = ended {
            tracing::warn!(%error, "listening to the database ended; trying again");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
