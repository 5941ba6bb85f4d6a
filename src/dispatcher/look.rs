//! One look at a site that may send: what it is based on, and what may come of it.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Dispatcher;
use crate::domain::limits::is_within;
use crate::domain::{DistributionId, Room};
use crate::store::{Connection, PlanInputs, SendClaim, StoreError, Taking, Wait};

/// The longest that a site waits without another look: what it waits for may change unnoticed.
pub(super) const MAX_HOLD: Duration = Duration::minutes(1);
/// While this many invalidations of a site wait for another try, and CloudFront has not answered
/// since, new publishes gather: an outage must not turn each into a call of its own.
const RETRYING: i64 = 2;
/// How long they gather.
const GATHER: Duration = Duration::seconds(30);

/// What came of looking whether a site may send.
pub(super) enum Next {
    Call(Box<SendClaim>),
    Nothing,
    /// It may not send now.
    Waits,
    /// Its settings cannot be read here, which other replicas may be able to.
    Unread,
    /// Another call to its distribution, which is this, is under way.
    Taken(DistributionId),
    /// Something has changed since it was read: it has to be read again.
    Stale,
}

impl Next {
    /// What comes of claiming; `None` if something has changed.
    pub(super) fn call(claim: Option<SendClaim>) -> Self {
        claim.map_or(Self::Stale, |claim| Self::Call(Box::new(claim)))
    }
}

/// Everything is read and claimed through one connection.
pub(super) struct Look<'a> {
    pub(super) dispatcher: &'a Dispatcher,
    pub(super) connection: &'a mut Connection,
    pub(super) inputs: PlanInputs,
    pub(super) taking: Taking,
    /// What it has found no room for.
    pub(super) held: Vec<Uuid>,
}

impl Look<'_> {
    /// Notes that the site waits, and why.
    pub(super) async fn note_wait(&mut self, wait: Wait) -> Result<Next, StoreError> {
        let now = self.taking.now;
        let wait = Wait {
            until: wait.until.min(now + MAX_HOLD),
            ..wait
        };
        let store = &self.dispatcher.store;
        let noted = store.note_wait(self.connection, &self.inputs, wait, now);
        let noted = noted.await?;
        Ok(if noted { Next::Waits } else { Next::Stale })
    }

    /// Without the room that is reserved for what is stored.
    pub(super) fn room_for_new(&self) -> Room {
        let inputs = &self.inputs;
        inputs.room(self.taking.now).less(inputs.reserved)
    }

    /// When new publishes cease to gather, as they do while CloudFront does not answer.
    pub(super) fn gathering_until(&self) -> Option<OffsetDateTime> {
        let inputs = &self.inputs;
        let since = inputs
            .retrying_since
            .filter(|_| inputs.retrying >= RETRYING)?;
        let answered = inputs.beliefs.answered_at.is_some_and(|at| at > since);
        let is_recent = is_within(GATHER, since, self.taking.now);
        (!answered && is_recent).then_some(since + GATHER)
    }
}
