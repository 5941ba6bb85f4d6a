//! What would be sent if this were published now, and why, without storing anything.

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::spending::next_month;
use crate::domain::{
    Canonical, Explanation, Hint, InFlight, KindCounts, Limits, MicroUsd, MonthUsage, Plan,
    PlanInput, Quotas, Spending, Terms, WaitNote, WaitReason, Waiting, explain, hints, plan,
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
    /// Why it would be held before being sent; `None` if it would go at once.
    pub(crate) waiting_for: Option<WaitReason>,
    /// More about why.
    pub(crate) note: Option<WaitNote>,
    /// What is believed of the distribution's quotas.
    pub(crate) quotas: Option<Quotas>,
}

/// Plans a publish as the dispatcher would; `None` if the site has no CDN settings. Where AWS
/// cannot be called with them, it is planned as if nothing were on its way, and held.
pub(crate) async fn dry_run(
    state: &AppState,
    site: &Site,
    asked: &Arc<Canonical>,
) -> Result<Option<DryRun>> {
    let now = state.clock.now();
    let Some(standing) = Standing::read(state, site, now).await? else {
        return Ok(None);
    };
    let (month, in_flight) = (standing.month, standing.in_flight);
    let prices = &standing.limits.prices;
    let terms = standing.spending.terms(&month, in_flight, prices);
    let (plan, explanations, hints) = planned(state, site, asked, &standing, terms, now).await?;
    let billed_paths = plan.batches.iter().map(|b| b.items.len() as u64).sum();
    let is_past_limit = terms.paths_left.is_some_and(|left| billed_paths > left);
    let (waiting_for, note) = held(state, site, &standing, &plan, is_past_limit, now).await?;
    let used = month.key_paths + in_flight.planned;
    Ok(Some(DryRun {
        explanations,
        hints,
        plan,
        billed_paths,
        price: prices.cost(used, billed_paths),
        free_paths_left: prices.free_left(used),
        waiting_for,
        note,
        quotas: standing.quotas,
    }))
}

/// How things stand at a site and its distribution.
struct Standing {
    /// `None` if AWS cannot be called with the site's settings.
    inputs: Option<PlanInputs>,
    limits: Limits,
    spending: Spending,
    month: MonthUsage,
    in_flight: InFlight,
    quotas: Option<Quotas>,
}

impl Standing {
    /// `None` if the site has no CDN settings.
    async fn read(state: &AppState, site: &Site, now: OffsetDateTime) -> Result<Option<Self>> {
        let (store, limits) = (&state.store, &state.limits);
        let mut connection = store.connect().await?;
        let inputs = store
            .plan_inputs(&mut connection, site.id, limits, now)
            .await;
        // Given back before another is needed: if everybody had one and waited for another, they
        // would wait forever.
        drop(connection);
        let standing = match inputs {
            Ok(None) => return Ok(None),
            Ok(Some(inputs)) => Self {
                limits: inputs.limits,
                spending: inputs.spending,
                month: inputs.month,
                in_flight: inputs.in_flight,
                quotas: store
                    .quotas(&inputs.settings.distribution_id, limits, now)
                    .await?,
                inputs: Some(inputs),
            },
            // The operator has not allowed them, or the secret cannot be opened.
            Err(error) if error.is_about_a_row() => Self {
                inputs: None,
                limits: *limits,
                spending: store.spending(site.id).await?.0,
                month: store.month_usage(site.id, now).await?,
                in_flight: InFlight::default(),
                quotas: None,
            },
            Err(error) => return Err(error.into()),
        };
        Ok(Some(standing))
    }
}

/// The plan, whatever is left of a monthly limit; what becomes in it of each path and tag; and what
/// may have been meant instead.
async fn planned(
    state: &AppState,
    site: &Site,
    asked: &Arc<Canonical>,
    standing: &Standing,
    terms: Terms,
    now: OffsetDateTime,
) -> Result<(Plan, Vec<Explanation>, Vec<Hint>)> {
    let known_paths = state.store.known_paths(site.id).await?;
    let (asked, limits) = (Arc::clone(asked), standing.limits);
    let inputs = standing.inputs.as_ref();
    let backlog_since = inputs.and_then(|inputs| inputs.backlog_since);
    let is_large = asked.items.len() > LARGE_ITEMS;
    let planned = state.turns.compute(is_large, move || {
        let waiting = [Waiting {
            publish: Uuid::nil(),
            items: asked.items.clone(),
        }];
        let quota = limits.quota();
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
        let explanations = explain(&asked, &plan);
        (plan, explanations, hints(&asked, &known_paths))
    });
    Ok(planned.await)
}

/// Why it would be held before being sent, and more about why.
async fn held(
    state: &AppState,
    site: &Site,
    standing: &Standing,
    plan: &Plan,
    is_past_limit: bool,
    now: OffsetDateTime,
) -> Result<(Option<WaitReason>, Option<WaitNote>)> {
    let Some(inputs) = &standing.inputs else {
        return Ok((Some(WaitReason::Settings), None));
    };
    // Others that are held for the month hold up none that still fits.
    let held =
        state.store.held(site.id, now).await?.filter(|(_, note)| {
            is_past_limit || !matches!(note, Some(WaitNote::MonthlyLimit { .. }))
        });
    Ok(match held {
        Some((why, note)) => (Some(why), note),
        None if is_past_limit => {
            let until = next_month(now);
            let note = WaitNote::MonthlyLimit { until };
            (Some(WaitReason::Quota), Some(note))
        }
        None => {
            let first = plan.batches.first();
            let first = first.map(|batch| KindCounts::of(&batch.items));
            (room_for(first.unwrap_or_default(), inputs, now), None)
        }
    })
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
