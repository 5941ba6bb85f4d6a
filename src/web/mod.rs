//! The web room: the hook and its API for programs, pages for people. One file a page or resource.

mod activity;
mod assets;
mod dry_run;
mod events;
mod guard;
mod health;
mod hook;
mod invalidations;
mod limits;
mod live;
mod metrics;
mod overview;
mod pages;
mod problem;
mod public_url;
mod publishes;
mod purge;
mod rules;
mod serve;
mod settings;
mod tokens;
pub mod views;
pub mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use live::LiveChanges;
pub use overview::RecentDays;
pub use public_url::PublicUrl;
pub use serve::ServeOptions;

use self::problem::Problem;
use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::dispatcher::Wake;
use crate::domain::Limits;
use crate::metrics::Metrics;
use crate::store::{Directory, Inbox, Store};

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
    /// The last day of each site, kept for some seconds.
    pub days: RecentDays,
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
    let routes = Router::new()
        .route("/api/sites/{site}/publishes", post(publishes::create))
        .route("/api/sites/{site}/publishes/{id}", get(publishes::show))
        .route("/api/sites/{site}/invalidations", get(invalidations::list))
        .merge(pages(&state))
        .route("/events", get(events::events))
        .route("/static/style.css", get(assets::style))
        .route("/static/app.js", get(assets::script))
        .route("/static/icon.svg", get(assets::icon))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::show))
        .fallback(fallback)
        .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
        .with_state(state.clone());
    let app = if prefix.is_empty() {
        routes
    } else {
        Router::new().nest(&prefix, routes.clone()).merge(routes)
    };
    app.layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.serve, limits::keep))
        // `limits` has its own, for every way to read a body.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(state, guard::headers))
}

/// Pages for people. Their forms are taken from these pages only.
fn pages(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/", get(home))
        .route("/settings/cdn", get(settings::show).post(settings::save))
        .route("/settings/cdn/remove", post(settings::remove))
        .route("/settings/cdn/tokens", post(tokens::create))
        .route("/settings/cdn/tokens/{id}/reveal", post(tokens::reveal))
        .route("/settings/cdn/tokens/{id}/revoke", post(tokens::revoke))
        .route("/settings/cdn/publishing", post(rules::save_publishing))
        .route("/settings/cdn/policy", post(rules::save_spending))
        .route("/purge", get(purge::show).post(purge::act))
        .route("/activity", get(activity::list))
        .route("/activity/{publish}", get(activity::show))
        .route("/activity/{publish}/retry", post(activity::retry))
        .layer(from_fn_with_state(state.clone(), guard::same_origin))
}

async fn home(State(state): State<AppState>) -> Response {
    pages::see(&state, "/activity")
}

/// Browsers ask for HTML and are told in a page, programs in JSON.
async fn fallback(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let asks_for_html = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if asks_for_html {
        pages::not_found(&state)
    } else {
        Problem::NoSuchRoute.into_response()
    }
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
