//! The dashboard, and the names that it and the rules use.

use std::collections::BTreeSet;

use serde_json::Value;

use super::promtool::{RULES, names};
use super::watch::Watch;
use crate::support::file;

const DASHBOARD: &str = "deploy/grafana/skycms-cdn.json";

/// Every metric of the service that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    words
        .filter(|word| word.starts_with("skycms_cdn_"))
        .collect()
}

#[tokio::test]
async fn every_metric_that_is_named_exists() {
    let watch = Watch::start().await;
    let text = watch.service.api.metrics().await;
    let mut known = names(&text);
    // Told only of sites that have one.
    known.insert("skycms_cdn_site_month_limit_paths");
    for path in [RULES, DASHBOARD] {
        let text = std::fs::read_to_string(file(path)).unwrap();
        let unknown: Vec<_> = named(&text).difference(&known).copied().collect::<Vec<_>>();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
    }
}

#[tokio::test]
async fn every_panel_shows_something() {
    let dashboard: Value =
        serde_json::from_slice(&std::fs::read(file(DASHBOARD)).unwrap()).unwrap();
    let mut watch = Watch::start().await;
    let site = watch.service.site();
    let limit = skycms_cdn::domain::Spending {
        monthly_limit: Some(skycms_cdn::domain::MonthlyLimit {
            paths: 1_000,
            then: skycms_cdn::domain::PastLimit::Hold,
        }),
        ..Default::default()
    };
    let store = &watch.service.state.store;
    store.save_spending(site, None, &limit).await.unwrap();
    watch.service.publish_and_run("/shown").await;
    let metrics = &watch.service.state.metrics;
    metrics.seen_fresh(time::Duration::SECOND);
    watch.minutes(2).await;

    let panels = dashboard["panels"].as_array().unwrap();
    let shown: Vec<_> = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(shown.len() > panels.len() / 2, "{shown:?}");
    for expression in shown {
        let expression = expression
            .replace("$instance", ".*")
            .replace("$__rate_interval", "5m");
        watch.history.shows(&expression);
    }
    watch.history.verify();
}

#[test]
fn no_panel_lies_on_another() {
    let dashboard: Value =
        serde_json::from_slice(&std::fs::read(file(DASHBOARD)).unwrap()).unwrap();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{title}");
        let at = |side: &str| panel["gridPos"][side].as_i64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{title}");
            }
        }
    }
}
