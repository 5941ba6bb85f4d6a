//! Purging by hand: the preview as it is typed, what is sent, and the question before everything.

use serde_json::json;

use crate::driver::Scripts;
use crate::stage::Stage;

#[tokio::test]
async fn a_purge_shows_what_it_sends_as_it_is_typed() {
    purge(Scripts::On).await;
}

#[tokio::test]
async fn a_purge_shows_what_it_sends_without_scripts() {
    purge(Scripts::Off).await;
}

async fn purge(scripts: Scripts) {
    let stage = Stage::set_up(scripts).await;
    let browser = &stage.browser;
    let preview = async || match scripts {
        Scripts::On => {}
        Scripts::Off => browser.submit("Preview").await,
    };
    browser.open("/purge").await;
    browser.assert_sees("#preview", "Start typing").await;

    browser.fill("items", "/a*b\n/fine").await;
    preview().await;
    browser
        .wait_for("#items-error", "One line cannot be sent: Line 1 /a*b")
        .await;
    assert_eq!(
        browser.attribute("#items", "aria-invalid").await.as_deref(),
        Some("true")
    );

    browser
        .fill("items", "/about\n/blog/*\n/blog/post-1\n/x~y")
        .await;
    preview().await;
    browser.wait_for("#preview", "3 paths, free").await;
    browser
        .assert_sees("#preview .swallowed", "/blog/post-1")
        .await;
    browser.assert_sees("#preview table", "/x*").await;
    assert_eq!(browser.attribute("#items", "aria-invalid").await, None);
    assert_eq!(
        stage.sandbox.ledger().await.len(),
        0,
        "a preview sends nothing"
    );

    browser.submit("Purge").await;
    browser.wait_until_completed().await;
    let accepted = stage.sandbox.accepted().await;
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0]["paths"], json!(["/about", "/blog/*", "/x*"]));
    stage.finish().await;
}

#[tokio::test]
async fn no_preview_of_an_earlier_text_stays_beside_a_new_one() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/purge").await;
    browser.fill("items", "/about").await;
    browser.wait_for("#preview", "1 path, free").await;
    // Signed out meanwhile.
    browser.client().delete_all_cookies().await.unwrap();
    browser.fill("items", "/blog/*").await;
    browser.wait_for("#items-error", "Sign in").await;
    browser.assert_does_not_see("#preview", "free").await;
    assert_eq!(browser.count("#preview table").await, 0);
    stage.finish().await;
}

#[tokio::test]
async fn everything_is_purged_after_a_question() {
    let stage = Stage::set_up(Scripts::Off).await;
    let browser = &stage.browser;
    browser.open("/purge").await;
    browser.fill("items", "/about").await;
    browser.submit("Purge everything…").await;
    browser.submit("Cancel").await;
    assert_eq!(browser.value("items").await, "/about");
    browser.submit("Purge everything…").await;
    browser.assert_sees("h1", "Purge the whole site?").await;
    assert_eq!(
        stage.sandbox.ledger().await.len(),
        0,
        "a question sends nothing"
    );
    browser.submit("Purge everything").await;
    browser.wait_until_completed().await;
    assert_eq!(stage.sandbox.accepted().await[0]["paths"], json!(["/*"]));
    stage.finish().await;
}
