//! The states that a service comes to, and the pages that show them.

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::camera::Camera;
use crate::camera::Extent::*;
use crate::day;
use crate::driver::Scripts;
use crate::stage::Stage;
use crate::support::{
    Api, DISTRIBUTION, Database, KEY, Mood, PASSWORD, PRIVATE, Receiver, SECRET, Sandbox, set,
    without_settings,
};

/// Before anybody has set it up.
pub(crate) async fn fresh(camera: &Camera) {
    let stage = Stage::with(Scripts::On, |variables| {
        without_settings(variables);
        variables.remove("ADMIN_PASSWORD");
    })
    .await;
    let browser = &stage.browser;
    let link = stage.service.find("/set-up?token=").unwrap();
    browser
        .goto(&format!("{}/set-up?token={link}", stage.api().base))
        .await;
    camera.take(browser, "set-up", Whole).await;
    browser.fill("new_password", PASSWORD).await;
    browser.fill("repeat_password", PASSWORD).await;
    browser.submit("Save and sign in").await;
    camera.take(browser, "settings-new", Top).await;
    browser.open("/activity").await;
    camera.take(browser, "activity-not-set-up", Whole).await;
    browser.open("/purge").await;
    camera.take(browser, "purge-not-set-up", Whole).await;

    browser.open("/settings/cdn").await;
    browser
        .fill("distribution_id", "d111111abcdef8.cloudfront.net")
        .await;
    browser.fill("access_key_id", SECRET).await;
    browser.fill("secret_access_key", KEY).await;
    browser.save_and_test().await;
    camera.take(browser, "settings-mistakes", Top).await;

    browser.open("/settings/cdn").await;
    browser.fill("distribution_id", DISTRIBUTION).await;
    browser.fill("access_key_id", KEY).await;
    browser.fill("secret_access_key", SECRET).await;
    browser.submit("Save without testing").await;
    browser.open("/activity").await;
    camera.take(browser, "activity-empty", Whole).await;
    browser.submit("Sign out").await;
    camera.take(browser, "sign-in", Whole).await;
}

/// After a day of publishing.
pub(crate) async fn at_work(camera: &Camera) {
    let database = Database::fresh().await;
    let past = day::live_through(&database).await;
    let stage = Stage::on(Scripts::On, database, past.sandbox, |variables| {
        set(variables, PRIVATE);
    })
    .await;
    let (browser, sandbox, api) = (&stage.browser, &stage.sandbox, stage.api());

    browser.open("/activity").await;
    camera.take(browser, "activity", Top).await;
    for (name, id) in [
        ("publish-failed", &past.failed),
        ("publish-unconfirmed", &past.unconfirmed),
    ] {
        browser.open(&format!("/activity/{id}")).await;
        camera.take(browser, name, Whole).await;
    }

    browser.open("/settings/cdn").await;
    browser.save_and_test().await;
    camera.take(browser, "settings-testing", Top).await;
    sandbox.complete().await;
    browser.wait_for("#standing", "Connected").await;
    browser.open("/settings/cdn").await;
    camera.take(browser, "settings-connected", Whole).await;
    browser.open("/settings/cdn/publishing").await;
    browser.fill("public_address", &sandbox.edge).await;
    browser.fill("hosts", "www.example.com").await;
    browser
        .fill("related", "/blog/* => /blog/ /feed.xml\n/sitemap.xml")
        .await;
    browser.fill("try", "/blog/post-1").await;
    browser.submit("Try").await;
    camera.take(browser, "settings-related", Whole).await;
    browser.submit("Save the rules").await;
    camera.take(browser, "settings-publishing", Whole).await;
    for body in [
        json!({ "paths": ["https://preview.example.com/about"] }),
        json!({ "paths": ["/about", "/news/*/today"] }),
    ] {
        api.post(&[], body.to_string()).await;
    }
    browser.open("/settings/cdn/policy").await;
    camera.take(browser, "settings-cost", Whole).await;
    browser.open("/settings/cdn/hook").await;
    browser.fill("token-name", "GitHub Actions").await;
    browser.submit("Create a new token").await;
    camera.take(browser, "settings-token", Whole).await;
    browser.open("/settings/cdn/refused").await;
    camera.take(browser, "settings-refused", Whole).await;

    browser.open("/purge").await;
    camera.take(browser, "purge", Whole).await;
    let typed = "/about\n/blog/*\n/blog/post-1\nhttps://www.example.com/press\nroot\n/people/~ada\n#article:42";
    browser.fill("items", typed).await;
    browser.wait_for("#preview", "paths, ").await;
    camera.take(browser, "purge-preview", Whole).await;
    browser
        .fill("items", "/a*b\n/fine\nhttps://elsewhere.example/about")
        .await;
    browser.wait_for("#preview", "cannot be sent").await;
    camera.take(browser, "purge-mistakes", Whole).await;
    browser.submit("Purge everything…").await;
    camera.take(browser, "purge-everything", Whole).await;

    // A publish of many invalidations, between the first and the second of them.
    let pages: Vec<_> = (0..7_000).map(|n| format!("/archive/1998/{n}")).collect();
    let publish = api.publish(json!({ "paths": pages })).await;
    let id = publish["id"].as_str().unwrap();
    browser.open(&format!("/activity/{id}")).await;
    browser.wait_for(".invalidation", "In progress").await;
    sandbox.complete().await;
    browser
        .wait_for("#publish", "1 of 3 invalidations completed")
        .await;
    browser
        .wait_for(
            "#invalidations-title ~ article:nth-of-type(2)",
            "In progress",
        )
        .await;
    camera.take(browser, "publish-in-progress", Whole).await;
    browser.open("/activity").await;
    camera.take(browser, "activity-in-progress", Top).await;
    complete_all(sandbox).await;
    browser.wait_for("#work", "1 of 1 publish").await;
    sandbox.never_complete().await;
    browser.open(&format!("/activity/{id}")).await;
    camera.take(browser, "publish-completed", Top).await;
    let id = api.publish_path("/news/market-square-reopens").await;
    browser.open(&format!("/activity/{id}")).await;
    browser.wait_for(".invalidation", "In progress").await;
    sandbox.complete().await;
    browser.wait_for("#edge", "Fresh").await;
    camera.take(browser, "publish-fresh", Whole).await;

    // A page that no purge reaches, and endpoints of which one takes nothing.
    let (receiver, failing) = (Receiver::start().await, Receiver::start().await);
    failing.be(Mood::Answers(500));
    for url in [&receiver.url, &failing.url] {
        browser.open("/settings/cdn/notifications").await;
        browser.fill("url", url).await;
        browser.submit("Add the endpoint").await;
    }
    sandbox
        .steer_edge(json!({ "stuck": ["/news/ferry-timetable-changes"] }))
        .await;
    let id = api.publish_path("/news/ferry-timetable-changes").await;
    browser.open(&format!("/activity/{id}")).await;
    browser.wait_for(".invalidation", "In progress").await;
    sandbox.complete().await;
    browser.wait_for("#edge", "Stale").await;
    camera.take(browser, "publish-stale", Whole).await;
    sandbox
        .fail_creates(
            1,
            json!({
                "kind": "error", "code": "InvalidArgument",
                "message": "Your request contains one or more invalid invalidation paths.",
            }),
        )
        .await;
    api.publish_path("/files/budget 2027.pdf").await;
    browser.open("/settings/cdn/notifications").await;
    browser.wait_for("#delivery-list", "Delivered").await;
    browser.wait_for("#endpoint-list", "Failing since").await;
    camera.take(browser, "settings-notifications", Whole).await;

    // A rebuild of one page at a time, between its first and its second batch.
    browser.open("/activity").await;
    rebuild(api).await;
    browser.wait_for("#work", "0 of 5,000").await;
    sandbox.complete().await;
    browser.wait_for("#publishes", "In progress").await;
    camera.take(browser, "activity-rebuild", Top).await;
    complete_all(sandbox).await;
    browser.wait_for("#work", "5,000 of 5,000").await;

    browser.open("/settings/cdn").await;
    browser.fill("distribution_id", "E2SANDB0X0CDN1").await;
    browser.save_and_test().await;
    camera.take(browser, "settings-failed", Top).await;
    sandbox.enable_key(false).await;
    api.publish_path("/news/late-edition").await;
    browser.open("/activity").await;
    browser.wait_for("#banner", "Purging is paused").await;
    camera.take(browser, "activity-paused", Top).await;
    browser.open("/settings/cdn").await;
    camera.take(browser, "settings-paused", Top).await;

    browser.submit("Remove…").await;
    camera.take(browser, "settings-remove", Whole).await;
    for (path, name) in [
        ("/audit", "audit"),
        ("/password", "password"),
        ("/nowhere", "not-found"),
    ] {
        browser.open(path).await;
        camera.take(browser, name, Whole).await;
    }
    browser.open("/sites").await;
    browser.fill("name", "shop-de").await;
    browser.submit("Add the site").await;
    browser.wait_for(".notice", "The site was added").await;
    browser.open("/sites").await;
    camera.take(browser, "sites", Whole).await;
}

/// What is in progress, and what comes after it.
async fn complete_all(sandbox: &Sandbox) {
    sandbox.complete_at_once().await;
    sandbox.complete().await;
}

async fn rebuild(api: &Api) {
    stream::iter(0..5_000)
        .for_each_concurrent(16, |page| async move {
            api.publish_path(&format!("/archive/page-{page}")).await;
        })
        .await;
}
