//! What every request passes on its way in, and every answer on its way out.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http_body_util::Limited;
use tower::ServiceBuilder;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::timeout::{RequestBodyDeadlineLayer, TimeoutLayer};

use super::render::render;
use crate::web::api::refused;
use crate::web::api::request_info::RequestInfo;
use crate::web::http::bodies::{Owner, Received, Share};
use crate::web::http::error::Error;
use crate::web::http::framing::{DENY, NOT_FRAMED, framed_by};
use crate::web::http::serve::{Answering, Cut};
use crate::web::state::AppState;

/// The largest body of a publish, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The routes within all that a request passes, outermost first.
pub(crate) fn wrap(routes: Router, state: &AppState) -> impl Answering + use<> {
    ServiceBuilder::new()
        // Around everything: whatever the answer is, it has these headers.
        .map_response(common_headers(state))
        // Around all that may refuse a request, a panic included, and around the time limits: memory
        // is given back as soon as one of them ends the request.
        .layer(from_fn_with_state(state.clone(), report_errors))
        .map_future(catch_panic)
        .map_request(receive_body)
        .layer(RequestBodyDeadlineLayer::new(state.serve.body))
        // Next to the layer whose bare status it replaces.
        .map_response(took_too_long)
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            state.serve.answer,
        ))
        .service(routes)
}

/// Adds the headers that an answer does not set itself: in one step, since there are up to seven,
/// and some depend on the configuration.
fn common_headers(state: &AppState) -> impl Fn(Response) -> Response + Clone + use<> {
    let (state, common) = (state.clone(), Arc::new(headers(state)));
    move |mut response: Response| {
        let headers = response.headers_mut();
        headers.reserve(common.len());
        for (name, value) in common.iter() {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if state.stop.is_cancelled() {
            // Clients leave by themselves before the listener is closed.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn headers(state: &AppState) -> HeaderMap {
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
    headers
}

/// Puts errors into words for whoever asked; records and counts refused calls of an API.
async fn report_errors(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let info = RequestInfo::of(&mut request, &state);
    let response = count_memory(&state, &info, request, next).await;
    refused::note(&state, &info, &response);
    let is_api = info.is_api;
    let response = render(&state, info, response).await;
    let status = response.status();
    if is_api && (status.is_client_error() || status.is_server_error()) {
        state.metrics.api_refused(status.as_u16());
    }
    response
}

/// Makes an error of a panic. `CatchPanicLayer` does too, but boxes the body of every answer, which
/// axum then boxes again.
fn catch_panic<F>(answered: F) -> impl Future<Output = Result<Response, Infallible>>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    let caught = AssertUnwindSafe(answered).catch_unwind();
    caught.map(|answered| answered.unwrap_or_else(|_| Ok(Error::Internal.into_response())))
}

/// Counts the bodies of a request and of its answer for as long as they are in memory. One that is
/// announced as too large is refused before any of it is read.
async fn count_memory(
    state: &AppState,
    info: &RequestInfo,
    mut request: Request,
    next: Next,
) -> Response {
    if request.body().size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Error::TooLarge.into_response();
    }
    let cut = request.extensions().get::<Cut>().cloned();
    let owner = Owner {
        address: info.client.0,
        authenticated: info.authenticated.clone(),
        cut: cut.map(|cut| cut.0).unwrap_or_default(),
    };
    let memory = state.bodies.receiving(request.body(), &owner);
    if let Some(memory) = &memory {
        // For the body, and for a handler that lets go of it long before it answers.
        request.extensions_mut().insert(Arc::clone(memory));
    }
    let response = next.run(request).await;
    drop(memory);
    response.map(|body| state.bodies.sending(body, owner))
}

/// Gathers a body and bounds its length. `RequestBodyLimitLayer` would refuse in words of its own,
/// and box the body of every answer.
fn receive_body(request: Request) -> Request<Limited<Received>> {
    let memory = request.extensions().get::<Arc<Share>>().cloned();
    request.map(|body| Limited::new(Received::new(body, memory), MAX_BODY_BYTES))
}

/// Makes an error of the bare status that [`TimeoutLayer`] answers with; no handler answers 504.
fn took_too_long(response: Response) -> Response {
    match response.status() {
        StatusCode::GATEWAY_TIMEOUT => Error::TookTooLong.into_response(),
        _ => response,
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
