//! Who did what, when, from where: written down as it happens, and a page to read it.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use super::AppState;
use super::form::Query;
use super::pages::{Page, PageFailure, PageResult, html};
use super::session::SignedIn;
use super::views::{AuditEntry, AuditPage, Nav, PAGE_SIZE, Paging};
pub(super) use super::words::audit::Deed;
use crate::store::{AuditFilter, AuditRecord, StoreError};

/// The longest name of a user that is kept.
const LONGEST_NAME: usize = 200;

/// Writes down what a user did.
pub(super) async fn by(
    state: &AppState,
    user: &SignedIn,
    deed: Deed,
    detail: Option<String>,
) -> Result<(), Box<PageFailure>> {
    write(state, &user.session.user, user.from, deed, detail)
        .await
        .map_err(|error| PageFailure::of(state, Some(user), error.into()))
}

/// Writes down what somebody did.
pub(super) async fn write(
    state: &AppState,
    who: &str,
    from: IpAddr,
    deed: Deed,
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
            detail,
            address: from.to_string(),
        })
        .await
}

/// What to list.
#[derive(Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    search: String,
    before: Option<Uuid>,
    after: Option<Uuid>,
}

/// `GET /audit`, newest first.
pub(super) async fn list(
    State(state): State<AppState>,
    user: SignedIn,
    Query(query): Query<ListQuery>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Audit)?;
    let failed = page.failed();
    let search = query.search.trim().to_owned();
    let filter = AuditFilter {
        search: (!search.is_empty()).then_some(search.as_str()),
        before: query.before,
        after: query.after,
    };
    let found = state
        .store
        .audit(filter, u16::try_from(PAGE_SIZE).unwrap_or(u16::MAX))
        .await
        .map_err(|error| failed(error.into()))?;
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
                detail: record.detail,
                from: record.address,
            })
            .collect(),
        search: search.clone(),
        layout: page.layout,
    };
    html(StatusCode::OK, &audit).map_err(failed)
}
