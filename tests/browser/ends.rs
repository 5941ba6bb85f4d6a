//! Publishes that end otherwise than completed: what failed is tried again, and what nobody can
//! know is told as such.

use serde_json::json;

use crate::driver::Scripts;
use crate::stage::Stage;

#[tokio::test]
async fn what_failed_is_tried_again() {
    try_again(Scripts::On).await;
}

#[tokio::test]
async fn what_failed_is_tried_again_without_scripts() {
    try_again(Scripts::Off).await;
}

async fn try_again(scripts: Scripts) {
    let stage = Stage::set_up(scripts).await;
    // The batch of two is refused and halved; then one half is refused, and the other goes through.
    let fault = json!({ "kind": "error", "code": "InvalidArgument" });
    stage.sandbox.fail_creates(2, fault).await;
    let publish = stage
        .api()
        .publish(json!({ "paths": ["/one", "/two"] }))
        .await;
    let failed = publish["id"].as_str().unwrap();
    let ended = stage.api().wait_until_ended(failed).await;
    assert_eq!(ended["state"], "failed");
    let accepted = stage.sandbox.accepted().await;
    assert_eq!(accepted.len(), 1, "half of it went through");

    let browser = &stage.browser;
    browser.open(&format!("/activity/{failed}")).await;
    browser
        .assert_sees(
            "#publish",
            "What has completed is neither sent nor billed again.",
        )
        .await;
    browser.submit("Try again").await;
    browser.wait_until_completed().await;
    let address = browser.client().current_url().await.unwrap();
    assert!(!address.path().ends_with(failed), "{address}");

    let accepted = stage.sandbox.accepted().await;
    let mut paths: Vec<_> = accepted
        .iter()
        .flat_map(|i| i["paths"].as_array().unwrap())
        .collect();
    paths.sort_by_key(ToString::to_string);
    assert_eq!(paths, [&json!("/one"), &json!("/two")], "each went once");

    // It is not offered once more: the page leads to the publish that was made of it.
    browser.open(&format!("/activity/{failed}")).await;
    browser.assert_does_not_see("#publish", "Try again").await;
    browser.submit("see how that went").await;
    assert_eq!(browser.client().current_url().await.unwrap(), address);
    assert_eq!(stage.sandbox.accepted().await.len(), 2);
    stage.finish().await;
}

#[tokio::test]
async fn what_nobody_can_know_is_shown_as_such() {
    let stage = Stage::set_up(Scripts::On).await;
    stage
        .sandbox
        .config(json!({ "already_used": "invalid_argument" }))
        .await;
    let fault = json!({ "kind": "drop_answer" });
    stage.sandbox.fail_creates(1, fault).await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    let id = stage.api().publish_path("/lost").await;
    browser.wait_for(&format!("#p-{id}"), "Unconfirmed").await;
    browser
        .wait_for("#work", "1 of 1 publish done · 1 failed or unconfirmed")
        .await;
    browser.submit("/lost").await;
    browser
        .assert_sees(
            "h1 + .lead",
            "CloudFront accepted it, but cannot be asked whether it has completed.",
        )
        .await;
    browser.assert_sees(".timeline", "Unconfirmed").await;
    browser.assert_sees(".invalidation", "No ID").await;
    browser
        .assert_sees(
            ".invalidation .fix",
            "Nothing: CloudFront has accepted the purge.",
        )
        .await;
    browser.assert_does_not_see("#publish", "Try again").await;

    browser.open("/activity?state=unconfirmed").await;
    assert_eq!(browser.count("#publishes li").await, 1);
    stage.finish().await;
}
