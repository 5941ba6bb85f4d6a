//! Sending: what has gathered at a distribution while the last call was under way, or no call was
//! allowed.

use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;

use super::observe::{Owner, said};
use super::wake::Turn;
use super::{DATABASE_PAUSE, Dispatcher, Ended, LOOK_PATIENCE};
use crate::domain::spending::next_month;
use crate::domain::{
    AfterCreate, AwsError, CreateOutcome, Holdup, KnownPaths, Operation, PlanInput, Policy, Sent,
    TraceParent, WaitReason, after_create, plan,
};
use crate::store::{Lane, SendClaim, SendRecord, SiteId, StoreError};

/// How long to wait for room in the quota before looking again unasked. A completion of ours ends
/// the wait early.
const QUOTA_WAIT: Duration = Duration::seconds(30);
/// The longest that a distribution waits without another look: a rate may be raised meanwhile.
const LONGEST_HOLD: Duration = Duration::minutes(1);

/// How long a site is left alone whose secret does not open. New settings end the wait.
const UNREADABLE_WAIT: Duration = Duration::minutes(10);

/// What came of looking whether a site may send.
enum Next {
    /// A call is claimed.
    Call(Box<SendClaim>),
    /// It has nothing to send.
    Nothing,
    /// It may not send now.
    Waits,
}

impl Next {
    fn call(claim: SendClaim) -> Self {
        Self::Call(Box::new(claim))
    }
}

impl Dispatcher {
    /// Starts a site's turn, unless it has begun: its next call is claimed, if it has something to
    /// send and may, made and recorded.
    pub(super) fn start_send(&self, site: SiteId, tasks: &mut JoinSet<Ended>) {
        if let Some(turn) = self.wake.turn(site) {
            let dispatcher = self.clone();
            tasks.spawn(async move { dispatcher.serve(turn).await });
        }
    }

    async fn serve(&self, turn: Turn) -> Ended {
        let _call = self.sends.acquire().await.ok();
        let next = {
            let Ok(_claim) = self.claims.acquire().await else {
                return Ended::Later;
            };
            let claimed = tokio::time::timeout(LOOK_PATIENCE, self.claim_send(turn.site)).await;
            claimed.unwrap_or_else(|_| Err(StoreError::no_answer()))
        };
        match next {
            Ok(Next::Call(claim)) => {
                self.send(*claim).await;
                drop(turn);
                self.wake.wake();
                Ended::Called
            }
            Ok(Next::Nothing) => Ended::Later,
            Ok(Next::Waits) => {
                turn.waits();
                Ended::Later
            }
            Err(error) => {
                tracing::warn!(site = %turn.site, %error, "a call could not be claimed");
                // Its turn lasts as long, so that it is not claimed again at once.
                tokio::time::sleep(DATABASE_PAUSE).await;
                Ended::Later
            }
        }
    }

    /// Claims the site's next call. A site whose secret does not open is paused.
    async fn claim_send(&self, site: SiteId) -> Result<Next, StoreError> {
        match self.next_send(site).await {
            Err(StoreError::Seal(error)) => {
                tracing::error!(%site, %error, "paused");
                let (error, now) = (
                    AwsError::unreadable_secret(&error.to_string()),
                    self.clock.now(),
                );
                self.store
                    .pause(site, &error, now + UNREADABLE_WAIT, now)
                    .await?;
                Ok(Next::Waits)
            }
            next => next,
        }
    }

    async fn next_send(&self, site: SiteId) -> Result<Next, StoreError> {
        let now = self.clock.now();
        let limits = &self.limits;
        let Some(mut lane) = self.store.open_lane(site, limits, now).await? else {
            return Ok(Next::Waits);
        };
        let room = limits.left(lane.in_progress);
        if let Some(due) = lane.due(now) {
            if !due.usage.fits(room) {
                return hold(lane, WaitReason::Quota, now + QUOTA_WAIT, now).await;
            }
            if let Err(next) = lane.flow.admits(due.usage, limits) {
                return hold(lane, WaitReason::Rate, next, now).await;
            }
            return match lane.take_call(now).await? {
                Ok(()) => Ok(Next::call(lane.claim(due, self.clock.id(), now).await?)),
                Err(next) => hold(lane, WaitReason::Rate, next, now).await,
            };
        }
        if lane.is_held(now) {
            return Ok(Next::Waits);
        }
        if let Err(next) = lane.may_plan() {
            return hold(lane, WaitReason::Retry, next, now).await;
        }
        let terms = lane.terms(now).await?;
        let mut room = lane.flow.narrow(room, limits);
        let mut waiting = lane.waiting(terms.policy.can_use(room)).await?;
        if waiting.is_empty() {
            return Ok(Next::Nothing);
        }
        if let Some(left) = terms.paths_left {
            room.paths_per_request = room
                .paths_per_request
                .min(u32::try_from(left).unwrap_or(u32::MAX));
            if terms.policy == Policy::Exact {
                // One that is larger than a whole request would be cut, and its rest pass the
                // limit.
                waiting.retain(|publish| publish.items.len() as u64 <= left);
            }
        }
        let overdue = limits.is_overdue(&waiting, lane.backlog_since, now);
        let known_paths = if terms.may_fold(&waiting, overdue) {
            lane.known_paths().await?
        } else {
            KnownPaths::default()
        };
        let plan = plan(&PlanInput {
            waiting: &waiting,
            room,
            quota: limits.quota(),
            policy: terms.policy,
            known_paths: &known_paths,
            free_paths_left: Some(terms.free_paths_left),
            overdue,
        });
        if plan.batches.is_empty() {
            let past_limit = waiting.is_empty() || plan.waits == Some(Holdup::NextCall);
            if terms.paths_left.is_some() && past_limit {
                lane.hold_site(next_month(now)).await?;
                return Ok(Next::Waits);
            }
            return match lane.flow.full_at(limits) {
                Some(full) => hold(lane, WaitReason::Rate, full, now).await,
                None => hold(lane, WaitReason::Quota, now + QUOTA_WAIT, now).await,
            };
        }
        match lane.take_call(now).await? {
            Ok(()) => Ok(lane
                .claim_planned(&plan, &waiting, || self.clock.id(), now)
                .await?
                .map_or(Next::Nothing, Next::call)),
            Err(next) => hold(lane, WaitReason::Rate, next, now).await,
        }
    }

    async fn send(&self, claim: SendClaim) {
        let distribution = &claim.settings.distribution_id;
        // Each try is a call of its own in the publisher's trace.
        let parent = claim.traceparent.as_ref();
        let trace = parent.map(|parent| parent.child(u64::from_ne_bytes(*self.clock.random())));
        let outcome = if self.clock.now() < claim.call_before() {
            tokio::select! {
                outcome = self.cloudfront.create_invalidation(&claim.settings, distribution, &claim.batch, trace.as_ref()) => outcome,
                () = self.give_up.cancelled() => CreateOutcome::Unknown(AwsError::stopped()),
            }
        } else {
            // A process that was stopped, or a machine: somebody else may be calling by now.
            CreateOutcome::NotSent(AwsError::too_late())
        };
        self.metrics
            .cloudfront_request(Operation::CreateInvalidation, outcome.into_str());
        let now = self.clock.now();
        let request_id = outcome.request_id().map(str::to_owned);
        let after = after_create(
            outcome,
            &Sent {
                now,
                planned_at: claim.planned_at,
                items: claim.batch.items.len(),
                failures: claim.failures,
                others_in_progress: claim.others_in_progress,
                paused_since: claim.paused_since,
            },
        );
        let record = SendRecord {
            fix: after.error().map(|error| {
                claim
                    .settings
                    .advise(error, Operation::CreateInvalidation)
                    .fix
            }),
            halves: [self.clock.id(), self.clock.id()],
            after,
        };
        let ours = self
            .record("CreateInvalidation", || {
                self.store.record_send(&claim, &record, &self.limits, now)
            })
            .await;
        if ours {
            let owner = self.observe_send(&claim, &record.after, now).await;
            let span_id = trace.as_ref().map(TraceParent::span_id);
            log(
                &claim,
                &record.after,
                request_id.as_deref(),
                span_id,
                &owner,
            );
        } else {
            tracing::info!(site = %claim.site, invalidation = %claim.invalidation,
                "another replica has taken this invalidation over; its record stands");
        }
    }
}

async fn hold(
    lane: Lane,
    why: WaitReason,
    until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Next, StoreError> {
    lane.wait(why, until.min(now + LONGEST_HOLD), now).await?;
    Ok(Next::Waits)
}

fn log(
    claim: &SendClaim,
    after: &AfterCreate,
    request_id: Option<&str>,
    span_id: Option<&str>,
    owner: &Owner,
) {
    let site = owner.site();
    let publish = owner.publishes();
    let trace_id = owner.traces();
    let invalidation = claim.invalidation;
    let distribution = claim.settings.distribution_id.as_str();
    let items = claim.batch.items.len();
    let (code, error) = said(after.error());
    match after {
        AfterCreate::InProgress { id, .. } | AfterCreate::Completed { id } => {
            let cloudfront_id = id.as_str();
            tracing::info!(site, %publish, %invalidation, cloudfront_id, distribution, request_id, trace_id, span_id,
                items, "accepted by CloudFront");
        }
        AfterCreate::Hold { why, .. } => {
            let waiting_for = why.into_str();
            tracing::warn!(site, %publish, %invalidation, distribution, request_id, trace_id, span_id, items, code,
                error, waiting_for, "not accepted yet");
        }
        AfterCreate::Unconfirmed(_) => {
            tracing::warn!(site, %publish, %invalidation, distribution, request_id, trace_id, span_id, items, code,
                error, "accepted by an earlier attempt whose answer was lost; unconfirmed");
        }
        AfterCreate::Split(_) => {
            tracing::warn!(site, %publish, %invalidation, distribution, request_id, trace_id, span_id, items, code,
                error, "refused as a whole; trying each half");
        }
        AfterCreate::Failed(_) => {
            tracing::error!(site, %publish, %invalidation, distribution, request_id, trace_id, span_id, items, code,
                error, "failed");
        }
    }
}
