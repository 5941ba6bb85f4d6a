//! SkyCMS's users: signed in by its token, in a page of their own and inside SkyCMS's editor.

use fantoccini::Locator;
use serde_json::Value;
use skycms_cdn::clock::Clock;
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::stage::{Stage, serve};
use crate::support::{EMBED_SECRET, claims, free_port, jwt};

/// The ground of a dark page.
const DARK: &str = "rgb(26, 29, 32)";

async fn background(browser: &Browser) -> Value {
    browser
        .run("return getComputedStyle(document.body).backgroundColor")
        .await
}

/// What SkyCMS makes when somebody opens Settings → CDN.
fn token(role: &str) -> String {
    jwt(&claims(&Clock::system(), role))
}

#[tokio::test]
async fn skycms_signs_its_users_in() {
    let stage = Stage::with(Scripts::On, |variables| {
        variables.insert("EMBED_JWT_SECRET".into(), EMBED_SECRET.into());
    })
    .await;
    let (browser, base) = (&stage.browser, &stage.api().base);
    let editor = token("Editors");
    browser.goto(&format!("{base}/embed?token={editor}")).await;
    browser.assert_sees("h1", "Activity").await;
    browser.assert_sees(".who", "ada@example.com Editor").await;
    assert_eq!(browser.texts("nav a").await, ["Activity", "Purge"]);
    browser.goto(&format!("{base}/settings/cdn")).await;
    browser.assert_sees("h1", "Administrators only").await;

    browser.goto(&format!("{base}/embed?token={editor}")).await;
    browser.assert_sees("h1", "This sign-in has expired").await;
    browser
        .assert_sees("main", "open Settings → CDN again")
        .await;

    let administrator = token("Administrators");
    browser
        .goto(&format!("{base}/embed?token={administrator}"))
        .await;
    browser.assert_sees("h1", "CDN settings").await;
    browser
        .assert_sees(".who", "ada@example.com Administrator")
        .await;
    assert_ne!(background(browser).await, DARK, "as the browser prefers");
    stage.finish().await;
}

#[tokio::test]
async fn the_pages_work_inside_skycms() {
    let skycms = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free_port();
    let origin = format!("http://localhost:{}", skycms.local_addr().unwrap().port());
    // Another host of one site, as SkyCMS's editor and this service usually are.
    let service = format!("http://localhost:{port}");
    let stage = Stage::with(Scripts::On, |variables| {
        variables.insert("LISTEN_ADDR".into(), format!("127.0.0.1:{port}"));
        variables.insert("PUBLIC_URL".into(), service.clone());
        variables.insert("EMBED_JWT_SECRET".into(), EMBED_SECRET.into());
        variables.insert("EMBED_ORIGINS".into(), origin.clone());
    })
    .await;
    let page = format!(
        "<!doctype html><title>SkyCMS</title><link rel=icon href=data:,>
         <iframe title=CDN width=1000 height=800 src='{service}/embed?theme=dark&token={}'></iframe>",
        token("Administrators")
    );
    serve(skycms, page);

    let browser = &stage.browser;
    browser.goto(&origin).await;
    let frame = browser.client().find(Locator::Css("iframe")).await.unwrap();
    frame.enter_frame().await.unwrap();
    browser.wait_for("h1", "CDN settings").await;
    assert_eq!(
        browser.count(".user, .brand").await,
        0,
        "SkyCMS shows who is signed in"
    );
    assert_eq!(background(browser).await, DARK, "as the frame asked");
    browser.save_and_test().await;
    browser.wait_for("#test", "All five steps passed.").await;
    browser.submit("Activity").await;
    let id = stage.api().publish_path("/about").await;
    browser.wait_for(&format!("#p-{id}"), "Completed").await;
    assert_eq!(background(browser).await, DARK, "on its other pages too");
    stage.finish().await;
}
