//! Publishing hosts and related pages, policy and limit: what is wrong is told at its field, and
//! what is saved holds.

use serde_json::json;

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::stage::Stage;

#[tokio::test]
async fn publishing_is_checked_and_holds() {
    publishing(Scripts::On).await;
}

#[tokio::test]
async fn publishing_is_checked_and_holds_without_scripts() {
    publishing(Scripts::Off).await;
}

async fn publishing(scripts: Scripts) {
    let stage = Stage::set_up(scripts).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn/publishing").await;
    browser
        .fill("hosts", "www.example.com\nno host at all")
        .await;
    browser.fill("related", "/sitemap.xml\n/*").await;
    browser.submit("Save the rules").await;
    assert_eq!(browser.status().await, 422);
    assert_at_the_first_mistake(browser, "hosts").await;
    for (field, typed) in [
        ("hosts", "www.example.com\nno host at all"),
        ("related", "/sitemap.xml\n/*"),
    ] {
        assert_eq!(browser.value(field).await, typed);
        let css = format!("#{field}");
        assert_eq!(
            browser.attribute(&css, "aria-invalid").await.as_deref(),
            Some("true")
        );
        let described = browser.attribute(&css, "aria-describedby").await.unwrap();
        assert!(described.contains(&format!("{field}-error")), "{described}");
    }
    browser
        .assert_sees(
            "#related-error",
            "would purge the whole site with every publish",
        )
        .await;

    browser.fill("hosts", "www.example.com").await;
    browser.fill("related", "/sitemap.xml\n/a*b").await;
    browser.submit("Save the rules").await;
    browser.assert_sees("#related-error", "/a*b: ").await;
    browser
        .fill("related", "/blog/* => /feed.xml\n/sitemap.xml")
        .await;
    browser.fill("try", "/blog/post-1").await;
    browser.submit("Try").await;
    browser
        .assert_sees("#tried", "by the rule /blog/* => /feed.xml")
        .await;
    browser
        .find("[name=directory_variants]")
        .await
        .click()
        .await
        .unwrap();
    browser.submit("Save the rules").await;
    browser
        .assert_sees(
            "main",
            "Saved. This applies to publishes that arrive from now on.",
        )
        .await;
    assert_eq!(browser.value("hosts").await, "www.example.com");
    assert_eq!(
        browser.value("related").await,
        "/blog/* => /feed.xml\n/sitemap.xml"
    );
    assert_eq!(browser.count("[name=directory_variants]:checked").await, 1);

    let other = r#"{"paths": ["https://other.example/about"]}"#;
    assert_eq!(stage.api().post(&[], other).await.status, 422);
    let publish = stage
        .api()
        .publish(json!({ "paths": ["https://www.example.com/about"] }))
        .await;
    assert_eq!(
        publish["items"],
        json!(["/about", "/about/", "/about/index.html", "/sitemap.xml"])
    );
    stage.finish().await;
}

#[tokio::test]
async fn policy_and_limit_are_checked_and_hold() {
    policy(Scripts::On).await;
}

#[tokio::test]
async fn policy_and_limit_are_checked_and_hold_without_scripts() {
    policy(Scripts::Off).await;
}

async fn policy(scripts: Scripts) {
    let stage = Stage::set_up(scripts).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn/policy").await;
    pick(browser, "policy", "economical").await;
    pick(browser, "past_limit", "hold").await;
    browser.fill("fold_above", "none").await;
    browser.fill("monthly_limit", "5,000,000,000").await;
    browser.submit("Save paths and cost").await;
    assert_eq!(browser.status().await, 422);
    assert_at_the_first_mistake(browser, "fold_above").await;
    browser
        .assert_sees(
            "#fold_above-error",
            "Enter a whole number from 1 to 1,000,000.",
        )
        .await;
    browser
        .assert_sees(
            "#monthly_limit-error",
            "Enter a whole number from 1 to 4,294,967,295.",
        )
        .await;
    assert_eq!(browser.value("fold_above").await, "none");
    assert_eq!(picked(browser).await, ["economical", "hold"]);

    browser.fill("fold_above", "2").await;
    browser.fill("monthly_limit", "1,000").await;
    browser.submit("Save paths and cost").await;
    browser
        .assert_sees("main", "Saved. This applies from the next call on.")
        .await;
    assert_eq!(browser.value("fold_above").await, "2");
    assert_eq!(browser.value("monthly_limit").await, "1000");
    assert_eq!(picked(browser).await, ["economical", "hold"]);

    let body = json!({ "paths": ["/blog/one", "/blog/two", "/blog/three"] });
    let publish = stage.api().publish(body).await;
    stage
        .api()
        .wait_until_ended(publish["id"].as_str().unwrap())
        .await;
    assert_eq!(
        stage.sandbox.accepted().await[0]["paths"],
        json!(["/blog/*"])
    );
    stage.finish().await;
}

/// The page comes back where the mistake is, and its title says so first.
pub(crate) async fn assert_at_the_first_mistake(browser: &Browser, field: &str) {
    let script = "const { id } = document.activeElement, { top, bottom } = document.activeElement.getBoundingClientRect();
        return [id, top >= 0 && bottom <= innerHeight, document.title.startsWith('Error: ')]";
    let found = browser.run(script).await;
    assert_eq!(found, json!([field, true, true]));
}

async fn pick(browser: &Browser, name: &str, value: &str) {
    let css = format!("[name={name}][value={value}]");
    browser.find(&css).await.click().await.unwrap();
}

async fn picked(browser: &Browser) -> [String; 2] {
    let mut values = ["policy", "past_limit"].map(str::to_owned);
    for name in &mut values {
        let css = format!("[name={name}]:checked");
        *name = browser.attribute(&css, "value").await.unwrap();
    }
    values
}
