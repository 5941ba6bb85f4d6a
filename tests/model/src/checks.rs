//! What must hold in every state, and what must be reachable for the search to mean something.

use stateright::Property;

use crate::protocol::Protocol;
use crate::state::{State, Status};

pub(crate) const ONE_REFERENCE: &str = "a publish is accepted under one reference";
pub(crate) const NOTHING_IS_LOST: &str = "what was answered 202 waits or is covered";
pub(crate) const STORED_FIRST: &str = "what CloudFront accepted is stored as it was sent";
pub(crate) const COMPLETED: &str = "completed is said after CloudFront said it";
pub(crate) const NOT_FAILED: &str = "nothing is called failed";
pub(crate) const NOTHING_GOES_BACK: &str = "nothing that is known is taken back";
pub(crate) const NOTHING_IS_STUCK: &str = "everything ends once nothing fails any more";

pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_REFERENCE, |_, state| one_reference(state)),
        Property::always(NOTHING_IS_LOST, |_, state| nothing_is_lost(state)),
        Property::always(STORED_FIRST, |_, state| stored_first(state)),
        Property::always(COMPLETED, |_, state| completed(state)),
        Property::always(NOT_FAILED, |_, state: &State| {
            let mut all = state.database.invalidations.iter();
            all.all(|one| one.status != Status::Failed)
        }),
        Property::always(NOTHING_GOES_BACK, |_, state: &State| !state.went_back),
        Property::always(NOTHING_IS_STUCK, Protocol::ends_when_calm),
        Property::sometimes(
            "everything ends in spite of every fault",
            |protocol: &Protocol, state: &State| {
                let faults = state.faults;
                faults.crashes == 0
                    && faults.losses == 0
                    && faults.expiries == 0
                    && state.database.accepted == protocol.all()
                    && state.has_ended()
            },
        ),
        Property::sometimes("an invalidation is unconfirmed", |_, state: &State| {
            let mut all = state.database.invalidations.iter();
            all.any(|one| one.status == Status::Unconfirmed)
        }),
        Property::sometimes("two calls are on their way at once", |_, state: &State| {
            state.wire.len() > 1
        }),
    ]
}

fn one_reference(state: &State) -> bool {
    let accepted = &state.cloudfront.accepted;
    accepted.iter().enumerate().all(|(at, one)| {
        accepted[..at]
            .iter()
            .all(|before| before.publishes & one.publishes == 0)
    })
}

fn nothing_is_lost(state: &State) -> bool {
    let covered = state
        .database
        .invalidations
        .iter()
        .fold(0, |all, one| all | one.publishes);
    covered == state.database.planned && state.database.planned & !state.database.accepted == 0
}

fn stored_first(state: &State) -> bool {
    state.cloudfront.accepted.iter().all(|accepted| {
        state.database.invalidations.iter().any(|stored| {
            stored.reference == accepted.reference && stored.publishes == accepted.publishes
        })
    })
}

fn completed(state: &State) -> bool {
    let mut all = state.database.invalidations.iter();
    all.all(|one| match one.status {
        Status::Completed => state.cloudfront.has_completed(one.reference),
        Status::InProgress | Status::Unconfirmed => state.cloudfront.knows(one.reference),
        Status::Queued | Status::Failed => true,
    })
}

impl State {
    pub(crate) fn has_ended(&self) -> bool {
        self.database.accepted == self.database.planned
            && self
                .database
                .invalidations
                .iter()
                .all(|one| one.status.has_ended())
    }
}
