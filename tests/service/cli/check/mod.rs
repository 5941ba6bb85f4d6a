//! `check`: each thing that can be wrong is told, with its fix.

mod connection;

use serde_json::{Value, json};
use skycms_cdn::domain::{Credentials, Settings};

use super::run::{Said, run};
use crate::support::{
    DISTRIBUTION, Database, ENCRYPTION_KEY, KEY, PRIVATE, Replica, SECRET, Sandbox, Stepped,
    Variables, eventually, named, set, settings, variables,
};

/// What was found about one thing: its outcome, and its words.
fn found(said: &Said, check: &str) -> (String, String) {
    let report = said.json();
    let finding = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("nothing about {check} in {report:#}"));
    let words = [&finding["detail"], &finding["fix"]]
        .map(|words| words.as_str().unwrap_or_default().to_owned())
        .join(" ");
    (finding["outcome"].as_str().unwrap().to_owned(), words)
}

pub(super) async fn check(variables: &Variables) -> Said {
    let said = run(variables, &["check", "--json"]).await;
    assert!(!said.stdout.contains(SECRET), "{said:?}");
    let report = said.json();
    assert_eq!(report["ok"], json!(said.code() == 0), "{report:#}");
    said
}

fn assert_found(said: &Said, check: &str, outcome: &str, words: &[&str]) {
    let (its, told) = found(said, check);
    assert_eq!(its, outcome, "{check}: {told}");
    for word in words {
        assert!(told.contains(word), "no `{word}` in {check}: {told}");
    }
}

#[tokio::test]
async fn a_good_installation_is_found_good_and_costs_nothing() {
    let service = Stepped::start().await;
    let variables = variables(&service.database, &service.sandbox);
    let said = check(&variables).await;
    said.assert_ok();
    assert_found(&said, "database", "ok", &["PostgreSQL "]);
    assert_found(&said, "migrations", "ok", &["applied"]);
    assert_found(&said, "keys", "ok", &[]);
    assert_found(&said, "signing in", "warn", &["skycms-cdn set-up-link"]);
    assert_found(&said, "aws", "ok", &["E2SANDBOX0CDN1"]);
    assert!(service.sandbox.creates().await.is_empty());
    assert_eq!(service.sandbox.calls("GetInvalidation").await.len(), 1);

    let full = run(&variables, &["check", "--full"]).await;
    full.assert_ok();
    assert!(full.stdout.contains("ok    aws"), "{}", full.stdout);
    let accepted = service.sandbox.accepted().await;
    assert_eq!(accepted[0]["paths"], json!(["/skycms-cdn-test"]));
    // It is billed and followed like any other.
    let paths = "SELECT sum(paths)::bigint FROM usage";
    assert_eq!(service.database.count(paths).await, 1);
}

#[tokio::test]
async fn passwords_in_the_clear_are_warned_of_also_behind_a_proxy() {
    let service = Stepped::start().await;
    let mut variables = variables(&service.database, &service.sandbox);
    for (public, outcome) in [
        ("http://localhost:8080", "ok"),
        ("http://editor.example.com/cdn", "warn"),
        ("https://editor.example.com/cdn", "ok"),
    ] {
        variables.insert("PUBLIC_URL".into(), public.into());
        assert_found(&check(&variables).await, "addresses", outcome, &[public]);
    }
}

#[tokio::test]
async fn a_full_check_says_whether_readers_are_served_through_cloudfront() {
    let service = Stepped::start().await;
    let mut variables = variables(&service.database, &service.sandbox);
    let full = async |variables: &Variables| run(variables, &["check", "--full", "--json"]).await;
    service.set_public_address("https://localhost").await;
    let private = full(&variables).await;
    private.assert_ok();
    assert_found(&private, "edge", "warn", &["private address"]);

    set(&mut variables, PRIVATE);
    let edge = service.sandbox.edge.clone();
    service.set_public_address(&edge).await;
    let served = full(&variables).await;
    assert_found(&served, "edge", "ok", &[&edge, "SBX50-P1"]);
    service
        .sandbox
        .steer_edge(json!({ "bypassed": true }))
        .await;
    let bypassed = full(&variables).await;
    assert_found(
        &bypassed,
        "edge",
        "warn",
        &["not served through CloudFront"],
    );
    let nobody = "http://127.0.0.1:9";
    service.set_public_address(nobody).await;
    let unreachable = full(&variables).await;
    assert_found(
        &unreachable,
        "edge",
        "warn",
        &["no connection could be made"],
    );
}

#[tokio::test]
async fn what_aws_rejects_is_reported_with_its_fix() {
    let service = Stepped::start().await;
    let variables = variables(&service.database, &service.sandbox);
    let sandbox = &service.sandbox;
    sandbox
        .set_key(
            KEY,
            json!({ "secret_access_key": "another/secret/another/secret/another/00" }),
        )
        .await;
    let said = check(&variables).await;
    assert_eq!(said.code(), 1);
    assert_found(&said, "aws", "fail", &["secret"]);
    sandbox
        .set_key(
            KEY,
            json!({ "secret_access_key": SECRET, "policy": Value::Null }),
        )
        .await;
    assert_found(
        &check(&variables).await,
        "aws",
        "fail",
        &["cloudfront:GetInvalidation"],
    );

    // May ask, may not create: only the full test tells.
    let may_ask = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "cloudfront:GetInvalidation", "Resource": "*" }] });
    sandbox.set_policy(may_ask).await;
    assert_found(&check(&variables).await, "aws", "ok", &["--full"]);
    let full = run(&variables, &["check", "--full", "--json"]).await;
    assert_eq!(full.code(), 1);
    assert_found(&full, "aws", "fail", &["cloudfront:CreateInvalidation"]);
}

/// AWS might take them: the service does not ask.
#[tokio::test]
async fn default_credentials_that_were_forbidden_are_reported() {
    let service = Stepped::start().await;
    let by_default = Settings {
        credentials: Credentials::AwsDefault,
        ..settings(DISTRIBUTION, KEY)
    };
    service.save(service.site(), &by_default).await;
    let said = check(&variables(&service.database, &service.sandbox)).await;
    assert_eq!(said.code(), 1);
    let command = "site allow-default-credentials";
    assert_found(&said, "settings", "fail", &[DISTRIBUTION, command]);
}

/// As of a newer version. What is in force is looked at all the same.
#[tokio::test]
async fn a_draft_that_cannot_be_read_is_reported_beside_the_settings_in_force() {
    let service = Stepped::start().await;
    let draft = "INSERT INTO cdn_settings (site_id, slot, distribution_id, region, saved_at)
                 SELECT id, 'draft', 'E2OFTHEMOON000', 'moon-north-1', now() FROM site WHERE name = 'default'";
    service.database.change(draft).await;
    let said = check(&variables(&service.database, &service.sandbox)).await;
    said.assert_ok();
    let words = ["the draft cannot be read", "moon-north-1"];
    assert_found(&said, "settings", "warn", &words);
    assert_found(&said, "aws", "ok", &[DISTRIBUTION]);
}

#[tokio::test]
async fn what_is_wrong_here_is_reported_with_its_fix() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let good = variables(&database, &sandbox);
    for (name, value, at_fault, words) in [
        ("HISTORY_DAYS", "soon", "configuration", "HISTORY_DAYS: "),
        (
            "CloudFront__AccessKeyId",
            "ASIASANDBOX000000001",
            "configuration",
            "CloudFront__",
        ),
        (
            "DATABASE_URL",
            "postgres://nobody@127.0.0.1:9/none",
            "database",
            "DATABASE_URL",
        ),
    ] {
        let mut bad = good.clone();
        bad.insert(name.into(), value.into());
        let said = check(&bad).await;
        assert_eq!(said.code(), 1);
        let report = said.json();
        let failed: Vec<_> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| c["outcome"] == "fail")
            .collect();
        assert_eq!(failed.len(), 1, "{report:#}");
        assert_eq!(failed[0]["check"], at_fault);
        assert!(failed[0].to_string().contains(words), "{report:#}");
    }

    let _service = Replica::start(&database, &sandbox).await;
    let mut other_key = good.clone();
    other_key.insert(
        "ENCRYPTION_KEY".into(),
        "H25Qb2BwQdEuAjPoGWoSeIpKRtlIoxzoqpCb6YIPtF0=".into(),
    );
    let said = check(&other_key).await;
    assert_found(
        &said,
        "keys",
        "fail",
        &["add the key they were saved with behind the new one"],
    );

    for (tampering, outcome, words) in [
        (
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'x', true, '', 0)",
            "warn",
            "newer than this version",
        ),
        (
            "DROP TABLE _sqlx_migrations",
            "warn",
            "`skycms-cdn serve` applies them",
        ),
    ] {
        database.change(tampering).await;
        let said = check(&good).await;
        assert_found(&said, "migrations", outcome, &[words]);
    }
}

#[tokio::test]
async fn the_embedded_database_is_not_made_and_not_disturbed() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let directory = tempfile::tempdir().unwrap();
    let mut embedded = variables(&database, &sandbox);
    embedded.remove("DATABASE_URL");
    embedded.insert(
        "DATA_DIR".into(),
        directory.path().join("data").to_str().unwrap().into(),
    );
    let said = check(&embedded).await;
    said.assert_ok();
    assert_found(&said, "database", "warn", &["not made yet"]);
    // The environment's settings are asked about nevertheless.
    assert_found(&said, "aws", "ok", &[]);
    assert!(!directory.path().join("data").exists());
    // As of another account's service: what cannot be looked at is not called missing.
    let mut barred = embedded.clone();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    barred.insert("DATA_DIR".into(), file.to_str().unwrap().into());
    let said = check(&barred).await;
    assert_found(
        &said,
        "database",
        "fail",
        &["cannot look for", "PG_VERSION"],
    );

    let replica = Replica::start_with(&embedded).await;
    let said = check(&embedded).await;
    said.assert_ok();
    assert_found(&said, "keys", "ok", &[]);
    // An operator's commands reach the running service's database.
    let made = run(&embedded, &["site", "create", "shop"]).await;
    let shop = replica.api.of_site("shop", made.id());
    eventually("the site to be known", || async {
        let answer = shop.post(&[], r#"{"paths":["/a"]}"#).await;
        (answer.status == 409).then_some(())
    })
    .await;
    replica.api.assert_publishes().await;
}

#[tokio::test]
async fn a_database_elsewhere_is_named_when_its_connection_may_be_readable() {
    let variables = |query: &str| {
        // Of a network that is for documentation: nobody answers.
        let url = format!("postgres://skycms_cdn@192.0.2.1/skycms_cdn{query}");
        named(&[("DATABASE_URL", &url), ("ENCRYPTION_KEY", ENCRYPTION_KEY)])
    };
    let said = run(&variables(""), &["check", "--json"]).await;
    assert_found(&said, "encryption", "warn", &["192.0.2.1", "sslmode"]);
    for chosen in ["?sslmode=disable", "?sslmode=verify-full"] {
        let said = run(&variables(chosen), &["check", "--json"]).await;
        assert!(!said.stdout.contains("encryption"), "{chosen}: {said:?}");
    }
}
