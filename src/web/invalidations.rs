//! What CloudFront was told.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::AppState;
use super::hook::Caller;
use super::problem::Problem;
use crate::domain::{InvalidationStatus, WaitReason};
use crate::store::{InvalidationFilter, InvalidationView};

/// Rows on a page unless told.
const DEFAULT_LIMIT: u16 = 50;
/// The most rows on a page.
const MOST: u16 = 500;

/// An invalidation, as the API shows it.
#[derive(Serialize)]
pub(super) struct InvalidationBody {
    id: Option<String>,
    caller_reference: String,
    distribution_id: String,
    status: &'static str,
    items: Vec<String>,
    attempts: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    submitted_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    completed_at: Option<OffsetDateTime>,
    error: Option<ErrorBody>,
    waiting_for: Option<&'static str>,
}

#[derive(Serialize)]
struct ErrorBody {
    code: String,
    message: String,
    request_id: Option<String>,
    fix: Option<String>,
}

impl InvalidationBody {
    pub(super) fn of(view: InvalidationView) -> Self {
        Self {
            id: view.cloudfront_id,
            caller_reference: view.caller_reference,
            distribution_id: view.distribution_id,
            status: view.status.as_str(),
            items: view.items,
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
            waiting_for: view.waiting_for.map(WaitReason::as_str),
        }
    }
}

/// A page of the list.
#[derive(Serialize)]
pub(super) struct ListBody {
    items: Vec<InvalidationBody>,
    next: Option<Uuid>,
}

/// What to list.
#[derive(Deserialize)]
pub(super) struct ListQuery {
    status: Option<String>,
    limit: Option<String>,
    before: Option<String>,
}

/// `GET /api/sites/{site}/invalidations`, newest first.
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ListBody>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::BadRequest(rejection.body_text()))?;
    let status = query
        .status
        .map(|text| {
            text.parse::<InvalidationStatus>().map_err(|()| {
                let known = InvalidationStatus::ALL.map(InvalidationStatus::as_str);
                Problem::BadRequest(format!(
                    "`status` is one of {}; `{text}` is none.",
                    known.join(", ")
                ))
            })
        })
        .transpose()?;
    let limit = query.limit.map_or(Ok(DEFAULT_LIMIT), |text| {
        text.parse()
            .ok()
            .filter(|limit| (1..=MOST).contains(limit))
            .ok_or_else(|| Problem::BadRequest(format!("`limit` is a number from 1 to {MOST}.")))
    })?;
    let before = query
        .before
        .map(|text| {
            text.parse::<Uuid>().map_err(|_| {
                Problem::BadRequest("`before` is what an earlier page gave as `next`.".into())
            })
        })
        .transpose()?;
    let page = state
        .store
        .invalidations(caller.site.id, InvalidationFilter { status, before }, limit)
        .await?;
    Ok(Json(ListBody {
        items: page.items.into_iter().map(InvalidationBody::of).collect(),
        next: page.next,
    }))
}
