//! Counting recorded outcomes, and finding out which site and publishes they belong to.

use std::collections::HashSet;

use time::OffsetDateTime;
use uuid::Uuid;

use super::Dispatcher;
use crate::domain::{AfterCreate, AfterGet, AwsError, InvalidationStatus, TraceParent};
use crate::store::{Covered, PollClaim, SendClaim, SiteId};

/// How many publishes a log line names.
const NAMED: usize = 5;

/// The publishes' identifiers, for the log; of many, the first.
pub(super) fn publishes(covered: &Covered) -> String {
    let ids = covered.publishes.iter().map(|publish| publish.id);
    some_of(&ids.collect::<Vec<_>>())
}

/// The traces that they belong to, each once; of many, the first. None where no publisher named
/// one.
pub(super) fn traces(covered: &Covered) -> Option<String> {
    let mut seen = HashSet::new();
    let publishes = covered.publishes.iter();
    let traces: Vec<_> = publishes
        .filter_map(|publish| publish.traceparent.as_ref())
        .map(TraceParent::trace_id)
        .filter(|trace| seen.insert(*trace))
        .collect();
    (!traces.is_empty()).then(|| some_of(&traces))
}

fn some_of(all: &[impl ToString]) -> String {
    let some: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
    let some = some.join(" ");
    match all.len().saturating_sub(NAMED) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

/// AWS's code and words, for the log.
pub(super) fn code_and_message(error: Option<&AwsError>) -> (Option<&str>, Option<&str>) {
    (
        error.map(|error| error.code.as_str()),
        error.map(|error| error.message.as_str()),
    )
}

impl Dispatcher {
    /// Counts how a call of `CreateInvalidation` was recorded.
    pub(super) async fn observe_send(
        &self,
        claim: &SendClaim,
        after: &AfterCreate,
        accepted_at: OffsetDateTime,
    ) -> Covered {
        let covered = self.covered(claim.inputs.site, claim.stored.id).await;
        let status = match after {
            AfterCreate::InProgress { .. } => Some(InvalidationStatus::InProgress),
            AfterCreate::Completed { .. } => Some(InvalidationStatus::Completed),
            AfterCreate::Unconfirmed(_) => Some(InvalidationStatus::Unconfirmed),
            AfterCreate::Failed { .. }
            | AfterCreate::Split {
                searching: true, ..
            } => Some(InvalidationStatus::Failed),
            AfterCreate::Queued { .. } | AfterCreate::Split { .. } => None,
        };
        if let Some(status) = status {
            self.metrics.invalidation(status);
            if status != InvalidationStatus::Failed {
                self.metrics.billed_paths(claim.stored.batch.items.len());
                // A publish that several invalidations cover is counted with the last to be
                // accepted.
                for publish in &covered.publishes {
                    if publish.submitted_at == Some(accepted_at) {
                        self.metrics
                            .publish_submitted(accepted_at - publish.received_at);
                    }
                }
            }
            if status == InvalidationStatus::Completed {
                self.metrics.invalidation_completed(time::Duration::ZERO);
            }
        }
        covered
    }

    /// Counts how an answer of `GetInvalidation` was recorded.
    pub(super) async fn observe_poll(
        &self,
        claim: &PollClaim,
        after: &AfterGet,
        now: OffsetDateTime,
    ) -> Covered {
        match after {
            // By far the most frequent, and not worth a query.
            AfterGet::Again { error: None, .. } => return unknown(claim.site),
            AfterGet::Again { .. } => {}
            AfterGet::Completed => {
                self.metrics.invalidation(InvalidationStatus::Completed);
                self.metrics
                    .invalidation_completed(now - claim.submitted_at);
            }
            AfterGet::Unconfirmed(_) => self.metrics.invalidation(InvalidationStatus::Unconfirmed),
            AfterGet::Failed(_) => self.metrics.invalidation(InvalidationStatus::Failed),
        }
        self.covered(claim.site, claim.invalidation).await
    }

    /// Best effort: what was recorded stands, whether or not it can be logged in full.
    async fn covered(&self, site: SiteId, invalidation: Uuid) -> Covered {
        match self.store.covered(invalidation).await {
            Ok(Some(covered)) => covered,
            Ok(None) | Err(_) => unknown(site),
        }
    }
}

fn unknown(site: SiteId) -> Covered {
    Covered {
        site: site.to_string(),
        publishes: Vec::new(),
    }
}
