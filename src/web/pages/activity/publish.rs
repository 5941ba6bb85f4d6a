//! A publish's own page, and retrying it.

use std::collections::HashMap;
use std::mem;

use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::coverage::Cover;
use crate::domain::{AuditAction, InvalidationStatus, Item, Partition, PublishState};
use crate::store::{IdempotencyKey, Invalidation, Items, Publish, parse_items};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::Path;
use crate::web::pages::views::{
    Count, ITEMS_SHOWN, InvalidationView, Nav, PublishPage, PublishedItem, SentItem,
};
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
    let mut publish = publish.ok_or(Error::NotFound)?;
    layout.pending = !publish.state.has_ended() || publish.edge_is_due;
    let is_failed = publish.state == PublishState::Failed;
    layout.mark = is_failed.then_some(words::errors::MARK_FAILED);
    let failed = publish.failed_items()?;
    let shown = failed.iter().take(ITEMS_SHOWN);
    let coverage = Coverage::of(&publish)?;
    html(&PublishPage {
        note: publish
            .note
            .and_then(|note| note.sentence(layout.now, &visit.state.limits)),
        items: coverage.items(&publish),
        failed_total: Count(failed.len() as u64),
        failed: shown.map(ToString::to_string).collect(),
        invalidations: mem::take(&mut publish.invalidations)
            .into_iter()
            .map(|i| invalidation(i, visit.site.partition, &coverage))
            .collect(),
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

/// Which of the items that were sent purges each item of a publish, where it is another one.
struct Coverage {
    by: HashMap<String, Item>,
}

impl Coverage {
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

    /// How many other items of the publish this one was sent for.
    fn stands_for(&self, sent: &str) -> Option<Count> {
        let items = self.by.values().filter(|by| by.as_str() == sent);
        Some(Count(items.count() as u64)).filter(|count| count.0 > 0)
    }
}

fn invalidation(sent: Invalidation, partition: Partition, coverage: &Coverage) -> InvalidationView {
    let console_url = sent.cloudfront_id.as_ref().map(|id| {
        let distribution = partition.console_url(sent.distribution_id.as_str());
        format!("{distribution}/invalidations/details/{id}")
    });
    let items = sent.items.iter().take(InvalidationView::SHOWN);
    let items = items.map(|item| SentItem {
        item: item.clone(),
        stands_for: coverage.stands_for(item),
    });
    InvalidationView {
        console_url,
        items: items.collect(),
        sent,
    }
}
