//! Who calls, authenticated by Signature Version 4 before a handler sees anything of the call.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, OriginalUri, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;

use super::fault::Fault;
use super::signature::{Claim, Signed};
use crate::domain::KeyPair;
use crate::store::{Proof, Site, sha256};
use crate::web::api::caller::{Turn, mark};
use crate::web::http::extract::Path;
use crate::web::http::turns::LARGE_BYTES;
use crate::web::state::AppState;

/// A verified call for a site's distribution.
pub(crate) struct Call {
    pub(super) site: Arc<Site>,
    pub(super) key_pair: Arc<KeyPair>,
    pub(super) address: Address,
    pub(super) body: Bytes,
    pub(super) turn: Option<Turn>,
}

impl Call {
    /// The distribution in force, however the caller named it.
    pub(super) fn distribution(&self) -> Result<&str, Fault> {
        self.site.distribution_id.as_deref().ok_or_else(|| {
            Fault::new(
                StatusCode::NOT_FOUND,
                "NoSuchDistribution",
                format!(
                    "Site {} has no CDN settings. Enter the distribution, the access key and the region under \
                     Settings → CDN, and save",
                    self.site.name
                ),
            )
        })
    }
}

/// What every address begins with: the API's version, and the distribution as the caller names it.
#[derive(Deserialize)]
pub(super) struct Address {
    pub(super) date: String,
    pub(super) id: String,
}

impl FromRequest<AppState> for Call {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Fault> {
        let (mut parts, body) = request.into_parts();
        let Path(address) = Path::<Address>::from_request_parts(&mut parts, state).await?;
        if !super::is_version(&address.date) {
            return Err(Fault::not_served());
        }
        let now = state.clock.now();
        let claim = Claim::of(&parts, now)?;
        let (key_pair, site) = state
            .directory
            .key_pair(&claim.access_key_id)
            .ok_or_else(|| {
                Fault::forbidden(
                    "InvalidClientTokenId",
                    "The access key ID is not that of a key pair of this service. Key pairs are made under Settings → \
                     CDN; those of AWS are not known here",
                )
            })?;
        let body = Bytes::from_request(Request::new(body), state).await?;
        let is_large = body.len() > LARGE_BYTES;
        let body_hash = state.turns.compute_for_stranger(is_large, {
            let body = body.clone();
            move || hex::encode(sha256(&body))
        });
        let body_hash = body_hash.await;
        let signed = Signed {
            parts: &parts,
            hosts: hosts(&parts, state),
            paths: paths(&parts, state),
            body_hash,
        };
        claim.verify(&key_pair, &signed)?;
        let proof = Proof::KeyPair(key_pair.id);
        state.last_used.note(proof, now);
        mark(&parts, site.id);
        must_not_be_another(&site, &key_pair, &address.id)?;
        let turn = Turn::of(state, &site, proof, None, &body).await?;
        Ok(Self {
            turn,
            site,
            key_pair,
            address,
            body,
        })
    }
}

/// The hosts that the client may have called: a proxy may have put its own in their place. Whoever
/// can choose among them still needs the secret, so none of them has to be trusted.
fn hosts(parts: &Parts, state: &AppState) -> Vec<String> {
    let public = state
        .public
        .origin
        .split_once("://")
        .map(|(_, host)| host.to_owned());
    let mut hosts: Vec<String> = ["host", "x-forwarded-host"]
        .into_iter()
        .filter_map(|name| parts.headers.get(name)?.to_str().ok())
        .filter_map(|value| value.split(',').next())
        .map(|host| host.trim().to_owned())
        .chain(public)
        .collect();
    hosts.dedup();
    hosts
}

/// The paths that the client may have called: a proxy may have stripped the prefix of `PUBLIC_URL`,
/// left it, or put it there.
fn paths(parts: &Parts, state: &AppState) -> Vec<String> {
    let uri = parts
        .extensions
        .get::<OriginalUri>()
        .map_or(&parts.uri, |original| &original.0);
    let received = uri.path().to_owned();
    let prefix = &state.public.prefix;
    if prefix.is_empty() {
        return vec![received];
    }
    let other = match received.strip_prefix(prefix.as_str()) {
        Some(rest) => rest.to_owned(),
        None => format!("{prefix}{received}"),
    };
    vec![received, other]
}

/// Refuses a call for a distribution that is not the site's.
fn must_not_be_another(site: &Site, key_pair: &KeyPair, given: &str) -> Result<(), Fault> {
    match &site.distribution_id {
        Some(distribution) if given != distribution && given != site.name => Err(Fault::forbidden(
            "AccessDenied",
            format!(
                "The key pair {} is for distribution {distribution} of site {}, and may not invalidate {:?}",
                key_pair.access_key_id,
                site.name,
                given.chars().take(64).collect::<String>(),
            ),
        )),
        _ => Ok(()),
    }
}
