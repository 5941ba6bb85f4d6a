//! Forms, queries and addresses, as axum reads them; what cannot be read is an [`Error`].

use axum::extract::{FromRequest, FromRequestParts};

use super::error::Error;

#[derive(FromRequest)]
#[from_request(via(axum::Form), rejection(Error))]
pub(crate) struct Form<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Error))]
pub(crate) struct Query<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub(crate) struct Path<T>(pub(crate) T);
