//! What holds on every page: accessible in both colour schemes, nothing blocked, small, steady, and
//! of a width that fits.

use serde_json::{Value, json};
use skycms_cdn::clock::Clock;

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::settings::{fill, outcomes};
use crate::stage::Stage;
use crate::support::{EMBED_SECRET, KEY, SECRET, claims, file, jwt};

/// Opens a page, which must not move by itself, and looks at it.
async fn visit(browser: &Browser, path: &str) {
    browser.open(path).await;
    assert_steady(browser, path).await;
    inspect(browser, path).await;
}

/// Links of the menu that cannot be seen whole.
const CUT_OFF: &str = "return [...document.querySelectorAll('.top nav a')]
    .filter((link) => link.getBoundingClientRect().right > document.documentElement.clientWidth)
    .map((link) => link.textContent)";

/// Looks at the page as it is, in both colour schemes, at the width of a desk and of a telephone.
pub(crate) async fn inspect(browser: &Browser, page: &str) {
    assert_small(browser, page).await;
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
    for (width, height) in [
        (305, 640),
        (320, 640),
        (375, 800),
        (800, 1_024),
        (3_840, 2_160),
    ] {
        let screen =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser
            .driver
            .devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
        assert_accessible(browser, &format!("{page}, {width} px")).await;
        let overflow = browser
            .run(
                "const page = document.documentElement; return page.scrollWidth - page.clientWidth",
            )
            .await;
        assert_eq!(browser.run(CUT_OFF).await, json!([]), "{page}, {width} px");
        assert_eq!(
            overflow,
            0,
            "{page} is wider than {width} px: {}",
            widest(browser).await
        );
    }
    browser
        .driver
        .devtools("Emulation.clearDeviceMetricsOverride", json!({}))
        .await;
}

/// The page with its style sheet, script and icon, as they are sent.
async fn assert_small(browser: &Browser, page: &str) {
    let script = "const [page] = performance.getEntriesByType('navigation');
        const parts = performance.getEntriesByType('resource').filter(({ name }) => name.includes('/static/'));
        return [page, ...parts].reduce((sum, part) => sum + part.encodedBodySize, 0)";
    let bytes = browser.run(script).await.as_f64().unwrap();
    println!("{page}: {bytes} bytes");
    // The API's description is for developers, who read one long page rather than many.
    let most = if page == "/docs" { 60_000.0 } else { 40_000.0 };
    assert!(bytes < most, "{page}: {bytes} bytes");
}

/// What has moved by itself since the page came, in Chromium's measure: 0.1 is still called good.
async fn assert_steady(browser: &Browser, page: &str) {
    let script = "const done = arguments[0];
        let moved = 0;
        new PerformanceObserver((list) => {
          for (const shift of list.getEntries()) if (!shift.hadRecentInput) moved += shift.value;
        }).observe({ type: 'layout-shift', buffered: true });
        setTimeout(() => done(moved), 100)";
    let moved = browser.client().execute_async(script, Vec::new()).await;
    let moved = moved.unwrap().as_f64().unwrap();
    assert!(moved < 0.01, "{page} moved by {moved}");
}

/// Writes the page once more, a piece for each frame, as over a slow line, and tells what moved
/// while it came. The last two frames are for what its script does.
const IN_PIECES: &str = "const done = arguments[0];
    const frame = () => new Promise((shown) => requestAnimationFrame(() => setTimeout(shown)));
    (async () => {
      const text = await (await fetch(location.href)).text();
      const shifts = [];
      new PerformanceObserver((list) => shifts.push(...list.getEntries())).observe({ type: 'layout-shift' });
      document.open();
      for (const piece of text.split(/(?=<(?:article|button|d[dlt]|div|figure|form|h\\d|input|li|nav|p|section|select|span|t[dhr])\\b)/)) {
        document.write(piece);
        await frame();
      }
      document.close();
      await frame();
      await frame();
      const markup = ({ node }) => (node?.outerHTML ?? node?.textContent ?? '').slice(0, 100);
      done(shifts.map(({ value, sources }) => ({ value, moved: sources.map(markup) })));
    })();";

/// What can be read already stays where it is while the rest of a page comes.
async fn assert_steady_in_pieces(browser: &Browser, page: &str) {
    let shifts = browser
        .client()
        .execute_async(IN_PIECES, Vec::new())
        .await
        .unwrap();
    let shifts: Vec<_> = shifts.as_array().unwrap().clone();
    let moved: f64 = shifts.iter().map(|s| s["value"].as_f64().unwrap()).sum();
    println!("{page}: moved by {moved}");
    assert!(moved < 0.01, "{page} moved by {moved}: {shifts:#?}");
}

async fn assert_accessible(browser: &Browser, page: &str) {
    // Half a megabyte, once for each page.
    if browser.run("return 'axe' in window").await == false {
        let axe = "tests/node_modules/axe-core/axe.min.js";
        let path = file(axe);
        let axe = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}; run `npm ci --prefix tests`", path.display()));
        browser.run(&axe).await;
    }
    let script = "const done = arguments[0];
         window.axe.run(document, { resultTypes: ['violations'] }).then(({ passes, violations }) => done({
           passes: passes.length,
           violations: violations.map(({ id, help, nodes }) => ({
             id, help, at: nodes.map((node) => node.html + node.failureSummary)
           }))
         }), (error) => done(String(error)));";
    let found = browser
        .client()
        .execute_async(script, Vec::new())
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

/// With the colours that a reader's system forces on every page, only borders, text and system
/// colours are left to tell things apart.
#[tokio::test]
async fn forced_colours_leave_everything_to_be_seen() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    stage.api().publish_path("/about").await;
    let forced = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
    for page in ["/activity", "/settings/cdn", "/settings/cdn/hook", "/purge"] {
        browser.open(page).await;
        browser
            .driver
            .devtools("Emulation.setEmulatedMedia", forced.clone())
            .await;
        assert_eq!(
            browser
                .run("return matchMedia('(forced-colors: active)').matches")
                .await,
            true
        );
        assert_accessible(browser, &format!("{page}, forced colours")).await;
        let unseen = browser.run(UNSEEN).await;
        assert_eq!(unseen, json!([]), "{page}");
    }
    stage.finish().await;
}

/// What only a background would show: badges and marks without a border, bars whose filling is of
/// the same colour as what is around it, a chosen tab that looks like the others.
const UNSEEN: &str = "const style = (element) => getComputedStyle(element);
    const bare = [...document.querySelectorAll('.badge, .tag, .disc, .btn')]
        .filter((mark) => parseFloat(style(mark).borderTopWidth) === 0);
    const bars = [...document.querySelectorAll('.bar rect, .chart rect')]
        .filter((bar) => style(bar).fill === style(bar.ownerSVGElement).backgroundColor);
    const chosen = [...document.querySelectorAll('.tabs > :checked + label')]
        .filter((label) => style(label).textDecorationLine === 'none');
    return [...bare, ...bars, ...chosen].map((element) => element.outerHTML.slice(0, 120))";

/// Chromium paints what it has when the line, or a busy machine, is slow.
#[tokio::test]
async fn pages_that_come_in_pieces_stay_in_place() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    let id = stage.api().publish_path("/about").await;
    stage.api().wait_until_ended(&id).await;
    for width in [1_280, 800, 375] {
        let screen =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        browser
            .driver
            .devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
        for path in [
            "/settings/cdn",
            "/settings/cdn/hook",
            "/settings/cdn/publishing",
            "/settings/cdn/policy",
            "/settings/cdn/notifications",
            "/activity",
            &format!("/activity/{id}"),
            "/purge",
            "/sessions",
            "/audit",
            "/sites",
            "/help",
        ] {
            browser.open(path).await;
            assert_steady_in_pieces(browser, &format!("{path}, {width} px")).await;
        }
    }
    stage.finish().await;
}

#[tokio::test]
async fn pages_of_a_fresh_service_are_fit_for_everyone() {
    let stage = Stage::fresh(Scripts::On).await;
    let browser = &stage.browser;
    for path in [
        "/sign-in",
        "/settings/cdn",
        "/settings/cdn/hook",
        "/settings/cdn/publishing",
        "/settings/cdn/policy",
        "/activity",
        "/purge",
        "/audit",
        "/password",
        "/help",
        "/docs",
        "/nowhere",
    ] {
        visit(browser, path).await;
    }
    browser.open("/settings/cdn").await;
    fill(browser, "d1.cloudfront.net", SECRET, KEY).await;
    browser.save_and_test().await;
    assert_eq!(browser.count("[aria-invalid]").await, 3);
    inspect(browser, "the form with errors").await;
    stage.finish().await;
}

/// SkyCMS's users are called by their mail addresses, which have no space to break at.
#[tokio::test]
async fn a_long_name_widens_no_page() {
    let stage = Stage::with(Scripts::On, |variables| {
        variables.insert("EMBED_JWT_SECRET".into(), EMBED_SECRET.into());
    })
    .await;
    let browser = &stage.browser;
    let mut claims = claims(&Clock::system(), "Editors");
    claims["sub"] = json!(format!("{}@example.com", "x".repeat(64)));
    let embed = format!("{}/embed?token={}", stage.api().base, jwt(&claims));
    browser.goto(&embed).await;
    browser.open("/purge").await;
    browser.fill("items", "/about").await;
    browser.submit("Purge").await;
    browser.wait_until_completed().await;
    inspect(browser, "what somebody with a long name purged").await;
    browser.open("/activity").await;
    inspect(browser, "activity with a long name").await;
    stage.finish().await;
}

#[tokio::test]
async fn pages_of_a_service_at_work_are_fit_for_everyone() {
    let stage = Stage::set_up(Scripts::On).await;
    let fault = json!({ "kind": "error", "code": "InvalidArgument" });
    stage.sandbox.fail_creates(1, fault).await;
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
    stage.sandbox.never_complete().await;
    let running = stage.api().publish_path("/runs").await;

    let browser = &stage.browser;
    for id in [&failed, completed, &running] {
        visit(browser, &format!("/activity/{id}")).await;
    }
    for path in ["/activity", "/activity?state=queued&path=x", "/purge"] {
        visit(browser, path).await;
    }

    browser.open("/settings/cdn").await;
    browser.save_and_test().await;
    assert_eq!(outcomes(browser).await[4], "waiting");
    inspect(browser, "a test that runs").await;
    browser.submit("Remove…").await;
    inspect(browser, "the question before removal").await;

    browser.open("/settings/cdn").await;
    browser.fill("distribution_id", "E2MISTYPED00001").await;
    browser.save_and_test().await;
    assert_eq!(outcomes(browser).await[2], "failed");
    inspect(browser, "a draft").await;
    stage.sandbox.enable_key(false).await;
    stage.api().publish_path("/paused").await;
    browser.wait_for("#standing", "Paused").await;
    inspect(browser, "paused settings").await;
    browser.open("/activity").await;
    inspect(browser, "paused activity").await;
    stage.finish().await;
}
