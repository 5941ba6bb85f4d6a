//! The web room: the hook and its API for programs, pages for people. One file a page or resource.

mod activity;
mod assets;
mod audit;
mod client;
mod embed;
mod events;
mod guard;
mod hasher;
mod health;
mod hook;
mod invalidations;
mod live;
mod pages;
mod password;
mod problem;
mod public_url;
mod publishes;
mod routes;
mod secrets;
mod session;
mod settings;
mod sign_in;
mod signature;
mod tokens;
pub mod views;
pub mod words;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use hasher::{Busy, Hasher};
pub use live::LiveChanges;
pub use public_url::PublicUrl;
pub use routes::{Access, Route, routes};
pub(crate) use session::fresh;

use self::problem::Problem;
use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::config::AccessConfig;
use crate::dispatcher::Wake;
use crate::domain::Limits;
use crate::store::{Directory, Inbox, Store, Uses};

/// The largest body that is taken, in bytes.
const LARGEST_BODY: usize = 1 << 20;

/// What handlers share.
#[derive(Clone)]
pub struct AppState {
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
    /// Who is let in, and from where.
    pub access: Arc<AccessConfig>,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Notes when tokens and secrets were used.
    pub uses: Uses,
    /// The address users see.
    pub public: PublicUrl,
    /// Cancelled when the service stops.
    pub stop: CancellationToken,
}

/// All routes, below the path prefix of `PUBLIC_URL` and at the root: a proxy may strip the prefix or leave it.
pub fn router(state: AppState) -> Router {
    let prefix = state.public.prefix.clone();
    let headers = guard::Headers::of(&state);
    let routes = routes::mount(&state)
        .fallback(fallback)
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .with_state(state);
    let app = if prefix.is_empty() {
        routes
    } else {
        Router::new().nest(&prefix, routes.clone()).merge(routes)
    };
    app.layer(axum::middleware::from_fn_with_state(
        headers,
        guard::headers,
    ))
    .layer(DefaultBodyLimit::max(LARGEST_BODY))
    .layer(CatchPanicLayer::custom(panicked))
}

/// Programs are told in JSON, people in a page.
async fn fallback(State(state): State<AppState>, request: Request) -> Response {
    if request.uri().path().contains("/api/") {
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
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = router(state).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}
