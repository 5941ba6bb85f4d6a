//! Following what CloudFront accepted until it says `Completed`.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::{Dispatcher, Ended};
use crate::domain::{
    AfterGet, Asked, AwsError, GetOutcome, InvalidationStatus, Operation, after_get,
};
use crate::store::{Covered, Places, PollClaim, PollRecorded, Publishes, StoreError};

impl Dispatcher {
    pub(super) fn places(&self) -> Places {
        Places {
            answered: self.polls.available_permits(),
            unanswered: self.doubtful_polls.available_permits(),
        }
    }

    /// Claims invalidations that are due to be asked about, and starts a call for each. Returns how
    /// many there are.
    pub(super) async fn start_polls(&self, tasks: &mut JoinSet<Ended>) -> Result<i64, StoreError> {
        let (token, now) = (self.clock.id(), self.clock.now());
        let claims = self.store.claim_polls(self.places(), token, now).await?;
        let mut started = 0;
        for claim in claims {
            let dispatcher = self.clone();
            let places = match claim.is_unanswered() {
                false => &self.polls,
                true => &self.doubtful_polls,
            };
            let place = Arc::clone(places).try_acquire_owned().ok();
            tasks.spawn(async move { dispatcher.poll(claim, place).await });
            started += 1;
        }
        Ok(started)
    }

    /// Asks in a place of its own, which it gives back before it wakes the dispatcher.
    async fn poll(&self, claim: PollClaim, place: Option<OwnedSemaphorePermit>) -> Ended {
        let settings = claim.usable_settings();
        let (distribution, id) = (&claim.distribution, &claim.cloudfront_id);
        let outcome = match &claim.settings {
            Ok(Some(settings)) => tokio::select! {
                outcome = self.cloudfront.get_invalidation(settings, distribution, id) => outcome,
                () = self.give_up.cancelled() => GetOutcome::TryLater(AwsError::stopped()),
            },
            Ok(None) => GetOutcome::SettingsRejected(AwsError::no_settings()),
            Err(unusable) => GetOutcome::TryLater(unusable.clone()),
        };
        if settings.is_some() {
            self.metrics
                .cloudfront_request(Operation::GetInvalidation, outcome.into_str());
        }
        let now = self.clock.now();
        let request_id = outcome.request_id().map(str::to_owned);
        let asked = Asked {
            now,
            submitted_at: claim.submitted_at,
            unanswered_since: claim.unanswered_since(now),
            same_distribution: claim.is_of_settings_in_force(),
            is_paused: claim.is_paused,
        };
        let after = after_get(outcome, asked);
        let fix = settings
            .zip(after.error())
            .map(|(settings, error)| settings.advise(error, Operation::GetInvalidation).fix);
        let recorded = self
            .record("GetInvalidation", || {
                self.store.record_poll(&claim, &after, fix.as_deref(), now)
            })
            .await;
        if matches!(recorded, Some(PollRecorded::Ours | PollRecorded::MadeRoom)) {
            self.count_poll(&claim, &after, now);
            let covered = match after {
                // By far the most frequent, and not worth a query.
                AfterGet::Again { error: None, .. } => Covered::unknown(claim.site),
                _ => {
                    self.covered(claim.site, claim.invalidation, Publishes::Named)
                        .await
                }
            };
            log(&claim, &after, request_id.as_deref(), &covered);
        }
        if matches!(after, AfterGet::Again { .. }) || recorded == Some(PollRecorded::Ours) {
            return Ended::Later;
        }
        drop(place);
        // Something waited for its end; or its answer was lost, and nobody knows whether.
        self.wake.wake();
        Ended::Called
    }

    fn count_poll(&self, claim: &PollClaim, after: &AfterGet, now: OffsetDateTime) {
        let status = match after {
            AfterGet::Again { .. } => return,
            AfterGet::Completed => InvalidationStatus::Completed,
            AfterGet::Unconfirmed(_) => InvalidationStatus::Unconfirmed,
            AfterGet::Failed(_) => InvalidationStatus::Failed,
        };
        self.metrics.invalidation(status);
        if status == InvalidationStatus::Completed {
            self.metrics
                .invalidation_completed(now - claim.submitted_at);
        }
    }
}

fn log(claim: &PollClaim, after: &AfterGet, request_id: Option<&str>, covered: &Covered) {
    let site = covered.site.as_str();
    let publish = covered.publish_ids();
    let trace_id = covered.trace_ids();
    let invalidation = claim.invalidation;
    let cloudfront_id = claim.cloudfront_id.as_str();
    let distribution = claim.distribution.as_str();
    let error = after.error();
    let code = error.map(|error| error.code.as_str());
    let error = error.map(|error| error.message.as_str());
    match after {
        AfterGet::Again { error: None, .. } => {
            tracing::debug!(site, %invalidation, cloudfront_id, distribution, request_id, "still in progress");
        }
        AfterGet::Again { .. } => {
            tracing::warn!(site, %publish, %invalidation, cloudfront_id, distribution, request_id, trace_id, code,
                error, "CloudFront could not be asked about it");
        }
        AfterGet::Completed => {
            tracing::info!(site, %publish, %invalidation, cloudfront_id, distribution, request_id, trace_id,
                "completed");
        }
        AfterGet::Unconfirmed(_) => {
            tracing::warn!(site, %publish, %invalidation, cloudfront_id, distribution, request_id, trace_id, code,
                error, "CloudFront can no longer be asked about it; unconfirmed");
        }
        AfterGet::Failed(_) => {
            tracing::error!(site, %publish, %invalidation, cloudfront_id, distribution, request_id, trace_id, code,
                error, "CloudFront no longer knows it; failed");
        }
    }
}
