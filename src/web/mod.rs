//! The web room: the hook and its API for programs, pages for people. One file a page or resource.

mod activity;
mod assets;
mod audit;
mod client;
mod docs;
mod dry_run;
mod embed;
mod events;
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

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use audit::Deed;
pub use hasher::{Busy, Hasher};
pub use live::{ChangeReader, LiveChanges};
pub use overview::RecentDays;
pub use public_url::PublicUrl;
pub use routes::{Access, Route, routes};
pub use serve::ServeOptions;
pub(crate) use session::fresh;

use self::problem::Problem;
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
    #[must_use]
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

/// All routes, below the path prefix of `PUBLIC_URL` and at the root: a proxy may strip the prefix or leave it.
pub fn router(state: AppState) -> Router {
    let prefix = state.public.prefix.clone();
    let headers = guard::Headers::of(&state);
    let options = state.serve;
    let routes = routes::mount(&state)
        .fallback(fallback)
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .with_state(state);
    let app = if prefix.is_empty() {
        routes
    } else {
        Router::new().nest(&prefix, routes.clone()).merge(routes)
    };
    app.layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(options, limits::keep))
        // `limits` has its own, for every way to read a body.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(headers, guard::headers))
}

/// Browsers ask for HTML and are told in a page, programs in JSON.
async fn fallback(State(state): State<AppState>, request: Request) -> Response {
    let asks_for_html = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if !asks_for_html {
        return Problem::NoSuchRoute.into_response();
    }
    let (parts, _) = request.into_parts();
    pages::not_found(&state, &parts).await
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::Internal.into_response()
}

/// Serves until `stop`, then lets requests under way finish.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let options = state.serve;
    serve::serve(listener, router(state), options, stop).await
}
