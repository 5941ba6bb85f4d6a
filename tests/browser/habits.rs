//! What people do without thinking: change pages, go back, press keys.

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::stage::Stage;
use crate::support::eventually;

/// Over HTTP/1.1 a browser has six connections per server. A page that keeps its stream of events
/// when it is left, for “Back”, leaves the next page one connection fewer.
#[tokio::test]
async fn twenty_changes_of_page_freeze_nothing() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    for _ in 0..10 {
        for page in ["Settings", "Activity"] {
            browser.submit(page).await;
        }
    }
    // The page that was come back to is live again.
    browser.client().back().await.unwrap();
    browser.client().forward().await.unwrap();
    let id = stage.api().publish_path("/news").await;
    browser.wait_for(&format!("#p-{id}"), "Completed").await;
    stage.finish().await;
}

#[tokio::test]
async fn windows_share_one_stream_of_events() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    eventually("the stream", || async {
        (browser.streams().await == json!([1, 0])).then_some(())
    })
    .await;
    let window = browser.client().new_window(false).await.unwrap();
    browser
        .client()
        .switch_to_window(window.handle)
        .await
        .unwrap();
    browser.open("/purge").await;
    browser.open("/activity").await;
    let id = stage.api().publish_path("/news").await;
    browser.wait_for(&format!("#p-{id}"), "Completed").await;
    let Value::Array(counts) = browser.streams().await else {
        panic!("two counts")
    };
    assert_eq!(counts[0], 1, "one stream for both: {counts:?}");
    stage.finish().await;
}

/// On a list with a filter, what no longer fits it leaves from above the row that somebody is at.
#[tokio::test]
async fn the_focus_stays_where_it_is_when_a_row_above_it_goes() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    for path in ["/older", "/newer"] {
        let id = stage.api().publish_path(path).await;
        stage.api().wait_until_ended(&id).await;
    }
    browser.open("/activity").await;
    assert_eq!(browser.count("#publishes li").await, 2);
    // When the page looks again, it finds itself without the newer one.
    let lose_the_newer = "const { dataset } = document.documentElement;
        const next = document.documentElement.cloneNode(true);
        next.querySelector('#publishes li').remove();
        window.fetch = async () => new Response(next.outerHTML);
        window.older = document.querySelector('#publishes li + li a');
        window.older.focus();
        new BroadcastChannel(`events of ${dataset.base}`).postMessage('changed')";
    browser.run(lose_the_newer).await;
    eventually("the newer one to go", || async {
        (browser.count("#publishes li").await == 1).then_some(())
    })
    .await;
    let focused = "return document.activeElement === window.older";
    assert_eq!(browser.run(focused).await, json!(true));
    stage.finish().await;
}

/// While the service restarts, a proxy answers in its place. A browser takes that for the end of
/// the stream and does not ask again.
#[tokio::test]
async fn a_stream_that_was_refused_is_opened_again() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    let before = stage.api().publish_path("/before").await;
    stage.api().wait_until_ended(&before).await;
    // Nothing is under way, or the page would look by itself.
    browser.open("/activity").await;
    assert_eq!(browser.count("[data-pending]").await, 0);
    let refuse_once = "const Real = EventSource;
        window.EventSource = function () {
          window.EventSource = Real;
          const refused = { readyState: Real.CLOSED, close() {} };
          setTimeout(() => { refused.onerror(); window.refused = true; });
          return refused;
        };
        dispatchEvent(new PageTransitionEvent('pagehide'));
        dispatchEvent(new PageTransitionEvent('pageshow'));";
    browser.run(refuse_once).await;
    eventually("the refusal", || async {
        (browser.run("return window.refused").await == json!(true)).then_some(())
    })
    .await;
    let id = stage.api().publish_path("/after").await;
    browser.wait_for(&format!("#p-{id}"), "Completed").await;
    stage.finish().await;
}

/// The form of a page that “Back” restores was on its way when the page was left.
#[tokio::test]
async fn settings_can_be_tested_after_going_back() {
    let stage = Stage::fresh(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    // The page stays, as one that is kept for “Back” does, whether or not this browser keeps any.
    let count = "window.sent = 0; HTMLFormElement.prototype.submit = () => { window.sent += 1 }";
    browser.run(count).await;
    let restore = "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))";
    for times in 1..=2 {
        browser.press("Save and test settings").await;
        eventually("the form to be sent the ordinary way", || async {
            (browser.run("return window.sent").await == json!(times)).then_some(())
        })
        .await;
        browser.run(restore).await;
        let busy = browser.attribute("form[data-test]", "aria-busy").await;
        assert_eq!(busy, None);
    }
    stage.finish().await;
}

#[tokio::test]
async fn keys_search_send_and_go_back() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    // Who speaks to the computer types many a sign by mistake: one alone does nothing.
    browser.type_keys("/").await;
    let nowhere = "return document.activeElement === document.body";
    assert_eq!(browser.run(nowhere).await, json!(true));
    browser.type_keys(&format!("{}/", Key::Control)).await;
    browser.type_keys("/about").await;
    assert_eq!(
        browser.value("page").await,
        "/about",
        "the first / is no text"
    );

    browser.open("/purge").await;
    browser.submit("Purge everything…").await;
    browser.assert_sees("h1", "Purge the whole site?").await;
    // Whoever means to answer the question with the chord has not cancelled.
    let cancelled = "const cancel = document.querySelector('[data-cancel]');
        let cancelled = false;
        cancel.onclick = () => { cancelled = true; return false; };
        const chord = { key: 'Enter', ctrlKey: true, bubbles: true };
        document.querySelector('.btn.danger').dispatchEvent(new KeyboardEvent('keydown', chord));
        cancel.onclick = null;
        return cancelled";
    assert_eq!(browser.run(cancelled).await, json!(false));
    let page = browser.find("html").await;
    browser.type_keys(&Key::Escape.to_string()).await;
    browser.leave(page).await;
    browser.fill("items", "/about").await;
    let page = browser.find("html").await;
    let chord = format!("{}{}", Key::Control, Key::Enter);
    browser.type_keys(&chord).await;
    browser.leave(page).await;
    browser.assert_sees("h1", "/about").await;

    // A form whose button is not the main one of its page.
    browser.open("/activity").await;
    browser.fill("path", "/about").await;
    let page = browser.find("html").await;
    browser.type_keys(&chord).await;
    browser.leave(page).await;
    browser.assert_sees(".filter", "Show all").await;
    stage.finish().await;
}

#[tokio::test]
async fn the_tab_reports_a_failure() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    let tab =
        "return [document.title, document.querySelector('link[rel=icon]').href.includes('alert')]";
    assert_eq!(
        browser.run(tab).await,
        json!(["Activity · SkyCMS CDN", false])
    );
    stage.sandbox.enable_key(false).await;
    stage.api().publish_path("/about").await;
    browser.wait_for("#banner", "Purging is paused").await;
    assert_eq!(
        browser.run(tab).await,
        json!(["Paused: Activity · SkyCMS CDN", true])
    );
    stage.finish().await;
}

/// Presses a button twice as quickly as a mouse does.
async fn double_click(browser: &Browser, css: &str) {
    let at = "const box = document.querySelector(arguments[0]);
        box.scrollIntoView({ block: 'center' });
        const { x, y, width, height } = box.getBoundingClientRect();
        return [x + width / 2, y + height / 2]";
    let at = browser
        .client()
        .execute(at, vec![json!(css)])
        .await
        .unwrap();
    for clicks in [1, 2] {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": clicks,
            });
            browser
                .driver
                .devtools("Input.dispatchMouseEvent", event)
                .await;
        }
    }
}

#[tokio::test]
async fn a_double_click_publishes_once_and_loses_no_token() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/purge").await;
    browser.fill("items", "/pressed-twice").await;
    let page = browser.find("html").await;
    double_click(browser, "form[data-preview] .btn.primary").await;
    browser.leave(page).await;
    browser.wait_for("h1", "/pressed-twice").await;
    browser.open("/activity").await;
    assert_eq!(browser.texts("#publishes li a").await, ["/pressed-twice"]);

    browser.open("/settings/cdn/hook").await;
    browser.fill("token-name", "Pressed twice").await;
    let page = browser.find("html").await;
    double_click(browser, "#tokens .inline button").await;
    browser.leave(page).await;
    browser.wait_for(".reveal", "Pressed twice").await;
    let token = browser.text(".reveal pre").await;
    let names = browser.texts("#token-list b").await;
    let made = names.iter().filter(|name| *name == "Pressed twice");
    assert_eq!(made.count(), 1, "{names:?}");
    let api = stage.api().of_site("default", &token);
    assert_eq!(api.post(&[], r#"{"paths": ["/"]}"#).await.status, 202);
    stage.finish().await;
}
