//! Choosing what a site sends next, and claiming it.

use time::{Duration, OffsetDateTime};

use super::Dispatcher;
use crate::domain::pieces::{fit, joined};
use crate::domain::spending::next_month;
use crate::domain::{
    AwsError, KnownPaths, PlanInput, PlanLimit, Room, Usage, WaitReason, Waiting, Wanted, plan,
};
use crate::store::{Connection, PlanInputs, SendClaim, SiteId, StoreError, Stored, Taking};

/// The longest that a site waits without another look: what it waits for may change unheard.
const LONGEST_HOLD: Duration = Duration::minutes(1);
/// While so many invalidations of a site wait for another try, and CloudFront has answered nothing
/// since, new publishes gather: an outage must not turn each into a call of its own.
const RETRYING: i64 = 2;
/// For how long they gather.
const GATHER: Duration = Duration::seconds(30);
/// Items that are planned at once.
const FEW: u32 = 100;
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
        connection: &mut Connection,
        site: SiteId,
        now: OffsetDateTime,
    ) -> Result<Option<PlanInputs>, StoreError> {
        let store = &self.store;
        match store.plan_inputs(connection, site, &self.limits, now).await {
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
        let connection = &mut self.store.connect().await?;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let Some(inputs) = self.inputs(connection, site, now).await? else {
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
                        .wait(connection, &inputs, WaitReason::Rate, next, None, now)
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
            match self.choose(connection, &round).await? {
                Some(next) => return Ok(next),
                None => tracing::debug!(%site, "what a claim went by has moved; reading again"),
            }
        }
        Ok(Next::Taken)
    }

    /// Claims what goes next: what is stored, before what is new; and what had trouble by turns with
    /// what is new. None: something has moved.
    async fn choose(
        &self,
        connection: &mut Connection,
        round: &Round,
    ) -> Result<Option<Next>, StoreError> {
        let inputs = &round.inputs;
        let due = match inputs.stored_due {
            0 => Vec::new(),
            _ => {
                let now = round.taking.now;
                self.store.stored(connection, inputs, now).await?
            }
        };
        let (trouble, due): (Vec<_>, Vec<_>) = due.into_iter().partition(|s| s.is_trouble);
        if let Some(next) = self.choose_other_kind(connection, round, &due).await? {
            return Ok(next);
        }
        if let Some(next) = self.choose_stored(connection, round, &due).await? {
            return Ok(next);
        }
        let trouble_first = round.trouble_first();
        if trouble_first && let Some(next) = self.choose_stored(connection, round, &trouble).await?
        {
            return Ok(next);
        }
        let planned = self.choose_new(connection, round).await?;
        if matches!(planned, None | Some(Next::Call(_))) || trouble_first {
            return Ok(planned);
        }
        match self.choose_stored(connection, round, &trouble).await? {
            Some(next) => Ok(next),
            None => Ok(planned),
        }
    }

    /// The first stored invalidation that may go; outer none: none may.
    async fn choose_stored(
        &self,
        connection: &mut Connection,
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
                    .hold_stored(connection, inputs, stored, why, until, now)
                    .await?;
                if !held {
                    return Ok(Some(None));
                }
                continue;
            }
            let claim = match self.resized(round, &due[at..], room).await? {
                Some(resized) => {
                    self.store
                        .claim_stored(connection, inputs, &resized, *taking)
                        .await?
                }
                None => None,
            };
            return Ok(Some(claim.map(Next::call)));
        }
        Ok(None)
    }

    /// What goes in the place of the first: a piece of it where one call may not hold it all, or as
    /// many as one call may hold. None: something has moved.
    async fn resized(
        &self,
        round: &Round,
        due: &[Stored],
        room: Room,
    ) -> Result<Option<Stored>, StoreError> {
        let Round { inputs, taking } = round;
        let Some(first) = due.first() else {
            return Ok(None);
        };
        let quota = inputs.limits.quota();
        if first.unknown_since.is_none() {
            let pieces = fit(&first.items, quota);
            if pieces.len() > 1 {
                let ids: Vec<_> = pieces.iter().map(|_| self.clock.id()).collect();
                return self
                    .store
                    .cut(inputs, first, pieces, &ids, taking.now)
                    .await;
            }
        }
        let like_it: Vec<_> = due.iter().take_while(|stored| stored.may_join()).collect();
        let sizes: Vec<_> = like_it.iter().map(|stored| stored.usage).collect();
        match joined(&sizes, inputs.beliefs.last(), room.at_most(quota)) {
            0 | 1 => Ok(Some(first.clone())),
            together => {
                let id = self.clock.id();
                self.store
                    .join(inputs, &like_it[..together], id, taking.now)
                    .await
            }
        }
    }

    /// What is new of the other kind, by turns, where all that is stored is of one and would be
    /// waited for.
    async fn choose_other_kind(
        &self,
        connection: &mut Connection,
        round: &Round,
        due: &[Stored],
    ) -> Result<Option<Option<Next>>, StoreError> {
        let inputs = &round.inputs;
        let stored: Usage = due.iter().map(|stored| stored.usage).sum();
        let is_turn = inputs.has_odd_turn() && inputs.paused_since.is_none();
        if due.is_empty() || stored.is_mixed() || !is_turn || round.gathers_until().is_some() {
            return Ok(None);
        }
        let room = round.room_for_new().without(stored);
        match self.plan_new(connection, round, room).await? {
            Planned::Call(next) => Ok(Some(next)),
            Planned::Nothing | Planned::Waits { .. } => Ok(None),
        }
    }

    /// Plans what waits, and claims the first batch.
    async fn choose_new(
        &self,
        connection: &mut Connection,
        round: &Round,
    ) -> Result<Option<Next>, StoreError> {
        let Round { inputs, taking } = round;
        let now = taking.now;
        if inputs.paused_since.is_some() && inputs.stored > 0 {
            // What is stored shows whether the settings work.
            return Ok(Some(Next::Nothing));
        }
        if let Some(until) = round.gathers_until() {
            return self
                .wait(connection, inputs, WaitReason::Retry, until, None, now)
                .await;
        }
        let room = round.room_for_new();
        match self.plan_new(connection, round, room).await? {
            Planned::Call(next) => Ok(next),
            Planned::Nothing => Ok(Some(Next::Nothing)),
            Planned::Waits {
                why,
                until,
                limited_until,
            } => {
                self.wait(connection, inputs, why, until, limited_until, now)
                    .await
            }
        }
    }

    async fn plan_new(
        &self,
        connection: &mut Connection,
        round: &Round,
        room: Room,
    ) -> Result<Planned, StoreError> {
        let Round { inputs, taking } = round;
        let now = taking.now;
        let limits = &inputs.limits;
        let spending = &inputs.spending;
        let terms = spending.terms(&inputs.month, inputs.in_flight, &limits.prices);
        let wanted = Wanted {
            policy: terms.policy,
            room,
            budget: terms.paths_left,
        };
        if let Some(kind) = wanted.only_kind() {
            let waits = self.store.waits_with(connection, inputs.site, kind);
            match waits.await? {
                None => return Ok(Planned::Nothing),
                Some(false) => return Ok(round.no_room_for(kind.one_of_the_other(), None)),
                Some(true) => {}
            }
        }
        let distribution = &inputs.settings.distribution_id;
        let waiting = self
            .store
            .waiting(connection, inputs.site, distribution, wanted)
            .await?;
        if waiting.is_empty() {
            return Ok(Planned::Nothing);
        }
        let settled: Vec<_> = waiting
            .iter()
            .filter(|publish| publish.items.is_empty())
            .map(|publish| publish.publish)
            .collect();
        if !settled.is_empty() {
            self.store.settle(inputs, &settled).await?;
            return Ok(Planned::Call(None));
        }
        // Counted before what is asked twice falls away, which takes milliseconds of its own.
        let most: Usage = waiting
            .iter()
            .map(|publish| Usage::of(&publish.items))
            .sum();
        let backlog_since = inputs.backlog_since;
        let may_fold = terms.may_fold(most, limits.is_overdue(most, backlog_since, now));
        let known_paths = if may_fold {
            self.store.known_paths(inputs.site).await?
        } else {
            KnownPaths::default()
        };
        let (limits, quota) = (*limits, limits.quota());
        let planning = move || {
            let plan = plan(&PlanInput {
                waiting: &waiting,
                room,
                quota,
                policy: terms.policy,
                known_paths: &known_paths,
                free_paths_left: Some(terms.free_paths_left),
                budget: terms.paths_left,
                overdue: may_fold
                    && limits.is_overdue(Waiting::asked(&waiting), backlog_since, now),
            });
            (plan, waiting)
        };
        // Thousands of items take milliseconds, during which no request is to wait; to wake another
        // thread for a few would take longer than to plan them.
        let (plan, waiting) = if most.files + most.wildcards <= FEW {
            planning()
        } else {
            let Ok(planned) = tokio::task::spawn_blocking(planning).await else {
                // It has panicked, which is in the log.
                return Ok(Planned::Call(Some(Next::Waits)));
            };
            planned
        };
        let limited_until = plan.is_limited.then(|| next_month(now));
        if plan.batches.is_empty() {
            if plan.waits == Some(PlanLimit::Budget) {
                return Ok(Planned::Waits {
                    why: WaitReason::Quota,
                    until: now + LONGEST_HOLD,
                    limited_until,
                });
            }
            let asked: Usage = waiting.iter().map(|w| Usage::of(&w.items)).sum();
            return Ok(round.no_room_for(asked, limited_until));
        }
        let ids = plan.batches.iter().map(|_| self.clock.id()).collect();
        let taking = Taking {
            has_backlog: matches!(plan.waits, Some(PlanLimit::Quota | PlanLimit::NextCall)),
            limited_until,
            ..*taking
        };
        let claim = self
            .store
            .claim_planned(connection, inputs, &plan, &waiting, ids, taking)
            .await?;
        Ok(Planned::Call(claim.map(Next::call)))
    }

    /// None: something has moved.
    async fn wait(
        &self,
        connection: &mut Connection,
        inputs: &PlanInputs,
        why: WaitReason,
        until: OffsetDateTime,
        limited_until: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<Option<Next>, StoreError> {
        let until = until.min(now + LONGEST_HOLD);
        let noted = self
            .store
            .wait(connection, inputs, why, until, limited_until, now)
            .await?;
        Ok(noted.then_some(Next::Waits))
    }
}

/// What came of planning.
enum Planned {
    /// What is done next, a call as a rule; none: something has moved.
    Call(Option<Next>),
    /// Nothing waits.
    Nothing,
    /// What waits may not go now.
    Waits {
        why: WaitReason,
        until: OffsetDateTime,
        limited_until: Option<OffsetDateTime>,
    },
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

    /// What is stored has its room reserved.
    fn room_for_new(&self) -> Room {
        let inputs = &self.inputs;
        inputs.room(self.taking.now).less(inputs.reserved)
    }

    /// What waits, these kinds, comes back when there may be room again.
    fn no_room_for(&self, kinds: Usage, limited_until: Option<OffsetDateTime>) -> Planned {
        let inputs = &self.inputs;
        let now = self.taking.now;
        let flow = inputs.beliefs.flow(&inputs.limits, now);
        let (why, until) = match flow.full_at(&inputs.limits) {
            Some(full) => (WaitReason::Rate, full),
            None => (WaitReason::Quota, inputs.ask_again_at(kinds, now)),
        };
        Planned::Waits {
            why,
            until,
            limited_until,
        }
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
