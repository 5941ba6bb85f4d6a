//! `GET /metrics`, for those who have the token, or without one for this machine alone.

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;

use crate::config::{PublicUrl, is_this_machine};
use crate::metrics::CONTENT_TYPE;
use crate::store::hash;
use crate::web::api::caller::bearer;
use crate::web::api::openapi::{OPERATIONS, OfMetrics};
use crate::web::http::client::OF_PROXIES;
use crate::web::http::error::{Error, Result};
use crate::web::state::AppState;

/// How long the database may take. A scrape without what it says is worth more than one too late.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Headers that proxies add as well. Some proxies add nothing else.
const MARKS: [&str; 3] = ["via", "x-forwarded-host", "x-forwarded-proto"];

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
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let is_local = is_local(peer, &headers) && !calls_public_host(&state.public, &uri, &headers);
    match &state.metrics_token {
        Some(token) if !knows(&headers, token.expose_secret()) => {
            return Err(Error::NoMetricsToken);
        }
        None if !is_local => return Err(Error::NotLocal),
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
fn knows(headers: &HeaderMap, token: &str) -> bool {
    bearer(headers).is_some_and(|given| verify_slices_are_equal(&hash(given), &hash(token)).is_ok())
}

/// Behind a proxy, the peer is not the caller.
fn is_local(peer: Option<Extension<ConnectInfo<SocketAddr>>>, headers: &HeaderMap) -> bool {
    let mut signs = OF_PROXIES.iter().chain(&MARKS);
    peer.is_some_and(|Extension(ConnectInfo(peer))| peer.ip().to_canonical().is_loopback())
        && !signs.any(|name| headers.contains_key(*name))
}

/// Whether the public host is called, as the world calls it: a proxy on this machine may pass that
/// on without a word of its own. A public host that is this machine itself tells nothing.
fn calls_public_host(public: &PublicUrl, uri: &Uri, headers: &HeaderMap) -> bool {
    let origin: Option<Uri> = public.origin.parse().ok();
    let public = without_dot(origin.as_ref().and_then(Uri::host).unwrap_or_default());
    let header = headers.get(header::HOST);
    let header = header.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let called = uri.authority().or(header.as_ref()).map(Authority::host);
    !is_this_machine(public)
        && called.is_some_and(|called| without_dot(called).eq_ignore_ascii_case(public))
}

/// A name may be written with the dot of the root, and proxies take it for the same.
fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
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
        for name in OF_PROXIES.into_iter().chain(MARKS) {
            assert!(!is_local(peer("127.0.0.1"), &headers(name, "127.0.0.1")));
        }
    }

    #[test]
    fn whoever_calls_the_public_host_comes_from_elsewhere() {
        let calls = |public: &str, uri: &str, host: &'static str| {
            let listening = SocketAddr::from(([127, 0, 0, 1], 8080));
            let public = PublicUrl::new(public.parse().ok().as_ref(), listening);
            let uri: Uri = uri.parse().expect("an address");
            calls_public_host(&public, &uri, &headers("host", host))
        };
        let public = "https://editor.example.com/cdn";
        for (uri, host) in [
            ("/metrics", "editor.example.com"),
            ("/metrics", "EDITOR.example.com:8443"),
            ("/metrics", "editor.example.com.:8443"),
            ("http://editor.example.com/metrics", "127.0.0.1"),
        ] {
            assert!(calls(public, uri, host), "{uri} {host}");
        }
        for host in ["127.0.0.1:8080", "localhost", "[::1]:8080", ""] {
            assert!(!calls(public, "/metrics", host), "{host}");
        }
        for public in ["", "http://localhost:8080", "http://[::1]:8080"] {
            for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
                assert!(!calls(public, "/metrics", host), "{public} {host}");
            }
        }
    }

    #[test]
    fn the_whole_token_is_needed() {
        assert!(knows(&headers("authorization", "Bearer s3cret"), "s3cret"));
        for given in [
            "Bearer s3cre",
            "Bearer s3crets",
            "Bearer",
            "s3cret",
            "Basic s3cret",
        ] {
            assert!(
                !knows(&headers("authorization", given), "s3cret"),
                "{given}"
            );
        }
        assert!(!knows(&HeaderMap::new(), "s3cret"));
    }
}
