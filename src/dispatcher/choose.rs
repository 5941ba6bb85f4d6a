//! Choosing what a site sends next, and claiming it.

use time::{Duration, OffsetDateTime};

use super::Dispatcher;
use crate::domain::pieces::{fit, joined};
use crate::domain::spending::next_month;
use crate::domain::{
    AwsError, Holdup, KnownPaths, PlanInput, Usage, WaitReason, Waiting, Wanted, plan,
};
use crate::store::{PlanInputs, SendClaim, SiteId, StoreError, Stored, Taking};

/// The longest that a site waits without another look: what it waits for may change unheard.
const LONGEST_HOLD: Duration = Duration::minutes(1);
/// While so many invalidations of a site wait for another try, and CloudFront has answered nothing
/// since, new publishes gather: an outage must not turn each into a call of its own.
const RETRYING: i64 = 2;
/// For how long they gather.
const GATHER: Duration = Duration::seconds(30);
/// How often what a claim goes by may have moved before the site is left for later.
const TRIES: usize = 4;

/// How long a site is left alone whose secret does not open. New settings end the wait.
const UNREADABLE_WAIT: Duration = Duration::minutes(10);

/// What came of looking whether a site may send.
pub(super) enum Next {
    /// A call is claimed.
    Call(Box<SendClaim>),
    /// It has nothing to send.
    Nothing,
    /// It may not send now.
    Waits,
    /// Another call to its distribution is under way.
    Taken,
}

impl Next {
    fn call(claim: SendClaim) -> Self {
        Self::Call(Box::new(claim))
    }
}

impl Dispatcher {
    /// How things stand at a site. One whose settings cannot be read is paused.
    async fn inputs(
        &self,
        site: SiteId,
        now: OffsetDateTime,
    ) -> Result<Option<PlanInputs>, StoreError> {
        match self.store.plan_inputs(site, &self.limits, now).await {
            Err(error) if error.is_about_a_row() => {
                tracing::error!(%site, %error, "paused");
                let error = match error {
                    StoreError::NotGranted => AwsError::not_granted(),
                    error => AwsError::unreadable_secret(&error.to_string()),
                };
                let until = now + UNREADABLE_WAIT;
                self.store.pause(site, &error, until, now).await?;
                Ok(None)
            }
            inputs => inputs,
        }
    }

    /// Claims the site's next call.
    pub(super) async fn claim_send(&self, site: SiteId) -> Result<Next, StoreError> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let Some(inputs) = self.inputs(site, now).await? else {
                return Ok(Next::Nothing);
            };
            if inputs.resume_at.is_some_and(|at| at > now) {
                return Ok(Next::Waits);
            }
            if inputs.leased_until.is_some_and(|until| until > now) {
                return Ok(Next::Taken);
            }
            let bucket = match inputs.bucket.take(&self.limits) {
                Ok(bucket) => bucket,
                // Before anything is read and planned in vain.
                Err(next) => {
                    match self
                        .wait(&inputs, WaitReason::Rate, next, None, now)
                        .await?
                    {
                        Some(next) => return Ok(next),
                        None => continue,
                    }
                }
            };
            let round = Round {
                taking: Taking {
                    bucket,
                    has_backlog: false,
                    limited_until: None,
                    token: self.clock.id(),
                    now,
                },
                inputs,
            };
            match self.choose(&round).await? {
                Some(next) => return Ok(next),
                None => tracing::debug!(%site, "what a claim went by has moved; reading again"),
            }
        }
        Ok(Next::Taken)
    }

    /// Claims what goes next: what is stored, before what is new; and what had trouble by turns with
    /// what is new. None: something has moved.
    async fn choose(&self, round: &Round) -> Result<Option<Next>, StoreError> {
        let inputs = &round.inputs;
        let due = match inputs.stored_due {
            0 => Vec::new(),
            _ => self.store.stored(inputs, round.taking.now).await?,
        };
        let (trouble, due): (Vec<_>, Vec<_>) = due.into_iter().partition(|s| s.is_trouble);
        if let Some(next) = self.choose_stored(round, &due).await? {
            return Ok(next);
        }
        let trouble_first = round.trouble_first();
        if trouble_first && let Some(next) = self.choose_stored(round, &trouble).await? {
            return Ok(next);
        }
        let planned = self.choose_new(round).await?;
        if matches!(planned, None | Some(Next::Call(_))) || trouble_first {
            return Ok(planned);
        }
        match self.choose_stored(round, &trouble).await? {
            Some(next) => Ok(next),
            None => Ok(planned),
        }
    }

    /// The first stored invalidation that may go; outer none: none may.
    async fn choose_stored(
        &self,
        round: &Round,
        due: &[Stored],
    ) -> Result<Option<Option<Next>>, StoreError> {
        let Round { inputs, taking } = round;
        let (limits, now) = (&inputs.limits, taking.now);
        let room = inputs.room(now);
        for (at, stored) in due.iter().enumerate() {
            // One that may have been accepted is not cut, and may be larger than what is believed.
            if !stored.needs(now).at_most(limits.quota()).fits(room) {
                let flow = inputs.beliefs.flow(limits, now);
                let (why, until) = match flow.admits(stored.usage, limits) {
                    Err(next) => (WaitReason::Rate, next),
                    Ok(()) => (WaitReason::Quota, inputs.ask_again_at(stored.usage, now)),
                };
                let held = self
                    .store
                    .hold_stored(inputs, stored, why, until, now)
                    .await?;
                if !held {
                    return Ok(Some(None));
                }
                continue;
            }
            if stored.unknown_since.is_none() {
                let pieces = fit(&stored.items, limits.quota());
                if pieces.len() > 1 {
                    let ids: Vec<_> = pieces.iter().map(|_| self.clock.id()).collect();
                    self.store.cut(inputs, stored, &pieces, &ids, now).await?;
                    return Ok(Some(None));
                }
            }
            let like_it: Vec<_> = due[at..].iter().take_while(|s| s.may_join()).collect();
            let sizes: Vec<_> = like_it.iter().map(|stored| stored.usage).collect();
            let together = joined(&sizes, inputs.beliefs.last(), room.at_most(limits.quota()));
            if together > 1 {
                let id = self.clock.id();
                self.store
                    .join(inputs, &like_it[..together], id, now)
                    .await?;
                return Ok(Some(None));
            }
            let claim = self.store.claim_stored(inputs, stored, *taking).await?;
            return Ok(Some(claim.map(Next::call)));
        }
        Ok(None)
    }

    /// Plans what waits, and claims the first batch.
    async fn choose_new(&self, round: &Round) -> Result<Option<Next>, StoreError> {
        let Round { inputs, taking } = round;
        let now = taking.now;
        if inputs.paused_since.is_some() && inputs.stored > 0 {
            // What is stored shows whether the settings work.
            return Ok(Some(Next::Nothing));
        }
        if let Some(until) = round.gathers_until() {
            return self.wait(inputs, WaitReason::Retry, until, None, now).await;
        }
        let limits = &inputs.limits;
        let spending = &inputs.spending;
        let terms = spending.terms(&inputs.month, inputs.in_flight, &limits.prices);
        let room = inputs.room(now).less(inputs.reserved);
        let wanted = Wanted {
            policy: terms.policy,
            room,
            budget: terms.paths_left,
        };
        let waiting = self.store.waiting(inputs.site, wanted).await?;
        if waiting.is_empty() {
            return Ok(Some(Next::Nothing));
        }
        // Counted before what is asked twice falls away, which takes milliseconds of its own.
        let most = waiting
            .iter()
            .map(|publish| Usage::of(&publish.items))
            .sum();
        let backlog_since = inputs.backlog_since;
        let known_paths = if terms.may_fold(most, limits.is_overdue(most, backlog_since, now)) {
            self.store.known_paths(inputs.site).await?
        } else {
            KnownPaths::default()
        };
        let (limits, quota) = (*limits, limits.quota());
        // Thousands of items take milliseconds, during which no request is to wait.
        let planning = tokio::task::spawn_blocking(move || {
            let plan = plan(&PlanInput {
                waiting: &waiting,
                room,
                quota,
                policy: terms.policy,
                known_paths: &known_paths,
                free_paths_left: Some(terms.free_paths_left),
                budget: terms.paths_left,
                overdue: limits.is_overdue(Waiting::asked(&waiting), backlog_since, now),
            });
            (plan, waiting)
        });
        let Ok((plan, waiting)) = planning.await else {
            // It has panicked, which is in the log.
            return Ok(Some(Next::Waits));
        };
        let limited_until = plan.is_limited.then(|| next_month(now));
        if plan.batches.is_empty() {
            let (why, until) = match inputs.beliefs.flow(&limits, now).full_at(&limits) {
                _ if plan.waits == Some(Holdup::Budget) => (WaitReason::Quota, now + LONGEST_HOLD),
                Some(full) => (WaitReason::Rate, full),
                None => {
                    let asked: Vec<_> = waiting.iter().flat_map(|w| &w.items).cloned().collect();
                    let until = inputs.ask_again_at(Usage::of(&asked), now);
                    (WaitReason::Quota, until)
                }
            };
            return self.wait(inputs, why, until, limited_until, now).await;
        }
        let ids = plan.batches.iter().map(|_| self.clock.id()).collect();
        let taking = Taking {
            has_backlog: matches!(plan.waits, Some(Holdup::Quota | Holdup::NextCall)),
            limited_until,
            ..*taking
        };
        let claim = self
            .store
            .claim_planned(inputs, &plan, &waiting, ids, taking)
            .await?;
        Ok(claim.map(Next::call))
    }

    /// None: something has moved.
    async fn wait(
        &self,
        inputs: &PlanInputs,
        why: WaitReason,
        until: OffsetDateTime,
        limited_until: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<Option<Next>, StoreError> {
        let until = until.min(now + LONGEST_HOLD);
        let noted = self
            .store
            .wait(inputs, why, until, limited_until, now)
            .await?;
        Ok(noted.then_some(Next::Waits))
    }
}

/// One look at a site that may send.
struct Round {
    inputs: PlanInputs,
    taking: Taking,
}

impl Round {
    /// Whether it is the turn of what had trouble, rather than of what is new.
    fn trouble_first(&self) -> bool {
        self.inputs.has_odd_turn() || self.inputs.paused_since.is_some()
    }

    /// Until when new publishes gather, because CloudFront answers nothing.
    fn gathers_until(&self) -> Option<OffsetDateTime> {
        let inputs = &self.inputs;
        let since = inputs
            .retrying_since
            .filter(|_| inputs.retrying >= RETRYING)?;
        let answered = inputs.beliefs.answered_at.is_some_and(|at| at > since);
        let until = since + GATHER;
        (!answered && self.taking.now < until).then_some(until)
    }
}
