//! The keyboard alone is enough, and it can be seen where it is.

use fantoccini::key::Key;
use serde_json::json;

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::stage::Stage;
use crate::support::{DISTRIBUTION, KEY, SECRET};

#[tokio::test]
async fn the_keyboard_alone_is_enough() {
    let stage = Stage::fresh(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    let skip = tab_to(browser, "a.skip").await;
    assert_eq!(skip, 1, "the first stop skips the navigation");
    browser
        .client()
        .active_element()
        .await
        .unwrap()
        .send_keys(&Key::Enter)
        .await
        .unwrap();
    // Past the links of the page itself comes the form, field by field.
    tab_to(browser, "#distribution_id").await;
    browser.type_keys(DISTRIBUTION).await;
    assert_eq!(tab_to(browser, "input[name=credentials]:checked").await, 1);
    assert_eq!(tab_to(browser, "#access_key_id").await, 1);
    browser.type_keys(KEY).await;
    assert_eq!(tab_to(browser, "#secret_access_key").await, 1);
    browser.type_keys(SECRET).await;
    assert_eq!(tab_to(browser, "#region").await, 1);
    assert_eq!(tab_to(browser, "button[value=save_and_test]").await, 1);
    browser.type_keys(&Key::Enter.to_string()).await;
    browser.wait_for("#test", "All five steps passed.").await;
    stage.finish().await;
}

/// Presses Tab until the focus is there, and tells how often. Each stop on the way is visible.
async fn tab_to(browser: &Browser, css: &str) -> usize {
    for presses in 1..40 {
        browser.type_keys(&Key::Tab.to_string()).await;
        let script = format!(
            "{SHOWN} return [focused.matches('{css}'), shown, focused.outerHTML.slice(0, 100)]"
        );
        let told = browser.run(&script).await;
        assert_eq!(told[1], true, "the focus cannot be seen: {told}");
        if told[0] == true {
            return presses;
        }
    }
    panic!("Tab never reaches {css}");
}

/// The focus, and whether it can be seen: an outline of its own, or of what stands for it.
const SHOWN: &str = "const focused = document.activeElement;
    const shown = [[focused], [focused, '::after'], [focused.closest('label')], [focused.nextElementSibling]]
      .some(([element, part]) => element && getComputedStyle(element, part).outlineStyle !== 'none');";

/// Presses Tab until the page is through, and finds that all that can be used was reached, and
/// seen.
async fn walk(browser: &Browser, page: &str) {
    browser
        .run("document.activeElement.blur(); scrollTo(0, 0)")
        .await;
    for _ in 0..150 {
        browser.type_keys(&Key::Tab.to_string()).await;
        let script = format!(
            "{SHOWN}
             // Tab stops at each part of a date.
             const again = focused.reached && focused !== window.before;
             if (focused === document.body || again) return null;
             window.before = focused;
             focused.reached = true;
             return [shown, focused.outerHTML.slice(0, 100)]"
        );
        let told = browser.run(&script).await;
        if told.is_null() {
            break;
        }
        assert_eq!(told[0], true, "{page}: the focus cannot be seen: {told}");
    }
    // Of radio buttons that belong together, Tab reaches the chosen one.
    let script = "return [...document.querySelectorAll('a[href], button, input, select, textarea, summary')]
        .filter((element) => element.tabIndex >= 0 && element.type !== 'hidden' && element.checkVisibility())
        .filter((element) => element.type !== 'radio' || element.checked)
        .filter((element) => !element.reached).map((element) => element.outerHTML.slice(0, 100))";
    assert_eq!(browser.run(script).await, json!([]), "{page}: not reached");
}

#[tokio::test]
async fn everything_can_be_reached_and_seen() {
    let stage = Stage::set_up(Scripts::On).await;
    let fault = json!({ "kind": "error", "code": "InvalidArgument" });
    stage.sandbox.fail_creates(1, fault).await;
    let failed = stage.api().publish_path("/fails").await;
    stage.api().wait_until_ended(&failed).await;
    let browser = &stage.browser;
    browser.open("/sign-in").await;
    walk(browser, "/sign-in").await;
    let publish = format!("/activity/{failed}");
    for page in [
        "/activity",
        &publish,
        "/purge",
        "/settings/cdn",
        "/settings/cdn/hook",
        "/settings/cdn/publishing",
        "/settings/cdn/policy",
        "/audit",
        "/password",
        "/nowhere",
    ] {
        browser.open(page).await;
        walk(browser, page).await;
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_purge_needs_no_pointer() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/purge").await;
    tab_to(browser, "#items").await;
    browser.type_keys("/about").await;
    browser.wait_for("#preview", "1 path, free").await;
    assert_eq!(tab_to(browser, "button[value=purge]").await, 1);
    browser.type_keys(&Key::Enter.to_string()).await;
    browser.wait_until_completed().await;
    browser.open("/activity").await;
    tab_to(browser, ".p-items a").await;
    browser.type_keys(&Key::Enter.to_string()).await;
    browser.wait_for("h1", "/about").await;
    stage.finish().await;
}
