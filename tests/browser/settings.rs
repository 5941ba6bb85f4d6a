//! Settings → CDN: the first visit, and “Save and test” that succeeds.

use serde_json::json;

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::stage::Stage;
use crate::support::{DISTRIBUTION, KEY, PRIVATE, SECRET, set};

const STEPS: [&str; 5] = [
    "format",
    "credentials",
    "create_invalidation",
    "get_invalidation",
    "completed",
];

/// Fills in the form; with an empty secret the field stays as it is.
pub(crate) async fn fill(browser: &Browser, distribution: &str, key: &str, secret: &str) {
    browser.fill("distribution_id", distribution).await;
    browser.fill("access_key_id", key).await;
    browser.fill("secret_access_key", secret).await;
}

/// The outcome of each step of the test, in order.
pub(crate) async fn outcomes(browser: &Browser) -> Vec<String> {
    let mut outcomes = Vec::new();
    for step in STEPS {
        let css = format!("[data-test-step={step}]");
        outcomes.push(browser.attribute(&css, "data-outcome").await.unwrap());
    }
    outcomes
}

#[tokio::test]
async fn a_first_visit_ends_connected_live() {
    first_visit(Scripts::On).await;
}

#[tokio::test]
async fn a_first_visit_ends_connected_without_scripts() {
    first_visit(Scripts::Off).await;
}

async fn first_visit(scripts: Scripts) {
    let stage = Stage::fresh(scripts).await;
    stage.sandbox.never_complete().await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    assert_eq!(browser.is_scripted().await, scripts == Scripts::On);
    browser.assert_sees("#standing", "Not set up yet").await;
    assert_eq!(browser.value("region").await, "us-east-1");
    browser
        .assert_sees(
            "#region option:checked",
            "US East (N. Virginia) · us-east-1 (recommended)",
        )
        .await;
    assert_eq!(browser.value("distribution_id").await, "");
    browser
        .assert_sees("#policy-json", "distribution/YOUR_DISTRIBUTION_ID")
        .await;
    assert_eq!(browser.count("[data-test-step]").await, 0);

    fill(browser, DISTRIBUTION, KEY, SECRET).await;
    browser.save_and_test().await;
    let waiting = ["passed", "passed", "passed", "passed", "waiting"];
    assert_eq!(outcomes(browser).await, waiting);
    browser
        .assert_sees("#test", "Testing: 4 of 5 steps done.")
        .await;
    browser
        .assert_sees(
            "#test",
            "CloudFront is working on it, usually for less than half a minute.",
        )
        .await;

    if scripts == Scripts::On {
        browser.mark().await;
    }
    stage.sandbox.complete().await;
    browser.wait_for("#test", "All five steps passed.").await;
    assert_eq!(outcomes(browser).await, ["passed"; 5]);
    browser.wait_for("#standing", "Connected").await;
    browser.assert_sees("#standing", "Active in force").await;
    if scripts == Scripts::On {
        browser.assert_was_not_reloaded().await;
    }

    browser.open("/settings/cdn").await;
    assert_eq!(browser.value("distribution_id").await, DISTRIBUTION);
    assert_eq!(browser.value("access_key_id").await, KEY);
    assert_eq!(browser.value("secret_access_key").await, "");
    let placeholder = browser.attribute("#secret_access_key", "placeholder").await;
    assert_eq!(placeholder.unwrap(), "stored — leave empty to keep");
    browser
        .assert_sees("#policy-json", &format!("distribution/{DISTRIBUTION}"))
        .await;
    let accepted = stage.sandbox.accepted().await;
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0]["paths"], json!(["/skycms-cdn-test"]));
    stage.finish().await;
}

/// The page says what became of the form before. That goes when a test has passed, and the form
/// that was tested stays as it is.
#[tokio::test]
async fn a_test_takes_no_focus_from_the_answer_to_a_form() {
    let stage = Stage::fresh(Scripts::On).await;
    let browser = &stage.browser;
    for (id, told) in [
        (DISTRIBUTION, "Saved and in force."),
        ("d1.cloudfront.net", "One field needs your attention."),
    ] {
        browser.open("/settings/cdn").await;
        fill(browser, id, KEY, SECRET).await;
        browser.submit("Save without testing").await;
        browser.assert_sees("main", told).await;
        browser.fill("distribution_id", DISTRIBUTION).await;
        browser.save_and_test().await;
        browser.wait_for("#test", "All five steps passed.").await;
        browser.assert_does_not_see("main", told).await;
        let focused = browser.run("return document.activeElement.value").await;
        assert_eq!(focused, "save_and_test", "{told}");
        // The policy still follows what is typed.
        browser.fill("distribution_id", "E1TYPED000001").await;
        browser
            .assert_sees("#policy-json", "distribution/E1TYPED000001")
            .await;
    }
    stage.finish().await;
}

#[tokio::test]
async fn with_a_public_address_the_last_step_says_whether_cloudfront_serves_it() {
    let stage = Stage::with(Scripts::On, |variables| set(variables, PRIVATE)).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn/publishing").await;
    browser.fill("public_address", &stage.sandbox.edge).await;
    browser.submit("Save the rules").await;
    for (edge, outcome, status, words) in [
        (
            json!({}),
            "passed",
            "All six steps passed.",
            "is served through CloudFront (edge location SBX50-P1)",
        ),
        (
            json!({ "bypassed": true }),
            "failed",
            "5 of 6 steps passed.",
            "is not served through CloudFront",
        ),
    ] {
        stage.sandbox.steer_edge(edge).await;
        browser.open("/settings/cdn").await;
        browser.save_and_test().await;
        browser.wait_for("#test", status).await;
        let step = "[data-test-step=edge]";
        let found = browser.attribute(step, "data-outcome").await;
        assert_eq!(found.unwrap(), outcome);
        browser.assert_sees(step, words).await;
        // It says nothing about the settings, which are in force.
        browser.wait_for("#standing", "Connected").await;
    }
    stage.finish().await;
}

#[tokio::test]
async fn the_steps_of_a_test_fill_in_as_they_pass() {
    let stage = Stage::fresh(Scripts::On).await;
    stage
        .sandbox
        .config(json!({ "in_progress_ms": 600_000, "latency_ms": 300 }))
        .await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    fill(browser, DISTRIBUTION, KEY, SECRET).await;
    browser.mark().await;
    browser
        .run(
            "window.seen = [];
             new MutationObserver(() => {
               const outcomes = [...document.querySelectorAll('[data-test-step]')].map((step) => step.dataset.outcome).join(' ');
               if (outcomes && seen.at(-1) !== outcomes) seen.push(outcomes);
             }).observe(document.querySelector('#test'), { subtree: true, childList: true, attributes: true });",
        )
        .await;
    browser.save_and_test().await;
    stage.sandbox.complete().await;
    browser.wait_for("#standing", "Connected").await;
    browser.wait_for("#test", "All five steps passed.").await;
    browser.assert_was_not_reloaded().await;
    let seen: Vec<String> = serde_json::from_value(browser.run("return seen").await).unwrap();
    assert_eq!(
        seen,
        [
            "passed waiting waiting waiting waiting skipped",
            "passed passed passed waiting waiting skipped",
            "passed passed passed passed waiting skipped",
            "passed passed passed passed passed skipped",
        ]
    );

    // The form shows what is stored now, and the secret is nowhere.
    assert_eq!(browser.value("secret_access_key").await, "");
    let placeholder = browser.attribute("#secret_access_key", "placeholder").await;
    assert_eq!(placeholder.unwrap(), "stored — leave empty to keep");
    browser
        .assert_sees("#remove", "Remove the CDN settings")
        .await;
    stage.finish().await;
}
