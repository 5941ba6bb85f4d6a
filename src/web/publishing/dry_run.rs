//! What would be sent if this were published now, and why, without storing anything.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::{
    Canonical, Explanation, HeldNote, Hint, MicroUsd, Plan, PlanInput, Quotas, Usage, WaitReason,
    Waiting, explain, hints, plan,
};
use crate::store::Site;
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
    pub(crate) note: Option<HeldNote>,
    /// What is believed of the distribution's quotas.
    pub(crate) quotas: Option<Quotas>,
}

/// Plans a publish as the dispatcher would; none: the site has no CDN settings.
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
        .await?;
    // Given back before another is needed: if everybody held one and waited for another, they
    // would wait for ever.
    drop(connection);
    let Some(inputs) = inputs else {
        return Ok(None);
    };
    let quotas = state
        .store
        .quotas(&inputs.settings.distribution_id, limits, now)
        .await?;
    let limits = &inputs.limits;
    let terms = inputs
        .spending
        .terms(&inputs.month, inputs.in_flight, &limits.prices);
    let waiting = [Waiting {
        publish: Uuid::nil(),
        items: asked.items.clone(),
    }];
    let known_paths = state.store.known_paths(site.id).await?;
    let is_large = asked.items.len() > LARGE_ITEMS;
    let planned = state.turns.compute(is_large, {
        let (asked, limits, backlog_since) = (Arc::clone(asked), *limits, inputs.backlog_since);
        let quota = limits.quota();
        move || {
            let plan = plan(&PlanInput {
                waiting: &waiting,
                room: quota,
                quota,
                policy: terms.policy,
                known_paths: &known_paths,
                free_paths_left: terms.free_paths_left,
                budget: None,
                overdue: limits.is_overdue(Waiting::asked(&waiting), backlog_since, now),
            });
            (explain(&asked, &plan), hints(&asked, &known_paths), plan)
        }
    });
    let (explanations, hints, plan) = planned.await;
    let billed_paths = plan.batches.iter().map(|b| b.items.len() as u64).sum();
    let used = inputs.month.key_paths + inputs.in_flight.planned;
    let first = plan
        .batches
        .first()
        .map(|batch| Usage::of(&batch.items))
        .unwrap_or_default();
    let is_past_limit = terms.paths_left.is_some_and(|left| billed_paths > left);
    // Others that are held for the month hold up none that still fits.
    let held =
        state.store.held(site.id, now).await?.filter(|(_, note)| {
            is_past_limit || !matches!(note, Some(HeldNote::MonthlyLimit { .. }))
        });
    let flow = inputs.beliefs.flow(limits, now);
    let room = inputs.room(now).less(inputs.reserved);
    let (waiting_for, note) = if let Some((why, note)) = held {
        (Some(why), note)
    } else if is_past_limit {
        (Some(WaitReason::Quota), Some(HeldNote::monthly_limit(now)))
    } else if flow.admits(first, limits).is_err() || inputs.bucket.next_call().is_some() {
        (Some(WaitReason::Rate), None)
    } else if !first.at_most(limits.quota()).fits(room) {
        (Some(WaitReason::Quota), None)
    } else {
        (None, None)
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
