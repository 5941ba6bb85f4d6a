//! Notes the calls of publishers that are refused, as far as it is known whose they are.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::cloudfront;
use super::proved::ProvedSite;
use crate::store::{Endpoint, RefusedCall, SiteId};
use crate::web::http::client::ClientAddress;
use crate::web::http::error::Error;
use crate::web::state::AppState;

/// How much of a reason is kept.
const LONGEST: usize = 500;

/// The layer that notes them.
pub(crate) async fn note(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    mut request: Request,
    next: Next,
) -> Response {
    let path = state.public.below(request.uri().path());
    let endpoint = if cloudfront::is_call(path) {
        Endpoint::Cloudfront
    } else {
        Endpoint::Hook
    };
    let is_publish = request.method() == Method::POST
        && (endpoint == Endpoint::Cloudfront || path.starts_with("/api/"));
    if !is_publish {
        return next.run(request).await;
    }
    let uri = request.uri().clone();
    let proved = ProvedSite::default();
    request.extensions_mut().insert(proved.clone());
    let response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() {
        let (reason, item) = why(&response);
        let proved = proved.get();
        let path = state.public.below(uri.path());
        let named = named_site(&state, endpoint, path);
        state.refused.note(RefusedCall {
            id: state.clock.id(),
            at: state.clock.now(),
            site: proved.or(named),
            proved: proved.is_some(),
            endpoint,
            status: status.as_u16().cast_signed(),
            reason: excerpt(&reason),
            item: item.map(|item| excerpt(&item)),
            address: address.to_string(),
        });
    }
    response
}

/// The site in the address, if there is one of that name or distribution.
fn named_site(state: &AppState, endpoint: Endpoint, path: &str) -> Option<SiteId> {
    let name = path.split('/').nth(3)?;
    let sites = state.directory.sites();
    let site = sites.iter().find(|site| {
        site.name == name
            || endpoint == Endpoint::Cloudfront && site.distribution_id.as_deref() == Some(name)
    });
    site.map(|site| site.id)
}

/// What the caller is told, and what is wrong with the first bad item.
fn why(response: &Response) -> (Cow<'static, str>, Option<String>) {
    if let Some(message) = cloudfront::fault_message(response) {
        return (message.into(), None);
    }
    match response.extensions().get::<Arc<Error>>() {
        Some(error) => {
            let first = match &**error {
                Error::BadItems(items) => items.first(),
                _ => None,
            };
            let item = first.map(|item| format!("{}: {}", item.pointer, item.detail));
            (error.to_string().into(), item)
        }
        // The layer that limits bodies answers with a bare status.
        None if response.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            (Error::TooLarge.to_string().into(), None)
        }
        None => (
            response
                .status()
                .canonical_reason()
                .unwrap_or_default()
                .into(),
            None,
        ),
    }
}

fn excerpt(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect()
}
