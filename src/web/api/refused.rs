//! Records publishers' calls that are refused, with the site where it is known.

use std::sync::Arc;

use axum::response::Response;

use super::cloudfront::Fault;
use crate::store::{PublishApi, RefusedCall, SiteId};
use crate::web::api::request_info::RequestInfo;
use crate::web::http::error::Error;
use crate::web::state::AppState;

/// How much of a reason is kept.
const MAX_CHARACTERS: usize = 500;

/// Records a call that asked to publish, if it was refused.
pub(crate) fn note(state: &AppState, info: &RequestInfo, response: &Response) {
    let status = response.status();
    if !info.publishes || !status.is_client_error() {
        return;
    }
    let endpoint = match info.is_cloudfront {
        true => PublishApi::Cloudfront,
        false => PublishApi::Hook,
    };
    let (reason, item) = why(response);
    let authenticated = info.authenticated.get();
    let named = named_site(state, endpoint, info.path(state));
    state.refused.note(RefusedCall {
        id: state.clock.id(),
        at: state.clock.now(),
        site: authenticated.or(named),
        proved: authenticated.is_some(),
        endpoint,
        status: status.as_u16().cast_signed(),
        reason: excerpt(&reason),
        item: item.map(|item| excerpt(&item)),
        address: info.client.0.to_string(),
    });
}

/// The site in the address, if there is one of that name or distribution.
fn named_site(state: &AppState, endpoint: PublishApi, path: &str) -> Option<SiteId> {
    let name = path.split('/').nth(3)?;
    let sites = state.directory.sites();
    let site = sites.iter().find(|site| {
        site.name == name
            || endpoint == PublishApi::Cloudfront && site.distribution_id.as_deref() == Some(name)
    });
    site.map(|site| site.id)
}

/// What the caller is told, and what is wrong with the first bad item.
fn why(response: &Response) -> (String, Option<String>) {
    if let Some(fault) = Fault::of(response) {
        return (fault.to_string(), None);
    }
    match response.extensions().get::<Arc<Error>>() {
        Some(error) => {
            let first = match &**error {
                Error::BadItems(items) => items.first(),
                _ => None,
            };
            let item = first.map(|item| format!("{}: {}", item.pointer, item.detail));
            (error.to_string(), item)
        }
        None => {
            let reason = response.status().canonical_reason();
            (reason.unwrap_or_default().to_owned(), None)
        }
    }
}

fn excerpt(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_CHARACTERS)
        .collect()
}
