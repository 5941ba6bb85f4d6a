//! What would be sent if this were published now, and why, without storing anything.

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::spending::next_month;
use crate::domain::{
    Canonical, Explanation, Hint, InFlight, KindCounts, MicroUsd, Plan, PlanInput, Quotas, Terms,
    WaitNote, WaitReason, Waiting, explain, hints, plan,
};
use crate::store::{PlanInputs, Site};
use crate::web::http::error::Result;
use crate::web::http::turns::LARGE_ITEMS;
use crate::web::state::AppState;

/// What would be sent if nothing else were waiting. Together with what waits, it can only take
/// fewer paths.
pub(crate) struct DryRun {
    pub(crate) plan: Plan,
    /// What becomes of each path and tag that was asked for.
    pub(crate) explanations: Vec<Explanation>,
    pub(crate) hints: Vec<Hint>,
    /// Paths that AWS counts.
    pub(crate) billed_paths: u64,
    pub(crate) price: MicroUsd,
    /// Free paths left this month, before this.
    pub(crate) free_paths_left: u64,
    /// Why it would be held before being sent; none: it would go at once.
    pub(crate) waiting_for: Option<WaitReason>,
    /// More about why.
    pub(crate) note: Option<WaitNote>,
    /// What is believed of the distribution's quotas.
    pub(crate) quotas: Option<Quotas>,
}

/// Plans a publish as the dispatcher would; none: the site has no CDN settings. Where AWS cannot be
/// called with them, it is planned as if nothing were on its way, and held.
pub(crate) async fn dry_run(
    state: &AppState,
    site: &Site,
    asked: &Arc<Canonical>,
) -> Result<Option<DryRun>> {
    let now = state.clock.now();
    let limits = &state.limits;
    let mut connection = state.store.connect().await?;
    let inputs = state
        .store
        .plan_inputs(&mut connection, site.id, limits, now)
        .await;
    // Given back before another is needed: if everybody held one and waited for another, they
    // would wait for ever.
    drop(connection);
    let inputs = match inputs {
        // The operator has not allowed them, or the secret cannot be opened.
        Err(error) if error.is_about_a_row() => None,
        inputs => match inputs? {
            None => return Ok(None),
            inputs => inputs,
        },
    };
    let (spending, month, in_flight, quotas) = match &inputs {
        Some(inputs) => {
            let distribution = &inputs.settings.distribution_id;
            let quotas = state.store.quotas(distribution, limits, now).await?;
            (inputs.spending, inputs.month, inputs.in_flight, quotas)
        }
        None => (
            state.store.spending(site.id).await?.0,
            state.store.month_usage(site.id, now).await?,
            InFlight::default(),
            None,
        ),
    };
    let limits = inputs.as_ref().map_or(limits, |inputs| &inputs.limits);
    let terms = spending.terms(&month, in_flight, &limits.prices);
    let backlog_since = inputs.as_ref().and_then(|inputs| inputs.backlog_since);
    let waiting = [Waiting {
        publish: Uuid::nil(),
        items: asked.items.clone(),
    }];
    let known_paths = state.store.known_paths(site.id).await?;
    let is_large = asked.items.len() > LARGE_ITEMS;
    let planned = state.turns.compute(is_large, {
        let (asked, limits) = (Arc::clone(asked), *limits);
        let quota = limits.quota();
        move || {
            let plan = plan(&PlanInput {
                waiting: &waiting,
                room: quota,
                quota,
                terms: Terms {
                    paths_left: None,
                    ..terms
                },
                known_paths: &known_paths,
                overdue: limits.is_overdue(Waiting::asked(&waiting), backlog_since, now),
            });
            (explain(&asked, &plan), hints(&asked, &known_paths), plan)
        }
    });
    let (explanations, hints, plan) = planned.await;
    let billed_paths = plan.batches.iter().map(|b| b.items.len() as u64).sum();
    let used = month.key_paths + in_flight.planned;
    let first = plan
        .batches
        .first()
        .map(|batch| KindCounts::of(&batch.items))
        .unwrap_or_default();
    let is_past_limit = terms.paths_left.is_some_and(|left| billed_paths > left);
    // Others that are held for the month hold up none that still fits.
    let held =
        state.store.held(site.id, now).await?.filter(|(_, note)| {
            is_past_limit || !matches!(note, Some(WaitNote::MonthlyLimit { .. }))
        });
    let (waiting_for, note) = match (&inputs, held) {
        (None, _) => (Some(WaitReason::Settings), None),
        (Some(_), Some((why, note))) => (Some(why), note),
        (Some(_), None) if is_past_limit => {
            let until = next_month(now);
            (
                Some(WaitReason::Quota),
                Some(WaitNote::MonthlyLimit { until }),
            )
        }
        (Some(inputs), None) => (room_for(first, inputs, now), None),
    };
    Ok(Some(DryRun {
        explanations,
        hints,
        plan,
        billed_paths,
        price: limits.prices.cost(used, billed_paths),
        free_paths_left: limits.prices.free_left(used),
        waiting_for,
        note,
        quotas,
    }))
}

/// Why a call with this first batch would have to wait, if it would.
fn room_for(first: KindCounts, inputs: &PlanInputs, now: OffsetDateTime) -> Option<WaitReason> {
    let limits = &inputs.limits;
    let flow = inputs.beliefs.flow(limits, now);
    let room = inputs.room(now).less(inputs.reserved);
    if flow.admits_at(first, limits).is_some() || inputs.bucket.next_call().is_some() {
        Some(WaitReason::Rate)
    } else if !first.at_most(limits.quota().items).fits(room.items) {
        Some(WaitReason::Quota)
    } else {
        None
    }
}
