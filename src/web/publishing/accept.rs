//! Accepting a publish.

use crate::domain::TraceParent;
use crate::store::{Acceptance, AcceptedPublish, IdempotencyKey, NewPublish, Site};
use crate::web::http::error::{Error, Result};
use crate::web::state::AppState;

/// Makes a publish durable, from wherever it comes, and counts and logs it. A repeat comes back as
/// the first time, whatever has become of it and of the site's rules since.
///
/// No `async fn`: its future would contain the publish, and with it each that awaits it.
pub(crate) fn accept<'a>(
    state: &'a AppState,
    site: &'a Site,
    publish: NewPublish,
) -> impl Future<Output = Result<AcceptedPublish>> + use<'a> {
    let new = AcceptedPublish {
        id: publish.id,
        received_at: publish.received_at,
        items: publish
            .items
            .iter()
            .map(|item| item.as_str().to_owned())
            .collect(),
        widened: publish.widened.clone(),
    };
    let trace = publish.traceparent.clone();
    let accepted = state.inbox.accept(publish);
    async move {
        let trace_id = trace.as_ref().map(TraceParent::trace_id);
        match accepted.await? {
            Acceptance::Stored => {
                let after = state.clock.now() - new.received_at;
                state.metrics.publish_accepted(after);
                let items = new.items.len();
                tracing::info!(site = site.name, publish = %new.id, trace_id, items, "accepted");
                Ok(new)
            }
            Acceptance::Repeat(first) => {
                tracing::info!(site = site.name, publish = %first.id, trace_id, "repeated");
                Ok(first)
            }
            Acceptance::KeyReused => Err(Error::KeyReused),
        }
    }
}

/// The publish that came with this key before, for a repeat that would be refused now: it is on its
/// way, and “nothing was queued” would not be true.
pub(crate) async fn accepted_before(
    state: &AppState,
    site: &Site,
    key: Option<&IdempotencyKey>,
) -> Result<Option<AcceptedPublish>> {
    let Some(key) = key else {
        return Ok(None);
    };
    let _turn = state.turns.reads.acquire(site.id).await?;
    Ok(state.store.first_publish(site.id, key).await?)
}
