//! Following what CloudFront accepted until it says `Completed`.

use tokio::task::JoinSet;

use super::observe::Owner;
use super::{CALLS, Dispatcher};
use crate::domain::{AfterGet, AwsError, GetOutcome, Operation, after_get};
use crate::store::{PollClaim, StoreError};

impl Dispatcher {
    /// Claims invalidations that are due to be asked about, and starts a call for each.
    pub(super) async fn claim_polls(&self, calls: &mut JoinSet<()>) -> Result<usize, StoreError> {
        if calls.len() >= CALLS {
            return Ok(0);
        }
        let claims = self
            .store
            .claim_polls(self.clock.id(), self.clock.now())
            .await?;
        let claimed = claims.len();
        for claim in claims {
            let dispatcher = self.clone();
            calls.spawn(async move { dispatcher.poll(claim).await });
        }
        Ok(claimed)
    }

    async fn poll(&self, claim: PollClaim) {
        let outcome = match &claim.settings {
            Some(settings) => tokio::select! {
                outcome = self.cloudfront.get_invalidation(settings, &claim.distribution, &claim.id) => outcome,
                () = self.give_up.cancelled() => GetOutcome::TryLater(AwsError::stopped()),
            },
            None => GetOutcome::SettingsRejected(AwsError::no_settings()),
        };
        if claim.settings.is_some() {
            self.metrics
                .cloudfront_request(Operation::GetInvalidation, outcome.as_str());
        }
        let now = self.clock.now();
        let same_distribution = claim
            .settings
            .as_ref()
            .is_some_and(|s| s.distribution_id == claim.distribution);
        let after = after_get(outcome, claim.submitted_at, now, same_distribution);
        let fix = claim
            .settings
            .as_ref()
            .zip(after.error())
            .map(|(settings, error)| settings.advise(error, Operation::GetInvalidation).fix);
        let ours = self
            .record("GetInvalidation", || {
                self.store.record_poll(&claim, &after, fix.as_deref(), now)
            })
            .await;
        if ours {
            let owner = self.observe_poll(&claim, &after, now).await;
            log(&claim, &after, &owner);
        }
        if !matches!(after, AfterGet::Again { .. }) {
            self.wake.wake();
        }
    }
}

fn log(claim: &PollClaim, after: &AfterGet, owner: &Owner) {
    let site = owner.site();
    let publish = owner.publishes();
    let invalidation = claim.invalidation;
    let id = claim.id.as_str();
    match after {
        AfterGet::Again { error: None, .. } => {
            tracing::debug!(site, %publish, %invalidation, id, "still in progress");
        }
        AfterGet::Again {
            error: Some(error), ..
        } => {
            tracing::warn!(site, %publish, %invalidation, id, code = error.code, request_id = error.request_id, message = error.message, "cannot be asked about");
        }
        AfterGet::Completed => tracing::info!(site, %publish, %invalidation, id, "completed"),
        AfterGet::Unconfirmed(error) => {
            tracing::warn!(site, %publish, %invalidation, id, code = error.code, request_id = error.request_id, "nobody can ask any more; unconfirmed");
        }
        AfterGet::Failed(error) => {
            tracing::error!(site, %publish, %invalidation, id, code = error.code, request_id = error.request_id, "CloudFront no longer knows it; failed");
        }
    }
}
