//! Calls from publishers that were refused.

use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use super::section::layout;
use crate::web::http::error::Result;
use crate::web::http::extract::Query;
use crate::web::pages::views::{PAGE_SIZE, Paging, RefusedPage, Section};
use crate::web::pages::visit::{Visit, html};

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    before: Option<Uuid>,
}

/// `GET /settings/cdn/refused`, newest first.
pub(crate) async fn show(
    visit: Visit,
    Query(ListQuery { before }): Query<ListQuery>,
) -> Result<Response> {
    let layout = layout(&visit, Section::Refused);
    // Calls that named no site are shown to those who look after all sites.
    let sees_all = layout.manages_sites();
    let store = &visit.state.store;
    let mut calls = store.refused_calls(visit.site.id, sees_all).await?;
    calls.retain(|call| before.is_none_or(|before| call.id < before));
    html(&RefusedPage {
        paging: Paging::cut(&mut calls, PAGE_SIZE.into(), before, |call| call.id),
        calls,
        layout,
    })
}
