//! Who did what, when, from where: written down as it happens, and a page to read it.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use crate::store::{AuditFilter, AuditRecord, SiteId, StoreError};
use crate::web::AppState;
use crate::web::http::extract::Query;
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::views::{AuditEntry, AuditPage, Nav, PAGE_SIZE, Paging};
pub(crate) use crate::web::pages::words::audit::Deed;
use crate::web::pages::{PageError, PageFailure, PageResult, Reader, html};

/// The longest name of a user that is kept.
const LONGEST_NAME: usize = 200;

/// Writes down what a user did to the site that they were at.
pub(crate) async fn by(
    state: &AppState,
    user: &SignedIn,
    deed: Deed,
    detail: Option<String>,
) -> Result<(), Box<PageFailure>> {
    let site = user.site.as_ref().map(|site| site.id);
    about(state, user, deed, site, detail).await
}

/// Writes down what a user did to a site.
pub(crate) async fn about(
    state: &AppState,
    user: &SignedIn,
    deed: Deed,
    site: Option<SiteId>,
    detail: Option<String>,
) -> Result<(), Box<PageFailure>> {
    record(state, &user.session.user, user.from, deed, site, detail)
        .await
        .map_err(|error| PageFailure::of(state, Some(user), error.into()))
}

/// Writes down what somebody did that is about no site.
pub(crate) async fn write(
    state: &AppState,
    who: &str,
    from: IpAddr,
    deed: Deed,
    detail: Option<String>,
) -> Result<(), StoreError> {
    record(state, who, from, deed, None, detail).await
}

/// Writes down what somebody did, maybe to a site.
pub(crate) async fn record(
    state: &AppState,
    who: &str,
    from: IpAddr,
    deed: Deed,
    site: Option<SiteId>,
    detail: Option<String>,
) -> Result<(), StoreError> {
    let what = deed.words();
    tracing::info!(who, %from, detail, "{what}");
    state
        .store
        .write_audit(&AuditRecord {
            id: state.clock.id(),
            at: state.clock.now(),
            who: who.chars().take(LONGEST_NAME).collect(),
            what: what.to_owned(),
            site: site.map(|site| site.0),
            detail,
            address: from.to_string(),
        })
        .await
}

/// What to list.
#[derive(Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    search: String,
    before: Option<Uuid>,
    after: Option<Uuid>,
}

/// `GET /audit`, newest first.
pub(crate) async fn list(
    State(state): State<AppState>,
    user: SignedIn,
    Query(query): Query<ListQuery>,
) -> PageResult {
    let failed = |error| PageFailure::of(&state, Some(&user), error);
    let sites = state.directory.sites();
    let (several, seen): (bool, Vec<i32>) = (
        sites.len() > 1,
        sites
            .iter()
            .filter(|site| user.session.sees(site))
            .map(|site| site.id.0)
            .collect(),
    );
    let search = query.search.trim().to_owned();
    let filter = AuditFilter {
        search: (!search.is_empty()).then_some(search.as_str()),
        // Whoever sees all sites sees all entries, and so does whoever sees the only one.
        sites: (seen.len() < sites.len()).then_some(seen.as_slice()),
        before: query.before,
        after: query.after,
    };
    let found = state
        .store
        .audit(filter, u16::try_from(PAGE_SIZE).unwrap_or(u16::MAX))
        .await
        .map_err(|error| failed(PageError::from(error)))?;
    let same_search = |position: String| {
        let mut encoded = url::form_urlencoded::Serializer::new(position);
        if !search.is_empty() {
            encoded.append_pair("search", &search);
        }
        encoded.finish()
    };
    let audit = AuditPage {
        paging: Paging {
            newer: found.previous.map(|id| same_search(format!("after={id}"))),
            older: found.next.map(|id| same_search(format!("before={id}"))),
        },
        entries: found
            .items
            .into_iter()
            .map(|record| AuditEntry {
                at: record.at,
                who: record.who,
                what: record.what,
                site: record.site.filter(|_| several).and_then(|id| {
                    let site = sites.iter().find(|site| site.id.0 == id)?;
                    Some(site.name.clone())
                }),
                detail: record.detail,
                from: record.address,
            })
            .collect(),
        search: search.clone(),
        layout: Reader::of(&state, &user).layout(Nav::Audit),
    };
    html(StatusCode::OK, &audit).map_err(failed)
}
