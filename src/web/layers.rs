//! What every request passes on its way in, and every answer on its way out.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse as _, Response};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::{RequestBodyDeadlineLayer, TimeoutLayer};

use super::render::render;
use crate::web::api::{cloudfront, refused};
use crate::web::http::error::Error;
use crate::web::state::AppState;

/// The largest body of a publish, in bytes.
const LARGEST_BODY: usize = 1 << 20;

/// Pages load nothing from elsewhere and nothing inline. Who may frame them follows.
macro_rules! policy {
    ($framed_by:literal) => {
        concat!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; ",
            "form-action 'self'; base-uri 'none'; frame-ancestors ",
            $framed_by
        )
    };
}
const NOT_FRAMED: HeaderValue = HeaderValue::from_static(policy!("'none'"));

/// The stack around all routes, the outermost first.
pub(crate) fn around(routes: Router, state: &AppState) -> Router {
    let options = &state.serve;
    let patience = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, options.answer);
    let stack = ServiceBuilder::new()
        .layer(from_fn_with_state(state.clone(), count_refusals))
        .layer(map_response_with_state(
            (headers(state), state.stop.clone()),
            add_headers,
        ))
        .layer(from_fn_with_state(state.clone(), render))
        .layer(from_fn_with_state(state.clone(), refused::note))
        .layer(CatchPanicLayer::custom(|_| Error::Internal.into_response()))
        .layer(from_fn_with_state(state.clone(), bounded))
        .layer(RequestBodyLimitLayer::new(LARGEST_BODY))
        .layer(RequestBodyDeadlineLayer::new(options.body))
        .layer(patience);
    routes.layer(stack)
}

/// Headers of every answer that does not have its own.
fn headers(state: &AppState) -> Arc<HeaderMap> {
    let origins = &state.access.embed_origins;
    let framed_by = format!("{} {}", policy!("'self'"), origins.join(" "));
    let framed = HeaderValue::from_str(&framed_by)
        .ok()
        .filter(|_| !origins.is_empty());
    let text = HeaderValue::from_static;
    let mut headers = HeaderMap::from_iter([
        (header::X_CONTENT_TYPE_OPTIONS, text("nosniff")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            text("same-origin"),
        ),
        (header::REFERRER_POLICY, text("same-origin")),
        (header::CACHE_CONTROL, text("no-store")),
    ]);
    match framed {
        Some(policy) => headers.extend([(header::CONTENT_SECURITY_POLICY, policy)]),
        None => headers.extend([
            (header::CONTENT_SECURITY_POLICY, NOT_FRAMED),
            (header::X_FRAME_OPTIONS, DENY),
        ]),
    }
    if state.public.is_https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, text("max-age=63072000"));
    }
    Arc::new(headers)
}

/// Not tower-http's layer, which copies each of them on the heap with each request.
async fn add_headers(
    State((added, stop)): State<(Arc<HeaderMap>, CancellationToken)>,
    mut response: Response,
) -> Response {
    let headers = response.headers_mut();
    for (name, value) in &*added {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if stop.is_cancelled() {
        // Clients leave by themselves before the listener is closed.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

const DENY: HeaderValue = HeaderValue::from_static("DENY");

/// For pages that take passwords: nobody frames them, not even SkyCMS.
pub(crate) async fn never_framed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, NOT_FRAMED);
    headers.insert(header::X_FRAME_OPTIONS, DENY);
    response
}

/// Refuses forms that another site sent.
pub(crate) fn same_origin(
    state: &AppState,
) -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone + use<>> {
    CsrfLayer::new()
        .add_trusted_origin(&state.public.origin)
        // Without it, the Host header still tells what is ours.
        .unwrap_or_default()
        .with_rejection_response(|error| {
            tracing::warn!(%error, "refused a form from another site");
            Error::CrossSite.into_response()
        })
}

/// Keeps what is held of bodies within bounds, until each is answered.
async fn bounded(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (body, share) = state.bodies.count(body);
    let response = next.run(Request::from_parts(parts, body)).await;
    drop(share);
    response
}

async fn count_refusals(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = state.public.below(request.uri().path());
    let is_api = cloudfront::is_call(path) || path.starts_with("/api/");
    let response = next.run(request).await;
    let status = response.status();
    if is_api && (status.is_client_error() || status.is_server_error()) {
        state.metrics.api_refused(status.as_u16());
    }
    response
}
