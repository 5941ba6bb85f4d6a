//! The overview at the top of the activity page.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::domain::DistributionId;
use crate::store::Site;
use crate::web::http::error::Result;
use crate::web::pages::views::{Chart, Count, Held, Meter, Overview, Span, Usd};
use crate::web::pages::words;
use crate::web::state::AppState;

/// Reads what the overview shows.
pub(crate) async fn read(state: &AppState, site: &Site, now: OffsetDateTime) -> Result<Overview> {
    let day = match state.days.kept(site.id, now) {
        Some(day) => day,
        None => {
            let day = Arc::new(state.store.day(site.id, now).await?);
            state.days.keep(site.id, now, Arc::clone(&day));
            day
        }
    };
    let distribution = site
        .distribution_id
        .as_deref()
        .and_then(|id| id.parse::<DistributionId>().ok());
    let quotas = match &distribution {
        Some(distribution) => state.store.quotas(distribution, &state.limits, now).await?,
        None => None,
    };
    let underway = state.store.underway(site.id).await?;
    let held = match underway.items {
        0 => None,
        _ => state.store.held(site.id, now).await?,
    };
    Ok(Overview {
        chart: Chart::new(&day),
        work: state.store.workload(site.id).await?,
        queued: Count(underway.items),
        oldest: underway.oldest.map(|since| Span(now - since)),
        held: held.map(|(why, note)| Held {
            why: words::held(&why, note.as_ref()),
            note: note.and_then(|note| note.sentence(now, &state.limits)),
        }),
        quotas,
        meter: meter(state, site, now).await?,
    })
}

/// This month's paths and their cost.
pub(crate) async fn meter(state: &AppState, site: &Site, now: OffsetDateTime) -> Result<Meter> {
    let prices = &state.limits.prices;
    let usage = state.store.month_usage(site.id, now).await?;
    let reading = usage.read(prices, now);
    Ok(Meter {
        month: format!("{} {}", now.month(), now.year()),
        paths: Count(usage.key_paths),
        free: Count(prices.free_paths),
        free_left: Count(reading.free_left),
        cost: Usd(reading.key_cost.0 / 1_000),
        projected_paths: Count(reading.projected_paths),
        projected_cost: Usd(reading.projected_cost.0 / 1_000),
        saved: Count(reading.site_saved),
    })
}
