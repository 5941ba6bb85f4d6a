//! Activity: what was published and how far its purge is.

use std::collections::HashMap;

use axum::extract::State;
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::AuditAction;
use crate::domain::coverage::Cover;
use crate::domain::{
    IntakeRules, InvalidationStatus, Item, PublishRequest, PublishState, Region, WaitReason,
    canonicalize, trim_pasted,
};
use crate::store::{
    Acceptance, Invalidation, NewPublish, Publish, PublishFilter, PublishSummary, RepeatKey,
    parse_items,
};
use crate::web::api::publishes::accept;
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Path, Query};
use crate::web::pages::overview;
use crate::web::pages::views::{
    ActivityPage, Count, Filter, ITEMS_SHOWN, InvalidationView, LivePage, Nav, Overview, PAGE_SIZE,
    Paging, Progress, PublishPage, PublishRow, PublishedItem, SentItem, Span,
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
    /// The page that somebody wonders about.
    #[serde(default)]
    page: String,
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
    let path = trim_pasted(&query.path);
    let meant = meant(path);
    let filter = PublishFilter {
        state: wanted,
        path: (!path.is_empty()).then(|| (path, meant.as_deref().unwrap_or(path))),
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
    let live = live_page(&state, &visit, &query.page, layout.now).await?;
    html(&ActivityPage {
        live,
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

/// What is known of the page that somebody wonders about; none: they do not.
async fn live_page(
    state: &AppState,
    visit: &Visit,
    asked: &str,
    now: OffsetDateTime,
) -> Result<Option<LivePage>> {
    let asked = trim_pasted(asked);
    if asked.is_empty() {
        return Ok(None);
    }
    let items = as_published(asked).unwrap_or_default();
    let purging: Vec<String> = items.iter().flat_map(purged_by).collect();
    let last = state
        .store
        .last_publish_of(visit.site.id, &purging, now)
        .await?;
    Ok(Some(LivePage {
        asked: asked.to_owned(),
        last: last.map(row),
    }))
}

/// The item itself, and every wildcard that purges it too.
fn purged_by(item: &Item) -> Vec<String> {
    let text = item.as_str();
    let wildcards = text.char_indices().skip(1).map(|(end, _)| &text[..end]);
    let wildcards = wildcards.filter(|_| text.starts_with('/'));
    let mut all: Vec<String> = wildcards.map(|start| format!("{start}*")).collect();
    all.push(text.to_owned());
    all
}

/// What was searched for, as it would be published: people paste addresses and write paths in their
/// own letters.
fn meant(searched: &str) -> Option<String> {
    let items = as_published(searched)?;
    // Of the two of the home page, “/” is a part of every path.
    items
        .into_iter()
        .map(|item| item.to_string())
        .max_by_key(String::len)
}

fn as_published(text: &str) -> Option<Vec<Item>> {
    let mut request = PublishRequest::default();
    match text.strip_prefix('#') {
        Some(tag) => request.tags.push(tag.to_owned()),
        None => request.paths.push(text.to_owned()),
    }
    Some(canonicalize(&request, &IntakeRules::default()).ok()?.items)
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
        held: publish
            .waiting_for
            .map(|why| words::held(&why, publish.note.as_ref())),
        progress: progress(publish.completed_invalidations, publish.invalidations),
        is_partly_purged: publish.state == PublishState::Failed
            && publish.completed_invalidations > 0,
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
    let invalidations = publish.invalidations.iter();
    let completed = invalidations.filter(|i| i.status == InvalidationStatus::Completed);
    let completed = completed.count();
    let is_failed = publish.state == PublishState::Failed;
    layout.mark = is_failed.then_some(words::errors::MARK_FAILED);
    let failed = publish.failed_items()?;
    let sent = Sent::of(&publish)?;
    html(&PublishPage {
        id: publish.id.to_string(),
        state: publish.state,
        is_partly_purged: is_failed && failed.len() < publish.items.len(),
        received_at: publish.received_at,
        // Of one that failed, when the last was sent that was.
        sent_at: publish.submitted_at.or_else(|| {
            let sent = publish.invalidations.iter().map(|i| i.submitted_at);
            sent.max().flatten().filter(|_| is_failed)
        }),
        ended_at: publish.ended_at,
        held: waiting_for(&publish).map(|why| words::held(&why, publish.note.as_ref())),
        note: publish
            .note
            .and_then(|note| note.sentence(layout.now, &state.limits)),
        progress: progress(completed as u64, publish.invalidations.len() as u64),
        items_total: publish.items.len() as u64,
        items: sent.items(&publish),
        failed_total: Count(failed.len() as u64),
        failed: failed
            .iter()
            .take(ITEMS_SHOWN)
            .map(ToString::to_string)
            .collect(),
        retry_of: publish.retry_of.map(|id| id.to_string()),
        retried_as: publish.retried_as.map(|id| id.to_string()),
        can_retry: is_failed && publish.retried_as.is_none(),
        invalidations: publish
            .invalidations
            .into_iter()
            .map(|i| invalidation(i, region, &sent))
            .collect(),
        edge: publish.edge,
        edge_is_due: publish.edge_is_due,
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
    let items = publish.items_besides(|status| status == InvalidationStatus::Completed)?;
    if items.is_empty() {
        return Ok(parse_items(publish.items.clone())?);
    }
    Ok(items)
}

/// Why a publish is held: before it is planned, or while one of its invalidations is.
fn waiting_for(publish: &Publish) -> Option<WaitReason> {
    publish
        .waiting_for
        .or_else(|| publish.invalidations.iter().find_map(|i| i.waiting_for))
}

/// By which of the items that were sent each item of a publish is purged.
struct Sent {
    by: HashMap<String, Item>,
}

impl Sent {
    fn of(publish: &Publish) -> Result<Self> {
        let sent = publish.invalidations.iter().flat_map(|i| i.items.iter());
        let sent = parse_items(sent.cloned().collect())?;
        let cover: Cover<'_> = sent.iter().collect();
        let items = parse_items(publish.items.clone())?;
        let by = items.iter().filter_map(|item| {
            let by = cover.covering(item).filter(|by| *by != item)?;
            Some((item.to_string(), by.clone()))
        });
        Ok(Self { by: by.collect() })
    }

    fn items(&self, publish: &Publish) -> Vec<PublishedItem> {
        let shown = publish.items.iter().take(ITEMS_SHOWN);
        shown
            .map(|item| {
                let widened = publish.widened.iter().find(|w| w.to.as_str() == *item);
                PublishedItem {
                    why: widened
                        .map(|w| words::widened(&w.from))
                        .or_else(|| self.by.get(item).map(words::covered)),
                    item: item.clone(),
                }
            })
            .collect()
    }

    /// How many items of the publish this one was sent for, besides itself.
    fn stands_for(&self, sent: &str) -> Option<Count> {
        let items = self.by.values().filter(|by| by.as_str() == sent);
        Some(Count(items.count() as u64)).filter(|count| count.0 > 0)
    }
}

fn invalidation(view: Invalidation, region: Region, sent: &Sent) -> InvalidationView {
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
        items: view
            .items
            .iter()
            .take(InvalidationView::SHOWN)
            .map(|item| SentItem {
                stands_for: sent.stands_for(item),
                item: item.clone(),
            })
            .collect(),
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
