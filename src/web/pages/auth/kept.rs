//! A form that was sent after its session had ended, kept until its sender has signed in again.
//!
//! It is kept in the page, sealed, since it may hold a secret. Nothing is stored on the server.

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::sign_in_page;
use crate::web::http::error::{Error, Result};
use crate::web::http::framing::never_framed;
use crate::web::pages::layout::layout;
use crate::web::pages::views::{ConfirmPage, Nav, SessionEndedPage, SignInElsewhere, SignInPage};
use crate::web::pages::visit::html;
use crate::web::pages::words::account as words;
use crate::web::state::AppState;

/// The largest form that is kept, in bytes: as large as any that a page takes.
const MAX_KEPT_BYTES: usize = 256 << 10;
/// The largest form that brings a kept one along: sealed, that is a third larger.
pub(crate) const MAX_SEALED_BYTES: usize = MAX_KEPT_BYTES / 2 * 3;
/// How long signing in may take.
const LIFETIME: Duration = Duration::minutes(30);
/// The query of the address that a kept form is sent to again.
const QUERY: &str = "kept";

#[derive(Serialize, Deserialize)]
struct Kept {
    /// Where it was sent, below the prefix of `PUBLIC_URL`.
    path: String,
    form: String,
    #[serde(with = "time::serde::timestamp")]
    until: OffsetDateTime,
}

/// Seals the form; `None` if there is nothing to keep.
pub(super) async fn keep(state: &AppState, parts: &Parts, body: Body) -> Result<Option<String>> {
    let is_form = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    if parts.method != Method::POST || !is_form {
        return Ok(None);
    }
    let form = to_bytes(body, MAX_SEALED_BYTES).await.unwrap_or_default();
    // A form that is kept already is not wrapped in another one.
    if let Some(kept) = kept_field(parts, &form) {
        return Ok(Some(kept));
    }
    let form = String::from_utf8(form.into()).unwrap_or_default();
    if form.is_empty() || form.len() > MAX_KEPT_BYTES {
        return Ok(None);
    }
    let kept = Kept {
        path: state.public.below(parts.uri.path()).to_owned(),
        form,
        until: state.clock.now() + LIFETIME,
    };
    seal(state, &kept).map(Some)
}

/// The sign-in, instead of the page that the form would have led to.
pub(super) async fn sign_in_first(state: &AppState, kept: String) -> Result<Response> {
    let page = html(&SignInPage {
        kept: Some(kept),
        by_skycms: false,
        ..sign_in_page(state).await?
    })?;
    let page = (StatusCode::UNAUTHORIZED, page).into_response();
    Ok(never_framed(page).await)
}

/// A page in which the form waits until SkyCMS has signed its sender in again, in another tab.
pub(super) fn wait_for_skycms(
    state: &AppState,
    parts: &Parts,
    kept: String,
    sign_in: SignInElsewhere,
) -> Result<Response> {
    let page = html(&SessionEndedPage {
        layout: layout(state, None, None, Nav::Elsewhere),
        path: format!("{}?{QUERY}", state.public.below(parts.uri.path())),
        is_still_ended: parts.uri.query() == Some(QUERY),
        sign_in,
        kept,
    })?;
    Ok((StatusCode::UNAUTHORIZED, page).into_response())
}

/// Asks whether to send the form now that its sender is signed in, or says that it has expired.
pub(super) fn ask_to_go_on(state: &AppState, kept: String) -> Result<Response> {
    let Some(Kept { path, .. }) = open(state, &kept) else {
        return Ok(Error::FormExpired.into_response());
    };
    html(&ConfirmPage {
        layout: layout(state, None, None, Nav::Elsewhere),
        question: words::GO_ON,
        path: format!("{path}?{QUERY}").into(),
        fields: vec![(QUERY, kept)],
        cancel: Some("/activity"),
    })
}

/// The body of a request by somebody who is signed in: a kept form is restored as it was typed.
pub(super) async fn restore(state: &AppState, parts: &mut Parts, body: Body) -> Result<Body> {
    if parts.method != Method::POST || parts.uri.query() != Some(QUERY) {
        return Ok(body);
    }
    let bytes = to_bytes(body, MAX_SEALED_BYTES).await;
    let bytes = bytes.map_err(|_| Error::FormExpired)?;
    let kept = kept_field(parts, &bytes)
        .and_then(|kept| open(state, &kept))
        .filter(|kept| kept.path == state.public.below(parts.uri.path()))
        .ok_or(Error::FormExpired)?;
    let length = HeaderValue::from(kept.form.len());
    parts.headers.insert(header::CONTENT_LENGTH, length);
    Ok(kept.form.into())
}

/// The sealed form, if this request sends one again.
fn kept_field(parts: &Parts, form: &[u8]) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(form);
    let (_, kept) = pairs.find(|(name, _)| parts.uri.query() == Some(QUERY) && name == QUERY)?;
    Some(kept.into_owned())
}

fn seal(state: &AppState, kept: &Kept) -> Result<String> {
    let text = serde_json::to_string(kept).map_err(|_| Error::Internal)?;
    let sealed = state.store.seal_form(&SecretString::from(text))?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

fn open(state: &AppState, sealed: &str) -> Option<Kept> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let text = state.store.open_form(&sealed).ok()?;
    let kept: Kept = serde_json::from_str(text.expose_secret()).ok()?;
    (state.clock.now() < kept.until).then_some(kept)
}
