//! Who calls the API: verified and parsed in one step, so that a handler never sees unverified bytes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::AppState;
use super::problem::Problem;
use crate::store::{RepeatKey, Site};

/// The longest repeat key that is taken.
const LONGEST_KEY: usize = 255;

/// A site that the caller has proved it may publish to.
pub(super) struct Caller {
    pub(super) site: Arc<Site>,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        // Proof comes first: without it nobody learns which sites exist.
        let token = bearer(&parts.headers).ok_or(Problem::Unauthorized)?;
        let allowed = state
            .directory
            .site_of_token(token)
            .ok_or(Problem::Unauthorized)?;
        let Path(params) =
            Path::<std::collections::HashMap<String, String>>::from_request_parts(parts, state)
                .await
                .map_err(|_| Problem::NoSuchRoute)?;
        let name = params.get("site").ok_or(Problem::NoSuchRoute)?;
        let site = state
            .directory
            .site(name)
            .filter(|site| site.id == allowed)
            .ok_or_else(|| Problem::NoSuchSite(name.clone()))?;
        Ok(Self { site })
    }
}

/// A verified caller's JSON, and what makes a repeat of it safe.
pub(super) struct Call<T> {
    pub(super) site: Arc<Site>,
    pub(super) body: T,
    pub(super) repeat_key: Option<RepeatKey>,
    pub(super) headers: HeaderMap,
}

impl<T: DeserializeOwned> FromRequest<AppState> for Call<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let Caller { site } = Caller::from_request_parts(&mut parts, state).await?;
        if !is_json(&parts.headers) {
            return Err(Problem::NotJson);
        }
        let headers = parts.headers.clone();
        let bytes = Bytes::from_request(Request::from_parts(parts, body), state)
            .await
            .map_err(|rejection: BytesRejection| Problem::from(rejection))?;
        let body = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::BadRequest(format!(
                "The body is not the JSON that is expected here: {error}. An example: {{\"paths\": [\"/about\"]}}"
            ))
        })?;
        let repeat_key = repeat_key(&headers)?.map(|key| RepeatKey {
            key,
            body_hash: sha256(&bytes),
        });
        Ok(Self {
            site,
            body,
            repeat_key,
            headers,
        })
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim)
        .is_some_and(|kind| {
            kind.eq_ignore_ascii_case("application/json")
                || (kind.starts_with("application/") && kind.ends_with("+json"))
        })
}

fn repeat_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().map(str::trim).unwrap_or_default();
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Problem::BadRequest(format!(
            "Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters."
        )));
    }
    Ok(Some(key.to_owned()))
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}
