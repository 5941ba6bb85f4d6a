//! The database, of the service or of a command.

use std::net::IpAddr;
use std::str::FromStr as _;
use std::time::Duration;

use embedded_postgres::Embedded;
use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{AppError, first_start};
use crate::clock::Clock;
use crate::config::{Config, EncryptionKey};
use crate::store::{Sealer, Store};

/// The name of the embedded PostgreSQL's database, and of its superuser.
const DATABASE_NAME: &str = "skycms_cdn";
/// How long the database may take to answer at start.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The store, and the embedded PostgreSQL beneath it, if it is ours.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(super) embedded: Option<Embedded>,
}

/// The host that is talked to in the clear unless its server asks for TLS: a URL without `sslmode`
/// takes whatever it is offered, even by somebody in between.
pub(crate) fn host_without_tls(config: &Config) -> Option<String> {
    let url = config.database_url.as_ref()?;
    let options = PgConnectOptions::from_str(url.expose_secret()).ok()?;
    let host = options.get_host();
    let is_here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
    let is_left_open = matches!(options.get_ssl_mode(), PgSslMode::Allow | PgSslMode::Prefer);
    (is_left_open && !is_here).then(|| host.to_owned())
}

impl Database {
    /// Opens the database for a command, also beside a service that is running. The schema stays as
    /// it is.
    pub(crate) async fn open(config: &Config, clock: &Clock) -> Result<Self, AppError> {
        match Self::own(config, clock).await {
            Err(error @ AppError::Postgres(embedded_postgres::Error::InUse(_))) => {
                let running = embedded_postgres::running(&config.data_dir, DATABASE_NAME);
                let running = running.ok_or(error)?;
                let keys = first_start::keys_in_use(config)?;
                Self::at(running, None, &keys)
            }
            opened => opened,
        }
    }

    /// Opens the one at `DATABASE_URL`, or starts the machine's own PostgreSQL as a child, which
    /// nobody else may have started.
    async fn own(config: &Config, clock: &Clock) -> Result<Self, AppError> {
        let (options, embedded) = if let Some(url) = &config.database_url {
            let options = PgConnectOptions::from_str(url.expose_secret())
                .map_err(|_| AppError::DatabaseUrl)?;
            (options, None)
        } else {
            let embedded = Embedded::start(&config.data_dir, DATABASE_NAME).await?;
            (embedded.connect_options(), Some(embedded))
        };
        let keys = first_start::encryption_keys(config, clock)?;
        Self::at(options, embedded, &keys)
    }

    fn at(
        options: PgConnectOptions,
        embedded: Option<Embedded>,
        keys: &[EncryptionKey],
    ) -> Result<Self, AppError> {
        Ok(Self {
            store: Store::new(options, Sealer::new(keys)?),
            embedded,
        })
    }

    /// The service's own, with the schema brought up to date.
    pub(super) async fn of_service(config: &Config, clock: &Clock) -> Result<Self, AppError> {
        let database = Self::own(config, clock).await?;
        migrate(&database.store).await?;
        Ok(database)
    }

    /// Does a command's work, with the schema brought up to date.
    pub(crate) async fn work<T, E: From<AppError>>(
        config: &Config,
        clock: &Clock,
        work: impl AsyncFnOnce(&Store) -> Result<T, E>,
    ) -> Result<T, E> {
        let database = Self::open(config, clock).await?;
        let done = match migrate(&database.store).await {
            Ok(()) => work(&database.store).await,
            Err(error) => Err(error.into()),
        };
        database.close().await;
        done
    }

    /// Closes the connections, and stops what was started.
    pub(crate) async fn close(self) {
        self.store.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// Waits for the database and brings its schema up to date. What waiting cannot change is reported
/// at once.
async fn migrate(store: &Store) -> Result<(), AppError> {
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
