//! `GET /metrics`, for those who hold the token, or without one for this machine alone.

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;

use crate::metrics::CONTENT_TYPE;
use crate::store::hash;
use crate::web::api::caller::bearer;
use crate::web::api::openapi::{OPERATIONS, OfMetrics};
use crate::web::http::client::OF_PROXIES;
use crate::web::http::error::{Error, Result};
use crate::web::state::AppState;

/// How long the database may take. A scrape without what it says is worth more than one too late.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What operators watch
///
/// Each replica counts its own doings; the queue is the whole service's. Without `METRICS_TOKEN` it
/// answers the machine itself, and nobody behind a proxy.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = OPERATIONS,
    responses(
        (
            status = 200,
            description = "Prometheus's metrics, as OpenMetrics text.",
            body = String,
            content_type = CONTENT_TYPE,
        ),
        OfMetrics,
    ),
    security(("metrics_token" = []), ())
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response> {
    match &state.metrics_token {
        Some(token) if !holds(&headers, token.expose_secret()) => {
            return Err(Error::NoMetricsToken);
        }
        None if !is_local(peer, &headers) => return Err(Error::NotLocal),
        _ => {}
    }
    let standing = state.store.standing(&state.limits, state.clock.now());
    let standing = tokio::time::timeout(TIMEOUT, standing).await;
    let text = state
        .metrics
        .encode(standing.ok().and_then(Result::ok).as_ref());
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Hashes of one length are compared, so that the time taken tells nothing.
fn holds(headers: &HeaderMap, token: &str) -> bool {
    bearer(headers).is_some_and(|given| verify_slices_are_equal(&hash(given), &hash(token)).is_ok())
}

/// Behind a proxy, the peer is not the caller.
fn is_local(peer: Option<Extension<ConnectInfo<SocketAddr>>>, headers: &HeaderMap) -> bool {
    peer.is_some_and(|Extension(ConnectInfo(peer))| peer.ip().to_canonical().is_loopback())
        && !OF_PROXIES.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )])
    }

    #[test]
    fn only_this_machine_itself_is_local() {
        let peer = |ip: &str| {
            let ip: IpAddr = ip.parse().expect("an address");
            Some(Extension(ConnectInfo(SocketAddr::from((ip, 4711)))))
        };
        let none = HeaderMap::new();
        for ip in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(is_local(peer(ip), &none), "{ip}");
        }
        for ip in ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!is_local(peer(ip), &none), "{ip}");
        }
        assert!(!is_local(None, &none));
        for name in OF_PROXIES {
            assert!(!is_local(peer("127.0.0.1"), &headers(name, "127.0.0.1")));
        }
    }

    #[test]
    fn the_whole_token_is_needed() {
        assert!(holds(&headers("authorization", "Bearer s3cret"), "s3cret"));
        for given in [
            "Bearer s3cre",
            "Bearer s3crets",
            "Bearer",
            "s3cret",
            "Basic s3cret",
        ] {
            assert!(
                !holds(&headers("authorization", given), "s3cret"),
                "{given}"
            );
        }
        assert!(!holds(&HeaderMap::new(), "s3cret"));
    }
}
