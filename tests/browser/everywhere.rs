//! What holds on every page: accessible in both colour schemes, nothing blocked, nothing too wide, usable with the
//! keyboard alone.

use std::path::Path;

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::settings::{fill, outcomes};
use crate::stage::Stage;
use crate::support::{DISTRIBUTION, KEY, SECRET};

/// Looks at the page as it is, in both colour schemes, at the width of a desk and of a telephone.
pub(crate) async fn inspect(browser: &Browser, page: &str) {
    for scheme in ["light", "dark"] {
        // Without motion: half-way between two colours nothing can be measured.
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        browser
            .driver
            .devtools(
                "Emulation.setEmulatedMedia",
                json!({ "features": features }),
            )
            .await;
        assert_accessible(browser, &format!("{page}, {scheme}")).await;
    }
    let telephone = json!({ "width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": false });
    browser
        .driver
        .devtools("Emulation.setDeviceMetricsOverride", telephone)
        .await;
    assert_accessible(browser, &format!("{page}, 375 px")).await;
    let overflow = browser
        .run("const page = document.documentElement; return page.scrollWidth - page.clientWidth")
        .await;
    assert_eq!(
        overflow,
        0,
        "{page} is wider than a telephone: {}",
        widest(browser).await
    );
    browser
        .driver
        .devtools("Emulation.clearDeviceMetricsOverride", json!({}))
        .await;
}

async fn assert_accessible(browser: &Browser, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; run `npm ci --prefix tests`", path.display()));
    let script = format!(
        "const done = arguments[0];
         if (!window.axe) {{ {axe} }}
         window.axe.run(document).then(({{ passes, violations }}) => done({{
           passes: passes.length,
           violations: violations.map(({{ id, help, nodes }}) => ({{
             id, help, at: nodes.map((node) => node.html + node.failureSummary)
           }}))
         }}), (error) => done(String(error)));"
    );
    let found = browser
        .client()
        .execute_async(&script, Vec::new())
        .await
        .unwrap();
    assert!(
        found["passes"].as_u64() > Some(10),
        "axe on {page}: {found}"
    );
    assert_eq!(found["violations"], json!([]), "axe on {page}: {found:#}");
}

/// What stands out at the right, for the message.
async fn widest(browser: &Browser) -> Value {
    let script = "return [...document.querySelectorAll('main *')]
        .filter((element) => element.getBoundingClientRect().right > innerWidth)
        .slice(0, 5).map((element) => element.outerHTML.slice(0, 200))";
    browser.run(script).await
}

#[tokio::test]
async fn pages_of_a_fresh_service_are_fit_for_everyone() {
    let stage = Stage::fresh(Scripts::On).await;
    let browser = &stage.browser;
    for path in [
        "/sign-in",
        "/settings/cdn",
        "/activity",
        "/purge",
        "/audit",
        "/password",
        "/docs",
        "/nowhere",
    ] {
        browser.open(path).await;
        inspect(browser, path).await;
    }
    browser.open("/settings/cdn").await;
    fill(browser, "d1.cloudfront.net", SECRET, KEY).await;
    browser.submit("Save and test settings").await;
    assert_eq!(browser.count("[aria-invalid]").await, 3);
    inspect(browser, "the form with errors").await;
    stage.finish().await;
}

#[tokio::test]
async fn pages_of_a_service_at_work_are_fit_for_everyone() {
    let stage = Stage::set_up(Scripts::On).await;
    let fault = json!({ "kind": "error", "code": "InvalidArgument" });
    let rule = json!({ "operation": "create", "times": 1, "fault": fault });
    stage.sandbox.fault(rule).await;
    let failed = stage.api().publish_path("/fails").await;
    stage.api().wait_until_ended(&failed).await;
    let long = format!("/{}", "a-long-path/".repeat(30));
    let many: Vec<String> = (0..200)
        .map(|n| format!("/blog/post-{n}"))
        .chain([long])
        .collect();
    let completed = stage.api().publish(json!({ "paths": many })).await;
    let completed = completed["id"].as_str().unwrap();
    stage.api().wait_until_ended(completed).await;
    stage
        .sandbox
        .config(json!({ "in_progress_ms": 600_000 }))
        .await;
    let running = stage.api().publish_path("/runs").await;

    let browser = &stage.browser;
    for id in [&failed, completed, &running] {
        browser.open(&format!("/activity/{id}")).await;
        inspect(browser, "a publish").await;
    }
    for path in ["/activity", "/activity?state=queued&path=x", "/purge"] {
        browser.open(path).await;
        inspect(browser, path).await;
    }

    browser.open("/settings/cdn").await;
    browser.submit("Save and test settings").await;
    assert_eq!(outcomes(browser).await[4], "waiting");
    inspect(browser, "a test that runs").await;
    browser.submit("Remove…").await;
    inspect(browser, "the question before removal").await;

    browser.open("/settings/cdn").await;
    browser.fill("distribution_id", "E2MISTYPED00001").await;
    browser.submit("Save and test settings").await;
    assert_eq!(outcomes(browser).await[2], "failed");
    inspect(browser, "a draft").await;
    stage
        .sandbox
        .set_key(KEY, json!({ "enabled": false }))
        .await;
    stage.api().publish_path("/paused").await;
    browser.wait_for("#standing", "Paused").await;
    inspect(browser, "paused settings").await;
    browser.open("/activity").await;
    inspect(browser, "paused activity").await;
    stage.finish().await;
}

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
    keys(browser, DISTRIBUTION).await;
    assert_eq!(tab_to(browser, "input[name=credentials]:checked").await, 1);
    assert_eq!(tab_to(browser, "#access_key_id").await, 1);
    keys(browser, KEY).await;
    assert_eq!(tab_to(browser, "#secret_access_key").await, 1);
    keys(browser, SECRET).await;
    assert_eq!(tab_to(browser, "#region").await, 1);
    assert_eq!(tab_to(browser, "button[value=save_and_test]").await, 1);
    let page = browser.find("html").await;
    keys(browser, &Key::Enter.to_string()).await;
    browser.leave(page).await;
    browser.wait_for("#test", "All five steps passed.").await;
    stage.finish().await;
}

async fn keys(browser: &Browser, keys: &str) {
    let focused = browser.client().active_element().await.unwrap();
    focused.send_keys(keys).await.unwrap();
}

/// Presses Tab until the focus is there, and tells how often. Each stop on the way is visible.
async fn tab_to(browser: &Browser, css: &str) -> usize {
    for presses in 1..40 {
        keys(browser, &Key::Tab.to_string()).await;
        let script = format!(
            "const focused = document.activeElement;
             const shown = [focused, focused.closest('label')].some((element) =>
               element && getComputedStyle(element).outlineStyle !== 'none');
             return [focused.matches('{css}'), shown, focused.outerHTML.slice(0, 100)]"
        );
        let told = browser.run(&script).await;
        assert_eq!(told[1], true, "the focus cannot be seen: {told}");
        if told[0] == true {
            return presses;
        }
    }
    panic!("Tab never reaches {css}");
}
