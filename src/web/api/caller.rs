//! Who calls the API: verified and parsed in one step, so that a handler never sees unverified
//! bytes.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use crate::domain::{PublishRequest, Publisher, TraceParent};
use crate::store::{IdempotencyKey, Proof, Site, SiteId, sha256};
use crate::web::api::openapi::SitePath;
use crate::web::api::signature::Signature;
use crate::web::http::authenticated::AuthenticatedSite;
use crate::web::http::bodies::Share;
use crate::web::http::error::{Error, Result, Unauthenticated};
use crate::web::http::extract::Path;
use crate::web::http::turns::{LARGE_BYTES, Permit};
use crate::web::state::AppState;

const MAX_KEY_CHARACTERS: usize = 255;

/// Who makes a call without a body: an authenticated caller, as the site that it publishes to.
pub(crate) struct Caller {
    pub(crate) site: Arc<Site>,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let Path(address) = Path::<SitePath>::from_request_parts(parts, state).await?;
        let name = address.site;
        let signature = Signature::claimed(&parts.headers, state.clock.now())?;
        let authenticated = match signature {
            Some(signature) => signed(state, &name, parts, &signature, &Bytes::new()).await?,
            None => bearing(state, &name, parts)?,
        };
        Ok(Self {
            site: authenticated.site,
        })
    }
}

/// A verified caller's publish, and what makes a repeat of it safe.
pub(crate) struct Call {
    pub(crate) site: Arc<Site>,
    pub(crate) publisher: Publisher,
    pub(crate) body: PublishRequest,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    pub(crate) traceparent: Option<TraceParent>,
    pub(crate) headers: HeaderMap,
    pub(crate) turn: Option<Turn>,
    /// What the body takes of the memory for bodies, unless it is small: until the answer, or until
    /// it is given back before.
    pub(crate) memory: Option<Arc<Share>>,
}

/// A large body's turn, until it is dropped: no other of its site is worked on meanwhile.
pub(crate) struct Turn {
    _of_proof: Permit,
    _of_site: Permit,
}

impl Turn {
    /// For a body that has been read, and whose caller is authenticated; `None` if it is small.
    pub(crate) async fn of(
        state: &AppState,
        site: &Site,
        proof: Proof,
        permit: Option<Permit>,
        body: &[u8],
    ) -> Result<Option<Self>> {
        let of_proof = match permit {
            None if body.len() <= LARGE_BYTES => return Ok(None),
            None => state.turns.bodies.acquire(proof).await?,
            Some(permit) => permit,
        };
        Ok(Some(Self {
            _of_proof: of_proof,
            _of_site: state.turns.sites.acquire(site.id).await?,
        }))
    }
}

impl FromRequest<AppState> for Call {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let Path(address) = Path::<SitePath>::from_request_parts(&mut parts, state).await?;
        let name = address.site;
        let memory = parts.extensions.remove::<Arc<Share>>();
        let signature = Signature::claimed(&parts.headers, state.clock.now())?;
        // A token is proof before the body is read, a signature only with it.
        let (authenticated, bytes, permit) = match &signature {
            None => {
                let authenticated = bearing(state, &name, &parts)?;
                must_be_json(&parts.headers)?;
                let (bytes, permit) = read(state, body, Some(authenticated.proof)).await?;
                (authenticated, bytes, permit)
            }
            Some(signature) => {
                let (bytes, permit) = read(state, body, None).await?;
                let authenticated = signed(state, &name, &parts, signature, &bytes).await?;
                must_be_json(&parts.headers)?;
                (authenticated, bytes, permit)
            }
        };
        let Authenticated {
            site,
            proof,
            publisher,
        } = authenticated;
        let headers = parts.headers;
        let key = match signature {
            Some(signature) => Some(signature.into_id()),
            None => idempotency_key(&headers)?,
        };
        let turn = Turn::of(state, &site, proof, permit, &bytes).await?;
        let is_large = turn.is_some();
        let parsed = state.turns.compute(is_large, move || parsed(&bytes, key));
        let (body, idempotency_key) = parsed.await?;
        // As the recommendation says, a malformed value is ignored, and so are several.
        let traceparent = one(&headers, "traceparent").map(str::trim);
        Ok(Self {
            site,
            publisher,
            body,
            idempotency_key,
            traceparent: traceparent.and_then(TraceParent::parse),
            headers,
            turn,
            memory,
        })
    }
}

/// Reads a body. A large one takes one of the permits of its proof, where that is known by now.
async fn read(
    state: &AppState,
    mut body: Body,
    proof: Option<Proof>,
) -> Result<(Bytes, Option<Permit>)> {
    let (mut read, mut permit) = (Vec::new(), None);
    // Asked for more than its length, a body first wakes its connection, which says that it has
    // ended.
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| Error::of_body(&error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if let (Some(proof), None) = (proof, &permit)
            && read.len() + data.len() > LARGE_BYTES
        {
            permit = Some(state.turns.bodies.acquire(proof).await?);
        }
        read.extend_from_slice(&data);
    }
    Ok((read.into(), permit))
}

/// The publish that a body asks for, and what a repeat of it is known by.
fn parsed(bytes: &[u8], key: Option<String>) -> Result<(PublishRequest, Option<IdempotencyKey>)> {
    if std::str::from_utf8(bytes).is_err() {
        return Err(Error::Encoded("another character set".to_owned()));
    }
    // Some writers of JSON begin with a byte order mark.
    let json = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let request = serde_json::from_slice(json).map_err(|error| Error::not_this_shape(&error))?;
    let key = key.map(|key| IdempotencyKey {
        key,
        body_hash: sha256(bytes),
    });
    Ok((request, key))
}

/// Who calls: a site's publisher, and by which proof.
struct Authenticated {
    site: Arc<Site>,
    proof: Proof,
    publisher: Publisher,
}

/// Notes among a call's extensions who makes it.
pub(crate) fn mark(parts: &Parts, site: SiteId) {
    if let Some(authenticated) = parts.extensions.get::<AuthenticatedSite>() {
        authenticated.mark(site);
    }
}

/// The site, if its signing secret made the signature. Without one nobody learns which sites exist.
async fn signed(
    state: &AppState,
    name: &str,
    parts: &Parts,
    signature: &Signature,
    body: &Bytes,
) -> Result<Authenticated> {
    let is_large = body.len() > LARGE_BYTES;
    let found = state.turns.compute_for_stranger(is_large, {
        let (directory, name) = (state.directory.clone(), name.to_owned());
        let (signature, body) = (signature.clone(), body.clone());
        move || directory.site_of_secret(&name, |secret| signature.is_by(secret, &body))
    });
    let (site, secret) = found
        .await
        .ok_or(Error::Unauthorized(Unauthenticated::Signature))?;
    mark(parts, site.id);
    let proof = Proof::Secret(secret);
    state.last_used.note(proof, state.clock.now());
    Ok(Authenticated {
        site,
        proof,
        publisher: Publisher::Signature,
    })
}

/// The site, if the token is one of its own. Without a token nobody learns which sites exist.
fn bearing(state: &AppState, name: &str, parts: &Parts) -> Result<Authenticated> {
    let token = bearer(&parts.headers).ok_or(Error::Unauthorized(Unauthenticated::Nothing))?;
    let token = state
        .directory
        .token(token)
        .ok_or(Error::Unauthorized(Unauthenticated::Token))?;
    mark(parts, token.site);
    let site = state
        .directory
        .site(name)
        .filter(|site| site.id == token.site)
        .ok_or_else(|| Error::NoSuchSite(name.to_owned()))?;
    let proof = Proof::Token(token.id);
    state.last_used.note(proof, state.clock.now());
    Ok(Authenticated {
        site,
        proof,
        publisher: Publisher::Token(Arc::clone(&token.name)),
    })
}

fn must_be_json(headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let mut content_type = text(header::CONTENT_TYPE).unwrap_or_default().split(';');
    let kind = content_type.next().unwrap_or_default().trim();
    // `application/json` and `application/cloudevents+json`, in whichever case.
    let is_json = kind.split_once('/').is_some_and(|(top, sub)| {
        let suffix = sub.rsplit('+').next().unwrap_or_default();
        top.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
    });
    if !is_json {
        return Err(Error::NotJson);
    }
    if let Some(encoding) = text(header::CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Error::Encoded(format!("Content-Encoding: {encoding}")));
    }
    let mut charsets = content_type.filter_map(|parameter| {
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

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().map(str::trim).unwrap_or_default();
    let is_printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if key.is_empty() || key.len() > MAX_KEY_CHARACTERS || !is_printable {
        return Err(Error::BadRequest(format!(
            "Idempotency-Key must be 1 to {MAX_KEY_CHARACTERS} visible ASCII characters."
        )));
    }
    Ok(Some(key.to_owned()))
}

/// The value of a header, unless it is there several times.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
