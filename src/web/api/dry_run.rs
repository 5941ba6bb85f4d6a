//! The answer to a dry run.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Canonical, Explanation, Hint, Item, Quotas, WaitReason, Widened};
use crate::store::Site;
use crate::web::http::error::{Error, Result};
use crate::web::publishing::dry_run;
use crate::web::state::AppState;

/// What would be sent if this were published now.
#[derive(Serialize, ToSchema)]
#[schema(as = DryRun)]
pub(crate) struct DryRunBody<'a> {
    /// Always true.
    dry_run: bool,
    /// The site.
    site: &'a str,
    /// What was asked for, in CloudFront's terms.
    #[schema(value_type = Vec<Item>)]
    items: &'a [Item],
    /// Paths that can only be purged by purging more.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    widened: Vec<Widened>,
    /// What becomes of each thing that was asked for.
    explanations: Vec<Explanation>,
    /// What may have been meant instead.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    hints: Vec<Hint>,
    /// The calls of `CreateInvalidation`, had nothing else been waiting.
    invalidations: Vec<InvalidationItems<'a>>,
    /// Paths and tags that AWS counts.
    billed_paths: u64,
    /// What they cost, in dollars: a string, because it is exact.
    price_usd: String,
    /// The month's free paths that are left, before this.
    free_paths_left: u64,
    /// Why it would be held.
    #[schema(required)]
    waiting_for: Option<WaitReason>,
    /// More about why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
    /// What counts as in progress at the distribution, and what is believed of CloudFront's quotas and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    quotas: Option<Quotas>,
}

/// One call of `CreateInvalidation` that would be made.
#[derive(Serialize, ToSchema)]
#[schema(as = PlannedInvalidation)]
struct InvalidationItems<'a> {
    #[schema(value_type = Vec<Item>)]
    items: &'a [Item],
}

/// Answers a dry run: 200, and nothing was stored.
pub(crate) async fn answer(state: &AppState, site: &Site, asked: Canonical) -> Result<Response> {
    let asked = Arc::new(asked);
    let dry_run = dry_run(state, site, &asked)
        .await?
        .ok_or(Error::NoSettings)?;
    let body = DryRunBody {
        dry_run: true,
        site: &site.name,
        items: &asked.items,
        widened: asked.widened.clone(),
        explanations: dry_run.explanations,
        hints: dry_run.hints,
        invalidations: dry_run
            .plan
            .batches
            .iter()
            .map(|batch| InvalidationItems {
                items: &batch.items,
            })
            .collect(),
        billed_paths: dry_run.billed_paths,
        price_usd: dry_run.price.to_string(),
        free_paths_left: dry_run.free_paths_left,
        waiting_for: dry_run.waiting_for,
        note: dry_run
            .note
            .and_then(|note| note.sentence(state.clock.now(), &state.limits)),
        quotas: dry_run.quotas,
    };
    Ok(Json(body).into_response())
}
