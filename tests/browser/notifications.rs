//! Endpoints of notifications and what is sent to them.

use crate::driver::Scripts;
use crate::stage::Stage;
use crate::support::{Mood, PRIVATE, Receiver, set};

#[tokio::test]
async fn an_endpoint_is_added_tested_and_sent_to_again() {
    endpoint(Scripts::On).await;
}

#[tokio::test]
async fn an_endpoint_is_added_tested_and_sent_to_again_without_scripts() {
    endpoint(Scripts::Off).await;
}

async fn endpoint(scripts: Scripts) {
    let stage = Stage::with(scripts, |variables| set(variables, PRIVATE)).await;
    let (browser, receiver) = (&stage.browser, Receiver::start().await);
    browser.open("/settings/cdn/notifications").await;
    browser.fill("url", "not an address").await;
    browser.submit("Add the endpoint").await;
    assert_eq!(browser.status().await, 422);
    browser.assert_sees("#url-error", "Enter the address").await;
    assert_eq!(browser.value("url").await, "not an address");

    browser.fill("url", &receiver.url).await;
    browser.submit("Add the endpoint").await;
    let secret = browser.text("#reveal-1").await;
    browser.assert_sees("#endpoint-list", "/hook").await;

    receiver.be(Mood::Answers(500));
    browser.open("/settings/cdn/notifications").await;
    browser.assert_does_not_see("main", "whsec_").await;
    browser.submit("Send a test").await;
    browser.wait_for("#delivery-list", "answered 500").await;
    browser.wait_for("#endpoint-list", "Failing since").await;

    receiver.be(Mood::Answers(200));
    browser.submit("Send again").await;
    browser.wait_for("#delivery-list", "Delivered").await;
    let received = receiver.received();
    let (first, last) = (&received[0], &received[received.len() - 1]);
    assert_eq!(first.header("webhook-id"), last.header("webhook-id"));
    assert_eq!(first.event(), "test");
    assert!(last.is_signed_by(&secret));

    browser.submit("Remove…").await;
    browser.assert_sees("h1", "Remove the endpoint").await;
    browser.submit("Remove the endpoint").await;
    browser
        .assert_sees("#endpoints", "Nothing is sent anywhere yet.")
        .await;
    stage.finish().await;
}
