//! Activity: what was published and how far its purge is.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::coverage::Cover;
use crate::domain::{InvalidationStatus, Item, PublishState, Region, WaitReason};
use crate::store::{
    Acceptance, NewPublish, Publish, PublishFilter, PublishSummary, RepeatKey, StoreError,
    parse_items,
};
use crate::web::AppState;
use crate::web::api::publishes::accept;
use crate::web::http::extract::{Path, Query};
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::overview;
use crate::web::pages::settings::tokens::hook_url;
use crate::web::pages::views::{
    ActivityPage, Count, Filter, InvalidationView, Nav, Overview, PAGE_SIZE, Paging, Progress,
    PublishPage, PublishRow, PublishedItem, Span,
};
use crate::web::pages::words;
use crate::web::pages::{Page, PageError, PageResult, html};

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
    user: SignedIn,
    Query(query): Query<ListQuery>,
) -> PageResult {
    let mut page = Page::begin(&state, &user, Nav::Activity)?;
    let failed = page.failed();
    let wanted = query.state.parse::<PublishState>().ok();
    let path = query.path.trim().to_owned();
    let filter = PublishFilter {
        state: wanted,
        path: (!path.is_empty()).then_some(path.as_str()),
        before: query.before,
        after: query.after,
    };
    let limit = u16::try_from(PAGE_SIZE).unwrap_or(u16::MAX);
    let found = state
        .store
        .publishes(page.site.id, filter, limit, page.layout.now)
        .await
        .map_err(|error| failed(error.into()))?;
    let is_first =
        wanted.is_none() && path.is_empty() && query.before.is_none() && query.after.is_none();
    let overview = if is_first {
        let read = overview::read(&state, &page.site, page.layout.now).await;
        Some(read.map_err(|error| failed(error.into()))?)
    } else {
        None
    };
    page.layout.pending = found.items.iter().any(|publish| !publish.state.has_ended())
        || overview.as_ref().is_some_and(Overview::is_pending);
    let same_filter = |position: String| {
        let mut encoded = url::form_urlencoded::Serializer::new(position);
        if let Some(state) = wanted {
            encoded.append_pair("state", state.into_str());
        }
        if !path.is_empty() {
            encoded.append_pair("path", &path);
        }
        encoded.finish()
    };
    let paging = Paging {
        newer: found.previous.map(|id| same_filter(format!("after={id}"))),
        older: found.next.map(|id| same_filter(format!("before={id}"))),
    };
    let activity = ActivityPage {
        overview,
        filter: Filter {
            state: wanted.map(Into::into),
            path: path.clone(),
        },
        publishes: found.items.into_iter().map(row).collect(),
        paging,
        set_up: page.site.distribution_id.is_some(),
        hook_url: hook_url(&state, &page.site),
        layout: page.layout,
    };
    html(StatusCode::OK, &activity).map_err(failed)
}

fn row(publish: PublishSummary) -> PublishRow {
    PublishRow {
        id: publish.id.to_string(),
        state: publish.state.into(),
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
    }
}

/// One invalidation needs no bar: its state says it all.
fn progress(done: u64, total: u64) -> Option<Progress> {
    (total > 1).then_some(Progress { done, total })
}

/// `GET /activity/{publish}`.
pub(crate) async fn show(
    State(state): State<AppState>,
    user: SignedIn,
    Path(named): Path<Named>,
) -> PageResult {
    let mut page = Page::begin(&state, &user, Nav::Activity)?;
    let failed = page.failed();
    let id = named.publish;
    let publish = state
        .store
        .publish(page.site.id, id, page.layout.now)
        .await
        .map_err(|error| failed(error.into()))?
        .ok_or_else(|| failed(PageError::NotFound))?;
    let region = state
        .store
        .region_in_force(page.site.id)
        .await
        .map_err(|error| failed(error.into()))?
        .unwrap_or(Region::RECOMMENDED);
    page.layout.pending = !publish.state.has_ended();
    let ended = publish
        .invalidations
        .iter()
        .filter(|i| i.ended_at.is_some());
    let ended = ended.count();
    let shown = PublishPage {
        id: publish.id.to_string(),
        state: publish.state.into(),
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
        can_retry: publish.state == PublishState::Failed,
        layout: page.layout,
    };
    html(StatusCode::OK, &shown).map_err(failed)
}

/// `POST /activity/{publish}/retry`: publishes again what has not completed of a failed publish.
pub(crate) async fn retry(
    State(state): State<AppState>,
    user: SignedIn,
    Path(named): Path<Named>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Activity)?;
    let failed = page.failed();
    let id = named.publish;
    let again = state
        .store
        .publish(page.site.id, id, page.layout.now)
        .await
        .map_err(|error| failed(error.into()))?
        .filter(|publish| publish.state == PublishState::Failed)
        .ok_or_else(|| failed(PageError::NotFound))?;
    let items = not_completed(&again).map_err(|error| failed(error.into()))?;
    let widened = again
        .widened
        .into_iter()
        .filter(|widened| items.iter().any(|item| *item == widened.to))
        .collect();
    let fresh = state.clock.id();
    // One press, one publish, however often the form is sent.
    let key = format!("retry-of-{id}");
    let publish = NewPublish {
        site: page.site.id,
        id: fresh,
        received_at: state.clock.now(),
        items,
        widened,
        repeat_key: Some(RepeatKey {
            body_hash: [0; 32],
            key,
        }),
        traceparent: None,
    };
    let accepted = accept(&state, &page.site, publish)
        .await
        .map_err(|error| failed(error.into()))?;
    let shown = match accepted {
        Acceptance::Repeat(first) => first.id,
        Acceptance::Stored | Acceptance::KeyReused => fresh,
    };
    audit::by(&state, &user, Deed::TriedAgain, Some(id.to_string())).await?;
    Ok(page.see(&format!("/activity/{shown}")))
}

/// The items that no completed invalidation covers; all of them, where that would be none.
fn not_completed(publish: &Publish) -> Result<Vec<Item>, StoreError> {
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
        state: view.status.into(),
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
