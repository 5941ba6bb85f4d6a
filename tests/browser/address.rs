//! Where the pages are: below a path prefix, and nowhere in the hands of another site.

use serde_json::json;
use tokio::net::TcpListener;

use crate::driver::Scripts;
use crate::settings::{fill, outcomes};
use crate::stage::{Stage, serve};
use crate::support::{DISTRIBUTION, KEY, SECRET, free_port};

#[tokio::test]
async fn everything_works_below_a_path_prefix() {
    let port = free_port();
    let stage = Stage::with(Scripts::On, |variables| {
        variables.insert("LISTEN_ADDR".into(), format!("127.0.0.1:{port}"));
        variables.insert("PUBLIC_URL".into(), format!("http://127.0.0.1:{port}/cdn"));
    })
    .await;
    stage.sandbox.never_complete().await;
    let browser = &stage.browser;
    assert!(stage.api().base.ends_with("/cdn"), "{}", stage.api().base);
    browser.open("/settings/cdn/hook").await;
    assert!(browser.is_scripted().await);
    let font = browser
        .find("h1")
        .await
        .css_value("font-weight")
        .await
        .unwrap();
    assert_eq!(
        font,
        browser
            .find(".brand")
            .await
            .css_value("font-weight")
            .await
            .unwrap()
    );
    browser.open("/settings/cdn/hook").await;
    browser
        .assert_sees(
            "#hook-url",
            &format!("http://127.0.0.1:{port}/cdn/api/sites/default/publishes"),
        )
        .await;
    browser.open("/settings/cdn").await;
    fill(browser, DISTRIBUTION, KEY, SECRET).await;
    browser.save_and_test().await;
    assert_eq!(outcomes(browser).await[4], "waiting");
    browser.mark().await;
    stage.sandbox.complete().await;
    browser.wait_for("#test", "All five steps passed.").await;
    browser.assert_was_not_reloaded().await;

    browser.submit("Activity").await;
    let id = stage.api().publish_path("/about").await;
    browser.wait_for(&format!("#p-{id}"), "In progress").await;
    browser.submit("/about").await;
    stage.sandbox.complete().await;
    browser.wait_until_completed().await;

    // Nothing on the way leads out of the prefix.
    for path in ["/", "/activity", "/settings/cdn", "/purge", "/nowhere"] {
        browser.open(path).await;
        let script = "return [...document.querySelectorAll('[href], [src], [action]')]
            .map((element) => element.getAttribute('href') ?? element.getAttribute('src') ?? element.getAttribute('action'))
            .filter((address) => !address.startsWith('/cdn/') && !address.startsWith('#') && !address.startsWith('https://'))";
        assert_eq!(browser.run(script).await, json!([]), "{path}");
        let address = browser.client().current_url().await.unwrap();
        assert!(address.path().starts_with("/cdn/"), "{address}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_form_on_another_site_changes_nothing() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    let page = format!(
        "<!doctype html><link rel=icon href=data:,><form method=post action={}/settings/cdn>
         <input name=distribution_id value=E0EVIL000000001><input name=access_key_id value=AKIAEVILEVILEVIL0001>
         <input name=secret_access_key value=evil/evil/evil/evil/evil/evil/evil/evil1><input name=region value=us-east-1>
         <button name=action value=save>You have won</button></form>",
        stage.api().base
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    serve(listener, page);
    // Another port is another origin on the same site; another name is another site.
    for host in ["127.0.0.1", "localhost"] {
        browser.goto(&format!("http://{host}:{port}/")).await;
        browser.submit("You have won").await;
        assert_eq!(browser.status().await, 403, "{host}");
        browser.assert_sees("body", "another site").await;
    }
    browser.open("/settings/cdn").await;
    browser.assert_sees(".version", DISTRIBUTION).await;
    browser
        .assert_sees(".version", "Active in force, from the environment")
        .await;
    stage.finish().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_reported_in_a_page() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    for (address, status, title) in [
        ("/activity?before=nonsense", 400, "This could not be read"),
        ("/audit?after=nonsense", 400, "This could not be read"),
        ("/settings/cdn/tokens", 405, "Nothing to see here"),
        (
            "/settings/cdn/tokens/nonsense/revoke",
            405,
            "Nothing to see here",
        ),
    ] {
        browser.open(address).await;
        assert_eq!(browser.status().await, status, "{address}");
        browser.assert_sees("h1", title).await;
        browser.assert_sees("main", "What to do:").await;
    }
    stage.finish().await;
}
