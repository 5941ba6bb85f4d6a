//! How things stand when the metrics are asked for: of the whole service, from the database.

use std::fmt;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::{PREFIX, seconds};
use crate::store::Standing;

type OfSite = Family<[(&'static str, String); 1], Gauge>;

/// Writes how things stand, or only that the database does not answer.
pub(super) fn write(text: &mut String, standing: Option<&Standing>) -> fmt::Result {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register(
        "database_up",
        "Whether the database answered this scrape: 1 if it did",
        ConstGauge::new(i64::from(standing.is_some())),
    );
    if let Some(standing) = standing {
        register(&mut registry, standing);
    }
    encode_registry(text, &registry)
}

fn register(registry: &mut Registry, standing: &Standing) {
    registry.register(
        "queue_items",
        "Items of publishes that CloudFront has not accepted yet, of all replicas",
        ConstGauge::new(standing.queue.items),
    );
    registry.register_with_unit(
        "queue_oldest",
        "How long the oldest of these publishes has waited",
        Unit::Seconds,
        ConstGauge::new(seconds(standing.queue.oldest)),
    );
    let (paused, paths, limits) = (OfSite::default(), OfSite::default(), OfSite::default());
    for site in &standing.sites {
        let label = [("site", site.name.clone())];
        paused.get_or_create(&label).set(i64::from(site.paused));
        paths.get_or_create(&label).set(site.month_paths);
        if let Some(limit) = site.month_limit {
            limits.get_or_create(&label).set(limit);
        }
    }
    let unit = || Unit::Other("paths".into());
    registry.register(
        "site_paused",
        "Whether AWS rejects the site's settings, so that its publishes wait: 1 if it does",
        paused,
    );
    registry.register_with_unit(
        "site_month",
        "Paths and tags of the site that CloudFront accepted this month (UTC)",
        unit(),
        paths,
    );
    registry.register_with_unit(
        "site_month_limit",
        "Paths and tags a month that the site's owner allows; absent where there is no limit",
        unit(),
        limits,
    );
}
