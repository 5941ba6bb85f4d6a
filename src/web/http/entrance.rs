//! What every request passes on its way in, and every answer on its way out.
//!
//! Called one after the other rather than stacked as layers of the router, which clones and boxes
//! each layer for each request.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use tower::ServiceExt as _;

use super::{guard, limits, routes};
use crate::web::AppState;
use crate::web::api::cloudfront;
use crate::web::http::problem::Problem;
use crate::web::pages::{self, PageError};

/// Answers every request. Clones are the same entrance.
#[derive(Clone)]
pub struct Entrance(Arc<Inner>);

struct Inner {
    state: AppState,
    routes: Router,
    headers: guard::Headers,
}

impl Entrance {
    /// All routes, below the path prefix of `PUBLIC_URL` and at the root: a proxy may strip the
    /// prefix or leave it.
    pub fn new(state: AppState) -> Self {
        let prefix = &state.public.prefix;
        let routes = routes::mount(&state)
            .fallback(fallback)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(state.clone());
        let routes = if prefix.is_empty() {
            routes
        } else {
            Router::new().nest(prefix, routes.clone()).merge(routes)
        };
        Self(Arc::new(Inner {
            headers: guard::Headers::of(&state),
            state,
            routes,
        }))
    }

    /// The answer to a request, whatever goes wrong.
    pub async fn answer(self, request: Request) -> Response {
        let Inner {
            state,
            routes,
            headers,
        } = &*self.0;
        let path = state.public.below(request.uri().path());
        let is_of_cloudfront = cloudfront::is_call(path);
        let is_of_api = is_of_cloudfront || path.starts_with("/api/");
        let refuse = if is_of_cloudfront {
            cloudfront::refuse
        } else {
            Problem::into_response
        };
        let answer = async |request| {
            let answer = AssertUnwindSafe(routes.clone().oneshot(request));
            match answer.catch_unwind().await {
                Ok(Ok(response)) => response,
                // The hook of panics has logged it.
                Err(_) => refuse(Problem::Internal),
            }
        };
        let mut response = limits::keep(&state.serve, request, refuse, answer).await;
        response = cloudfront::finish(response, &state.clock);
        headers.add_to(&mut response);
        let status = response.status();
        if is_of_api && (status.is_client_error() || status.is_server_error()) {
            state.metrics.api_refused(status.as_u16());
        }
        response
    }
}

/// Browsers ask for HTML and are told in a page, programs in JSON.
async fn fallback(State(state): State<AppState>, request: Request) -> Response {
    if cloudfront::is_call(request.uri().path()) {
        return cloudfront::not_served();
    }
    let (parts, _) = request.into_parts();
    pages::or_problem(&state, &parts, PageError::NotFound, Problem::NoSuchRoute).await
}

async fn method_not_allowed(State(state): State<AppState>, request: Request) -> Response {
    if cloudfront::is_call(request.uri().path()) {
        return cloudfront::not_served();
    }
    let (parts, _) = request.into_parts();
    let (error, problem) = (PageError::NotThisWay, Problem::MethodNotAllowed);
    pages::or_problem(&state, &parts, error, problem).await
}
