//! Signing in, and out again.

use crate::driver::Scripts;
use crate::everywhere::inspect;
use crate::settings::fill;
use crate::stage::Stage;
use crate::support::{DISTRIBUTION, KEY, PASSWORD, SECRET, eventually};

#[tokio::test]
async fn whoever_signs_in_comes_to_the_page_they_asked_for() {
    sign_in(Scripts::On).await;
}

#[tokio::test]
async fn whoever_signs_in_comes_to_the_page_without_scripts() {
    sign_in(Scripts::Off).await;
}

async fn sign_in(scripts: Scripts) {
    let stage = Stage::set_up(scripts).await;
    let browser = &stage.browser;
    let asked_for = format!("{}/activity?path=blog", stage.api().base);
    browser.goto(&asked_for).await;
    browser.assert_sees("h1", "Sign in").await;
    assert_eq!(browser.count("nav").await, 0, "strangers see no way in");

    browser.fill("username", "admin").await;
    browser.fill("password", "not-the-password-1").await;
    browser.submit("Sign in").await;
    browser.assert_sees("#sign-in-error", "is wrong").await;
    assert_eq!(browser.value("username").await, "admin");
    assert_eq!(browser.value("password").await, "");
    let title = browser.run("return document.title").await;
    assert_eq!(title, "Error: Sign in · SkyCMS CDN");
    let focus = browser.run("return document.activeElement.id").await;
    assert_eq!(focus, "password");

    browser.fill("password", PASSWORD).await;
    browser.submit("Sign in").await;
    let address = browser.client().current_url().await.unwrap();
    assert_eq!(address.as_str(), asked_for);
    browser.assert_sees("h1", "Activity").await;

    browser.submit("Sign out").await;
    browser.assert_sees("h1", "Sign in").await;
    browser.goto(&asked_for).await;
    browser.assert_sees("h1", "Sign in").await;
    stage.finish().await;
}

/// Nothing is under way, so that the page does not look by itself, and nothing has been typed.
#[tokio::test]
async fn a_page_that_is_left_open_leads_to_the_sign_in_when_the_session_is_over() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    let id = stage.api().publish_path("/about").await;
    stage.api().wait_until_ended(&id).await;
    browser.open("/activity").await;
    let cookies = browser.client().get_all_cookies().await.unwrap();
    let session = cookies.iter().find(|c| c.name().ends_with("-session"));
    let session = session.unwrap().name().to_owned();
    browser.client().delete_cookie(&session).await.unwrap();
    // The stream ends, as it does when the service notices, and is asked for again.
    let reconnect = "dispatchEvent(new PageTransitionEvent('pagehide'));
        dispatchEvent(new PageTransitionEvent('pageshow'))";
    browser.run(reconnect).await;
    browser.wait_for("h1", "Sign in").await;
    // The console reports that the stream was refused, which it was to be.
    let told = browser.driver.console().await;
    let is_refusal = |told: &serde_json::Value| told.to_string().contains("/events");
    assert!(told.iter().any(is_refusal), "{told:#?}");
    stage.finish().await;
}

#[tokio::test]
async fn what_was_typed_survives_the_end_of_the_session() {
    expired(Scripts::On).await;
}

#[tokio::test]
async fn what_was_typed_survives_the_end_of_the_session_without_scripts() {
    expired(Scripts::Off).await;
}

async fn expired(scripts: Scripts) {
    let stage = Stage::fresh(scripts).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    fill(browser, DISTRIBUTION, KEY, SECRET).await;
    if scripts == Scripts::On {
        // Begun without the session, it would be refused.
        eventually("the stream of events", || async {
            (browser.streams().await[0] == 1).then_some(())
        })
        .await;
    }
    let cookies = browser.client().get_all_cookies().await.unwrap();
    let session = cookies.iter().find(|c| c.name().ends_with("-session"));
    let session = session.unwrap().name().to_owned();
    browser.client().delete_cookie(&session).await.unwrap();

    let page = browser.find("html").await;
    browser.press("Save and test settings").await;
    browser.leave(page).await;
    browser.assert_sees("h1", "Sign in again").await;
    browser.assert_sees("main", "What you typed is kept").await;
    if scripts == Scripts::On {
        inspect(browser, "the sign-in in place").await;
    }
    browser.fill("username", "admin").await;
    browser.fill("password", PASSWORD).await;
    browser.submit("Sign in").await;
    browser.assert_sees("h1", "Send the form now?").await;
    browser.submit("Send it").await;
    browser.wait_for("#test", "All five steps passed.").await;
    assert_eq!(browser.value("distribution_id").await, DISTRIBUTION);
    stage.finish().await;
}
