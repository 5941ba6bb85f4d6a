//! Every answer of the API and of operations: see tests/snapshots/answers.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::support::{Answer, Database, NO_SETTINGS, Sandbox, Stepped, assert_shown, send};

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00:30 UTC);

/// At noon of 23 November; nothing completes before the test says so.
pub(crate) async fn service(more: &[(&str, &str)]) -> Stepped {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    sandbox.never_complete().await;
    Stepped::start_at(database, sandbox, more, NOW).await
}

fn show(name: &str, answer: &Answer) {
    assert_shown("answers", name, &answer.written());
}

const ABOUT: &str = r#"{"paths": ["/about"]}"#;
const NO_PROOF: (&str, &str) = ("authorization", "");

#[tokio::test]
async fn a_publish_is_accepted_or_refused_with_reasons() {
    let service = service(&[]).await;
    let api = &service.api;
    let key = ("idempotency-key", "deploy-17");
    let all = json!({
        "paths": ["/about", "https://www.example.com/blog/post-1", "root", "/docs/*", "/files/old~name.pdf"],
        "tags": ["Article:42"],
    });
    show("publish-accepted", &api.post(&[], all.to_string()).await);
    show(
        "publish-everything",
        &api.post(&[], r#"{"everything": true}"#).await,
    );
    show("publish-with-a-key", &api.post(&[key], ABOUT).await);
    show("publish-repeated", &api.post(&[key], ABOUT).await);
    show(
        "publish-key-reused",
        &api.post(&[key], r#"{"paths": ["/other"]}"#).await,
    );
    show("publish-not-json", &api.post(&[], "paths").await);
    show(
        "publish-not-this-shape",
        &api.post(&[], r#"{"paths": "/about"}"#).await,
    );
    show("publish-empty", &api.post(&[], "{}").await);
    let bad = json!({ "paths": ["/about", "/blog/*/comments", ""], "tags": ["two words"] });
    show("publish-bad-items", &api.post(&[], bad.to_string()).await);
    show("publish-no-proof", &api.post(&[NO_PROOF], ABOUT).await);
    let wrong = ("authorization", "Bearer not-the-token");
    show("publish-wrong-token", &api.post(&[wrong], ABOUT).await);
    let signed = [
        NO_PROOF,
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];
    show("publish-stale-signature", &api.post(&signed, ABOUT).await);
    let elsewhere = api.of_site("elsewhere", &api.token);
    show("publish-unknown-site", &elsewhere.post(&[], ABOUT).await);
    let large = format!(r#"{{"paths": ["{}"]}}"#, "x".repeat(1 << 20));
    show("publish-too-large", &api.post(&[], large).await);
    let plain = ("content-type", "text/plain");
    show(
        "publish-not-declared-json",
        &api.post(&[plain], ABOUT).await,
    );
    let path = "/api/sites/default/publishes";
    let put = api.request(Method::PUT, path, &[], Body::empty());
    show("publish-put", &send(put).await);
    let unread = api.request(Method::GET, "/api/nowhere", &[], Body::empty());
    show("api-unknown-address", &send(unread).await);
}

#[tokio::test]
async fn a_publish_is_followed_to_each_of_its_ends() {
    let service = service(&[]).await;
    let show_publish = async |name: &str, id: &str| {
        let path = format!("/api/sites/default/publishes/{id}");
        show(name, &service.api.get(&path, &[]).await);
    };
    let id = service.api.publish_path("/about").await;
    show_publish("publish-queued", &id).await;
    service.run().await;
    show_publish("publish-in-progress", &id).await;
    service.sandbox.complete().await;
    service.pass(12).await;
    show_publish("publish-completed", &id).await;

    let refused = json!({ "kind": "error", "code": "InvalidArgument", "status": 400,
        "message": "Your request contains one or more invalid invalidation paths." });
    service.sandbox.fail_creates(1, refused).await;
    let id = service.publish_and_run("/failed").await;
    show_publish("publish-failed", &id).await;

    service.sandbox.lose_answer().await;
    let id = service.publish_and_run("/unconfirmed").await;
    show_publish("publish-in-doubt", &id).await;
    service.run_until_ended(&id).await;
    show_publish("publish-unconfirmed", &id).await;

    let throttled =
        json!({ "kind": "error", "code": "Throttling", "status": 400, "message": "Rate exceeded" });
    service.sandbox.fail_creates(1, throttled).await;
    let id = service.publish_and_run("/throttled").await;
    show_publish("publish-throttled", &id).await;
    service.pass(2).await;

    service.sandbox.set_policy(Value::Null).await;
    let id = service.publish_and_run("/paused").await;
    show_publish("publish-paused", &id).await;
    let later = service.publish_and_run("/later").await;
    show_publish("publish-waiting-for-settings", &later).await;

    show_publish("show-unknown", &uuid::Uuid::nil().to_string()).await;
    show_publish("show-malformed", "17").await;
    let path = format!("/api/sites/default/publishes/{id}");
    show("show-no-proof", &service.api.get(&path, &[NO_PROOF]).await);

    let list = async |name: &str, query: &str| show(name, &service.api.invalidations(query).await);
    list("list", "").await;
    list("list-page", "?limit=1").await;
    list("list-completed", "?status=Completed").await;
    list("list-limit-zero", "?limit=0").await;
    list("list-unknown-status", "?status=Done").await;
    list("list-bad-position", "?before=17").await;
    let elsewhere = service.api.of_site("elsewhere", &service.api.token);
    show("list-unknown-site", &elsewhere.invalidations("").await);
}

#[tokio::test]
async fn a_site_without_settings_takes_no_publish() {
    let service = service(NO_SETTINGS).await;
    show("publish-no-settings", &service.api.post(&[], ABOUT).await);
}

#[tokio::test]
async fn without_a_database_nothing_is_accepted() {
    let service = service(&[]).await;
    service.state.store.close().await;
    show("publish-no-database", &service.api.post(&[], ABOUT).await);
    let path = format!("/api/sites/default/publishes/{}", uuid::Uuid::nil());
    show("show-no-database", &service.api.get(&path, &[]).await);
    show("list-no-database", &service.api.invalidations("").await);
    show(
        "ready-no-database",
        &service.api.get("/health/ready", &[]).await,
    );
}

#[tokio::test]
async fn operations_and_documents_are_served() {
    let service = service(&[]).await;
    let get = async |name: &str, path: &str| {
        show(
            name,
            &service
                .api
                .get(path, &[NO_PROOF, ("content-type", "")])
                .await,
        );
    };
    get("live", "/health/live").await;
    get("ready", "/health/ready").await;
    get("openapi", "/openapi.json").await;
    get("docs", "/docs").await;
    let elsewhere = [("x-forwarded-for", "192.0.2.1")];
    show(
        "metrics-elsewhere",
        &service.api.get("/metrics", &elsewhere).await,
    );

    // Assets: their headers, for what is in them is theirs. Another version is kept by nobody.
    let page = service.api.get("/sign-in", &[]).await.body;
    let (_, version) = page.split_once("/static/app.js?v=").unwrap();
    let version = version.split('"').next().unwrap();
    for asset in ["style.css", "app.js", "icon.svg"] {
        let path = format!("/static/{asset}");
        let mut answer = service.api.get(&format!("{path}?v={version}"), &[]).await;
        answer.body.clear();
        show(&format!("static-{asset}"), &answer);
        for other in [path.clone(), format!("{path}?v=1")] {
            let answer = service.api.get(&other, &[]).await;
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{other}");
        }
    }

    // Metrics: their names, labels and help, for the figures differ.
    let id = service.publish_and_run("/about").await;
    service.sandbox.complete().await;
    service.advance(Duration::seconds(10));
    service.run_until_ended(&id).await;
    let mut answer = service.api.get("/metrics", &[]).await;
    let metrics = answer.body;
    let mut names: Vec<&str> = metrics
        .lines()
        .filter(|line| !line.contains("_bucket{"))
        .map(|line| match line.rsplit_once(' ') {
            Some((series, _)) if !line.starts_with('#') => series,
            _ => line,
        })
        .collect();
    names.sort_unstable();
    answer.body = names.join("\n");
    show("metrics", &answer);
}
