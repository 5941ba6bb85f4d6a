//! The calls of publishers that were refused.

use axum::extract::State;
use axum::response::Response;

use super::page::layout;
use crate::store::Endpoint;
use crate::web::http::error::Result;
use crate::web::pages::views::{RefusedPage, RefusedRow, Section};
use crate::web::pages::visit::{Visit, html};
use crate::web::pages::words::settings as words;
use crate::web::state::AppState;

/// `GET /settings/cdn/refused`, newest first.
pub(crate) async fn show(State(state): State<AppState>, visit: Visit) -> Result<Response> {
    let layout = layout(&visit, Section::Refused, None);
    // What named no site is shown to those who look after all of them.
    let sees_all = layout.manages_sites();
    let calls = state.store.refused_calls(visit.site.id, sees_all).await?;
    html(&RefusedPage {
        calls: calls
            .into_iter()
            .map(|call| RefusedRow {
                at: call.at,
                status: call.status.cast_unsigned(),
                endpoint: match call.endpoint {
                    Endpoint::Hook => words::HOOK,
                    Endpoint::Cloudfront => words::CLOUDFRONT_API,
                },
                caller: words::caller(call.proved, call.site.is_some()),
                reason: call.reason,
                item: call.item,
                from: call.address,
            })
            .collect(),
        layout,
    })
}
