//! Planning what is new at a site, and claiming the first batch.

use strum::VariantArray as _;
use time::OffsetDateTime;

use super::look::{Look, MAX_HOLD, Next};
use crate::domain::spending::next_month;
use crate::domain::{
    Kind, KindCounts, KnownPaths, PerKind, PlanInput, Room, WaitReason, Waiting, Wanted, plan,
};
use crate::store::{StoreError, Wait};

/// What comes of planning.
pub(super) enum Planned {
    /// Usually a call.
    Next(Next),
    /// What is new may not go now.
    NoRoom(Wait),
}

impl Look<'_> {
    pub(super) async fn plan_new(&mut self, room: Room) -> Result<Planned, StoreError> {
        let (store, inputs, now) = (&self.dispatcher.store, &self.inputs, self.taking.now);
        let limits = inputs.limits;
        let terms = inputs
            .spending
            .terms(&inputs.month, inputs.in_flight, &limits.prices);
        let quota = limits.quota();
        let wanted = Wanted { terms, room, quota };
        let lacks = |kind: Kind| wanted.lacks(kind.one()).is_some();
        if Kind::VARIANTS.iter().copied().any(lacks) {
            let kinds = store.kinds_waiting(self.connection, inputs.site).await?;
            if kinds == KindCounts::default() {
                return Ok(Planned::Next(Next::Nothing));
            }
            if let Some(short) = wanted.lacks(kinds) {
                let wait = self.no_room_for(short, room, quota, None);
                return Ok(Planned::NoRoom(wait));
            }
        }
        let distribution = &inputs.settings.distribution_id;
        let waiting = store
            .waiting(self.connection, inputs.site, distribution, wanted)
            .await?;
        if waiting.is_empty() {
            return Ok(Planned::Next(Next::Nothing));
        }
        let settled: Vec<_> = waiting
            .iter()
            .filter(|publish| publish.items.is_empty())
            .map(|publish| publish.publish)
            .collect();
        if !settled.is_empty() {
            store.settle(inputs, &settled).await?;
            return Ok(Planned::Next(Next::Stale));
        }
        let oldest = waiting.first().and_then(Waiting::since).unwrap_or(now);
        let one_call = inputs.one_call(oldest, now);
        // Without the room for that, none is cut: the pieces would be as small as that room.
        let quota = Room {
            items: PerKind::each(|kind| match room.items[kind] < one_call.items[kind] {
                true => quota.items[kind],
                false => one_call.items[kind],
            }),
            ..quota
        };
        // Duplicates included: to drop them takes milliseconds of its own.
        let most: KindCounts = waiting
            .iter()
            .map(|publish| KindCounts::of(&publish.items))
            .sum();
        let backlog_since = inputs.backlog_since;
        let may_fold = !wanted.is_nothing()
            && terms.may_fold(most, limits.is_overdue(most, backlog_since, now));
        let known_paths = if may_fold {
            store.known_paths(inputs.site).await?
        } else {
            KnownPaths::default()
        };
        // Thousands of items take milliseconds, which no request should have to wait.
        let planning = tokio::task::spawn_blocking(move || {
            let plan = plan(&PlanInput {
                waiting: &waiting,
                room,
                quota,
                terms,
                known_paths: &known_paths,
                overdue: may_fold
                    && limits.is_overdue(Waiting::asked(&waiting), backlog_since, now),
            });
            (plan, waiting)
        });
        let Ok((plan, waiting)) = planning.await else {
            // It panicked, and the log has it.
            return Ok(Planned::Next(Next::Waits));
        };
        if plan.batches.is_empty() {
            let limited_until = plan.is_limited.then(|| next_month(now));
            if !plan.has_backlog {
                return Ok(Planned::NoRoom(Wait {
                    limited_until,
                    ..Wait::new(WaitReason::Quota, now + MAX_HOLD)
                }));
            }
            let wait = self.no_room_for(plan.short, room, one_call, limited_until);
            return Ok(Planned::NoRoom(wait));
        }
        let clock = &self.dispatcher.clock;
        let ids = plan.batches.iter().map(|_| clock.id()).collect();
        let claim = store
            .claim_planned(self.connection, inputs, &plan, &waiting, ids, self.taking)
            .await?;
        Ok(Planned::Next(Next::call(claim)))
    }

    /// Publishes wait until there may be room for them, or for one call where they need more than
    /// that. None needs more of a kind than `most`.
    fn no_room_for(
        &self,
        most: KindCounts,
        room: Room,
        one_call: Room,
        limited_until: Option<OffsetDateTime>,
    ) -> Wait {
        let inputs = &self.inputs;
        let now = self.taking.now;
        let flow = inputs.beliefs.flow(&inputs.limits, now);
        let full_at = |kind: Kind| {
            let one_call = one_call.items.only(|other| other == kind);
            flow.admits_at(one_call, &inputs.limits)
        };
        // A kind that waits for its quota must not wait for the other kind's rate as well: a
        // completion makes room for it. Nor does one rate wait for the other.
        let short = most.only(|kind| full_at(kind).is_none() && room.items[kind] < most[kind]);
        let (why, until) = match most.kinds().filter_map(full_at).min() {
            Some(full) if short == KindCounts::default() => (WaitReason::Rate, full),
            Some(full) => (WaitReason::Quota, full.min(inputs.ask_again_at(short, now))),
            None => (WaitReason::Quota, inputs.ask_again_at(most, now)),
        };
        Wait {
            limited_until,
            has_backlog: why == WaitReason::Quota,
            ..Wait::new(why, until)
        }
    }
}
