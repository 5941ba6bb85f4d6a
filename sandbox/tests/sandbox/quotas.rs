//! Quotas and rates.

use serde_json::{Value, json};

use crate::support::{DISTRIBUTION, Sandbox, code, create, refusal};

#[tokio::test]
async fn the_sixth_quick_call_is_throttled() {
    let sandbox = Sandbox::start();
    let client = sandbox.client();
    for number in 0..5 {
        create(&client, &number.to_string(), &["/"]).await.unwrap();
    }
    let sixth = create(&client, "6", &["/"]).await;
    assert_eq!(
        refusal(&sixth),
        (400, "Throttling".into(), "Rate exceeded".into())
    );
    sandbox.config(json!({ "rate": null })).await;
    create(&client, "6", &["/"]).await.unwrap();
}

#[tokio::test]
async fn files_and_wildcards_in_progress_have_budgets_apart() {
    let sandbox = Sandbox::start_with(&["--in-progress-ms", "600000"]);
    let quotas = json!({ "rate": null, "files_in_progress": 3, "wildcards_in_progress": 1 });
    sandbox.config(quotas).await;
    let client = sandbox.client();
    let too_many = (400, "TooManyInvalidationsInProgress".to_owned());
    create(&client, "1", &["/a", "/b", "/c/*"]).await.unwrap();
    assert_eq!(code(&create(&client, "2", &["/d/*"]).await), too_many);
    assert_eq!(code(&create(&client, "3", &["/d", "#e"]).await), too_many);
    create(&client, "4", &["#e"]).await.unwrap();
    assert_eq!(code(&create(&client, "5", &["/f"]).await), too_many);
    create(&client, "4", &["#e"])
        .await
        .expect("a repeat costs nothing");
    let entry = sandbox.last_call().await;
    assert_eq!(
        (&entry["in_progress_files"], &entry["in_progress_wildcards"]),
        (&json!(3), &json!(1))
    );

    let distribution = format!("/sandbox/distributions/{DISTRIBUTION}");
    sandbox
        .set("PUT", &distribution, json!({ "files_in_progress": 4 }))
        .await;
    create(&client, "5", &["/f"]).await.unwrap();
    sandbox.set("POST", "/sandbox/complete", Value::Null).await;
    create(&client, "6", &["/g", "/h", "/i", "/j", "/k/*"])
        .await
        .unwrap();
}

#[tokio::test]
async fn the_quotas_may_be_a_rate() {
    let sandbox = Sandbox::start();
    let quotas = json!({ "rate": null, "paths_per_second": 3, "wildcards_per_second": 0.001 });
    sandbox.config(quotas).await;
    let client = sandbox.client();
    create(&client, "1", &["/a/*"]).await.unwrap();
    assert_eq!(
        code(&create(&client, "2", &["/b/*"]).await),
        (400, "Throttling".into())
    );
    assert_eq!(
        code(&create(&client, "3", &["/1", "/2", "/3", "/4"]).await),
        (400, "Throttling".into())
    );
    create(&client, "4", &["/1", "/2", "/3"]).await.unwrap();
}

#[tokio::test]
async fn the_quotas_of_2026_are_a_rate_and_nothing_else() {
    let sandbox = Sandbox::start_with(&["--quotas", "per-second", "--in-progress-ms", "600000"]);
    let config = sandbox.read("/sandbox/config").await;
    assert_eq!(config["files_in_progress"], Value::Null);
    assert_eq!(config["wildcards_in_progress"], Value::Null);
    let client = sandbox.client();
    let pages: Vec<String> = (0..151).map(|n| format!("/{n}")).collect();
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    let throttled = (400, "Throttling".to_owned());
    assert_eq!(code(&create(&client, "1", &pages).await), throttled);
    create(&client, "2", &pages[1..]).await.unwrap();
    assert_eq!(
        code(&create(&client, "3", &["/a/*", "/b/*"]).await),
        throttled
    );
    create(&client, "4", &["/a/*"]).await.unwrap();
}

#[tokio::test]
async fn flags_set_the_rate_of_calls() {
    let sandbox = Sandbox::start_with(&["--rate", "0.001", "--burst", "1"]);
    let client = sandbox.client();
    create(&client, "1", &["/a"]).await.unwrap();
    assert_eq!(
        code(&create(&client, "2", &["/b"]).await),
        (400, "Throttling".into())
    );
    let sandbox = Sandbox::start_with(&["--rate", "0"]);
    let client = sandbox.client();
    for number in 0..7 {
        create(&client, &number.to_string(), &["/a"]).await.unwrap();
    }
}
