//! The wiring that `main` and the tests share.

mod database;
mod database_url;
mod error;
mod first_start;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use embedded_postgres::Embedded;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use database::reseal;
pub(crate) use database::{Database, host_without_tls};
pub use error::AppError;

use crate::admin::Tester;
use crate::clock::Clock;
use crate::cloudfront::{self, CloudFront};
use crate::config::{Config, PublicUrl};
use crate::dispatcher::{Dispatcher, Wake};
use crate::janitor;
use crate::metrics::Metrics;
use crate::readers::{EdgeChecker, Notifier, Outside, Rounds};
use crate::skycms::SkyCms;
use crate::store::{
    self, Changes, Directory, Ends, Inbox, LastUsed, LiveChanges, PublishNotifier, Recent,
    RefusedCalls,
};
use crate::web::{self, AppState, Bodies, Hasher, Places, Shared, Turns};

/// How long answers under way and outcomes of calls may take after a stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(9);
/// How long all of it may take, with the embedded database.
const STOP_LIMIT: Duration = Duration::from_millis(9_700);
/// Before the database is asked again, or listened to.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A service that is ready to serve.
pub struct App {
    listener: TcpListener,
    /// For health and metrics, if they have one of their own.
    operations: Option<TcpListener>,
    state: AppState,
    dispatcher: Dispatcher,
    edge: Rounds<EdgeChecker>,
    notifier: Rounds<Notifier>,
    publish_notifier: PublishNotifier,
    history_days: u16,
    embedded: Option<Embedded>,
}

impl App {
    /// Connects, migrates, and makes what a first start needs.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, AppError> {
        if let Some(host) = host_without_tls(config) {
            tracing::warn!(
                "DATABASE_URL: has no sslmode, so that {host} may be talked to without TLS; add ?sslmode=verify-full, or \
                 ?sslmode=disable where the network between is trusted"
            );
        }
        for name in &config.without_effect {
            tracing::warn!("{name}: is set and has no effect; .env.example lists every variable");
        }
        let Database {
            store, embedded, ..
        } = Database::of_service(config, &clock).await?;
        first_start::seed(&store, config, &clock).await?;

        let listener = bind("LISTEN_ADDR", config.listen_addr).await?;
        let operations = match config.ops_listen_addr {
            Some(address) => Some(bind("OPS_LISTEN_ADDR", address).await?),
            None => None,
        };
        let public = PublicUrl::new(config.public_url.as_ref(), listener.local_addr()?);
        cloudfront::authorities_are_known()?;
        let cloudfront = CloudFront::at(config.cloudfront_endpoint.clone());
        let (tasks, wake) = (TaskTracker::new(), Wake::default());
        let metrics = Metrics::default();
        let dispatcher = Dispatcher::new(
            store.clone(),
            cloudfront.clone(),
            clock.clone(),
            config.limits,
            wake.clone(),
            metrics.clone(),
        );
        let outside = Outside::new(config.allow_private_targets)?;
        let edge = EdgeChecker {
            store: store.clone(),
            outside: outside.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        };
        let notifier = Notifier {
            store: store.clone(),
            outside: outside.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            base: public.to_string().into(),
        };
        let publish_notifier = PublishNotifier::default();
        let inbox = Inbox::start(store.clone(), &tasks, {
            let (wake, notifier) = (wake.clone(), publish_notifier.clone());
            move |sites| {
                wake.published(sites.iter().copied());
                notifier.published(sites);
            }
        });
        let hasher = Hasher::new(clock.clone());
        first_start::seed_password(&store, config, &clock, &public, &hasher).await?;
        let tester = Tester {
            store: store.clone(),
            cloudfront,
            outside,
            clock: clock.clone(),
            limits: config.limits,
            metrics: metrics.clone(),
        };
        let skycms = config.access.skycms.clone();
        let skycms = skycms
            .map(|skycms| SkyCms::new(skycms, &public, clock.clone()))
            .transpose()?;
        let state = AppState::new(Shared {
            tester,
            skycms,
            access: config.access.clone(),
            unbelieved_proxy: OnceLock::new(),
            hasher,
            last_used: LastUsed::new(store.clone(), tasks.clone()),
            refused: RefusedCalls::new(store.clone(), tasks.clone()),
            allow_private_targets: config.allow_private_targets,
            directory: Directory::load(&store).await?,
            store,
            inbox,
            clock,
            limits: config.limits,
            changes: LiveChanges::default(),
            ends: Ends::default(),
            days: Recent::default(),
            endless: Recent::default(),
            wake,
            public,
            bodies: Bodies::default(),
            turns: Turns::default(),
            places: Places::of(config.serve.connections),
            metrics,
            metrics_token: config.metrics_token.clone(),
            serve: config.serve,
            tasks,
            stop: CancellationToken::new(),
        });
        Ok(Self {
            listener,
            operations,
            state,
            dispatcher,
            edge: Rounds(edge),
            notifier: Rounds(notifier),
            publish_notifier,
            history_days: config.history_days,
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
            dispatcher,
            edge,
            notifier,
            publish_notifier,
            history_days,
            embedded,
        } = self;
        let (stop, tasks) = (state.stop.clone(), state.tasks.clone());
        if let Some(operations) = &operations {
            tracing::info!(operations = %operations.local_addr()?, "health and metrics have a listener of their own");
        }
        tracing::info!(address = %listener.local_addr()?, "ready at {}", state.public);
        let (store, clock) = (state.store.clone(), state.clock.clone());
        let replica = clock.id();
        let dispatching = tasks.spawn(dispatcher.run(stop.clone()));
        until_stop(&state, follow(state.clone(), replica));
        until_stop(&state, {
            let (store, ends) = (store.clone(), state.ends.clone());
            let changes = state.changes.subscribe();
            async move { ends.follow(&store, changes).await }
        });
        until_stop(&state, {
            let (store, changes) = (store.clone(), state.changes.clone());
            async move {
                let here = |site| changes.announce(Changes::Work(site));
                publish_notifier.run(&store, replica, here).await;
            }
        });
        until_stop(&state, edge.run());
        until_stop(&state, notifier.run());
        let pruning = janitor::run(store.clone(), clock.clone(), history_days);
        until_stop(&state, pruning);
        let changes = state.changes.subscribe();
        let sweeping = janitor::follow(store.clone(), clock, history_days, changes);
        until_stop(&state, sweeping);
        if let Some(operations) = operations {
            tasks.spawn(web::serve_operations(operations, state.clone()));
        }
        let serving = tasks.spawn(web::serve(listener, state));
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            ended = serving => ended.map_err(std::io::Error::other),
            // Without its dispatcher the service would accept publishes and send none.
            ended = dispatching => Err(match ended {
                Ok(()) => std::io::Error::other("the dispatcher ended by itself"),
                Err(error) => std::io::Error::other(error),
            }),
        };
        tracing::info!("stopping");
        stop.cancel();
        tasks.close();
        let finish = async {
            tasks.wait().await;
            store.close().await;
        };
        let limit = tokio::time::sleep(STOP_LIMIT);
        let finished = tokio::time::timeout(STOP_TIMEOUT, finish).await;
        if let Some(embedded) = embedded {
            tokio::select! {
                () = embedded.stop() => {}
                () = limit => tracing::warn!("the embedded PostgreSQL is left to stop by itself"),
            }
        }
        if finished.is_err() {
            tracing::warn!("something did not finish in time; its leases run out by themselves");
        }
        ended?;
        tracing::info!("stopped");
        Ok(())
    }
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

async fn bind(variable: &'static str, address: SocketAddr) -> Result<TcpListener, AppError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AppError::Listen {
            variable,
            address,
            source,
        })
}

/// Works beside the server until the service stops.
fn until_stop(state: &AppState, work: impl Future<Output = ()> + Send + 'static) {
    let stop = state.stop.clone();
    state.tasks.spawn(stop.run_until_cancelled_owned(work));
}

/// Follows what other replicas announce, for ever.
async fn follow(state: AppState, replica: Uuid) {
    loop {
        let (heard, mut news) = tokio::sync::mpsc::unbounded_channel();
        let listening = store::listen(&state.store, replica, move |change| {
            let _ = heard.send(change);
        });
        let acting = async {
            // When what could not be read is read again, whatever else is heard until then: a token
            // that was revoked must not stay valid here because the database was busy.
            let mut retry = pin!(tokio::time::sleep(RETRY_PAUSE));
            let mut is_behind = false;
            loop {
                let change = tokio::select! {
                    change = news.recv() => change,
                    () = &mut retry, if is_behind => Some(Changes::Sites),
                };
                let Some(change) = change else { return };
                match change {
                    Changes::Work(site) => state.wake.published([site]),
                    Changes::Sites | Changes::Anything => state.wake.wake(),
                    Changes::State(_) => {}
                }
                if matches!(change, Changes::Sites | Changes::Anything) {
                    let refreshed = state.directory.refresh(&state.store).await;
                    is_behind = refreshed.is_err();
                    if let Err(error) = refreshed {
                        retry.set(tokio::time::sleep(RETRY_PAUSE));
                        tracing::warn!(%error, "the sites could not be read again yet");
                    }
                }
                state.changes.announce(change);
            }
        };
        let (ended, ()) = tokio::join!(listening, acting);
        if let Err(error) = ended {
            tracing::warn!(%error, "listening to the database ended; trying again");
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
