//! The web room: the hook and its API for programs, pages for people. One file a page or resource.

mod activity;
mod assets;
mod audit;
mod client;
mod docs;
mod dry_run;
mod embed;
mod entrance;
mod events;
mod form;
mod guard;
mod hasher;
mod health;
mod hook;
mod invalidations;
mod limits;
mod live;
mod metrics;
mod openapi;
mod overview;
mod pages;
mod password;
mod problem;
mod public_url;
mod publishes;
mod purge;
mod routes;
mod rules;
mod secrets;
mod serve;
mod session;
mod settings;
mod sign_in;
mod signature;
mod sites;
mod tokens;
pub mod views;
pub mod words;

use std::ops::Deref;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use audit::Deed;
pub use entrance::Entrance;
pub use hasher::{Busy, Hasher};
pub use live::{ChangeReader, LiveChanges};
pub use overview::RecentDays;
pub use public_url::PublicUrl;
pub use routes::{Access, Route, routes};
pub use serve::ServeOptions;
pub(crate) use session::fresh;

use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::config::AccessConfig;
use crate::dispatcher::Wake;
use crate::domain::Limits;
use crate::metrics::Metrics;
use crate::store::{Directory, Inbox, Store, Uses};

/// What handlers share, in one piece: it is cloned several times a request.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

impl AppState {
    /// Shares it.
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What [`AppState`] holds.
pub struct Shared {
    /// The database.
    pub store: Store,
    /// The sites, in memory.
    pub directory: Directory,
    /// The way in for publishes.
    pub inbox: Inbox,
    /// Time and identifiers.
    pub clock: Clock,
    /// The narrow door to CloudFront: only for testing settings.
    pub cloudfront: CloudFront,
    /// CloudFront's quotas.
    pub limits: Limits,
    /// What changed, here or on another replica.
    pub changes: LiveChanges,
    /// Wakes this replica's dispatcher.
    pub wake: Wake,
    /// The last day of each site, kept for some seconds.
    pub days: RecentDays,
    /// Who is let in, and from where.
    pub access: Arc<AccessConfig>,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Notes when tokens and secrets were used.
    pub uses: Uses,
    /// The address users see.
    pub public: PublicUrl,
    /// What this replica counts.
    pub metrics: Metrics,
    /// Who may read that; none: loopback alone.
    pub metrics_token: Option<Arc<SecretString>>,
    /// How connections are served.
    pub serve: ServeOptions,
    /// Cancelled when the service stops.
    pub stop: CancellationToken,
}

/// Serves until `stop`, then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let options = state.serve;
    let entrance = Entrance::new(state);
    let answer = move |request| entrance.clone().answer(request);
    serve::serve(listener, answer, options, stop).await
}
