//! Sending what has gathered at a distribution while the last call was under way or none was
//! allowed.

use std::pin::pin;

use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;

use super::look::Next;
use super::queues::Place;
use super::wake::SiteTurn;
use super::{DATABASE_PAUSE, Dispatcher, Ended, LOOK_TIMEOUT, UNREAD};
use crate::domain::plan::MAX_BATCH_BYTES;
use crate::domain::{
    AfterCreate, AwsError, CreateOutcome, InvalidationBatch, InvalidationStatus, Operation, Sent,
    TraceParent, after_create,
};
use crate::store::{Covered, Publishes, Recorded, SendClaim, SendRecord, SiteId, within};

/// How often a call's items are in memory: as claimed, as the SDK takes them, and twice as XML,
/// which has tags and grows.
const COPIES: usize = 4;
/// What calls take at least and at most, in KiB.
const SMALLEST_SEND: u32 = 384;
const LARGEST_SEND: u32 = (COPIES * MAX_BATCH_BYTES / 1024) as u32;

/// What a call with this batch takes, in KiB.
fn memory_of(batch: &InvalidationBatch) -> u32 {
    let bytes: usize = batch.items.iter().map(|item| item.as_str().len()).sum();
    let kib = u32::try_from(COPIES * bytes / 1024).unwrap_or(LARGEST_SEND);
    kib.clamp(SMALLEST_SEND, LARGEST_SEND)
}

impl Dispatcher {
    /// Starts a site's turn, unless it has begun: if it has something to send and may send it, its
    /// next call is claimed, made and recorded.
    pub(super) fn start_send(
        &self,
        site: SiteId,
        place: Option<Place>,
        tasks: &mut JoinSet<Ended>,
    ) {
        if let Some(turn) = self.wake.turn(site) {
            let dispatcher = self.clone();
            tasks.spawn(async move { dispatcher.serve(turn, place).await });
        }
    }

    async fn serve(&self, turn: SiteTurn, mut place: Option<Place>) -> Ended {
        loop {
            if let Some(place) = &place {
                place.reached().await;
            }
            // Armed before looking, so that a call that ends meanwhile is not missed.
            let mut changed = pin!(self.wake.changed());
            changed.as_mut().enable();
            // Nobody knows yet how large it will be.
            let mut call = self.sends.acquire_many(LARGEST_SEND).await.ok();
            let next = {
                let Ok(_claim) = self.claims.acquire().await else {
                    return Ended::Later;
                };
                within(LOOK_TIMEOUT, self.claim_send(turn.site)).await
            };
            drop(place.take());
            match next {
                Ok(Next::Call(claim)) => {
                    let spare = LARGEST_SEND - memory_of(&claim.stored.batch);
                    drop(call.as_mut().and_then(|call| call.split(spare as usize)));
                    tokio::join!(self.send(*claim), tokio::time::sleep(self.min_turn));
                    drop((turn, call));
                    self.wake.wake();
                    return Ended::Called;
                }
                Ok(Next::Nothing) => return Ended::Later,
                Ok(Next::Waits) => {
                    drop(call);
                    // What it publishes meanwhile is looked at after its turn.
                    tokio::time::sleep(self.quiet).await;
                    return Ended::Later;
                }
                Ok(Next::Unread) => {
                    drop(call);
                    tokio::time::sleep(self.quiet * UNREAD).await;
                    return Ended::Later;
                }
                Ok(next @ (Next::Taken(_) | Next::Stale)) => {
                    drop(call);
                    // The call of a neighbour, or of another replica. We hear at once of the end of
                    // a call of our own.
                    if tokio::time::timeout(self.quiet, changed).await.is_err() {
                        return Ended::Later;
                    }
                    // Others have waited for it too, and the quickest look would always win.
                    if let Next::Taken(distribution) = next {
                        place = Some(self.queues.place([distribution.as_str()]));
                    }
                }
                Err(error) => {
                    tracing::warn!(site = %turn.site, %error, "could not claim a call");
                    // The turn lasts through the pause, so that it is not claimed again at once.
                    tokio::time::sleep(DATABASE_PAUSE).await;
                    return Ended::Later;
                }
            }
        }
    }

    async fn send(&self, claim: SendClaim) {
        let (inputs, stored) = (&claim.inputs, &claim.stored);
        let settings = &inputs.settings;
        // Each try is a call of its own in the publisher's trace.
        let parent = claim.traceparent.as_ref();
        let trace = parent.map(|parent| parent.child(u64::from_ne_bytes(*self.clock.random())));
        let began_at = self.clock.now();
        let outcome = if began_at < claim.call_before() {
            tokio::select! {
                outcome = self.cloudfront.create_invalidation(settings, &stored.batch, trace.as_ref()) => outcome,
                () = self.give_up.cancelled() => CreateOutcome::Unknown(AwsError::stopped()),
            }
        } else {
            // The process was stopped, or its machine: another replica may be calling by now.
            CreateOutcome::NotSent(AwsError::too_late())
        };
        self.metrics
            .cloudfront_request(Operation::CreateInvalidation, outcome.into_str());
        let now = self.clock.now();
        let request_id = outcome.request_id().map(str::to_owned);
        let may_be_since = stored.unknown_since.map(|_| stored.planned_at);
        let accepted_at = outcome.accepted_at(may_be_since, now);
        let verdict = after_create(
            outcome,
            &Sent {
                now,
                planned_at: stored.planned_at,
                waiting_since: claim.waiting_since(),
                items: &stored.batch.items,
                unanswered_since: claim.unanswered_since(now),
                unknown_since: stored.unknown_since,
                throttled: stored.throttled,
                others: claim.others(),
                spare_call: claim.taking.bucket.next_call().is_none(),
                beliefs: claim.beliefs(began_at),
                limits: &self.limits,
                search: claim.search,
                paused_since: inputs.paused_since,
            },
        );
        let pieces = match &verdict.after {
            AfterCreate::Split { pieces, .. } => pieces.len(),
            _ => 0,
        };
        let record = SendRecord {
            fix: verdict.after.error().map(|error| {
                let operation = Operation::CreateInvalidation;
                settings.advise(error, operation).fix
            }),
            ids: (0..pieces).map(|_| self.clock.id()).collect(),
            accepted_at,
            verdict,
        };
        let recorded = self
            .record("CreateInvalidation", || {
                self.store.record_send(&claim, &record, &self.limits, now)
            })
            .await;
        let after = &record.verdict.after;
        match recorded {
            Some(Recorded::Ours) => {
                // Metrics count the publishes of an accepted call one by one.
                let publishes = match after.is_accepted() {
                    true => Publishes::All,
                    false => Publishes::Named,
                };
                let covered = self.covered(inputs.site, stored.id, publishes).await;
                self.count_send(&claim, after, accepted_at, &covered);
                let span_id = trace.as_ref().map(TraceParent::span_id);
                log(&claim, after, request_id.as_deref(), span_id, &covered);
            }
            Some(Recorded::SetAside) => {
                tracing::info!(site = %inputs.site, invalidation = %stored.id,
                    "the site moved to other settings during the call");
            }
            Some(Recorded::TakenOver) => {
                tracing::info!(site = %inputs.site, invalidation = %stored.id,
                    "another replica has taken this invalidation over; its record stands");
            }
            // `record` has logged that the service stopped first.
            None => {}
        }
    }

    fn count_send(
        &self,
        claim: &SendClaim,
        after: &AfterCreate,
        accepted_at: OffsetDateTime,
        covered: &Covered,
    ) {
        let status = match after {
            AfterCreate::InProgress { .. } => InvalidationStatus::InProgress,
            AfterCreate::Completed { .. } => InvalidationStatus::Completed,
            AfterCreate::Unconfirmed(_) => InvalidationStatus::Unconfirmed,
            AfterCreate::Failed { .. }
            | AfterCreate::Split {
                searching: true, ..
            } => InvalidationStatus::Failed,
            AfterCreate::Queued { .. } | AfterCreate::Split { .. } => return,
        };
        self.metrics.invalidation(status);
        if status == InvalidationStatus::Failed {
            return;
        }
        self.metrics.billed_paths(claim.stored.batch.items.len());
        for publish in &covered.publishes {
            // One that several invalidations cover is counted with the last to be accepted.
            if publish.submitted_at == Some(accepted_at) {
                self.metrics
                    .publish_submitted(accepted_at - publish.received_at);
            }
        }
        if status == InvalidationStatus::Completed {
            self.metrics.invalidation_completed(Duration::ZERO);
        }
    }
}

fn log(
    claim: &SendClaim,
    after: &AfterCreate,
    request_id: Option<&str>,
    span_id: Option<&str>,
    covered: &Covered,
) {
    let site = covered.site.as_str();
    let publish = covered.publish_ids();
    let trace_id = covered.trace_ids();
    let invalidation = claim.stored.id;
    let distribution = claim.inputs.settings.distribution_id.as_str();
    let items = claim.stored.batch.items.len();
    let error = after.error();
    let code = error.map(|error| error.code.as_str());
    let error = error.map(|error| error.message.as_str());
    match after {
        AfterCreate::InProgress { id, .. } | AfterCreate::Completed { id } => {
            let cloudfront_id = id.as_str();
            tracing::info!(site, %publish, %invalidation, cloudfront_id, distribution, request_id, trace_id, span_id,
                items, "accepted by CloudFront");
        }
        AfterCreate::Queued { why, .. } => {
            let waiting_for = why.into_str();
            tracing::warn!(site, %publish, %invalidation, distribution, request_id, trace_id, span_id, items, code,
                error, waiting_for, "not accepted yet");
        }
        AfterCreate::Unconfirmed(_) => {
            tracing::warn!(site, %publish, %invalidation, distribution, request_id, trace_id, span_id, items, code,
                error, "accepted by an earlier attempt whose answer was lost; unconfirmed");
        }
        AfterCreate::Split { .. } => {
            tracing::warn!(site, %publish, %invalidation, distribution, request_id, trace_id, span_id, items, code,
                error, "refused as a whole; trying it in pieces");
        }
        AfterCreate::Failed { .. } => {
            tracing::error!(site, %publish, %invalidation, distribution, request_id, trace_id, span_id, items, code,
                error, "failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatcher::SENDS;
    use crate::domain::{CallerReference, Item};

    fn memory_of_paths(count: usize, length: usize) -> u32 {
        let path = format!("/{}", "x".repeat(length - 1));
        let path = Item::from_canonical(&path).expect("a path");
        memory_of(&InvalidationBatch {
            caller_reference: CallerReference::of(uuid::Uuid::nil()),
            items: vec![path; count],
        })
    }

    #[test]
    fn hundreds_of_small_calls_go_at_once_and_as_many_large_ones_as_memory_allows() {
        assert_eq!(memory_of_paths(1, 10), SMALLEST_SEND);
        assert_eq!(memory_of_paths(1_000, 200), 781);
        assert_eq!(memory_of_paths(3_000, 349), 4_089);
        assert_eq!(memory_of_paths(3_000, 400), LARGEST_SEND, "an old one");
        assert_eq!(256 * SMALLEST_SEND + LARGEST_SEND, SENDS as u32);
    }
}
