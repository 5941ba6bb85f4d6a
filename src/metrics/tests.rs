use time::OffsetDateTime;

use super::*;
use crate::domain::table::rows;
use crate::domain::{Beliefs, KindCounts, Limits, QuotaUse, Quotas, RefusedFor, WaitReason};
use crate::store::SiteStanding;

fn value(text: &str, series: &str) -> f64 {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .and_then(|value| value.parse().ok())
        .unwrap_or(f64::NAN)
}

/// What tests/service/metrics.rs does not bring about. That every series is there from the start,
/// the snapshot of the answer says.
#[test]
fn what_is_counted_is_told_under_its_name() {
    let metrics = Metrics::default();
    metrics.publish_accepted(Duration::milliseconds(3));
    metrics.publish_submitted(Duration::milliseconds(300));
    metrics.invalidation_completed(Duration::seconds(-1));
    metrics.api_refused(503);
    metrics.edge_checked(EdgeState::Stale);
    metrics.seen_fresh(Duration::seconds(12));
    metrics.delivery(Next::Delivered);
    metrics.endpoint_switched_off();
    let site = |name: &str, paused, month_limit| SiteStanding {
        name: name.into(),
        paused,
        waits_for: Some(WaitReason::Rate),
        month_paths: 12,
        month_limit,
    };
    let (mut beliefs, now) = (Beliefs::default(), OffsetDateTime::UNIX_EPOCH);
    beliefs.files.lower(300, RefusedFor::Rate, now);
    let in_use = QuotaUse {
        used: KindCounts::counted(40, 2),
        unconfirmed: KindCounts::counted(7, 0),
        completed_at: None,
    };
    let quotas = Quotas::new(&beliefs, &Limits::default(), &in_use, now);
    let text = metrics.encode(Some(&Standing {
        queue_items: 7,
        queue_oldest: Duration::milliseconds(1_500),
        sites: vec![site("blog", true, Some(50)), site("shop", false, None)],
        distributions: vec![("E1".into(), quotas)],
    }));
    for [series, expected] in rows(
        r#"publish_accept_seconds_count | 1
           publish_accept_seconds_bucket{le="0.0025"} | 0
           publish_accept_seconds_bucket{le="0.005"} | 1
           invalidation_submit_seconds_sum | 0.3
           invalidation_complete_seconds_sum | 0
           api_refusals_total{status="503"} | 1
           queue_oldest_seconds | 1.5
           edge_checks_total{state="stale"} | 1
           publish_fresh_seconds_sum | 12
           notification_deliveries_total{outcome="delivered"} | 1
           notification_endpoints_switched_off_total | 1
           database_up | 1
           site_paused{site="blog"} | 1
           site_paused{site="shop"} | 0
           site_month_paths{site="shop"} | 12
           site_month_limit_paths{site="blog"} | 50
           site_waits{site="blog",for="rate"} | 1
           site_waits{site="blog",for="quota"} | 0
           distribution_in_progress{distribution="E1",kind="files"} | 40
           distribution_unconfirmed{distribution="E1",kind="files"} | 7
           distribution_quota{distribution="E1",kind="wildcards"} | 15
           distribution_call_items{distribution="E1",kind="files"} | 150
           distribution_call_items{distribution="E1",kind="wildcards"} | 15
           distribution_full{distribution="E1",kind="files"} | 0
           distribution_learned_timestamp_seconds{distribution="E1",kind="files",refused_for="rate"} | 0"#,
    ) {
        let shown = value(&text, &format!("{PREFIX}_{series}"));
        let expected: f64 = expected.parse().expect("a number");
        assert!(
            (shown - expected).abs() < 1e-9,
            "{series} is {shown} in:\n{text}"
        );
    }
    assert!(!text.contains("limit_paths{site=\"shop\"}"), "{text}");
    // As `--version` tells it.
    let version = format!("skycms_cdn_build_info{{version=\"{}\"}} 1", crate::VERSION);
    assert!(text.contains(&version), "{text}");
    for line in text.lines() {
        let name = line.strip_prefix("# TYPE skycms_cdn_");
        let Some((name, _)) = name.and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let is_told = include_str!("../../docs/OPERATORS.md").contains(&format!("`{name}"));
        assert!(is_told, "docs/OPERATORS.md lacks {name}");
    }
}

#[test]
fn what_the_database_does_not_tell_is_left_out() {
    let text = Metrics::default().encode(None);
    assert!(text.contains("skycms_cdn_database_up 0\n"), "{text}");
    assert!(!text.contains("skycms_cdn_queue"), "{text}");
    assert!(!text.contains("skycms_cdn_site"), "{text}");
}
