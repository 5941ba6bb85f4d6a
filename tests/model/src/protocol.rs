//! The steps that the service takes, and what can happen between two of them.

use stateright::{Model, Property};

use crate::checks;
use crate::state::{
    Answer, Call, Claim, CloudFront, Database, Invalidation, Lease, Publishes, Replica, State,
    Status,
};

/// How much is checked, and by which rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub(crate) publishes: u8,
    pub(crate) faults: Faults,
    /// Whether the access key may ask how far an invalidation is.
    pub(crate) may_ask: bool,
    /// The rule that is not kept.
    pub(crate) broken: Option<Rule>,
}

/// How many of each fault may happen in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// A replica forgets all it had in memory.
    pub(crate) crashes: u8,
    /// A call never arrives, its answer is lost, or its caller gives up while it is on its way.
    pub(crate) losses: u8,
    /// A lease runs out while its holder stands still.
    pub(crate) expiries: u8,
    /// CloudFront refuses a call because it is full.
    pub(crate) refusals: u8,
}

/// What the protocol rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A retry sends the reference that was stored before the first attempt.
    OneReference,
    /// A plan is stored only if nothing that it was made from has changed.
    VerifyPlan,
    /// An attempt counts as unknown from before the call until its answer is recorded.
    CountBeforeCall,
    /// An outcome is recorded only by whoever shows the token of the latest claim.
    RecordWithToken,
    /// A lease runs out when its holder is gone.
    LeaseExpires,
    /// A belief that the quota is full ends, and so does asking about what cannot be asked about.
    BeliefEnds,
}

/// One step of a publisher, a replica or CloudFront, or one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Publish(u8),
    Read(usize),
    StorePlan(usize),
    ClaimStored(usize, usize),
    Call(usize),
    /// CloudFront handles the call at this place on the wire.
    Handle {
        call: usize,
        tells_id: bool,
        answer_is_lost: bool,
    },
    /// The call at this place on the wire never arrives.
    LoseCall(usize),
    /// The replica no longer waits; its call may still arrive.
    StopWaiting(usize),
    Record(usize),
    Complete(usize),
    /// Somebody asks how far an invalidation is, and records the answer if it still is in progress.
    /// One step, since only an answer of “completed” changes anything, and it stays true.
    Poll(usize),
    Crash(usize),
    ExpireLease,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            publishes: 2,
            faults: Faults {
                crashes: 1,
                losses: 1,
                expiries: 1,
                refusals: 1,
            },
            may_ask: true,
            broken: None,
        }
    }
}

impl Protocol {
    pub(crate) fn without(self, rule: Rule) -> Self {
        Self {
            broken: Some(rule),
            ..self
        }
    }

    fn keeps(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    /// Whether a claim may be committed now.
    fn is_free(database: &Database) -> bool {
        database.lease.is_none_or(|lease| lease.expired)
    }

    /// Whether the service believes that CloudFront has no room, leaving out one invalidation.
    fn believes_full(database: &Database, except: Option<usize>) -> bool {
        database.invalidations.iter().enumerate().any(|(at, one)| {
            Some(at) != except
                && match one.status {
                    Status::Queued => one.is_unknown,
                    Status::InProgress => true,
                    _ => false,
                }
        })
    }

    /// Whether a call may be made: there is room, or CloudFront has not been asked for 30 s.
    fn may_call(&self, state: &State, except: Option<usize>) -> bool {
        let may_try = self.keeps(Rule::BeliefEnds) && state.faults.refusals > 0;
        may_try || !Self::believes_full(&state.database, except)
    }

    /// Steps of the service and of CloudFront when nothing goes wrong.
    pub(crate) fn calm_steps(&self, state: &State, steps: &mut Vec<Step>) {
        for (at, replica) in state.replicas.iter().enumerate() {
            match replica {
                Replica::Idle => self.idle_steps(at, state, steps),
                Replica::Planning { .. } => steps.push(Step::StorePlan(at)),
                Replica::Claimed(_) => steps.push(Step::Call(at)),
                Replica::Calling(claim) => {
                    // Its call was lost, or the answer was.
                    if !state.wire.iter().any(|call| call.claim == *claim) {
                        steps.push(Step::StopWaiting(at));
                    }
                }
                Replica::Answered(..) => steps.push(Step::Record(at)),
            }
        }
        for (at, call) in state.wire.iter().enumerate() {
            let repeats = state.cloudfront.knows(call.reference);
            if !repeats && state.cloudfront.is_full() && state.faults.refusals == 0 {
                // Enough was refused: this one arrives once there is room.
                continue;
            }
            for tells_id in [true, false] {
                if tells_id || repeats {
                    steps.push(Step::Handle {
                        call: at,
                        tells_id,
                        answer_is_lost: false,
                    });
                }
            }
        }
        for (at, one) in state.cloudfront.accepted.iter().enumerate() {
            if !one.completed {
                steps.push(Step::Complete(at));
            }
        }
        for (at, one) in state.database.invalidations.iter().enumerate() {
            if one.status == Status::InProgress && self.ends_by(state, one).is_some() {
                steps.push(Step::Poll(at));
            }
        }
        if self.keeps(Rule::LeaseExpires)
            && state.database.lease.is_some_and(|lease| {
                !lease.expired && !state.replicas.iter().any(|one| one.holds(lease.token))
            })
        {
            steps.push(Step::ExpireLease);
        }
    }

    fn idle_steps(&self, replica: usize, state: &State, steps: &mut Vec<Step>) {
        let database = &state.database;
        if !Self::is_free(database) {
            return;
        }
        for (at, one) in database.invalidations.iter().enumerate() {
            if one.status == Status::Queued && self.may_call(state, Some(at)) {
                steps.push(Step::ClaimStored(replica, at));
            }
        }
        if database.accepted != database.planned && self.may_call(state, None) {
            steps.push(Step::Read(replica));
        }
    }

    fn faulty_steps(state: &State, steps: &mut Vec<Step>) {
        let faults = state.faults;
        for (at, replica) in state.replicas.iter().enumerate() {
            // To crash while planning is the same as not to store the plan.
            if faults.crashes > 0 && !matches!(replica, Replica::Idle | Replica::Planning { .. }) {
                steps.push(Step::Crash(at));
            }
            if faults.losses > 0 && matches!(replica, Replica::Calling(_)) {
                steps.push(Step::StopWaiting(at));
            }
        }
        if faults.losses > 0 {
            for (at, call) in state.wire.iter().enumerate() {
                steps.push(Step::LoseCall(at));
                // Without an effect, a lost answer is a lost call.
                if !state.cloudfront.knows(call.reference) && !state.cloudfront.is_full() {
                    steps.push(Step::Handle {
                        call: at,
                        tells_id: true,
                        answer_is_lost: true,
                    });
                }
            }
        }
        if faults.expiries > 0 && state.database.lease.is_some_and(|lease| !lease.expired) {
            steps.push(Step::ExpireLease);
        }
    }

    /// The system after one step.
    pub(crate) fn after(&self, state: &State, step: Step) -> State {
        let mut next = state.clone();
        match step {
            Step::Publish(number) => next.database.accepted |= 1 << number,
            Step::Read(replica) => Self::read(&mut next, replica),
            Step::StorePlan(replica) => self.store_plan(&mut next, replica),
            Step::ClaimStored(replica, invalidation) => {
                self.claim_stored(&mut next, replica, invalidation);
            }
            Step::Call(replica) => Self::call(&mut next, replica),
            Step::Handle {
                call,
                tells_id,
                answer_is_lost,
            } => Self::handle(&mut next, call, tells_id, answer_is_lost),
            Step::LoseCall(call) => {
                next.faults.losses -= 1;
                next.wire.remove(call);
            }
            Step::StopWaiting(replica) => {
                if let Replica::Calling(claim) = next.replicas[replica] {
                    if next.wire.iter().any(|call| call.claim == claim) {
                        next.faults.losses -= 1;
                    }
                    next.replicas[replica] = Replica::Answered(claim, Answer::Unknown);
                }
            }
            Step::Record(replica) => self.record(&mut next, replica),
            Step::Complete(at) => next.cloudfront.accepted[at].completed = true,
            Step::Poll(invalidation) => {
                let stored = state.database.invalidations[invalidation];
                if let Some(status) = self.ends_by(state, &stored) {
                    next.database.invalidations[invalidation].status = status;
                }
            }
            Step::Crash(replica) => {
                next.faults.crashes -= 1;
                next.replicas[replica] = Replica::Idle;
            }
            Step::ExpireLease => {
                if let Some(lease) = &mut next.database.lease {
                    if state.replicas.iter().any(|one| one.holds(lease.token)) {
                        next.faults.expiries -= 1;
                    }
                    lease.expired = true;
                }
            }
        }
        // It makes no difference which replica is which, nor in which order calls are on the wire.
        next.replicas.sort_unstable();
        next.wire.sort_unstable();
        next
    }

    fn read(next: &mut State, replica: usize) {
        next.replicas[replica] = Replica::Planning {
            calls: next.database.calls,
            publishes: next.database.accepted & !next.database.planned,
        };
    }

    /// Stores the plan and claims its call in one transaction, unless something has changed.
    fn store_plan(&self, next: &mut State, replica: usize) {
        let Replica::Planning { calls, publishes } = next.replicas[replica] else {
            return;
        };
        next.replicas[replica] = Replica::Idle;
        let database = &mut next.database;
        let unchanged = database.calls == calls && database.planned & publishes == 0;
        if !Self::is_free(database) || !unchanged && self.keeps(Rule::VerifyPlan) {
            return;
        }
        database.planned |= publishes;
        let at = database.invalidations.len();
        database.invalidations.push(Invalidation {
            reference: u8::try_from(at).unwrap(),
            publishes,
            status: Status::Queued,
            is_unknown: false,
        });
        next.replicas[replica] = Replica::Claimed(self.claim(database, at));
    }

    fn claim_stored(&self, next: &mut State, replica: usize, invalidation: usize) {
        let database = &mut next.database;
        if !self.keeps(Rule::OneReference) {
            database.invalidations[invalidation].reference = 100 + database.calls;
        }
        next.replicas[replica] = Replica::Claimed(self.claim(database, invalidation));
    }

    fn claim(&self, database: &mut Database, invalidation: usize) -> Claim {
        database.calls += 1;
        let token = database.calls;
        database.lease = Some(Lease {
            token,
            expired: false,
        });
        let stored = &mut database.invalidations[invalidation];
        let earlier_unknown = stored.is_unknown;
        stored.is_unknown |= self.keeps(Rule::CountBeforeCall);
        Claim {
            invalidation,
            token,
            earlier_unknown,
        }
    }

    fn call(next: &mut State, replica: usize) {
        if let Replica::Claimed(claim) = next.replicas[replica] {
            let stored = next.database.invalidations[claim.invalidation];
            next.wire.push(Call {
                claim,
                reference: stored.reference,
                publishes: stored.publishes,
            });
            next.replicas[replica] = Replica::Calling(claim);
        }
    }

    fn handle(next: &mut State, call: usize, tells_id: bool, answer_is_lost: bool) {
        let call = next.wire.remove(call);
        let answer = next.cloudfront.create(call, tells_id);
        if answer == Answer::Refused {
            next.faults.refusals -= 1;
        }
        if answer_is_lost {
            next.faults.losses -= 1;
            return;
        }
        let waiting = |one: &&mut Replica| **one == Replica::Calling(call.claim);
        if let Some(replica) = next.replicas.iter_mut().find(waiting) {
            *replica = Replica::Answered(call.claim, answer);
        }
    }

    fn record(&self, next: &mut State, replica: usize) {
        let Replica::Answered(claim, answer) = next.replicas[replica] else {
            return;
        };
        next.replicas[replica] = Replica::Idle;
        let database = &mut next.database;
        let holds = database
            .lease
            .is_some_and(|lease| lease.token == claim.token);
        if !holds && self.keeps(Rule::RecordWithToken) {
            return;
        }
        if holds {
            database.lease = None;
        }
        let stored = &mut database.invalidations[claim.invalidation];
        let before = stored.status;
        stored.is_unknown = answer == Answer::Unknown || claim.earlier_unknown;
        stored.status = match answer {
            Answer::Accepted => Status::InProgress,
            Answer::AlreadyUsed if claim.earlier_unknown => Status::Unconfirmed,
            // No attempt of ours could have used it.
            Answer::AlreadyUsed => Status::Failed,
            Answer::Refused | Answer::Unknown => Status::Queued,
        };
        next.went_back |= before != Status::Queued;
    }

    /// How an invalidation in progress ends, if CloudFront is asked about it now.
    fn ends_by(&self, state: &State, stored: &Invalidation) -> Option<Status> {
        if !self.may_ask {
            return self.keeps(Rule::BeliefEnds).then_some(Status::Unconfirmed);
        }
        let completed = state.cloudfront.has_completed(stored.reference);
        completed.then_some(Status::Completed)
    }

    pub(crate) fn all(&self) -> Publishes {
        (1 << self.publishes) - 1
    }
}

impl Replica {
    fn holds(self, token: u8) -> bool {
        match self {
            Self::Claimed(claim) | Self::Calling(claim) | Self::Answered(claim, _) => {
                claim.token == token
            }
            _ => false,
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            replicas: [Replica::Idle; 2],
            database: Database::default(),
            cloudfront: CloudFront::default(),
            wire: Vec::new(),
            faults: self.faults,
            went_back: false,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for number in 0..self.publishes {
            if state.database.accepted & (1 << number) == 0 {
                steps.push(Step::Publish(number));
            }
        }
        self.calm_steps(state, steps);
        Self::faulty_steps(state, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        Some(self.after(state, step))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        checks::all()
    }
}
