//! The web room: [`http`] is the edge, [`api`] answers programs, [`pages`] answer people.

mod api;
mod http;
mod pages;

use std::ops::Deref;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::http::entrance::Entrance;
pub use self::http::routes::{Access, Route, routes};
pub use self::http::serve::ServeOptions;
pub use self::pages::auth::hasher::{Busy, Hasher};
pub(crate) use self::pages::auth::session::fresh;
pub use self::pages::overview::RecentDays;
pub(crate) use self::pages::words::audit::Deed;
pub use self::pages::{views, words};

use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::config::{AccessConfig, PublicUrl};
use crate::dispatcher::Wake;
use crate::domain::Limits;
use crate::metrics::Metrics;
use crate::store::{Directory, Inbox, LastUsed, LiveChanges, Store};

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
    pub last_used: LastUsed,
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
    http::serve::serve(listener, answer, options, stop).await
}
