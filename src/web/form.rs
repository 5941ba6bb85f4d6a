//! Forms and queries of pages: what cannot be read is told in the error page.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::AppState;
use super::pages::{PageError, PageFailure};
use super::session::SignedIn;

/// The fields of a form.
pub(super) struct Form<T>(pub(super) T);

/// The query of an address.
pub(super) struct Query<T>(pub(super) T);

fn unreadable(state: &AppState, user: Option<&SignedIn>, why: String) -> Box<PageFailure> {
    PageFailure::of(state, user, PageError::Unreadable(why))
}

impl<T: DeserializeOwned> FromRequest<AppState> for Form<T> {
    type Rejection = Box<PageFailure>;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Self::Rejection> {
        let user = request.extensions().get::<SignedIn>().cloned();
        match axum::Form::from_request(request, state).await {
            Ok(axum::Form(fields)) => Ok(Self(fields)),
            Err(rejection) => Err(unreadable(state, user.as_ref(), rejection.body_text())),
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
                Err(unreadable(state, user, rejection.body_text()))
            }
        }
    }
}
