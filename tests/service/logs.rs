//! What the log tells of a publish and its invalidation, and that each fact has one name.

use serde_json::Value;

use crate::support::{
    Browser, DISTRIBUTION, Database, ENCRYPTION_KEY, KEY, PASSWORD, Replica, SECRET, Sandbox,
    Stepped, named, set, variables,
};

/// A publish that goes through, and the log of a service with these variables.
async fn log_of_a_publish(more: &[(&str, &str)]) -> (String, Vec<String>) {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let mut variables = variables(&database, &sandbox);
    variables.remove("RUST_LOG");
    set(&mut variables, more);
    let replica = Replica::start_with(&variables).await;
    let id = replica.api.publish_path("/about").await;
    replica.api.wait_until_ended(&id).await;
    replica.line_with("completed").await;
    (id, replica.log())
}

#[tokio::test]
async fn in_json_each_transition_names_site_publish_invalidation_and_request() {
    let (id, log) = log_of_a_publish(&[("LOG_FORMAT", "json")]).await;
    let lines: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let about: Vec<&Value> = lines.iter().filter(|line| line["publish"] == *id).collect();
    let words: Vec<&str> = about
        .iter()
        .map(|l| l["message"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["accepted", "accepted by CloudFront", "completed"]);
    assert!(about.iter().all(|line| line["site"] == "default"));
    let (sent, done) = (about[1], about[2]);
    for name in ["invalidation", "cloudfront_id", "distribution"] {
        assert!(sent[name].is_string(), "{name}: {sent}");
        assert_eq!(sent[name], done[name], "{name}");
    }
    assert!(sent["request_id"].is_string() && done["request_id"].is_string());
    assert_ne!(
        sent["request_id"], done["request_id"],
        "each call has its own"
    );
    assert_quiet(&log);
}

#[tokio::test]
async fn text_has_the_same_names() {
    let (id, log) = log_of_a_publish(&[]).await;
    let done = log
        .iter()
        .find(|line| line.contains(": completed "))
        .unwrap();
    for name in [
        "site",
        "invalidation",
        "cloudfront_id",
        "distribution",
        "request_id",
    ] {
        assert!(done.contains(&format!(" {name}=")), "{name}: {done}");
    }
    assert!(done.contains(&format!(" publish={id}")), "{done}");
    assert_quiet(&log);
}

/// PostgreSQL's notices are for those who ask for them.
fn assert_quiet(log: &[String]) {
    let noise = log.iter().find(|line| line.contains("sqlx"));
    assert_eq!(noise, None);
}

#[tokio::test]
async fn rust_log_overrules_the_default() {
    let (_, log) = log_of_a_publish(&[("RUST_LOG", "warn,sqlx=info,skycms_cdn=debug")]).await;
    assert!(log.iter().any(|line| line.contains("sqlx")), "{log:#?}");
}

#[tokio::test]
async fn a_refusal_is_logged_with_code_and_message() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    sandbox.set_policy(Value::Null).await;
    let mut variables = variables(&database, &sandbox);
    variables.insert("LOG_FORMAT".into(), "json".into());
    let replica = Replica::start_with(&variables).await;
    let id = replica.api.publish_path("/about").await;
    let line = replica.line_with("not accepted yet").await;
    assert_eq!(line.matches(r#""message":"#).count(), 1, "{line}");
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told["publish"], *id);
    assert_eq!(told["code"], "AccessDenied");
    assert_eq!(told["waiting_for"], "settings");
    assert!(
        told["request_id"].is_string() && told["error"].is_string(),
        "{told}"
    );
}

#[tokio::test]
async fn save_and_test_is_counted() {
    let service = Stepped::start_with(&[("ADMIN_PASSWORD", PASSWORD)]).await;
    let mut admin = Browser::signed_in(&service.api.base).await;
    let fields = [
        ("distribution_id", DISTRIBUTION),
        ("access_key_id", KEY),
        ("secret_access_key", SECRET),
        ("region", "us-east-1"),
        ("action", "save_and_test"),
    ];
    assert_eq!(admin.post("/settings/cdn", &fields).await.status, 303);
    let metrics = service.api.metrics().await;
    for (operation, outcome) in [
        ("CreateInvalidation", "accepted"),
        ("GetInvalidation", "completed"),
    ] {
        let labels = format!("{{operation=\"{operation}\",outcome=\"{outcome}\"}}");
        let series = format!("skycms_cdn_cloudfront_requests_total{labels} 1\n");
        assert!(metrics.contains(&series), "{series} in\n{metrics}");
    }
}

#[tokio::test]
async fn a_variable_whose_name_is_mistyped_is_warned_of() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let mut variables = variables(&database, &sandbox);
    for (name, value) in [
        ("CLOUDFRONT_REQUEST_PER_SECOND", "1"),
        // It needs SKYCMS_URL.
        ("SKYCMS_COOKIE", "SkyCmsAuth"),
        // Not ours, and not meant.
        ("SKYCMS_CDN_SERVICE_HOST", "10.0.0.1"),
        ("SKYCMS_CDN_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("SKYCMS_CDN_URL", "http://127.0.0.1:8080"),
    ] {
        variables.insert(name.into(), value.into());
    }
    let replica = Replica::start_with(&variables).await;
    let log = replica.log();
    let warnings = log.iter().filter(|line| line.contains("has no effect"));
    let mut named: Vec<&str> = warnings
        .filter_map(|line| line.split_once(": is set")?.0.rsplit(' ').next())
        .collect();
    named.sort_unstable();
    assert_eq!(named, ["CLOUDFRONT_REQUEST_PER_SECOND", "SKYCMS_COOKIE"]);
}

#[tokio::test]
async fn a_database_elsewhere_without_tls_is_warned_of() {
    // Of a network that is for documentation: nobody answers.
    let url = "postgres://skycms_cdn@192.0.2.1/skycms_cdn";
    let variables = [("DATABASE_URL", url), ("ENCRYPTION_KEY", ENCRYPTION_KEY)];
    let replica = Replica::spawn(&named(&variables));
    let line = replica.line_with("sslmode").await;
    assert!(
        line.contains("WARN") && line.contains("192.0.2.1"),
        "{line}"
    );
}
