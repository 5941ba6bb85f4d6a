//! The database, of the service or of a command.

use std::time::Duration;

use embedded_postgres::Embedded;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::AppError;
use super::database_url::connect_options;
use super::first_start::{Keys, NewKey, settle};
use crate::clock::Clock;
use crate::config::{Config, is_this_machine};
use crate::store::{DatabaseTimeouts, Resealed, Store};

/// The name of the embedded PostgreSQL's database, and of its superuser.
const DATABASE_NAME: &str = "skycms_cdn";
/// How long the database may take to answer at start.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The store, and the embedded PostgreSQL beneath it, if it is ours.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(super) embedded: Option<Embedded>,
    unwritten: Option<NewKey>,
}

#[derive(Clone, Copy)]
pub(super) enum Opener {
    Service,
    Command,
}

/// The host that is talked to in the clear unless its server asks for TLS: a URL without `sslmode`
/// takes whatever it is offered, even by somebody in between.
pub(crate) fn host_without_tls(config: &Config) -> Option<String> {
    let (options, _) = connect_options(config.database_url.as_ref()?).ok()?;
    let host = options.get_host();
    let is_here = options.get_socket().is_some() || host.starts_with('/') || is_this_machine(host);
    let is_left_open = matches!(options.get_ssl_mode(), PgSslMode::Allow | PgSslMode::Prefer);
    (is_left_open && !is_here).then(|| host.to_owned())
}

impl Database {
    /// Opens the database for a command, also beside a service that is running. The schema stays as
    /// it is.
    pub(crate) async fn open(config: &Config, clock: &Clock) -> Result<Self, AppError> {
        let directory = &config.data_dir;
        let is_there = embedded_postgres::is_initialised(directory);
        if config.database_url.is_none() && is_there.is_ok_and(|is_there| !is_there) {
            tracing::warn!(
                "DATABASE_URL is not set: creating a new database in {}, which only a service with that DATA_DIR will use",
                directory.display()
            );
        }
        match Self::connect(config, clock, Opener::Command).await {
            Err(error @ AppError::Postgres(embedded_postgres::Error::InUse(_))) => {
                let running = embedded_postgres::running(&config.data_dir, DATABASE_NAME);
                let running = running.ok_or(error)?;
                Ok(Self::at(running, None, Keys::in_use(config)?))
            }
            opened => opened,
        }
    }

    /// Opens the one at `DATABASE_URL`, or starts the machine's own PostgreSQL as a child, which
    /// nobody else may have started.
    pub(super) async fn connect(
        config: &Config,
        clock: &Clock,
        opener: Opener,
    ) -> Result<Self, AppError> {
        let (options, embedded) = if let Some(url) = &config.database_url {
            let (options, unknown) = connect_options(url)?;
            for name in unknown {
                tracing::warn!("DATABASE_URL: ignoring the unknown parameter {name}");
            }
            (options, None)
        } else {
            let directory = &config.data_dir;
            let embedded = match opener {
                Opener::Service => Embedded::start(directory, DATABASE_NAME).await?,
                Opener::Command => Embedded::start_for_command(directory, DATABASE_NAME).await?,
            };
            (embedded.connect_options(), Some(embedded))
        };
        let keys = Keys::find_or_make(config, clock)?;
        Ok(Self::at(options, embedded, keys))
    }

    fn at(options: PgConnectOptions, embedded: Option<Embedded>, keys: Keys) -> Self {
        Self {
            store: Store::new(options, keys.sealer, DatabaseTimeouts::default()),
            embedded,
            unwritten: keys.unwritten,
        }
    }

    /// Brings the schema up to date, and makes sure of the keys.
    pub(super) async fn migrate(&self) -> Result<(), AppError> {
        update_schema(&self.store).await?;
        settle(&self.store, self.unwritten.as_ref()).await
    }

    /// Does a command's work. It must not begin with keys that do not open what is stored: what it
    /// seals, the service could not open.
    pub(crate) async fn work<T, E: From<AppError>>(
        config: &Config,
        clock: &Clock,
        work: impl AsyncFnOnce(&Store) -> Result<T, E>,
    ) -> Result<T, E> {
        let database = Self::open(config, clock).await?;
        let done = match database.migrate().await {
            Ok(()) => work(&database.store).await,
            Err(error) => Err(error.into()),
        };
        database.close().await;
        done
    }

    async fn reseal(&self, remove_unreadable: bool) -> Result<Resealed, AppError> {
        if !remove_unreadable {
            self.migrate().await?;
            return self.store.reseal(false).await.map_err(AppError::of_keys);
        }
        update_schema(&self.store).await?;
        let done = self.store.reseal(true).await.map_err(AppError::of_keys)?;
        // A new key is written down once nothing is left that it does not open.
        settle(&self.store, self.unwritten.as_ref()).await?;
        Ok(done)
    }

    /// Closes the connections, and stops what was started.
    pub(crate) async fn close(self) {
        self.store.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// Seals every stored secret again with the first key of `ENCRYPTION_KEY`. What no key opens stops
/// it, or with `remove_unreadable` is removed.
///
/// # Errors
/// In words that say what to do; nothing is changed then.
pub async fn reseal(
    config: &Config,
    clock: &Clock,
    remove_unreadable: bool,
) -> Result<Resealed, AppError> {
    let database = Database::open(config, clock).await?;
    let done = database.reseal(remove_unreadable).await;
    database.close().await;
    done
}

/// Waits for the database and brings its schema up to date. What waiting cannot change is reported
/// at once.
async fn update_schema(store: &Store) -> Result<(), AppError> {
    let deadline = tokio::time::sleep(TIMEOUT);
    tokio::pin!(deadline);
    let schema = loop {
        let problem = match store.schema().await {
            Ok(schema) => break schema,
            Err(problem) if problem.may_pass() => problem,
            Err(problem) => return Err(problem.into()),
        };
        tracing::warn!(%problem, "waiting for the database");
        tokio::select! {
            () = &mut deadline => return Err(problem.into()),
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    };
    // The migrator creates its own table if it is missing, and may not even try without the right.
    if schema.pending > 0 || schema.may_create {
        store.migrate().await?;
    }
    Ok(())
}
