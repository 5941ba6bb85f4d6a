//! SkyCMS's own menu and sign-in lead here, behind the proxies of deploy/proxy.

use axum::body::Body;
use http::{Request, header};

use crate::driver::Scripts;
use crate::stage::Stage;
use crate::support::{Front, SkyCms, free_port, send};

#[tokio::test]
async fn skycms_s_menu_and_session_do_behind_nginx() {
    let (port, skycms) = (free_port(), SkyCms::start().await);
    let stage = stage(port, &skycms).await;
    let front = Front::nginx(port, &skycms.url, &stage.api().base).await;
    walk_through(&stage, port).await;
    drop(front);
    stage.finish().await;
}

#[tokio::test]
async fn skycms_s_menu_and_session_do_behind_caddy() {
    let (port, skycms) = (free_port(), SkyCms::start().await);
    let stage = stage(port, &skycms).await;
    let front = Front::caddy(port, &skycms.url, &stage.api().base).await;
    walk_through(&stage, port).await;
    drop(front);
    stage.finish().await;
}

async fn stage(port: u16, skycms: &SkyCms) -> Stage {
    Stage::with(Scripts::On, |variables| {
        let public = format!("http://localhost:{port}/cdn");
        variables.insert("PUBLIC_URL".into(), public);
        variables.insert("SKYCMS_URL".into(), skycms.url.clone());
        variables.insert("TRUSTED_PROXIES".into(), "127.0.0.1".into());
    })
    .await
}

/// An administrator, an editor and an author come from SkyCMS's menu, each with their own rights.
async fn walk_through(stage: &Stage, port: u16) {
    let (browser, origin) = (&stage.browser, format!("http://localhost:{port}"));
    let menu = format!("{origin}/Editor/Index");

    browser.goto(&menu).await;
    browser.submit("CDN").await;
    browser.assert_sees("h1", "Sign in to SkyCMS").await;
    browser.fill("role", "Administrators").await;
    browser.submit("Log in").await;
    browser.assert_sees("h1", "CDN settings").await;
    let role = "SkyCMS administrator Administrator";
    browser.assert_sees(".who", role).await;
    browser.save_and_test().await;
    browser.wait_for("#test", "All five steps passed.").await;

    // The hook is beside it, and what it takes is seen at once.
    browser.submit("Activity").await;
    browser.mark().await;
    let hook = format!("{origin}/cdn/api/sites/default/publishes");
    let answer = send(
        Request::post(&hook)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", crate::support::TOKEN),
            )
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(r#"{"paths": ["/about"]}"#))
            .unwrap(),
    )
    .await;
    assert_eq!(answer.status, 202);
    browser.wait_for("main", "/about").await;
    browser.wait_for("main", "Completed").await;
    browser.assert_was_not_reloaded().await;

    // So is CloudFront's host.
    let call = format!("{origin}/2020-05-31/distribution/default/invalidation");
    let answer = send(
        Request::post(&call)
            .header(header::HOST, "cloudfront.amazonaws.com")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("<ErrorResponse"), "{}", answer.body);

    // Whoever signs out there is out here.
    browser.goto(&menu).await;
    browser.submit("Log out").await;
    browser.submit("CDN").await;
    browser.assert_sees("h1", "Sign in to SkyCMS").await;

    browser.fill("role", "Editors").await;
    browser.submit("Log in").await;
    browser.assert_sees("h1", "Administrators only").await;
    browser.submit("Purge").await;
    browser.assert_sees(".who", "SkyCMS editor Editor").await;

    browser.goto(&menu).await;
    browser.submit("Log out").await;
    browser.submit("CDN").await;
    browser.fill("role", "Authors").await;
    browser.submit("Log in").await;
    browser.assert_sees("h1", "Access denied").await;
}
