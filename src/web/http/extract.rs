//! Forms, queries and addresses of pages: what cannot be read is told in the error page.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::web::AppState;
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::{PageError, PageFailure};

/// The fields of a form.
pub(crate) struct Form<T>(pub(crate) T);

/// The query of an address.
pub(crate) struct Query<T>(pub(crate) T);

/// What stands in an address.
pub(crate) struct Path<T>(pub(crate) T);

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
