//! Forms, queries and addresses of pages: what cannot be read is told in the error page.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::AppState;
use super::pages::{PageError, PageFailure};
use super::session::SignedIn;

/// The fields of a form.
pub(super) struct Form<T>(pub(super) T);

/// The query of an address.
pub(super) struct Query<T>(pub(super) T);

/// What stands in an address.
pub(super) struct Path<T>(pub(super) T);

fn unreadable(
    state: &AppState,
    user: Option<&SignedIn>,
    (status, why): (StatusCode, String),
) -> Box<PageFailure> {
    PageFailure::of(state, user, PageError::Unreadable(status, why))
}

impl<T: DeserializeOwned> FromRequest<AppState> for Form<T> {
    type Rejection = Box<PageFailure>;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Self::Rejection> {
        let user = request.extensions().get::<SignedIn>().cloned();
        match axum::Form::from_request(request, state).await {
            Ok(axum::Form(fields)) => Ok(Self(fields)),
            Err(rejection) => {
                let why = (rejection.status(), rejection.body_text());
                Err(unreadable(state, user.as_ref(), why))
            }
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<AppState> for Query<T> {
    type Rejection = Box<PageFailure>;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                let user = parts.extensions.get::<SignedIn>();
                Err(unreadable(
                    state,
                    user,
                    (rejection.status(), rejection.body_text()),
                ))
            }
        }
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Path<T> {
    type Rejection = Box<PageFailure>;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(named)) => Ok(Self(named)),
            Err(_) => {
                let user = parts.extensions.get::<SignedIn>();
                Err(PageFailure::of(state, user, PageError::NotFound))
            }
        }
    }
}
