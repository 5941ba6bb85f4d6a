//! Activity: what was published and how far its purge is.

use axum::extract::State;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::AuditAction;
use crate::domain::coverage::Cover;
use crate::domain::{InvalidationStatus, Item, PublishState, Region, WaitReason};
use crate::store::{
    Acceptance, NewPublish, Publish, PublishFilter, PublishSummary, RepeatKey, parse_items,
};
use crate::web::api::publishes::accept;
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Path, Query};
use crate::web::pages::overview;
use crate::web::pages::views::{
    ActivityPage, Count, Filter, InvalidationView, Nav, Overview, PAGE_SIZE, Paging, Progress,
    PublishPage, PublishRow, PublishedItem, Span,
};
use crate::web::pages::visit::{Visit, html};
use crate::web::pages::words;
use crate::web::state::AppState;
use axum::response::Response;

/// What to list.
#[derive(Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    state: String,
    #[serde(default)]
    path: String,
    before: Option<Uuid>,
    after: Option<Uuid>,
}

/// The publish in the address.
#[derive(Deserialize)]
pub(crate) struct Named {
    publish: Uuid,
}

/// `GET /activity`, newest first.
pub(crate) async fn list(
    State(state): State<AppState>,
    visit: Visit,
    Query(query): Query<ListQuery>,
) -> Result<Response> {
    let mut layout = visit.layout(Nav::Activity);
    let wanted = query.state.parse::<PublishState>().ok();
    let path = query.path.trim();
    let filter = PublishFilter {
        state: wanted,
        path: (!path.is_empty()).then_some(path),
        before: query.before,
        after: query.after,
    };
    let found = state
        .store
        .publishes(visit.site.id, filter, PAGE_SIZE, layout.now)
        .await?;
    let is_first =
        wanted.is_none() && path.is_empty() && query.before.is_none() && query.after.is_none();
    let overview = if is_first {
        Some(overview::read(&state, &visit.site, layout.now).await?)
    } else {
        None
    };
    layout.pending = found.items.iter().any(|publish| !publish.state.has_ended())
        || overview.as_ref().is_some_and(Overview::is_pending);
    let state_name = wanted.map_or("", |state| state.into_str());
    let paging = Paging::of(&found, &[("state", state_name), ("path", path)]);
    html(&ActivityPage {
        overview,
        filter: Filter {
            state: wanted,
            path: path.to_owned(),
        },
        publishes: found.items.into_iter().map(row).collect(),
        paging,
        set_up: visit.site.distribution_id.is_some(),
        hook_url: state.hook_url(&visit.site),
        layout,
    })
}

fn row(publish: PublishSummary) -> PublishRow {
    PublishRow {
        id: publish.id.to_string(),
        state: publish.state,
        received_at: publish.received_at,
        to_sent: publish
            .submitted_at
            .map(|at| Span(at - publish.received_at)),
        to_completed: publish
            .submitted_at
            .zip(publish.ended_at)
            .filter(|_| publish.state == PublishState::Completed)
            .map(|(sent, ended)| Span(ended - sent)),
        waiting_for: publish.waiting_for,
        progress: progress(publish.ended_invalidations, publish.invalidations),
        items: publish.items,
        items_total: publish.items_total,
        error: publish.error,
        edge: publish.edge,
    }
}

/// One invalidation needs no bar: its state says it all.
fn progress(done: u64, total: u64) -> Option<Progress> {
    (total > 1).then_some(Progress { done, total })
}

/// `GET /activity/{publish}`.
pub(crate) async fn show(
    State(state): State<AppState>,
    visit: Visit,
    Path(named): Path<Named>,
) -> Result<Response> {
    let mut layout = visit.layout(Nav::Activity);
    let id = named.publish;
    let publish = state
        .store
        .publish(visit.site.id, id, layout.now)
        .await?
        .ok_or(Error::NotFound)?;
    let region = state
        .store
        .region_in_force(visit.site.id)
        .await?
        .unwrap_or(Region::RECOMMENDED);
    layout.pending = !publish.state.has_ended() || publish.edge_is_due;
    let ended = publish
        .invalidations
        .iter()
        .filter(|i| i.ended_at.is_some());
    let ended = ended.count();
    html(&PublishPage {
        id: publish.id.to_string(),
        state: publish.state,
        received_at: publish.received_at,
        sent_at: publish.submitted_at,
        ended_at: publish.ended_at,
        waiting_for: waiting_for(&publish),
        progress: progress(ended as u64, publish.invalidations.len() as u64),
        items_total: publish.items.len() as u64,
        items: items(&publish),
        invalidations: publish
            .invalidations
            .into_iter()
            .map(|i| invalidation(i, region))
            .collect(),
        edge: publish.edge,
        edge_is_due: publish.edge_is_due,
        can_retry: publish.state == PublishState::Failed,
        layout,
    })
}

/// `POST /activity/{publish}/retry`: publishes again what has not completed of a failed publish.
pub(crate) async fn retry(
    State(state): State<AppState>,
    visit: Visit,
    Path(named): Path<Named>,
) -> Result<Response> {
    let id = named.publish;
    let now = state.clock.now();
    let again = state
        .store
        .publish(visit.site.id, id, now)
        .await?
        .filter(|publish| publish.state == PublishState::Failed)
        .ok_or(Error::NotFound)?;
    let items = not_completed(&again)?;
    let widened = again
        .widened
        .into_iter()
        .filter(|widened| items.contains(&widened.to))
        .collect();
    let fresh = state.clock.id();
    let publish = NewPublish {
        site: visit.site.id,
        id: fresh,
        received_at: now,
        items,
        widened,
        repeat_key: Some(RepeatKey::of_retry(id)),
        traceparent: None,
    };
    let accepted = accept(&state, &visit.site, publish).await?;
    let shown = match accepted {
        Acceptance::Repeat(first) => first.id,
        Acceptance::Stored | Acceptance::KeyReused => fresh,
    };
    visit
        .audit(AuditAction::TriedAgain, Some(id.to_string()))
        .await?;
    Ok(visit.see(&format!("/activity/{shown}")))
}

/// The items that no completed invalidation covers; all of them, where that would be none.
fn not_completed(publish: &Publish) -> Result<Vec<Item>> {
    let completed = publish
        .invalidations
        .iter()
        .filter(|i| i.status == InvalidationStatus::Completed)
        .flat_map(|i| i.items.iter().cloned());
    let completed = parse_items(completed.collect())?;
    let done: Cover<'_> = completed.iter().collect();
    let mut items = parse_items(publish.items.clone())?;
    if items.iter().any(|item| done.covering(item).is_none()) {
        items.retain(|item| done.covering(item).is_none());
    }
    Ok(items)
}

/// Why a publish is held: before it is planned, or while one of its invalidations is.
fn waiting_for(publish: &Publish) -> Option<WaitReason> {
    publish
        .waiting_for
        .or_else(|| publish.invalidations.iter().find_map(|i| i.waiting_for))
}

fn items(publish: &Publish) -> Vec<PublishedItem> {
    publish
        .items
        .iter()
        .map(|item| PublishedItem {
            why: publish
                .widened
                .iter()
                .find(|w| w.to.as_str() == *item)
                .map(|w| words::widened(&w.from)),
            item: item.clone(),
        })
        .collect()
}

fn invalidation(view: crate::store::Invalidation, region: Region) -> InvalidationView {
    let console_url = view.cloudfront_id.as_ref().map(|id| {
        format!(
            "https://{}/cloudfront/v4/home#/distributions/{}/invalidations/details/{id}",
            region.partition().console_host(),
            view.distribution_id
        )
    });
    InvalidationView {
        id: view.cloudfront_id,
        console_url,
        caller_reference: view.caller_reference,
        distribution_id: view.distribution_id,
        state: view.status,
        items_total: Count(view.items.len() as u64),
        attempts: u32::try_from(view.attempts).unwrap_or_default(),
        submitted_at: view.submitted_at,
        completed_at: view
            .ended_at
            .filter(|_| view.status == InvalidationStatus::Completed),
        waiting_for: view.waiting_for,
        error: view.error,
        fix: view.fix,
    }
}
