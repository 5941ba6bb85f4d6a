//! The wiring that `main` and the tests share.

mod database;
mod database_url;
mod error;
mod first_start;
mod follow;
mod wiring;

use std::net::SocketAddr;
use std::time::Duration;

use embedded_postgres::Embedded;
use tokio::net::TcpListener;

use database::Opener;
pub use database::reseal;
pub(crate) use database::{Database, host_without_tls};
pub use error::AppError;
use wiring::{Background, wire};

use crate::clock::Clock;
use crate::config::{Config, PublicUrl};
use crate::web::{self, AppState};

/// How long answers under way and outcomes of calls may take after a stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(9);
/// How long all of it may take, with the embedded database.
const STOP_LIMIT: Duration = Duration::from_millis(9_700);

/// A service that is ready to serve.
pub struct App {
    listener: TcpListener,
    /// For health and metrics, if they have one of their own.
    operations: Option<TcpListener>,
    state: AppState,
    background: Background,
    embedded: Option<Embedded>,
}

impl App {
    /// Connects, migrates, makes what a first start needs, and listens.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, AppError> {
        warn_about(config);
        let database = Database::connect(config, &clock, Opener::Service).await?;
        database.migrate().await?;
        let Database {
            store, embedded, ..
        } = database;
        first_start::seed(&store, config, &clock).await?;
        let listener = bind("LISTEN_ADDR", config.listen_addr).await?;
        let operations = match config.ops_listen_addr {
            Some(address) => Some(bind("OPS_LISTEN_ADDR", address).await?),
            None => None,
        };
        let public = PublicUrl::new(config.public_url.as_ref(), listener.local_addr()?);
        let (state, background) = wire(config, clock, store, public).await?;
        first_start::seed_password(&state, config).await?;
        Ok(Self {
            listener,
            operations,
            state,
            background,
            embedded,
        })
    }

    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What handlers share, for tests.
    pub const fn state(&self) -> &AppState {
        &self.state
    }

    /// Serves until `shutdown`, then finishes what is under way.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let Self {
            listener,
            operations,
            state,
            background,
            embedded,
        } = self;
        let (stop, tasks) = (state.stop.clone(), state.tasks.clone());
        let store = state.store.clone();
        if let Some(operations) = &operations {
            tracing::info!(operations = %operations.local_addr()?, "serving health and metrics on an address of their own");
        }
        tracing::info!(address = %listener.local_addr()?, "ready at {}", state.public);
        let mut needed = background.start(&state);
        if let Some(operations) = operations {
            needed.spawn(web::serve_operations(operations, state.clone()));
        }
        needed.spawn(web::serve(listener, state));
        let mut ended = tokio::select! {
            () = shutdown => Ok(()),
            Some(ended) = needed.join_next() => Err(match ended {
                Ok(()) => std::io::Error::other("one of its tasks ended unexpectedly"),
                Err(panicked) => std::io::Error::other(panicked),
            }),
        };
        tracing::info!("stopping");
        stop.cancel();
        tasks.close();
        let finish = async {
            while let Some(stopped) = needed.join_next().await {
                // Whoever started the process is told of it, also now.
                if let Err(panicked) = stopped {
                    ended = Err(std::io::Error::other(panicked));
                }
            }
            tasks.wait().await;
            store.close().await;
        };
        let limit = tokio::time::sleep(STOP_LIMIT);
        let finished = tokio::time::timeout(STOP_TIMEOUT, finish).await;
        if let Some(embedded) = embedded {
            tokio::select! {
                () = embedded.stop() => {}
                () = limit => tracing::warn!("leaving the embedded PostgreSQL to stop on its own"),
            }
        }
        if finished.is_err() {
            tracing::warn!("not everything finished in time; its leases will expire");
        }
        ended?;
        tracing::info!("stopped");
        Ok(())
    }
}

fn warn_about(config: &Config) {
    if let Some(host) = host_without_tls(config) {
        tracing::warn!(
            "DATABASE_URL: has no sslmode, so the connection to {host} may not use TLS; add ?sslmode=verify-full, or \
             ?sslmode=disable if the network in between is trusted"
        );
    }
    for name in &config.without_effect {
        tracing::warn!("{name}: is set but has no effect; .env.example lists every variable");
    }
}

async fn bind(variable: &'static str, address: SocketAddr) -> Result<TcpListener, AppError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AppError::Listen {
            variable,
            address,
            source,
        })
}

/// The address of a new one-time link that sets the admin's password, for somebody who has
/// forgotten it.
pub(crate) async fn set_up_link(config: &Config, clock: &Clock) -> Result<String, AppError> {
    let public = PublicUrl::new(config.public_url.as_ref(), config.listen_addr);
    Database::work(config, clock, async |store| {
        Ok(first_start::new_set_up_link(store, clock, &public).await?)
    })
    .await
}
