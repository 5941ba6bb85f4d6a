//! Puts errors into words, once it is known who asked: people get a page in their usual layout,
//! programs a problem.

use std::sync::Arc;

use askama::Template as _;
use axum::http::header;
use axum::response::{Html, IntoResponse as _, Response};

use crate::domain::site_name;
use crate::store::Site;
use crate::web::api::cloudfront::{self, Fault};
use crate::web::api::request_info::RequestInfo;
use crate::web::http::error::Error;
use crate::web::http::problem::Problem;
use crate::web::pages::auth::session;
use crate::web::pages::layout::layout;
use crate::web::pages::signed_in::{Reader, SignedIn};
use crate::web::pages::views::{ErrorPage, Nav};
use crate::web::pages::words::errors;
use crate::web::state::AppState;

/// The answer with words for its error, if it has one.
pub(crate) async fn render(
    state: &AppState,
    info: RequestInfo,
    mut response: Response,
) -> Response {
    let error = response.extensions_mut().remove::<Arc<Error>>();
    let refused = match &error {
        Some(error) => error.refused_proof(),
        None => Fault::of(&response).and_then(Fault::refused_proof),
    };
    if let Some((proof, why)) = refused {
        let (from, path) = (info.client.0, info.path(state));
        tracing::warn!(%from, path, proof, "a proof was refused: {why}");
        state.metrics.proof_refused(proof);
    }
    if info.is_cloudfront || Fault::of(&response).is_some() {
        let fault = error.map(|error| Fault::of_error(&error).into_response());
        return cloudfront::finish(fault.unwrap_or(response), &state.clock);
    }
    let Some(error) = error else {
        return response;
    };
    let named = site_name::in_address(info.path(state));
    let site = named.and_then(|name| state.directory.site(name));
    let reader = response.extensions_mut().remove::<Reader>();
    let mut answer = match (reader, info.browser) {
        // Only scripts get this: people are redirected to the sign-in.
        _ if matches!(*error, Error::NotSignedIn) => Problem::answer(&error),
        (Some(Reader(user)), _) => page(state, user.as_ref(), site.as_deref(), &error),
        (None, Some(headers)) => {
            // Boxed: this is rare, and would add 0.7 kB to the future of every request.
            let user = Box::pin(session::signed_in(state, &headers, info.client)).await;
            page(state, user.ok().flatten().as_ref(), site.as_deref(), &error)
        }
        (None, None) => Problem::answer(&error),
    };
    // What the handler or a layer added, such as who may frame it, and cookies, of which there may
    // be several. Not the length of the body that is replaced, which the router has set.
    let mut headers = std::mem::take(response.headers_mut());
    headers.remove(header::CONTENT_LENGTH);
    headers.extend(std::mem::take(answer.headers_mut()));
    *answer.headers_mut() = headers;
    answer
}

fn page(state: &AppState, user: Option<&SignedIn>, site: Option<&Site>, error: &Error) -> Response {
    let status = error.kind().status;
    let page = ErrorPage {
        layout: layout(state, user, site, Nav::Elsewhere),
        status: status.as_u16(),
        trouble: errors::trouble(error),
    };
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => status.into_response(),
    }
}
