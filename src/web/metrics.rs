//! `GET /metrics`, for those who hold the token, or without one for this machine alone.

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;

use super::AppState;
use super::hook::{bearer, sha256};
use super::problem::Problem;
use crate::metrics::CONTENT_TYPE;

/// How long the database may take. A scrape is worth more without the queue than too late.
const PATIENCE: Duration = Duration::from_secs(2);
/// What proxies add: behind one, the peer is not the caller.
const OF_PROXIES: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// `GET /metrics`.
pub(super) async fn show(
    State(state): State<AppState>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    match &state.metrics_token {
        Some(token) if !holds(&headers, token.expose_secret()) => {
            return Err(Problem::NoMetricsToken);
        }
        None if !is_local(peer, &headers) => return Err(Problem::NotLocal),
        _ => {}
    }
    let queue = tokio::time::timeout(PATIENCE, state.store.queue(state.clock.now())).await;
    let text = state
        .metrics
        .encode(queue.ok().and_then(|queue| queue.ok()));
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Hashes of one length are compared, so that the time taken tells nothing.
fn holds(headers: &HeaderMap, token: &str) -> bool {
    bearer(headers).is_some_and(|given| {
        verify_slices_are_equal(&sha256(given.as_bytes()), &sha256(token.as_bytes())).is_ok()
    })
}

fn is_local(peer: Option<Extension<ConnectInfo<SocketAddr>>>, headers: &HeaderMap) -> bool {
    peer.is_some_and(|Extension(ConnectInfo(peer))| peer.ip().to_canonical().is_loopback())
        && !OF_PROXIES.iter().any(|name| headers.contains_key(*name))
}
