//! Signing in, and out again.

use crate::browser::PASSWORD;
use crate::driver::Scripts;
use crate::stage::Stage;

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
