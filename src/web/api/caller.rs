//! Who calls the API: verified and parsed in one step, so that a handler never sees unverified
//! bytes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::domain::{Publisher, TraceParent};
use crate::store::{Proof, RepeatKey, Site};
use crate::web::api::proved::ProvedSite;
use crate::web::api::signature::Signature;
use crate::web::http::error::{Error, Result, Unproved};
use crate::web::state::AppState;

/// The longest repeat key that is taken.
const LONGEST_KEY: usize = 255;

/// A site that the caller has proved it may publish to, of a call without a body.
pub(crate) struct Caller {
    pub(crate) site: Arc<Site>,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let name = site_name(parts, state).await?;
        let site = match Signature::claimed(&parts.headers, state.clock.now())? {
            Some(signature) => signed(state, &name, &signature, &[])?,
            None => bearing(state, &name, &parts.headers, &ProvedSite::default())?.0,
        };
        Ok(Self { site })
    }
}

/// A verified caller's JSON, and what makes a repeat of it safe.
pub(crate) struct Call<T> {
    pub(crate) site: Arc<Site>,
    pub(crate) publisher: Publisher,
    pub(crate) body: T,
    pub(crate) repeat_key: Option<RepeatKey>,
    pub(crate) traceparent: Option<TraceParent>,
    pub(crate) headers: HeaderMap,
}

impl<T: DeserializeOwned> FromRequest<AppState> for Call<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let name = site_name(&mut parts, state).await?;
        let proved: ProvedSite = parts.extensions.get().cloned().unwrap_or_default();
        let headers = parts.headers;
        let signature = Signature::claimed(&headers, state.clock.now())?;
        // A token is proof before the body is read, a signature only with it.
        let bearing = match &signature {
            Some(_) => None,
            None => {
                let proof = bearing(state, &name, &headers, &proved)?;
                must_be_json(&headers)?;
                Some(proof)
            }
        };
        let bytes = Bytes::from_request(Request::new(body), state).await?;
        let (site, publisher) = match (&signature, bearing) {
            (_, Some(proof)) => proof,
            (Some(signature), None) => (
                signed(state, &name, signature, &bytes)?,
                Publisher::Signature,
            ),
            (None, None) => return Err(Error::Unauthorized(Unproved::Nothing)),
        };
        proved.mark(site.id);
        must_be_json(&headers)?;
        // Some writers of JSON begin with a byte order mark.
        let json = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
        let body = serde_json::from_slice(json).map_err(|error| Error::not_this_shape(&error))?;
        let key = match signature {
            Some(signature) => Some(signature.into_id()),
            None => idempotency_key(&headers)?,
        };
        Ok(Self {
            site,
            publisher,
            body,
            repeat_key: key.map(|key| RepeatKey {
                key,
                body_hash: sha256(&bytes),
            }),
            traceparent: traceparent(&headers),
            headers,
        })
    }
}

/// The site in the address, which nobody knows yet to exist.
async fn site_name(parts: &mut Parts, state: &AppState) -> Result<String> {
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Error::NotFound)?;
    let (_, site) = params
        .iter()
        .find(|(name, _)| *name == "site")
        .ok_or(Error::NotFound)?;
    Ok(site.to_owned())
}

/// The site, if its signing secret made the signature. Without one nobody learns which sites exist.
fn signed(state: &AppState, name: &str, signature: &Signature, body: &[u8]) -> Result<Arc<Site>> {
    let (site, secret) = state
        .directory
        .site_of_secret(name, |secret| signature.is_by(secret, body))
        .ok_or(Error::Unauthorized(Unproved::Signature))?;
    state
        .last_used
        .note(Proof::Secret(secret), state.clock.now());
    Ok(site)
}

/// The site, and the name of the token, if that is one of the site's. Without a token nobody learns which sites exist.
fn bearing(
    state: &AppState,
    name: &str,
    headers: &HeaderMap,
    proved: &ProvedSite,
) -> Result<(Arc<Site>, Publisher)> {
    let token = bearer(headers).ok_or(Error::Unauthorized(Unproved::Nothing))?;
    let token = state
        .directory
        .token(token)
        .ok_or(Error::Unauthorized(Unproved::Token))?;
    proved.mark(token.site);
    let site = state
        .directory
        .site(name)
        .filter(|site| site.id == token.site)
        .ok_or_else(|| Error::NoSuchSite(name.to_owned()))?;
    state
        .last_used
        .note(Proof::Token(token.id), state.clock.now());
    Ok((site, Publisher::Token(token.name.clone())))
}

fn must_be_json(headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !is_json(headers) {
        return Err(Error::NotJson);
    }
    if let Some(encoding) = text(header::CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Error::Encoded(format!("Content-Encoding: {encoding}")));
    }
    let parameters = text(header::CONTENT_TYPE)
        .unwrap_or_default()
        .split(';')
        .skip(1);
    let mut charsets = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"'))
    });
    match charsets.find(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        Some(charset) => Err(Error::Encoded(format!("charset={charset}"))),
        None => Ok(()),
    }
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
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

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().map(str::trim).unwrap_or_default();
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Error::BadRequest(format!(
            "Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters."
        )));
    }
    Ok(Some(key.to_owned()))
}

/// The caller's trace. What makes no sense is ignored, as the recommendation says; so are several.
fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut given = headers.get_all("traceparent").iter();
    match (given.next(), given.next()) {
        (Some(one), None) => TraceParent::parse(one.to_str().ok()?.trim()),
        _ => None,
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}
