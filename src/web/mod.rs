//! The web room: [`api`] answers programs, [`pages`] answer people, both with what is in [`http`]
//! and [`publishing`]; [`routes`] mounts them, and [`layers`] wraps them.

mod api;
mod http;
mod layers;
mod pages;
mod publishing;
mod render;
mod routes;
mod state;

use tokio::net::TcpListener;

use crate::config::ServeOptions;

pub use self::http::bodies::Bodies;
pub use self::http::hasher::{Busy, Hasher};
pub use self::http::open_answers::OpenAnswers;
use self::http::serve::{self, Tcp};
pub use self::http::turns::Turns;
pub use self::pages::{views, words};
pub use self::routes::{Access, Route, router, routes};
pub use self::state::{AppState, Recent, Shared};

/// How many connections those who watch the service may have at once.
const OPERATORS: usize = 64;

/// Serves health and metrics until the service stops, on a listener of their own.
pub async fn serve_operations(listener: TcpListener, state: AppState) {
    let options = ServeOptions {
        connections: OPERATORS,
        ..state.serve
    };
    let router = routes::router_for_operators(&state);
    serve::serve(Tcp(listener), router, options, state.stop.clone()).await;
}

/// Serves until the service stops, then lets requests under way finish.
pub async fn serve(listener: TcpListener, state: AppState) {
    let (router, options) = (router(&state), state.serve);
    serve::serve(Tcp(listener), router, options, state.stop.clone()).await;
}
