//! Gives errors their words, where it is known who asks: people get a page in the layout that they
//! are used to, programs a problem.

use std::sync::Arc;

use askama::Template as _;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};

use crate::web::api::cloudfront;
use crate::web::http::client::ClientAddress;
use crate::web::http::error::Error;
use crate::web::http::problem::Problem;
use crate::web::pages::auth::session;
use crate::web::pages::layout::layout;
use crate::web::pages::signed_in::{Reader, SignedIn};
use crate::web::pages::views::{ErrorPage, Nav};
use crate::web::pages::words::errors;
use crate::web::state::AppState;

/// The layer that gives errors their words.
pub(crate) async fn render(
    State(state): State<AppState>,
    client: ClientAddress,
    request: Request,
    next: Next,
) -> Response {
    let uri = request.uri().clone();
    let path = state.public.below(uri.path());
    let is_of_cloudfront = cloudfront::is_call(path);
    let browser = asks_for_html(request.headers()).then(|| request.headers().clone());
    let mut response = next.run(request).await;
    let error = response.extensions_mut().remove::<Arc<Error>>();
    let error = error.or_else(|| of_layer(&response).map(Arc::new));
    let unproved = match &error {
        Some(error) => error.refused_proof(),
        None => cloudfront::refused_proof(&response),
    };
    if let Some((proof, why)) = unproved {
        let ClientAddress(from) = client;
        tracing::warn!(%from, path, proof, "a proof was refused: {why}");
        state.metrics.proof_refused(proof);
    }
    if is_of_cloudfront || cloudfront::has_fault(&response) {
        let refused = error.map(|error| cloudfront::refuse(&error));
        return cloudfront::finish(refused.unwrap_or(response), &state.clock);
    }
    let Some(error) = error else {
        return response;
    };
    let reader = response.extensions_mut().remove::<Reader>();
    let mut told = match (reader, browser) {
        // Only scripts are told so; people are sent to the sign-in.
        _ if matches!(*error, Error::NotSignedIn) => Problem::of(&error).into_response(),
        (Some(Reader(user)), _) => page(&state, user.as_ref(), &error),
        (None, Some(headers)) => {
            let user = session::signed_in(&state, &headers, client).await;
            page(&state, user.ok().flatten().as_ref(), &error)
        }
        (None, None) => Problem::of(&error).into_response(),
    };
    // What the handler or a layer added, such as cookies or who may frame it.
    for (name, value) in response.headers() {
        told.headers_mut()
            .entry(name)
            .or_insert_with(|| value.clone());
    }
    told
}

fn page(state: &AppState, user: Option<&SignedIn>, error: &Error) -> Response {
    let status = error.kind().0;
    let page = ErrorPage {
        layout: layout(state, user, Nav::Elsewhere),
        status: status.as_u16(),
        trouble: errors::trouble(error),
    };
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => status.into_response(),
    }
}

/// The limits of tower-http answer with a bare status.
fn of_layer(response: &Response) -> Option<Error> {
    if cloudfront::has_fault(response) {
        return None;
    }
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Some(Error::TooLarge),
        StatusCode::GATEWAY_TIMEOUT => Some(Error::TookTooLong),
        _ => None,
    }
}

fn asks_for_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}
