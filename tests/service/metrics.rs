//! `/metrics` of a service that did something, read as strictly as OpenMetrics 1.0 asks for.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{PRIVATE, Stepped};

/// What is told about one metric.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    unit: String,
    /// Value by series, which is name and labels as written.
    samples: BTreeMap<String, f64>,
}

/// Reads OpenMetrics text, and fails on what is not.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with EOF");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (keyword, name) = (words.next().unwrap(), words.next().unwrap());
            let rest = words.next().unwrap_or_default().to_owned();
            if name != current {
                assert!(!families.contains_key(name), "{name} is told in two places");
                current = name.to_owned();
            }
            let family = families.entry(current.clone()).or_default();
            assert!(family.samples.is_empty(), "metadata come first: {line}");
            let place = match keyword {
                "TYPE" => &mut family.kind,
                "HELP" => &mut family.help,
                "UNIT" => &mut family.unit,
                _ => panic!("{line}"),
            };
            assert!(place.is_empty(), "twice: {line}");
            *place = rest;
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let family = families
            .get_mut(&current)
            .unwrap_or_else(|| panic!("{line}"));
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            kind => panic!("{current} is a {kind}"),
        };
        assert!(
            suffixes
                .iter()
                .any(|suffix| name == format!("{current}{suffix}")),
            "{name} in {current}"
        );
        let before = family
            .samples
            .insert(series.to_owned(), value.parse().unwrap());
        assert_eq!(before, None, "twice: {series}");
    }
    families
}

/// The buckets of a histogram: upper bound and count.
fn buckets(family: &Family) -> Vec<(f64, f64)> {
    let mut buckets: Vec<(f64, f64)> = family
        .samples
        .iter()
        .filter_map(|(series, count)| {
            let (_, bound) = series.split_once("le=\"")?;
            Some((bound.trim_end_matches("\"}").parse().ok()?, *count))
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets
}

async fn metrics(service: &Stepped) -> BTreeMap<String, Family> {
    let answer = service.api.get("/metrics", &[("authorization", "")]).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    parse(&answer.body)
}

const NAMES: [(&str, &str); 16] = [
    ("build", "info"),
    ("database_up", "gauge"),
    ("site_paused", "gauge"),
    ("site_month_paths", "gauge"),
    ("api_refusals", "counter"),
    ("publishes", "counter"),
    ("publish_accept_seconds", "histogram"),
    ("queue_items", "gauge"),
    ("queue_oldest_seconds", "gauge"),
    ("invalidations", "counter"),
    ("invalidation_submit_seconds", "histogram"),
    ("invalidation_complete_seconds", "histogram"),
    ("cloudfront_requests", "counter"),
    ("billed_paths", "counter"),
    ("edge_checks", "counter"),
    ("publish_fresh_seconds", "histogram"),
];

#[tokio::test]
async fn every_metric_has_its_type_help_and_unit_and_counts() {
    let service = Stepped::start_with(PRIVATE).await;
    service.show_at_edge().await;
    let before = metrics(&service).await;
    let id = service.publish_and_run("/about").await;
    service.run_until_ended(&id).await;
    service.edge.run_due().await.unwrap();
    service.api.publish_path("/waits").await;
    let after = metrics(&service).await;

    for (name, kind) in NAMES {
        let name = format!("skycms_cdn_{name}");
        let family = after
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(family.kind, kind, "{name}");
        assert!(family.help.len() > 20, "{name}: {}", family.help);
        let unit = match &name {
            name if name.ends_with("_seconds") => "seconds",
            name if name.contains("_month_") => "paths",
            _ => "",
        };
        assert_eq!(family.unit, unit, "{name}");
        // Series are there from the start, so that the first event is an increase.
        let series = |family: &Family| family.samples.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(series(&before[&name]), series(family), "{name}");
    }
    for (name, family) in after
        .iter()
        .filter(|(_, family)| family.kind == "histogram")
    {
        let buckets = buckets(family);
        let count = family.samples[&format!("{name}_count")];
        assert!(
            buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1),
            "{name}: {buckets:?}"
        );
        let (last, all) = *buckets.last().unwrap();
        assert!(
            last.is_infinite() && (all - count).abs() < 0.5,
            "{name}: {buckets:?}"
        );
        let (first, most) = (buckets[0].0, buckets[buckets.len() - 2].0);
        assert!(
            most / first >= 1_000.0,
            "{name} tells little: {first} to {most}"
        );
        assert!(
            (count - 1.0).abs() < 0.5 || name.ends_with("accept_seconds"),
            "{name}: {count}"
        );
    }
    let value = |name: &str, series: &str| after[&format!("skycms_cdn_{name}")].samples[series];
    for (name, labels, expected) in [
        ("publishes", "", 2.0),
        ("invalidations", "{status=\"Completed\"}", 1.0),
        (
            "cloudfront_requests",
            "{operation=\"CreateInvalidation\",outcome=\"accepted\"}",
            1.0,
        ),
        (
            "cloudfront_requests",
            "{operation=\"GetInvalidation\",outcome=\"completed\"}",
            1.0,
        ),
        ("billed_paths", "", 1.0),
    ] {
        let told = value(name, &format!("skycms_cdn_{name}_total{labels}"));
        assert!((told - expected).abs() < 0.5, "{name}{labels}: {told}");
    }
    assert!((value("queue_items", "skycms_cdn_queue_items") - 1.0).abs() < 0.5);
}

/// It is deleted, which takes a while, and must not raise an alarm meanwhile.
#[tokio::test]
async fn what_a_removed_site_left_does_not_count_as_waiting() {
    let service = Stepped::start().await;
    let other = service.add_other_site().await;
    other.publish_path("/left").await;
    service.api.publish_path("/ours").await;
    let (state, now) = (&service.state, service.state.clock.now());
    let site = state.directory.site("other").unwrap().id;
    assert!(state.store.remove_site(site, now).await.unwrap());
    let standing = state.store.standing(&state.limits, now).await.unwrap();
    assert_eq!(standing.queue_items, 1);
}
