//! What every answer carries and every form must prove.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::AppState;
use super::problem::Problem;

/// Pages load nothing from elsewhere and nothing inline, and are not framed.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Security headers for every answer.
pub(super) async fn headers(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("x-frame-options"), "DENY"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if state.public.is_https() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=63072000"),
        );
    }
    response
}

/// Refuses forms that another site sent: a browser always tells where a POST comes from.
pub(super) async fn same_origin(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::GET
        || request.method() == Method::HEAD
        || is_same_origin(&state, &request)
    {
        next.run(request).await
    } else {
        tracing::warn!(
            path = request.uri().path(),
            "a form from another site was refused"
        );
        Problem::CrossSite.into_response()
    }
}

fn is_same_origin(state: &AppState, request: &Request) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    match header("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => match header("origin") {
            Some(origin) => {
                origin == state.public.origin
                    || header("host").is_some_and(|host| {
                        origin.strip_prefix("http://") == Some(host)
                            || origin.strip_prefix("https://") == Some(host)
                    })
            }
            // No browser: a program that has no cookies of a user to misuse.
            None => true,
        },
    }
}
