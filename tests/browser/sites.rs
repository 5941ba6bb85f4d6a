//! Sites: added, gone to, renamed and removed with the keyboard alone, on pages that are fit for
//! everyone.

use fantoccini::key::Key;
use serde_json::json;

use crate::driver::Scripts;
use crate::everywhere::inspect;
use crate::stage::Stage;

#[tokio::test]
async fn sites_come_and_go_on_a_page() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    assert_eq!(browser.count(".site").await, 0, "no choice of one");
    browser
        .find(".foot a[href$='/sites']")
        .await
        .click()
        .await
        .unwrap();
    browser.wait_for("h1", "Sites").await;
    inspect(browser, "sites, one").await;

    browser.fill("name", "Shop DE").await;
    browser.submit("Add the site").await;
    browser
        .assert_sees("#name-error", "lower-case letters")
        .await;
    inspect(browser, "sites, with an error").await;
    browser.fill("name", "shop-de").await;
    browser
        .find("#name")
        .await
        .send_keys(&Key::Enter.to_string())
        .await
        .unwrap();
    browser.wait_for(".notice", "The site was added").await;
    browser.assert_sees(".site summary", "shop-de").await;
    inspect(browser, "the settings of a new site").await;
    browser.submit("Publish hook").await;
    browser
        .wait_for("#hook", "/api/sites/shop-de/publishes")
        .await;

    // To the other site and its same page, with the keyboard.
    let summary = browser.find(".site summary").await;
    summary.send_keys(&Key::Enter.to_string()).await.unwrap();
    inspect(browser, "the choice of sites").await;
    let link = browser.find(".site a:not([aria-current])").await;
    link.send_keys(&Key::Enter.to_string()).await.unwrap();
    browser.wait_for(".site summary", "default").await;
    browser
        .assert_sees("#hook", "/api/sites/default/publishes")
        .await;

    browser.goto(&format!("{}/sites", stage.api().base)).await;
    inspect(browser, "sites, two").await;
    browser
        .find(".sites summary")
        .await
        .send_keys(&Key::Enter.to_string())
        .await
        .unwrap();
    browser.fill("shop-de-name", "shop").await;
    browser.submit("Rename…").await;
    browser
        .assert_sees("h1", "Rename the site shop-de to shop?")
        .await;
    browser.submit("Rename the site").await;
    browser.wait_for(".notice", "answered with 404").await;
    browser
        .find(".sites summary")
        .await
        .send_keys(&Key::Enter.to_string())
        .await
        .unwrap();
    inspect(browser, "sites, changing one").await;
    browser
        .find(".sites .danger-outline")
        .await
        .send_keys(&Key::Enter.to_string())
        .await
        .unwrap();
    browser.wait_for("h1", "Remove the site shop?").await;
    inspect(browser, "removing a site").await;
    browser.submit("Remove the site").await;
    browser.wait_for(".notice", "Removed").await;
    assert_eq!(browser.count(".sites li").await, 1);
    stage.finish().await;
}

/// On a telephone the list begins at its edge, however short the name is that it hangs from.
#[tokio::test]
async fn the_choice_of_sites_is_seen_whole() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    let longest = "b".repeat(63);
    for name in ["a", longest.as_str()] {
        browser.open("/sites").await;
        browser.fill("name", name).await;
        browser.submit("Add the site").await;
    }
    browser.open("/sites/a/activity").await;
    for width in [320, 375] {
        let screen =
            json!({ "width": width, "height": 640, "deviceScaleFactor": 1, "mobile": false });
        browser
            .driver
            .devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
        let is_whole = "document.querySelector('details.site').open = true;
            const { left, right } = document.querySelector('.site ul').getBoundingClientRect();
            return left >= 0 && right <= document.documentElement.clientWidth";
        assert_eq!(browser.run(is_whole).await, true, "{width} px");
    }
    stage.finish().await;
}
