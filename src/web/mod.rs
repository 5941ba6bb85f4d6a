//! The web room: [`http`] is the edge, [`api`] answers programs, [`pages`] answer people.

mod api;
mod hasher;
mod http;
mod pages;
mod recent_days;
mod state;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::hasher::{Busy, Hasher};
pub use self::http::routes::{Access, Route, routes};
pub(crate) use self::pages::auth::session::fresh;
pub use self::pages::{views, words};
pub use self::recent_days::RecentDays;
pub use self::state::{AppState, Shared};

/// All routes and what is around them.
pub fn router(state: &AppState) -> Router {
    http::routes::mount(state)
}

/// Serves until `stop`, then lets requests under way finish.
pub async fn serve(listener: TcpListener, state: AppState, stop: CancellationToken) {
    http::serve::serve(listener, router(&state), state.serve, stop).await;
}
