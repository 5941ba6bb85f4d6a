//! The overview at the top of the activity page.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::domain::meter::projected_paths;
use crate::domain::{DistributionId, MonthUsage, Prices, Quotas};
use crate::store::{Day, Site, Underway, Workload};
use crate::web::http::error::Result;
use crate::web::pages::views::{Chart, Count, Held, Meter, Overview, Span, Usd};
use crate::web::pages::words;
use crate::web::state::AppState;

pub(crate) async fn read(state: &AppState, site: &Site, now: OffsetDateTime) -> Result<Overview> {
    let day = day(state, site, now).await?;
    let quotas = quotas(state, site, now).await?;
    let (underway, held) = underway(state, site, now).await?;
    let work = work(state, site, now).await?;
    let meter = meter(state, site, now).await?;
    Ok(Overview {
        chart: Chart::new(&day),
        work,
        queued: Count(underway.items.unsigned_abs()),
        oldest: underway.oldest.map(|since| Span(now - since)),
        held,
        quotas,
        meter,
    })
}

/// What is being worked off. Where the queue is never empty, that is more than can be counted, and
/// takes long: it is kept for some seconds then.
async fn work(state: &AppState, site: &Site, now: OffsetDateTime) -> Result<Option<Workload>> {
    let kept = state.endless.kept(site.id, now);
    let work = state.store.workload(site.id, kept).await?;
    if let Some(endless) = work.filter(|work| work.is_more && work.ended_at.is_none())
        && work != kept
    {
        state.endless.keep(site.id, now, endless);
    }
    Ok(work)
}

/// The last day, which is kept for some seconds.
async fn day(state: &AppState, site: &Site, now: OffsetDateTime) -> Result<Arc<Day>> {
    if let Some(day) = state.days.kept(site.id, now) {
        return Ok(day);
    }
    let day = Arc::new(state.store.day(site.id, now).await?);
    state.days.keep(site.id, now, Arc::clone(&day));
    Ok(day)
}

/// What is believed about the quotas of the site's distribution, if it has one.
async fn quotas(state: &AppState, site: &Site, now: OffsetDateTime) -> Result<Option<Quotas>> {
    let id = site.distribution_id.as_deref();
    let Some(distribution) = id.and_then(|id| id.parse::<DistributionId>().ok()) else {
        return Ok(None);
    };
    let (store, limits) = (&state.store, &state.limits);
    Ok(store.quotas(&distribution, limits, now).await?)
}

/// What is on its way, and why it is held, if it is.
async fn underway(
    state: &AppState,
    site: &Site,
    now: OffsetDateTime,
) -> Result<(Underway, Option<Held>)> {
    let underway = state.store.underway(site.id).await?;
    let held = match underway.items {
        0 => None,
        _ => state.store.held(site.id, now).await?,
    };
    let held = held.map(|(why, note)| Held {
        why: words::held(&why, note.as_ref()),
        note: note.and_then(|note| note.sentence(now, &state.limits)),
    });
    Ok((underway, held))
}

pub(crate) async fn meter(state: &AppState, site: &Site, now: OffsetDateTime) -> Result<Meter> {
    let usage = state.store.month_usage(site.id, now).await?;
    Ok(read_meter(&usage, &state.limits.prices, now))
}

fn read_meter(usage: &MonthUsage, prices: &Prices, now: OffsetDateTime) -> Meter {
    let projected_paths = projected_paths(usage.key_paths, now);
    let cost = |paths| Usd(prices.cost(0, paths).0 / 1_000);
    Meter {
        month: format!("{} {}", now.month(), now.year()),
        paths: Count(usage.key_paths),
        free: Count(prices.free_paths),
        free_left: Count(prices.free_left(usage.key_paths)),
        cost: cost(usage.key_paths),
        projected_paths: Count(projected_paths),
        projected_cost: cost(projected_paths),
        saved: Count(usage.site_asked.saturating_sub(usage.site_paths)),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_meter_of_two_sites_with_one_key() {
        let month = MonthUsage {
            site_paths: 1_500,
            site_asked: 9_000,
            key_paths: 2_000,
        };
        let now = datetime!(2026-11-16 00:00 UTC);
        let meter = read_meter(&month, &Prices::default(), now);
        assert_eq!((meter.saved.0, meter.free_left.0), (7_500, 0));
        assert_eq!((meter.cost.0, meter.projected_cost.0), (5_000, 15_000));
        assert_eq!(meter.projected_paths.0, 4_000);
    }
}
