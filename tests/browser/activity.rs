//! Activity and a publish's own page: live, filtered, paged, and of use when there is nothing to
//! show.

use serde_json::json;

use crate::driver::Scripts;
use crate::everywhere::inspect;
use crate::stage::Stage;
use crate::support::{DISTRIBUTION, PRIVATE, TOKEN, eventually, set};

#[tokio::test]
async fn a_publish_appears_and_completes_before_the_eyes() {
    let stage = Stage::set_up(Scripts::On).await;
    stage.sandbox.never_complete().await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    browser
        .assert_sees("#publishes", "Three steps to the first publish")
        .await;
    let curl = browser.text("#publishes pre").await;
    assert!(
        curl.contains(&format!("{}/api/sites/default/publishes", stage.api().base)),
        "{curl}"
    );
    assert!(!curl.contains(TOKEN), "{curl}");
    browser.mark().await;

    let id = stage.api().publish_path("/blog/post-1").await;
    let row = format!("#p-{id}");
    browser.wait_for(&row, "In progress").await;
    browser.assert_sees(&row, "/blog/post-1").await;
    stage.sandbox.complete().await;
    browser.wait_for(&row, "Completed").await;
    browser.assert_sees(&row, "completed in ").await;
    browser.assert_was_not_reloaded().await;
    stage.finish().await;
}

#[tokio::test]
async fn readers_are_seen_to_get_the_new_page() {
    let stage = Stage::with(Scripts::On, |variables| set(variables, PRIVATE)).await;
    stage.sandbox.never_complete().await;
    let browser = &stage.browser;
    browser.open("/settings/cdn/publishing").await;
    browser.fill("public_address", &stage.sandbox.edge).await;
    browser.submit("Save the rules").await;
    let path = "/news/2026/the-market-square-reopens-after-two-years-of-rebuilding";
    let id = stage.api().publish_path(path).await;
    browser.open(&format!("/activity/{id}")).await;
    browser.wait_for(".invalidation", "In progress").await;
    browser.mark().await;
    stage.sandbox.complete().await;
    browser.wait_for("#edge", "Fresh").await;
    browser.assert_was_not_reloaded().await;
    inspect(browser, "a publish that readers get").await;
    browser.open("/activity").await;
    browser.assert_sees(&format!("#p-{id}"), "Fresh").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_publish_shows_its_progress_live() {
    story(Scripts::On).await;
}

#[tokio::test]
async fn a_publish_shows_its_progress_without_scripts() {
    story(Scripts::Off).await;
}

async fn story(scripts: Scripts) {
    let stage = Stage::set_up(scripts).await;
    stage.sandbox.never_complete().await;
    let body = json!({ "paths": ["/about", "/docs/*", "/a~b"], "tags": ["article:42"] });
    let publish = stage.api().publish(body).await;
    let id = publish["id"].as_str().unwrap();

    let browser = &stage.browser;
    browser.open("/activity").await;
    browser.wait_for(&format!("#p-{id}"), "In progress").await;
    browser.submit("/about").await;
    browser.assert_sees("h1", "/about and 3 more").await;
    browser.assert_sees(".timeline", "Accepted").await;
    browser
        .assert_sees(".timeline", "CloudFront is working on it")
        .await;
    browser
        .assert_sees("[aria-labelledby=items-title]", "/a* widened from /a~b")
        .await;
    browser
        .assert_sees("[aria-labelledby=items-title]", "#article:42")
        .await;
    if scripts == Scripts::On {
        browser.mark().await;
    }

    stage.sandbox.complete().await;
    browser.wait_until_completed().await;
    browser.assert_sees(".timeline", "Completed").await;
    browser
        .assert_does_not_see(".timeline", "CloudFront is working on it")
        .await;
    if scripts == Scripts::On {
        browser.assert_was_not_reloaded().await;
    }
    let publish = stage.api().get_publish(id).await;
    let invalidation = &publish["invalidations"][0];
    let cloudfront = invalidation["id"].as_str().unwrap();
    browser.assert_sees(".invalidation", cloudfront).await;
    browser
        .assert_sees(
            ".invalidation",
            invalidation["caller_reference"].as_str().unwrap(),
        )
        .await;
    browser
        .assert_sees(".invalidation", &format!("Distribution {DISTRIBUTION}"))
        .await;
    let console = browser
        .attribute(".invalidation a.away", "href")
        .await
        .unwrap();
    assert_eq!(
        console,
        format!(
            "https://console.aws.amazon.com/cloudfront/v4/home#/distributions/{DISTRIBUTION}/invalidations/details/{cloudfront}"
        )
    );
    stage.finish().await;
}

/// Two words that are read from right to left would be one run of text, the second before the
/// first.
#[tokio::test]
async fn paths_from_right_to_left_stay_apart_and_in_order() {
    let stage = Stage::set_up(Scripts::On).await;
    let paths = json!([
        "/\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
        "/\u{5e2}\u{5d5}\u{5dc}\u{5dd}"
    ]);
    stage.api().publish(json!({ "paths": paths })).await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    assert_eq!(browser.count("#publishes .p-items code").await, 2);
    let is_in_order =
        "const [first, second] = document.querySelectorAll('#publishes .p-items code');
        return first.getBoundingClientRect().right <= second.getBoundingClientRect().left";
    assert_eq!(browser.run(is_in_order).await, true);
    stage.finish().await;
}

#[tokio::test]
async fn what_failed_is_found_and_says_why() {
    let stage = Stage::set_up(Scripts::Off).await;
    let good = stage.api().publish_path("/blog/good").await;
    stage.api().wait_until_ended(&good).await;
    let fault = json!({ "kind": "error", "code": "InvalidArgument", "message": "One path is not to my taste" });
    stage.sandbox.fail_all("create", &fault).await;
    let bad = stage.api().publish_path("/blog/bad").await;
    let ended = stage.api().wait_until_ended(&bad).await;
    assert_eq!(ended["state"], "failed");

    let (browser, good, bad) = (&stage.browser, format!("#p-{good}"), format!("#p-{bad}"));
    browser.open("/activity").await;
    assert_eq!(browser.count(&good).await + browser.count(&bad).await, 2);
    browser.choose("state", "failed").await;
    browser.submit("Filter").await;
    assert_eq!(
        (browser.count(&good).await, browser.count(&bad).await),
        (0, 1)
    );
    browser.assert_sees(&bad, "Failed").await;
    browser.assert_sees(&bad, "InvalidArgument").await;
    browser.choose("state", "").await;
    browser.fill("path", "blog/go").await;
    browser.submit("Filter").await;
    assert_eq!(
        (browser.count(&good).await, browser.count(&bad).await),
        (1, 0)
    );
    browser.choose("state", "failed").await;
    browser.submit("Filter").await;
    browser.assert_sees("#publishes", "Nothing matches").await;
    browser.submit("Show all").await;
    assert_eq!(browser.count("#publishes li").await, 2);

    browser.submit("/blog/bad").await;
    browser.assert_sees("h1 + .lead", "Failed").await;
    browser
        .assert_sees(
            ".invalidation .fix",
            "correct it where it is published from, and publish again",
        )
        .await;
    let words = browser.text(".invalidation pre.words").await;
    assert!(
        words.starts_with(
            "Code: InvalidArgument\nMessage: One path is not to my taste\nRequest ID: "
        ),
        "{words}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn the_list_is_paged() {
    const PUBLISHES: usize = 60;
    let stage = Stage::set_up(Scripts::Off).await;
    for number in 0..PUBLISHES {
        stage.api().publish_path(&format!("/page-{number}")).await;
    }
    let browser = &stage.browser;
    browser.open("/activity?path=page-").await;
    let mut pages = vec![browser.texts("#publishes .p-items a").await];
    for _ in 0..2 {
        browser.submit("Older").await;
        assert_eq!(browser.value("path").await, "page-", "the filter stays");
        pages.push(browser.texts("#publishes .p-items a").await);
    }
    let newest_first: Vec<_> = (0..PUBLISHES)
        .rev()
        .map(|number| format!("/page-{number}"))
        .collect();
    assert_eq!(pages.concat(), newest_first);
    assert_eq!(
        browser.count("a[rel=next]").await,
        0,
        "the last page has no older one"
    );
    browser.submit("← Newer").await;
    assert_eq!(browser.texts("#publishes .p-items a").await, pages[1]);
    stage.finish().await;
}

#[tokio::test]
async fn what_is_not_there_is_answered_with_a_way_on() {
    let stage = Stage::fresh(Scripts::On).await;
    let browser = &stage.browser;
    for path in [
        "/activity/0190aaaa-0000-7000-8000-000000000000",
        "/activity/nonsense",
        "/nowhere",
    ] {
        browser.open(path).await;
        assert_eq!(browser.status().await, 404, "{path}");
        browser.assert_sees("h1", "Page not found").await;
    }
    browser.submit("Activity").await;
    browser
        .assert_sees("#publishes", "Connect CloudFront")
        .await;
    browser
        .assert_does_not_see("#publishes", "Send a test publish")
        .await;
    browser.submit("Set up the CDN").await;
    browser.assert_sees("h1", "CDN settings").await;
    stage.finish().await;
}

#[tokio::test]
async fn every_page_reports_a_rejected_key_until_it_is_fixed() {
    let stage = Stage::set_up(Scripts::On).await;
    stage.sandbox.enable_key(false).await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    let id = stage.api().publish_path("/about").await;
    browser.wait_for("#banner", "Purging is paused").await;
    browser
        .assert_sees(
            "#banner",
            "AWS rejects the settings (InvalidClientTokenId).",
        )
        .await;
    let heard = "return document.querySelector('body > [role=status]').textContent";
    eventually("the banner to be read out", || async {
        let heard = browser.run(heard).await;
        heard.as_str()?.contains("Purging is paused").then_some(())
    })
    .await;
    browser
        .wait_for(&format!("#p-{id}"), "waiting for working CDN settings")
        .await;
    for path in [&format!("/activity/{id}"), "/purge"] {
        browser.open(path).await;
        browser.assert_sees("#banner", "Purging is paused").await;
    }

    browser.submit("Fix the settings").await;
    browser.assert_sees("#standing", "Paused").await;
    browser
        .assert_sees(
            "#standing",
            "AWS knows no active access key AKIASANDBOX000000001",
        )
        .await;
    browser
        .assert_sees(
            "#standing",
            "One publish is waiting and will be sent automatically once this is fixed.",
        )
        .await;
    browser
        .assert_sees("#standing", "Active but rejected by AWS")
        .await;
    stage.sandbox.enable_key(true).await;
    browser.save_and_test().await;
    browser.wait_for("#standing", "Connected").await;
    assert_eq!(
        stage.api().wait_until_ended(&id).await["state"],
        "completed"
    );
    browser.open("/activity").await;
    browser.assert_does_not_see("#banner", "paused").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_new_site_is_led_to_its_first_publish() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    let done = "#publishes .step.good";
    assert_eq!(browser.texts(done).await, ["Connect CloudFront Done"]);
    // A call with a right proof is the second step, even if it publishes nothing.
    stage.api().invalidations("").await;
    eventually("the second step", || async {
        browser.open("/activity").await;
        (browser.count(done).await == 2).then_some(())
    })
    .await;
    inspect(browser, "the steps to the first publish").await;

    browser.submit("Send a test publish").await;
    browser.wait_for("h1", "/skycms-cdn-test").await;
    browser
        .assert_sees(".timeline", "by admin, stored safely")
        .await;
    browser.open("/settings/cdn/hook").await;
    browser.submit("Send a test publish").await;
    browser.wait_for("h1", "/skycms-cdn-test").await;
    browser.open("/activity").await;
    assert_eq!(browser.count("#publishes li").await, 2);
    stage.finish().await;
}

#[tokio::test]
async fn days_are_the_readers_and_the_table_has_what_the_list_shows() {
    let stage = Stage::set_up(Scripts::On).await;
    stage.api().publish_path("/about").await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    // Already tomorrow there, or still yesterday: the day of the publish is another one than in
    // UTC.
    let zone = json!({ "timezoneId": "Asia/Kolkata" });
    browser
        .driver
        .devtools("Emulation.setTimezoneOverride", zone)
        .await;
    let today = "const day = new Date().toLocaleDateString('sv');
        document.getElementById('from').value = day;
        document.getElementById('to').value = day";
    browser.run(today).await;
    browser.submit("Filter").await;
    browser.assert_sees("#publishes", "/about").await;
    browser
        .assert_sees("#publishes", "token PUBLISH_TOKEN")
        .await;
    let address = browser.client().current_url().await.unwrap();
    assert!(address.as_str().contains("ahead=330%2C330"), "{address}");
    inspect(browser, "days").await;
    let table = "const done = arguments[0];
        fetch(document.querySelector('a[download]').href).then((table) => table.text()).then(done)";
    let table = browser.client().execute_async(table, Vec::new()).await;
    let table = table.unwrap();
    let rows: Vec<_> = table.as_str().unwrap().lines().collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[1].contains("\"token PUBLISH_TOKEN\""), "{rows:?}");
    assert!(rows[1].contains("\"/about\""), "{rows:?}");

    // Clocks went back on the second of these days, and forward at midnight on the third.
    for (zone, from, to, ahead) in [
        ("Europe/Berlin", "2025-10-25", "2025-10-26", "120%2C60"),
        ("Europe/Berlin", "2025-10-26", "2025-10-26", "120%2C60"),
        (
            "America/Santiago",
            "2025-09-07",
            "2025-09-07",
            "-240%2C-180",
        ),
    ] {
        let zone = json!({ "timezoneId": zone });
        browser
            .driver
            .devtools("Emulation.setTimezoneOverride", zone)
            .await;
        let days = format!(
            "document.getElementById('from').value = '{from}';
             document.getElementById('to').value = '{to}'"
        );
        browser.run(&days).await;
        browser.submit("Filter").await;
        let address = browser.client().current_url().await.unwrap();
        let ahead = format!("ahead={ahead}");
        assert!(address.as_str().contains(&ahead), "{address}");
    }
    stage.finish().await;
}
