//! Each rule: silent while all is well, fires when its trouble has lasted, and is silent again when
//! the cause is fixed.

use serde_json::json;
use skycms_cdn::domain::edge::EdgeState;
use skycms_cdn::domain::notification::Next;
use skycms_cdn::domain::{MonthlyLimit, PastLimit, Spending};
use time::OffsetDateTime;

use super::promtool::{RULES, promtool};
use super::watch::Watch;
use crate::support::{DISTRIBUTION, Database, file, policy};

#[test]
fn the_rules_are_well_formed() {
    promtool(&["check", "rules", file(RULES).to_str().unwrap()]);
    let scrape = file("deploy/prometheus/scrape.yml");
    promtool(&["check", "config", "--syntax-only", scrape.to_str().unwrap()]);
}

#[test]
fn each_alert_has_a_heading_that_says_what_to_do() {
    let rules = std::fs::read_to_string(file(RULES)).unwrap();
    let guide = std::fs::read_to_string(file("docs/OPERATORS.md")).unwrap();
    let values = |key: &str| -> Vec<String> {
        let lines = rules
            .lines()
            .map(|line| line.trim().trim_start_matches("- "));
        lines
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
            .map(str::to_owned)
            .collect()
    };
    let (alerts, runbooks) = (values("alert"), values("runbook"));
    assert!(!alerts.is_empty());
    for alert in &alerts {
        assert!(guide.contains(&format!("\n### {alert}\n")), "{alert}");
        let anchor = format!("docs/OPERATORS.md#{}", alert.to_lowercase());
        assert!(runbooks.contains(&anchor), "{anchor}");
    }
    assert_eq!(alerts.len(), runbooks.len());
}

#[tokio::test]
async fn a_replica_that_does_not_answer() {
    let mut watch = Watch::start().await;
    watch.misses(2);
    watch.history.fire(&[]);
    watch.misses(4);
    watch
        .history
        .fire(&["SkycmsCdnDown critical instance=cdn-1 job=skycms-cdn"]);
    watch.minutes(1).await;
    watch.history.fire(&[]);
    watch.history.verify();
}

#[tokio::test]
async fn a_database_that_takes_no_connections() {
    let mut watch = Watch::start().await;
    let inside = &watch.service.database;
    let (name,): (String,) = inside.row("SELECT current_database()").await;
    let outside = Database::at(inside.url.replace(&name, "postgres"));
    let close = format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    outside.change(&close).await;

    for _ in 0..10 {
        watch.service.advance(time::Duration::seconds(30));
        let refused = watch.service.api.invalidations("").await;
        assert_eq!(refused.status, 503);
        watch.scrape().await;
    }
    watch.history.fire(&[
        "SkycmsCdnDatabaseAway critical instance=cdn-1 job=skycms-cdn",
        "SkycmsCdnNotAccepting critical instance=cdn-1",
    ]);

    let open = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
    outside.change(&open).await;
    watch.minutes(3).await;
    watch.history.fire(&[]);
    watch.history.verify();
}

#[tokio::test]
async fn publishes_that_take_long_to_be_durable() {
    let mut watch = Watch::start().await;
    for _ in 0..12 {
        let lock = "LOCK TABLE publish IN EXCLUSIVE MODE";
        let lock = watch.service.database.hold(lock).await;
        let api = watch.service.api.clone();
        let publish = tokio::spawn(async move { api.publish_path("/slow").await });
        watch.service.database.wait_for_locks(1).await;
        watch.service.advance(time::Duration::seconds(2));
        lock.release().await;
        publish.await.unwrap();
        watch.service.pass(28).await;
        watch.scrape().await;
    }
    watch
        .history
        .fire(&["SkycmsCdnSlowAccept warning instance=cdn-1"]);
    watch.minutes(6).await;
    watch.history.fire(&[]);
    watch.history.verify();
}

#[tokio::test]
async fn settings_that_aws_rejects() {
    let mut watch = Watch::start().await;
    watch.service.sandbox.set_policy(json!(null)).await;
    watch.service.publish_and_run("/waits").await;
    watch.minutes(2).await;
    let paused = "SkycmsCdnSitePaused critical site=default";
    watch.history.fire(&[paused]);
    watch.minutes(11).await;
    let old = "SkycmsCdnQueueOld critical job=skycms-cdn";
    watch.history.fire(&[paused, old]);

    watch.service.sandbox.set_policy(policy(DISTRIBUTION)).await;
    watch.minutes(6).await;
    watch.history.fire(&[]);
    watch.history.verify();
}

#[tokio::test]
async fn a_limit_of_the_month_that_comes_near() {
    let mut watch = Watch::start().await;
    let limit = Spending {
        monthly_limit: Some(MonthlyLimit {
            paths: 10,
            then: PastLimit::Hold,
        }),
        ..Spending::default()
    };
    let site = watch.service.site();
    let store = &watch.service.state.store;
    store.save_spending(site, None, &limit).await.unwrap();
    watch.minutes(2).await;
    watch.history.fire(&[]);

    // The home page is two paths, so there were four before.
    for path in ["/1", "/2", "/3", "/4", "/5"] {
        watch.service.publish_and_run(path).await;
    }
    watch.minutes(2).await;
    watch
        .history
        .fire(&["SkycmsCdnMonthLimitNear warning site=default"]);
    watch.history.verify();
}

#[tokio::test]
async fn a_batch_that_cloudfront_refuses_for_good() {
    let mut watch = Watch::start().await;
    watch
        .service
        .sandbox
        .fail_creates(1, json!({ "kind": "error", "code": "InvalidArgument" }))
        .await;
    watch.service.publish_and_run("/refused").await;
    watch.minutes(1).await;
    watch
        .history
        .fire(&["SkycmsCdnInvalidationFailed warning job=skycms-cdn"]);
    watch.minutes(11).await;
    watch.history.fire(&[]);
    watch.history.verify();
}

#[tokio::test]
async fn calls_that_come_too_fast() {
    for code in ["Throttling", "TooManyInvalidationsInProgress"] {
        let mut watch = Watch::start().await;
        watch
            .service
            .sandbox
            .fault(json!({ "operation": "create", "fault": { "kind": "error", "code": code } }))
            .await;
        watch.service.publish_and_run("/waits").await;
        watch.minutes(8).await;
        let throttles = "SkycmsCdnCloudFrontThrottles warning job=skycms-cdn";
        watch.history.fire(&[throttles]);
        watch.minutes(5).await;
        let old = "SkycmsCdnQueueOld critical job=skycms-cdn";
        watch.history.fire(&[throttles, old]);

        watch.service.sandbox.clear_faults().await;
        watch.minutes(12).await;
        watch.history.fire(&[]);
        watch.history.verify();
    }
}

#[tokio::test]
async fn a_cloudfront_that_does_not_answer() {
    let mut watch = Watch::start().await;
    watch
        .service
        .sandbox
        .fault(json!({ "fault": { "kind": "reset" } }))
        .await;
    watch.service.publish_and_run("/waits").await;
    watch.minutes(10).await;
    let away = "SkycmsCdnCloudFrontAway warning instance=cdn-1";
    watch.history.fire(&[away]);
    watch.minutes(3).await;
    let old = "SkycmsCdnQueueOld critical job=skycms-cdn";
    watch.history.fire(&[away, old]);

    watch.service.sandbox.clear_faults().await;
    watch.minutes(3).await;
    watch.history.fire(&[]);
    watch.history.verify();
}

#[tokio::test]
async fn readers_who_keep_getting_old_pages() {
    let mut watch = Watch::start().await;
    watch.service.state.metrics.edge_checked(EdgeState::Stale);
    watch.minutes(1).await;
    watch.history.fire(&[]);
    for _ in 0..7 {
        watch.service.state.metrics.edge_checked(EdgeState::Stale);
    }
    watch.minutes(1).await;
    watch
        .history
        .fire(&["SkycmsCdnReadersGetOldPages warning job=skycms-cdn"]);
    watch.minutes(16).await;
    watch.history.fire(&[]);
    watch.history.verify();
}

#[tokio::test]
async fn endpoints_that_take_no_notifications() {
    let mut watch = Watch::start().await;
    let metrics = watch.service.state.metrics.clone();
    metrics.delivery(Next::Again(OffsetDateTime::UNIX_EPOCH));
    metrics.delivery(Next::Delivered);
    watch.minutes(1).await;
    watch.history.fire(&[]);
    (0..8).for_each(|_| metrics.delivery(Next::Again(OffsetDateTime::UNIX_EPOCH)));
    watch.minutes(1).await;
    let fail = "SkycmsCdnNotificationsFail warning job=skycms-cdn";
    watch.history.fire(&[fail]);
    metrics.endpoint_switched_off();
    watch.minutes(1).await;
    let off = "SkycmsCdnEndpointSwitchedOff warning job=skycms-cdn";
    watch.history.fire(&[fail, off]);
    watch.minutes(61).await;
    watch.history.fire(&[off]);
    watch.history.verify();
}
