//! Accepting a publish.

use crate::domain::TraceParent;
use crate::store::{Acceptance, FirstPublish, NewPublish, RepeatKey, Site};
use crate::web::http::error::Result;
use crate::web::state::AppState;

/// Makes a publish durable, from wherever it comes, and counts and logs it.
pub(crate) fn accept<'a>(
    state: &'a AppState,
    site: &'a Site,
    publish: NewPublish,
) -> impl Future<Output = Result<Acceptance>> + use<'a> {
    let (id, received_at, items) = (publish.id, publish.received_at, publish.items.len());
    let trace = publish.traceparent.clone();
    let accepted = state.inbox.accept(publish);
    async move {
        let trace_id = trace.as_ref().map(TraceParent::trace_id);
        let acceptance = accepted.await?;
        match &acceptance {
            Acceptance::Stored => {
                state
                    .metrics
                    .publish_accepted(state.clock.now() - received_at);
                tracing::info!(site = site.name, publish = %id, trace_id, items, "accepted");
            }
            Acceptance::Repeat(first) => {
                tracing::info!(site = site.name, publish = %first.id, trace_id, "repeated");
            }
            Acceptance::KeyReused => {}
        }
        Ok(acceptance)
    }
}

/// The publish that came with this key before, for a repeat that would be refused now: it is on its
/// way, and “nothing was queued” would not be true.
pub(crate) async fn accepted_before(
    state: &AppState,
    site: &Site,
    key: &RepeatKey,
) -> Result<Option<FirstPublish>> {
    let _turn = state.turns.reads.place(site.id).await?;
    Ok(state.store.first_publish(site.id, key).await?)
}
