//! A publish's own page, and retrying it.

use std::collections::HashMap;

use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::coverage::Cover;
use crate::domain::{AuditAction, InvalidationStatus, Item, PublishState};
use crate::store::{IdempotencyKey, Items, Publish, parse_items};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::Path;
use crate::web::pages::views::{Nav, PublishPage};
use crate::web::pages::visit::{Visit, html};
use crate::web::pages::words;

#[derive(Deserialize)]
pub(crate) struct PublishPath {
    publish: Uuid,
}

/// `GET /activity/{publish}`.
pub(crate) async fn show(
    visit: Visit,
    Path(PublishPath { publish: id }): Path<PublishPath>,
) -> Result<Response> {
    let (store, site) = (&visit.state.store, visit.site.id);
    let mut layout = visit.layout(Nav::Activity);
    let publish = store.publish(site, id, Items::All, layout.now).await?;
    let publish = publish.ok_or(Error::NotFound)?;
    layout.pending = !publish.state.has_ended() || publish.edge_is_due;
    let is_failed = publish.state == PublishState::Failed;
    layout.mark = is_failed.then_some(words::errors::MARK_FAILED);
    html(&PublishPage {
        note: publish
            .note
            .and_then(|note| note.sentence(layout.now, &visit.state.limits)),
        failed: publish.failed_items()?,
        purged_by: purged_by(&publish)?,
        partition: visit.site.partition,
        publish,
        layout,
    })
}

/// `POST /activity/{publish}/retry`: republishes what a failed publish did not complete.
pub(crate) async fn retry(
    visit: Visit,
    Path(PublishPath { publish: id }): Path<PublishPath>,
) -> Result<Response> {
    let state = &visit.state;
    let failed = state
        .store
        .publish(visit.site.id, id, Items::All, state.clock.now())
        .await?
        .filter(|publish| publish.state == PublishState::Failed)
        .ok_or(Error::NotFound)?;
    let items = not_completed(&failed)?;
    let widened = failed
        .widened
        .into_iter()
        .filter(|widened| items.contains(&widened.to))
        .collect();
    let key = Some(IdempotencyKey::of_retry(id));
    let (shown, repeated) = visit.publish(items, widened, key).await?;
    if repeated.is_none() {
        let detail = Some(id.to_string());
        visit.audit(AuditAction::TriedAgain, detail).await;
    }
    Ok(visit.see(&format!("/activity/{shown}")))
}

/// The items that no completed invalidation covers; if there are none, all items.
fn not_completed(publish: &Publish) -> Result<Vec<Item>> {
    let items = publish.items_left(|status| status == InvalidationStatus::Completed)?;
    if items.is_empty() {
        return Ok(parse_items(publish.items.clone())?);
    }
    Ok(items)
}

/// For each item of a publish that another one purges: the item that was sent for it.
fn purged_by(publish: &Publish) -> Result<HashMap<String, Item>> {
    let sent = publish.invalidations.iter().flat_map(|i| i.items.iter());
    let sent = parse_items(sent.cloned().collect())?;
    let cover: Cover<'_> = sent.iter().collect();
    let items = parse_items(publish.items.clone())?;
    let purged = items.iter().filter_map(|item| {
        let by = cover.covering(item).filter(|by| *by != item)?;
        Some((item.to_string(), by.clone()))
    });
    Ok(purged.collect())
}
