//! Choosing what a site sends next, and claiming it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use time::{Duration, OffsetDateTime};

use super::Dispatcher;
use super::look::{Look, MAX_HOLD, Next};
use super::plan::Planned;
use crate::domain::pieces::{alike, fit, joined};
use crate::domain::plan::MAX_BATCH_BYTES;
use crate::domain::{KindCounts, Room, WaitReason};
use crate::store::{
    Connection, Hold, PlanInputs, QueuedInvalidation, SiteId, StoreError, Taking, Wait,
};

/// How often a claim is prepared again after something has changed, before the site is left for
/// later.
const TRIES: usize = 4;

/// How long a site whose settings this replica cannot read is left to others, of a newer version or
/// with another key, before it is paused, and then how long it is paused.
const UNREADABLE_WAIT: Duration = Duration::seconds(30);

/// What a site may have to send.
#[derive(Clone, Copy, Debug)]
enum Candidate {
    /// What is stored, and had no trouble.
    Stored,
    /// What is stored, and may have been accepted, had no answer or is a piece of a search.
    Trouble,
    /// What is stored, and had no trouble, of another kind than the oldest; or new publishes of a
    /// kind that nothing stored has.
    OtherKind,
    /// What is new.
    New,
}

impl Candidate {
    /// The order in which candidates are tried, by the number of earlier calls: those that could
    /// otherwise be put off forever take turns with what is stored and what is new.
    const fn in_order(calls: usize, is_paused: bool) -> &'static [Self] {
        match calls % 4 {
            // What is stored shows whether the settings work.
            _ if is_paused => &[Self::Stored, Self::Trouble, Self::New],
            1 => &[Self::OtherKind, Self::Trouble, Self::Stored, Self::New],
            3 => &[Self::Trouble, Self::OtherKind, Self::Stored, Self::New],
            _ => &[Self::Stored, Self::New, Self::Trouble],
        }
    }
}

/// Calls that this replica has claimed.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Arc<Mutex<Claimed>>);

#[derive(Debug, Default)]
struct Claimed {
    all: usize,
    by_site: HashMap<SiteId, CallsOfSite>,
}

#[derive(Clone, Copy, Debug, Default)]
struct CallsOfSite {
    /// How many. A count for each distribution would not do: two sites that share one alternate, so
    /// each would see only even or only odd numbers.
    count: usize,
    /// The number of the last one among all.
    last: usize,
}

impl Calls {
    fn of(&self, site: SiteId) -> CallsOfSite {
        self.0
            .lock()
            .by_site
            .get(&site)
            .copied()
            .unwrap_or_default()
    }

    fn claimed(&self, site: SiteId) {
        let mut claimed = self.0.lock();
        claimed.all = claimed.all.wrapping_add(1);
        let last = claimed.all;
        let calls = claimed.by_site.entry(site).or_default();
        calls.count = calls.count.wrapping_add(1);
        calls.last = last;
    }

    /// The number of the site's last call among all; 0 if it had none.
    pub(super) fn last(&self, site: SiteId) -> usize {
        self.of(site).last
    }
}

impl Dispatcher {
    /// What a claim for the site goes by, or what comes of the look if there is none: it has no
    /// settings, or this replica cannot read them.
    async fn inputs_or_pause(
        &self,
        connection: &mut Connection,
        site: SiteId,
        now: OffsetDateTime,
    ) -> Result<Result<PlanInputs, Next>, StoreError> {
        let store = &self.store;
        let inputs = store.plan_inputs(connection, site, &self.limits, now).await;
        if !inputs.as_ref().is_err_and(StoreError::is_about_a_row) {
            return Ok(inputs?.ok_or(Next::Nothing));
        }
        // Once more, now that it is known which version of the settings it is about: somebody may
        // be saving others.
        let Some(unread) = store.unread_site(site).await? else {
            return Ok(Err(Next::Nothing));
        };
        let error = match store.plan_inputs(connection, site, &self.limits, now).await {
            Err(error) if error.is_about_a_row() => error,
            inputs => return Ok(inputs?.ok_or(Next::Nothing)),
        };
        let is_served = |since: OffsetDateTime| now - since < UNREADABLE_WAIT;
        // A grant is the same for every replica.
        let is_for_all = matches!(error, StoreError::NotGranted);
        if !is_for_all && unread.unserved_since.is_none_or(is_served) {
            return Ok(Err(Next::Unread));
        }
        let (reason, until) = (error.in_place_of_aws(), now + UNREADABLE_WAIT);
        if unread.paused_for.as_ref() != Some(&reason.code) {
            tracing::error!(%site, %error, "paused");
        }
        store
            .pause(site, &reason, until, unread.version, now)
            .await?;
        Ok(Err(Next::Nothing))
    }

    pub(super) async fn claim_send(&self, site: SiteId) -> Result<Next, StoreError> {
        let connection = &mut self.store.connect().await?;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let inputs = match self.inputs_or_pause(connection, site, now).await? {
                Ok(inputs) => inputs,
                Err(next) => return Ok(next),
            };
            if inputs.resume_at.is_some_and(|at| at > now) {
                return Ok(Next::Waits);
            }
            if inputs.leased_until.is_some_and(|until| until > now) {
                return Ok(Next::Taken(inputs.settings.distribution_id));
            }
            let taken = inputs.bucket.take(&self.limits);
            let mut look = Look {
                dispatcher: self,
                connection,
                taking: Taking {
                    bucket: taken.unwrap_or(inputs.bucket),
                    token: self.clock.id(),
                    now,
                },
                inputs,
                held: Vec::new(),
            };
            let next = match taken {
                Ok(_) => look.choose().await?,
                // Checked first, so that nothing is read and planned in vain.
                Err(until) => {
                    let wait = Wait {
                        stored_too: true,
                        ..Wait::new(WaitReason::Rate, until)
                    };
                    look.note_wait(wait).await?
                }
            };
            match next {
                Next::Stale => {
                    tracing::debug!(%site, "something changed while the claim was prepared; reading again");
                }
                next => {
                    if matches!(next, Next::Call(_)) {
                        self.calls.claimed(site);
                    }
                    return Ok(next);
                }
            }
        }
        Ok(Next::Stale)
    }
}

impl Look<'_> {
    async fn choose(&mut self) -> Result<Next, StoreError> {
        let due = match self.inputs.stored_due {
            0 => Vec::new(),
            _ => {
                let store = &self.dispatcher.store;
                store
                    .stored(self.connection, &self.inputs, self.taking.now)
                    .await?
            }
        };
        let inputs = &self.inputs;
        if inputs.spending.is_exceeded(&inputs.month, inputs.in_flight)
            && due.iter().any(|stored| stored.unknown_since.is_none())
        {
            // The monthly limit was set since, or lowered: it holds these like what is new.
            self.dispatcher.store.take_back(inputs.site).await?;
            return Ok(Next::Stale);
        }
        let (trouble, due): (Vec<_>, Vec<_>) = due.iter().partition(|s| s.is_trouble);
        let calls = self.dispatcher.calls.of(self.inputs.site).count;
        let mut otherwise = Next::Nothing;
        for candidate in Candidate::in_order(calls, self.inputs.paused_since.is_some()) {
            let next = match candidate {
                Candidate::Stored => self.choose_stored(&due).await?,
                Candidate::Trouble => self.choose_stored(&trouble).await?,
                Candidate::OtherKind => self.choose_other_kind(&due).await?,
                Candidate::New => self.choose_new().await?,
            };
            match next {
                Next::Call(_) | Next::Stale => return Ok(next),
                Next::Waits | Next::Taken(_) => otherwise = next,
                Next::Nothing | Next::Unread => {}
            }
        }
        Ok(otherwise)
    }

    /// Claims the first stored invalidation that may go, if one may.
    async fn choose_stored(&mut self, due: &[&QueuedInvalidation]) -> Result<Next, StoreError> {
        let (store, inputs, now) = (&self.dispatcher.store, &self.inputs, self.taking.now);
        let limits = &inputs.limits;
        let room = inputs.room(now);
        // One that may have been accepted is not cut, and may be larger than is now believed to fit.
        let most = |stored: &QueuedInvalidation| inputs.one_call(stored.planned_at, now).items;
        let fits = |stored: &QueuedInvalidation| {
            let needs = stored.needs(now).at_most(most(stored));
            needs.fits(room.items)
        };
        let chosen = due.iter().position(|stored| fits(stored));
        let flow = inputs.beliefs.flow(limits, now);
        let hold = |stored: &&QueuedInvalidation| {
            let needs = stored.counts.at_most(most(stored));
            let (why, until) = match flow.admits_at(needs, limits) {
                Some(next) => (WaitReason::Rate, next),
                None => (WaitReason::Quota, inputs.ask_again_at(stored.counts, now)),
            };
            Hold {
                id: stored.id,
                why,
                until,
            }
        };
        let is_new = |stored: &&&QueuedInvalidation| !self.held.contains(&stored.id);
        let holds = due[..chosen.unwrap_or(due.len())].iter().filter(is_new);
        let holds: Vec<Hold> = holds.map(hold).collect();
        if !holds.is_empty() {
            let held = store.hold_stored(self.connection, inputs, &holds, now);
            if !held.await? {
                return Ok(Next::Stale);
            }
            self.held.extend(holds.iter().map(|hold| hold.id));
        }
        let Some(chosen) = chosen else {
            return Ok(Next::Nothing);
        };
        let Some(resized) = self.resized(&due[chosen..], room).await? else {
            return Ok(Next::Stale);
        };
        let claim = store
            .claim_stored(self.connection, inputs, resized, self.taking)
            .await?;
        Ok(Next::call(claim))
    }

    /// What goes in place of the first: a piece of it where one call may not hold it all, or as
    /// many of them as one call may hold; `None` if something has changed.
    async fn resized(
        &self,
        due: &[&QueuedInvalidation],
        room: Room,
    ) -> Result<Option<QueuedInvalidation>, StoreError> {
        let (inputs, now) = (&self.inputs, self.taking.now);
        let Dispatcher { store, clock, .. } = self.dispatcher;
        let Some(&first) = due.first() else {
            return Ok(None);
        };
        let quota = inputs.limits.quota();
        if first.unknown_since.is_none() {
            let most = inputs.one_call(first.planned_at, now);
            let pieces = fit(&first.batch.items, most);
            if pieces.len() > 1 {
                let ids: Vec<_> = pieces.iter().map(|_| clock.id()).collect();
                return store.cut(inputs, first, pieces, &ids, now).await;
            }
        }
        let mut bytes = 0;
        let fits = |stored: &&QueuedInvalidation| {
            bytes += stored
                .batch
                .items
                .iter()
                .map(|item| item.as_str().len())
                .sum::<usize>();
            stored.may_join()
                && alike(&stored.batch.items, &first.batch.items)
                && bytes <= MAX_BATCH_BYTES
        };
        let like_it: Vec<_> = due.iter().copied().take_while(fits).collect();
        let sizes: Vec<_> = like_it.iter().map(|stored| stored.counts).collect();
        match joined(&sizes, inputs.beliefs.last(), room.at_most(quota)) {
            0 | 1 => Ok(Some(first.clone())),
            together => {
                store
                    .join(inputs, &like_it[..together], clock.id(), now)
                    .await
            }
        }
    }

    /// Claims what is stored of another kind than the oldest, which would be waited for; or what is
    /// new of it, where all that is stored is of one kind.
    async fn choose_other_kind(&mut self, due: &[&QueuedInvalidation]) -> Result<Next, StoreError> {
        let Some(oldest) = due.first() else {
            return Ok(Next::Nothing);
        };
        let is_other = |stored: &&QueuedInvalidation| {
            let mut kinds = stored.counts.kinds();
            kinds.all(|kind| oldest.counts[kind] == 0)
        };
        let others: Vec<_> = due.iter().copied().filter(is_other).collect();
        if !others.is_empty() {
            return self.choose_stored(&others).await;
        }
        let stored: KindCounts = due.iter().map(|stored| stored.counts).sum();
        if stored.is_mixed() || self.gathering_until().is_some() {
            return Ok(Next::Nothing);
        }
        let room = self.room_for_new().without(stored);
        match self.plan_new(room).await? {
            Planned::Next(next) => Ok(next),
            Planned::NoRoom(_) => Ok(Next::Nothing),
        }
    }

    /// Plans what waits, and claims the first batch.
    async fn choose_new(&mut self) -> Result<Next, StoreError> {
        if self.inputs.paused_since.is_some() && self.inputs.stored > 0 {
            // What is stored is tried first, when it is due, and ends this wait if the settings
            // work.
            let until = self.taking.now + MAX_HOLD;
            return self.note_wait(Wait::new(WaitReason::Retry, until)).await;
        }
        if let Some(until) = self.gathering_until() {
            return self.note_wait(Wait::new(WaitReason::Retry, until)).await;
        }
        match self.plan_new(self.room_for_new()).await? {
            Planned::Next(next) => Ok(next),
            Planned::NoRoom(wait) => self.note_wait(wait).await,
        }
    }
}
