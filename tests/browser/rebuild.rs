//! A rebuild that arrives as thousands of publishes of one page each: one bar, few requests, a
//! small page.

use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::driver::Scripts;
use crate::stage::Stage;
use crate::support::{Api, Client, eventually};

const PAGES: usize = 5_000;

#[tokio::test]
async fn a_rebuild_of_thousands_of_publishes_is_one_bar() {
    let stage = Stage::set_up(Scripts::On).await;
    stage.sandbox.never_complete().await;
    let browser = &stage.browser;
    browser.open("/activity").await;
    browser.assert_sees("#work", "Nothing under way").await;
    browser.mark().await;
    browser.run(WATCH).await;

    let begun = Instant::now();
    publish_pages(stage.api()).await;
    browser.wait_for("#work", "of 5,000 publishes done").await;
    println!("{PAGES} publishes on the page after {:?}", begun.elapsed());
    browser.assert_sees("#work", "Under way").await;
    assert_eq!(
        browser.attribute("#work progress", "max").await.as_deref(),
        Some("5000")
    );

    // CloudFront takes 3,000 at a time, so that the bar stands in between for a while.
    browser.wait_for("#work", "0 of 5,000 publishes done").await;
    stage.sandbox.complete().await;
    let bar = "return document.querySelector('#work progress')?.value ?? 0";
    eventually("the bar to move", || async {
        (browser.run(bar).await.as_f64()? > 0.0).then_some(())
    })
    .await;
    stage.sandbox.complete_at_once().await;
    stage.sandbox.complete().await;
    browser
        .wait_for("#work", "5,000 of 5,000 publishes done")
        .await;
    println!("all of them done after {:?}", begun.elapsed());
    browser.assert_sees("#work", "Nothing under way").await;
    browser.wait_for("#publishes", "5,000 publishes in").await;
    assert_eq!(browser.count("#publishes li").await, 1);
    browser.assert_was_not_reloaded().await;

    let seen = browser.run("return window.seen").await;
    let seconds = begun.elapsed().as_secs() + 1;
    println!("the browser saw {seen} in {seconds} s");
    let values: Vec<u64> = serde_json::from_value(seen["values"].clone()).unwrap();
    assert!(values.is_sorted(), "the bar went back: {values:?}");
    let looks = seen["looks"].as_u64().unwrap();
    assert!(looks <= seconds, "{looks} looks in {seconds} s");
    let elements = seen["elements"].as_u64().unwrap();
    assert!(elements < 1_000, "{elements} elements");
    stage.finish().await;
}

/// As a publisher does it: several at a time, on connections that stay open.
async fn publish_pages(api: &Api) {
    let client = &Client::new();
    stream::iter(0..PAGES)
        .for_each_concurrent(16, |page| async move {
            let body = json!({ "paths": [format!("/archive/page-{page}")] });
            let request = api.publishing(&[], body.to_string());
            let answer = client.send(request).await.unwrap();
            assert_eq!(answer.status, 202);
        })
        .await;
}

/// Notes how often the page looks, how the bar moves, and how large the page gets.
const WATCH: &str = "
    const seen = window.seen = { looks: 0, values: [], elements: 0 };
    new PerformanceObserver((list) => {
      seen.looks += list.getEntries().filter((entry) => entry.initiatorType === 'fetch').length;
    }).observe({ type: 'resource' });
    new MutationObserver(() => {
      seen.elements = Math.max(seen.elements, document.querySelectorAll('*').length);
      const bar = document.querySelector('#work progress');
      if (bar?.max === 5000 && seen.values.at(-1) !== bar.value) seen.values.push(bar.value);
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
";
