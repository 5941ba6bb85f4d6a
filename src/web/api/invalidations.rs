//! What CloudFront was told.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use strum::VariantNames as _;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{InvalidationStatus, Item, WaitReason};
use crate::store::{Invalidation, InvalidationFilter};
use crate::web::api::caller::Caller;
use crate::web::api::openapi::{self, OfInvalidation, OfList, SitePath, examples};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Path, Query};
use crate::web::state::AppState;

/// Rows on a page unless told.
const DEFAULT_LIMIT: u16 = 50;
/// The most rows on a page.
const MAX_LIMIT: u16 = 500;
/// Items of an invalidation that are shown with it.
const FIRST: usize = 10;
/// Items on a page of them.
const ITEMS: u16 = 1_000;

/// One call of `CreateInvalidation`, and what became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Invalidation)]
pub(crate) struct InvalidationBody {
    /// CloudFront's identifier, once it is known.
    #[schema(required)]
    id: Option<String>,
    /// What it is sent with, the same in each attempt: CloudFront does the work, and charges, once.
    caller_reference: String,
    /// Where it goes.
    distribution_id: String,
    status: InvalidationStatus,
    /// The first ten of what it purges.
    #[schema(value_type = Vec<Item>, max_items = 10)]
    items: Vec<String>,
    /// How many items it purges.
    item_count: u32,
    /// How often it was sent. Refusals for quota and rate do not count.
    attempts: i32,
    /// When CloudFront accepted it.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    submitted_at: Option<OffsetDateTime>,
    /// When CloudFront said that it is completed.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    completed_at: Option<OffsetDateTime>,
    /// What AWS last said, while it is not accepted or asked about again.
    #[schema(required)]
    error: Option<ErrorBody>,
    /// Why it is held.
    #[schema(required)]
    waiting_for: Option<WaitReason>,
}

/// What AWS said.
#[derive(Serialize, ToSchema)]
#[schema(as = AwsError)]
struct ErrorBody {
    /// AWS's code.
    code: String,
    /// AWS's words.
    message: String,
    /// AWS's number of the call, for its support.
    #[schema(required)]
    request_id: Option<String>,
    /// How to fix it.
    #[schema(required)]
    fix: Option<String>,
}

impl InvalidationBody {
    pub(crate) fn of(mut view: Invalidation) -> Self {
        view.items.truncate(FIRST);
        Self {
            id: view.cloudfront_id,
            caller_reference: view.caller_reference,
            distribution_id: view.distribution_id,
            status: view.status,
            items: view.items,
            item_count: view.item_count.unsigned_abs(),
            attempts: view.attempts,
            submitted_at: view.submitted_at,
            completed_at: view
                .ended_at
                .filter(|_| view.status == InvalidationStatus::Completed),
            error: view.error.map(|error| ErrorBody {
                code: error.code,
                message: error.message,
                request_id: error.request_id,
                fix: view.fix,
            }),
            waiting_for: view.waiting_for,
        }
    }
}

/// A page of invalidations, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Invalidations)]
pub(crate) struct ListBody {
    items: Vec<InvalidationBody>,
    /// What to send as `before` for the next page; none behind the last.
    #[schema(required)]
    next: Option<Uuid>,
}

/// What to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only these.
    #[param(value_type = InvalidationStatus, required = false, inline)]
    status: Option<String>,
    /// The most to list.
    #[param(value_type = u16, required = false, minimum = 1, maximum = 500, default = 50)]
    limit: Option<String>,
    /// Only older ones: an earlier page's `next`.
    #[param(value_type = Uuid, required = false)]
    before: Option<String>,
}

/// List what CloudFront was told
///
/// Newest first, page by page.
#[utoipa::path(
    get,
    path = "/api/sites/{site}/invalidations",
    operation_id = "list_invalidations",
    tag = openapi::PUBLISHING,
    params(SitePath, ListQuery),
    responses(
        (status = 200, description = "A page of them.", body = ListBody, example = json!(examples::invalidations())),
        OfList,
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListBody>> {
    let status = query
        .status
        .map(|text| {
            text.parse::<InvalidationStatus>().map_err(|_| {
                Error::BadRequest(format!(
                    "`status` is one of {}; `{text}` is none.",
                    InvalidationStatus::VARIANTS.join(", ")
                ))
            })
        })
        .transpose()?;
    let limit = query.limit.map_or(Ok(DEFAULT_LIMIT), |text| {
        text.parse()
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| Error::BadRequest(format!("`limit` is a number from 1 to {MAX_LIMIT}.")))
    })?;
    let before = query
        .before
        .map(|text| {
            text.parse::<Uuid>().map_err(|_| {
                Error::BadRequest("`before` is what an earlier page gave as `next`.".into())
            })
        })
        .transpose()?;
    let _turn = state.turns.reads.acquire(caller.site.id).await?;
    let page = state
        .store
        .invalidations(caller.site.id, InvalidationFilter { status, before }, limit)
        .await?;
    Ok(Json(ListBody {
        items: page.items.into_iter().map(InvalidationBody::of).collect(),
        next: page.next,
    }))
}

/// A page of what an invalidation purges.
#[derive(Serialize, ToSchema)]
#[schema(as = InvalidationItems)]
pub(crate) struct ItemsBody {
    #[schema(value_type = Vec<Item>, max_items = 1000)]
    items: Vec<String>,
    /// What to send as `after` for the next page; none behind the last.
    #[schema(required)]
    next: Option<u32>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ItemsQuery {
    /// How many to leave out: an earlier page's `next`.
    #[param(value_type = u32, required = false)]
    after: Option<String>,
}

/// List what an invalidation purges
///
/// All of its items, a thousand at a time.
#[utoipa::path(
    get,
    path = "/api/sites/{site}/invalidations/{caller_reference}/items",
    operation_id = "list_items",
    tag = openapi::PUBLISHING,
    params(
        SitePath,
        (
            "caller_reference" = String, Path,
            description = "The invalidation's `caller_reference`.", example = json!(examples::REFERENCE),
        ),
        ItemsQuery,
    ),
    responses(
        (status = 200, description = "A page of them.", body = ItemsBody, example = json!(examples::items())),
        OfInvalidation,
    ),
)]
pub(crate) async fn items(
    State(state): State<AppState>,
    caller: Caller,
    Path((_, reference)): Path<(String, String)>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<ItemsBody>> {
    let after = query.after.map_or(Ok(0), |text| {
        let after = text.parse::<i32>().ok().and_then(|n| n.try_into().ok());
        after.ok_or_else(|| {
            Error::BadRequest("`after` is what an earlier page gave as `next`.".into())
        })
    })?;
    // PostgreSQL has no text with a NUL, and so no such reference.
    if reference.contains('\0') {
        return Err(Error::NoSuchInvalidation(reference));
    }
    let _turn = state.turns.reads.acquire(caller.site.id).await?;
    let page = state
        .store
        .invalidation_items(caller.site.id, &reference, after, ITEMS);
    let Some((items, count)) = page.await? else {
        return Err(Error::NoSuchInvalidation(reference));
    };
    let next = after.saturating_add(u32::from(ITEMS));
    Ok(Json(ItemsBody {
        items,
        next: (next < count).then_some(next),
    }))
}
