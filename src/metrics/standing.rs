//! How the whole service stands when the metrics are asked for, from the database.

use std::fmt;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use strum::VariantArray as _;

use super::{PREFIX, seconds};
use crate::domain::{Kind, Quotas, WaitReason};
use crate::store::{SiteStanding, Standing};

type Gauges<const N: usize> = Family<[(&'static str, String); N], Gauge>;

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
        ConstGauge::new(standing.queue_items),
    );
    registry.register_with_unit(
        "queue_oldest",
        "How long the oldest of these publishes has waited",
        Unit::Seconds,
        ConstGauge::new(seconds(standing.queue_oldest)),
    );
    register_sites(registry, &standing.sites);
    register_quotas(registry, &standing.distributions);
}

fn register_sites(registry: &mut Registry, sites: &[SiteStanding]) {
    let (paused, paths, limits) = (Gauges::default(), Gauges::default(), Gauges::default());
    let waits = Gauges::default();
    for site in sites {
        let label = [("site", site.name.clone())];
        paused.get_or_create(&label).set(i64::from(site.paused));
        for why in [WaitReason::Quota, WaitReason::Rate, WaitReason::Retry] {
            let [site_label] = label.clone();
            waits
                .get_or_create(&[site_label, ("for", why.into_str().to_owned())])
                .set(i64::from(site.waits_for == Some(why)));
        }
        paths.get_or_create(&label).set(site.month_paths);
        if let Some(limit) = site.month_limit {
            limits.get_or_create(&label).set(limit);
        }
    }
    registry.register(
        "site_waits",
        "Why the site could send nothing new when it was last looked at: 1 for the reason",
        waits,
    );
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

fn register_quotas(registry: &mut Registry, distributions: &[(String, Quotas)]) {
    let gauges = || Gauges::<2>::default();
    let (used, unconfirmed, quota, call) = (gauges(), gauges(), gauges(), gauges());
    let (full, learned) = (gauges(), Gauges::default());
    for (distribution, quotas) in distributions {
        for &kind in Kind::VARIANTS {
            let believed = quotas.of(kind);
            let labels = [
                ("distribution", distribution.clone()),
                ("kind", kind.into_str().to_owned()),
            ];
            let set = |gauge: &Gauges<2>, value: u32| {
                gauge.get_or_create(&labels).set(value.into());
            };
            set(&used, believed.in_progress);
            set(&unconfirmed, believed.unconfirmed);
            set(&quota, believed.quota);
            set(&call, believed.per_call);
            set(&full, believed.full_since.is_some().into());
            if let Some(known) = believed.learned {
                let [distribution, kind] = labels;
                let after = ("refused_for", known.refused.why.into_str().to_owned());
                learned
                    .get_or_create(&[distribution, kind, after])
                    .set(known.at.unix_timestamp());
            }
        }
    }
    registry.register(
        "distribution_in_progress",
        "Items that count as in progress at CloudFront",
        used,
    );
    registry.register(
        "distribution_unconfirmed",
        "How many of these are counted in case: CloudFront has not said that they are in progress",
        unconfirmed,
    );
    registry.register(
        "distribution_quota",
        "Items that may be in progress at CloudFront, as far as is known",
        quota,
    );
    registry.register(
        "distribution_call_items",
        "Items that one call may hold now: as configured, or as learned from refusals",
        call,
    );
    registry.register(
        "distribution_full",
        "Whether CloudFront said that its quota is full, and that is believed: 1 if so",
        full,
    );
    registry.register_with_unit(
        "distribution_learned_timestamp",
        "When what one call may hold last changed after a refusal; absent where it is as configured",
        Unit::Seconds,
        learned,
    );
}
