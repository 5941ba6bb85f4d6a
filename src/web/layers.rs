//! What every request passes on its way in, and every answer on its way out.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http_body_util::Limited;
use tower::{Service as _, service_fn};
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::timeout::DeadlineBody;

use super::render::render;
use crate::web::api::refused;
use crate::web::api::request_info::RequestInfo;
use crate::web::http::bodies::Owner;
use crate::web::http::error::Error;
use crate::web::http::framing::{DENY, NOT_FRAMED, framed_by};
use crate::web::http::serve::{Answering, Cut};
use crate::web::state::AppState;

/// The largest body of a publish, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The routes, within what each request passes: one function, since most steps need what another
/// has found out, and their order shows.
pub(crate) fn wrap(routes: Router, state: &AppState) -> impl Answering + use<> {
    let (state, added) = (state.clone(), headers(state));
    service_fn(move |request| {
        let (state, added, routes) = (state.clone(), Arc::clone(&added), routes.clone());
        async move { Ok(pass(&state, &added, routes, request).await) }
    })
}

async fn pass(
    state: &AppState,
    added: &HeaderMap,
    routes: Router,
    mut request: Request,
) -> Response {
    let info = RequestInfo::of(&mut request, state);
    let answered = AssertUnwindSafe(answer(state, &info, routes, request)).catch_unwind();
    let response = answered
        .await
        .unwrap_or_else(|_| Error::Internal.into_response());
    refused::note(state, &info, &response);
    let is_api = info.is_api;
    let mut response = render(state, info, response).await;
    add_headers(state, added, &mut response);
    let status = response.status();
    if is_api && (status.is_client_error() || status.is_server_error()) {
        state.metrics.api_refused(status.as_u16());
    }
    response
}

/// What a route answers, within bounds of size and time.
async fn answer(
    state: &AppState,
    info: &RequestInfo,
    mut routes: Router,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Error::TooLarge.into_response();
    }
    let cut = parts.extensions.get::<Cut>().cloned();
    let owner = || Owner {
        address: info.client.0,
        authenticated: info.authenticated.clone(),
        cut: cut.map(|cut| cut.0).unwrap_or_default(),
    };
    let (body, memory) = state.bodies.receiving(body, owner.clone());
    if let Some(memory) = &memory {
        // For a handler that lets go of the body long before it answers.
        parts.extensions.insert(Arc::clone(memory));
    }
    let body = Limited::new(body, MAX_BODY_BYTES);
    let body = Body::new(DeadlineBody::new(state.serve.body, body));
    let answered = routes.call(Request::from_parts(parts, body));
    let response = tokio::time::timeout(state.serve.answer, answered).await;
    drop(memory);
    let response = match response {
        Ok(Ok(response)) => response,
        Err(_elapsed) => Error::TookTooLong.into_response(),
    };
    response.map(|body| state.bodies.sending(body, owner))
}

/// Headers of every answer that does not set its own.
fn headers(state: &AppState) -> Arc<HeaderMap> {
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
    let origins = state.access.embed_origins.join(" ");
    match HeaderValue::from_str(&framed_by(&origins)) {
        Ok(policy) if !origins.is_empty() => {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        _ => headers.extend([
            (header::CONTENT_SECURITY_POLICY, NOT_FRAMED),
            (header::X_FRAME_OPTIONS, DENY),
        ]),
    }
    if state.public.is_https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, text("max-age=63072000"));
    }
    Arc::new(headers)
}

fn add_headers(state: &AppState, added: &HeaderMap, response: &mut Response) {
    let own = std::mem::replace(response.headers_mut(), added.clone());
    let headers = response.headers_mut();
    headers.extend(own);
    if state.stop.is_cancelled() {
        // Clients leave by themselves before the listener is closed.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Refuses forms that another site sent.
pub(crate) fn same_origin(
    state: &AppState,
) -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone + use<>> {
    CsrfLayer::new()
        .add_trusted_origin(&state.public.origin)
        // Without one, the Host header still tells which forms are ours.
        .unwrap_or_default()
        .with_rejection_response(|error| {
            tracing::warn!(%error, "refused a form from another site");
            Error::CrossSite.into_response()
        })
}
