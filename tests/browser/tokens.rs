//! What the settings page gives away once, and what it asks before it takes away.

use fantoccini::Locator;
use skycms_cdn::clock::Clock;

use crate::driver::Scripts;
use crate::settings::fill;
use crate::stage::Stage;
use crate::support::{Api, DISTRIBUTION, KEY, SECRET, without_settings};

async fn status_of_a_publish(api: &Api) -> u16 {
    api.post(&[], r#"{"paths": ["/about"]}"#).await.status
}

#[tokio::test]
async fn tokens_and_secrets_are_shown_once_work_and_can_be_revoked() {
    proofs(Scripts::On).await;
}

#[tokio::test]
async fn tokens_and_secrets_are_shown_once_work_and_can_be_revoked_without_scripts() {
    proofs(Scripts::Off).await;
}

async fn proofs(scripts: Scripts) {
    let mut stage = Stage::with(scripts, |variables| {
        variables.remove("PUBLISH_TOKEN");
    })
    .await;
    tokens(&mut stage).await;
    secrets(&mut stage).await;
    stage.finish().await;
}

async fn tokens(stage: &mut Stage) {
    stage.browser.open("/settings/cdn/hook").await;
    stage.browser.submit("Show it once: First token").await;
    let first = stage.browser.text(".reveal pre").await;
    assert!(first.starts_with("skycdn_"), "{first}");
    let api = stage.api().of_site("default", &first);
    assert_eq!(status_of_a_publish(&api).await, 202);
    stage.browser.keep_secret(&first);
    stage.browser.open("/settings/cdn/hook").await;
    let reveal = "form[action*='/tokens/'][action*='/reveal']";
    assert_eq!(stage.browser.count(reveal).await, 0);

    stage.browser.fill("token-name", "GitHub <Actions>").await;
    stage.browser.submit("Create a new token").await;
    let notice = stage.browser.text(".reveal").await;
    for words in [
        "Publish token “GitHub <Actions>”",
        "Copy it now. It is shown only this once.",
    ] {
        assert!(notice.contains(words), "{notice}");
    }
    let token = stage.browser.text(".reveal pre").await;
    let api = stage.api().of_site("default", &token);
    assert_eq!(status_of_a_publish(&api).await, 202);

    stage.browser.keep_secret(&token);
    let (browser, rows) = (&stage.browser, "#tokens .rows");
    browser.open("/settings/cdn/hook").await;
    browser.assert_sees(rows, "First token").await;
    browser.assert_sees(rows, "GitHub <Actions>").await;
    assert_eq!(browser.count(".reveal").await, 0);

    browser.submit("Revoke… GitHub <Actions>").await;
    let ending = &token[token.len() - 4..];
    let question = format!("Revoke the token “GitHub <Actions>”, which ends in {ending}?");
    browser.assert_sees("h1", &question).await;
    browser.assert_sees("main", "It was last used").await;
    browser.submit("Revoke the token").await;
    browser
        .assert_sees("main", "Revoked. It can no longer be used.")
        .await;
    browser.assert_does_not_see(rows, "GitHub <Actions>").await;
    assert_eq!(status_of_a_publish(&api).await, 401);
}

async fn secrets(stage: &mut Stage) {
    stage.browser.open("/settings/cdn/hook").await;
    let reveal = "form[action*='/secrets/'][action*='/reveal']";
    assert_eq!(stage.browser.count(reveal).await, 1);
    stage
        .browser
        .submit("Show it once: the signing secret")
        .await;
    stage.browser.assert_sees(".reveal", "Signing secret").await;
    let first = stage.browser.text(".reveal pre").await;
    assert_eq!(status_of_a_signed_publish(stage.api(), &first).await, 202);
    stage.browser.keep_secret(&first);
    stage.browser.open("/settings/cdn/hook").await;
    assert_eq!(stage.browser.count(reveal).await, 0);

    stage.browser.submit("Create a new secret").await;
    let second = stage.browser.text(".reveal pre").await;
    assert!(second.starts_with("whsec_") && second != first, "{second}");
    for secret in [&first, &second] {
        assert_eq!(status_of_a_signed_publish(stage.api(), secret).await, 202);
    }
    stage.browser.keep_secret(&second);
    let browser = &stage.browser;
    browser.open("/settings/cdn/hook").await;
    assert_eq!(browser.count("form[action*='/secrets/']").await, 2);
    // The newest is first.
    let forms = "form[action*='/secrets/'][action*='/revoke'] button";
    let page = browser.find("html").await;
    let buttons = browser.client().find_all(Locator::Css(forms)).await;
    buttons.unwrap().pop().unwrap().click().await.unwrap();
    browser.leave(page).await;
    browser.submit("Revoke the secret").await;
    assert_eq!(status_of_a_signed_publish(stage.api(), &first).await, 401);
    assert_eq!(status_of_a_signed_publish(stage.api(), &second).await, 202);
}

async fn status_of_a_signed_publish(api: &Api, secret: &str) -> u16 {
    let clock = Clock::system();
    let (id, now) = (clock.id().to_string(), clock.now().unix_timestamp());
    let body = r#"{"paths": ["/about"]}"#;
    api.post_signed(secret, &id, now, body).await.status
}

#[tokio::test]
async fn the_answer_to_a_form_stays_live() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    for form in ["Create a new token", "Create a new secret"] {
        browser.open("/settings/cdn/hook").await;
        browser.fill("token-name", "shown").await;
        browser.submit(form).await;
        browser.mark().await;
        let address = browser.client().current_url().await.unwrap();
        assert!(
            address.path().ends_with("/settings/cdn/hook"),
            "reloading it sends the form again: {address}"
        );
        stage.sandbox.enable_key(false).await;
        let waiting = stage.api().publish_path("/about").await;
        browser.wait_for("#banner", "Purging is paused").await;
        assert_eq!(browser.count(".reveal pre").await, 1, "it is still shown");
        browser.assert_was_not_reloaded().await;

        stage.sandbox.enable_key(true).await;
        browser.open("/settings/cdn").await;
        browser.save_and_test().await;
        stage.api().wait_until_ended(&waiting).await;
    }
    stage.finish().await;
}

#[tokio::test]
async fn the_settings_are_removed_after_a_question() {
    removal(Scripts::On).await;
}

#[tokio::test]
async fn the_settings_are_removed_after_a_question_without_scripts() {
    removal(Scripts::Off).await;
}

async fn removal(scripts: Scripts) {
    let stage = Stage::with(scripts, without_settings).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    assert_eq!(
        browser.count("#remove").await,
        0,
        "there is nothing to remove yet"
    );
    fill(browser, DISTRIBUTION, KEY, SECRET).await;
    browser.submit("Save without testing").await;
    browser
        .assert_sees(
            "main",
            "Saved and in force. The settings have not passed a test.",
        )
        .await;
    assert_eq!(status_of_a_publish(stage.api()).await, 202);

    for answer in ["Cancel", "Remove the settings"] {
        browser.open("/settings/cdn").await;
        browser.submit("Remove…").await;
        browser.assert_sees("h1", "Remove the CDN settings?").await;
        browser
            .assert_sees("main", "It stays valid in AWS until you delete it there.")
            .await;
        browser.submit(answer).await;
    }
    browser
        .assert_sees("main", "The settings were removed.")
        .await;
    browser.assert_sees("#standing", "Not set up yet").await;
    assert_eq!(browser.value("distribution_id").await, "");
    assert_eq!(status_of_a_publish(stage.api()).await, 409);
    stage.finish().await;
}
