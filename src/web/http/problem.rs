//! Errors for programs, as RFC 9457 `application/problem+json`.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Error, Kind};
use crate::domain::ItemError;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why something was not done, by RFC 9457.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What it is, for programs: one word behind `urn:skycms-cdn:problem:`.
    #[schema(value_type = String, format = "uri")]
    r#type: String,
    /// What it is, for people.
    title: &'static str,
    /// The answer's status.
    status: u16,
    /// What is wrong, and how to fix it.
    detail: String,
    /// The items at fault, where items are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemError>,
}

impl Problem {
    pub(crate) fn of(error: &Error) -> Self {
        let Kind {
            status,
            name,
            title,
        } = error.kind();
        let errors = match error {
            Error::BadItems(items) => items.clone(),
            _ => Vec::new(),
        };
        Self {
            r#type: format!("urn:skycms-cdn:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: error.to_string(),
            errors,
        }
    }

    /// The header that repeats a part of it, if there is one.
    pub(crate) fn header(error: &Error) -> Option<(HeaderName, HeaderValue)> {
        if error.kind().status == StatusCode::UNAUTHORIZED {
            return Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        let seconds = error.retry_after()?;
        Some((header::RETRY_AFTER, HeaderValue::from(seconds)))
    }

    pub(crate) fn answer(error: &Error) -> Response {
        let mut response = (error.kind().status, Json(Self::of(error))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.extend(Self::header(error));
        response
    }
}
