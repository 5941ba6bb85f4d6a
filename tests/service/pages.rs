//! Every page as an administrator, an editor and a stranger are shown it: see
//! tests/snapshots/pages.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use skycms_cdn::store::SiteId;
use time::Duration;

use crate::answers;
use crate::support::{
    Answer, Browser, DISTRIBUTION, KEY, NO_SETTINGS, PASSWORD, SECRET, SECRETS, Stepped,
    assert_shown, claims, jwt, policy,
};

pub(crate) async fn service(more: &[(&str, &str)]) -> Stepped {
    answers::service(&[SECRETS, more].concat()).await
}

pub(crate) async fn admin(service: &Stepped) -> Browser {
    Browser::signed_in(&service.api.base).await
}

/// Somebody SkyCMS sends, for these sites.
pub(crate) async fn sent(service: &Stepped, role: &str, sites: &[&str]) -> Browser {
    let mut claims = claims(&service.state.clock, role);
    claims["sites"] = json!(sites);
    let mut browser = Browser::new(&service.api.base);
    let answer = browser.get(&format!("/embed?token={}", jwt(&claims))).await;
    assert_eq!(answer.status, 303);
    browser
}

fn show(name: &str, answer: &Answer) {
    assert_shown("pages", name, &answer.written());
}

async fn get(browser: &mut Browser, name: &str, path: &str) {
    show(name, &browser.get(path).await);
}

async fn post(browser: &mut Browser, name: &str, path: &str, fields: &[(&str, &str)]) {
    show(name, &browser.post(path, fields).await);
}

pub(crate) fn settings<'a>(
    distribution: &'a str,
    secret: &'a str,
    action: &'a str,
) -> [(&'a str, &'a str); 6] {
    [
        ("distribution_id", distribution),
        ("credentials", "access_key"),
        ("access_key_id", KEY),
        ("secret_access_key", secret),
        ("region", "eu-central-1"),
        ("action", action),
    ]
}

#[tokio::test]
async fn a_stranger_is_shown_the_way_in_and_nothing_else() {
    let service = service(&[]).await;
    let mut stranger = Browser::new(&service.api.base);
    get(&mut stranger, "stranger-home", "/").await;
    get(&mut stranger, "stranger-activity", "/activity?state=failed").await;
    get(&mut stranger, "stranger-events", "/events").await;
    get(&mut stranger, "stranger-unknown-address", "/nowhere").await;
    get(&mut stranger, "sign-in", "/sign-in?next=%2Fpurge").await;
    get(
        &mut stranger,
        "set-up-with-a-wrong-token",
        "/set-up?token=guess",
    )
    .await;
    get(
        &mut stranger,
        "embed-with-a-wrong-token",
        "/embed?token=guess",
    )
    .await;
    let wrong = [
        ("username", "ada"),
        ("password", "not it"),
        ("next", "/purge"),
    ];
    post(&mut stranger, "sign-in-wrong", "/sign-in", &wrong).await;
    let put = stranger.request(Method::PUT, "/sign-in", &[], Body::empty());
    show("method-not-allowed", &put.await);
    let foreign = [("sec-fetch-site", "cross-site")];
    let foreign = stranger.request(Method::POST, "/sign-in", &foreign, Body::empty());
    show("form-of-another-site", &foreign.await);
    let right = [
        ("username", "admin"),
        ("password", PASSWORD),
        ("next", "/purge"),
    ];
    post(&mut stranger, "sign-in-right", "/sign-in", &right).await;
    post(&mut stranger, "sign-out", "/sign-out", &[]).await;
}

#[tokio::test]
async fn a_first_start_leads_to_a_password() {
    let service = service(&[NO_SETTINGS, &[("ADMIN_PASSWORD", "")]].concat()).await;
    let mut first = sent(&service, "Administrators", &["default"]).await;
    get(&mut first, "first-settings", "/settings/cdn").await;
    get(&mut first, "first-activity", "/activity").await;
    get(&mut first, "first-purge", "/purge").await;
}

#[tokio::test]
async fn settings_are_typed_tested_kept_and_removed() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let page = "/settings/cdn";
    get(&mut admin, "settings-of-the-environment", page).await;
    let wrong = settings("EDFDVBD6EXAMPLE ?", "short", "save_and_test");
    post(&mut admin, "settings-with-mistakes", page, &wrong).await;

    // AWS refuses: what was typed is a draft, and the settings before stay in force.
    service.sandbox.set_policy(policy("E2ANOTHER000001")).await;
    let typed = settings(DISTRIBUTION, SECRET, "save_and_test");
    post(&mut admin, "settings-refused", page, &typed).await;
    get(&mut admin, "settings-draft", page).await;

    service.sandbox.set_policy(policy(DISTRIBUTION)).await;
    let typed = settings(DISTRIBUTION, "", "save_and_test");
    post(&mut admin, "settings-passed", page, &typed).await;
    get(&mut admin, "settings-tested", page).await;
    service.sandbox.complete().await;
    service.pass(10).await;
    get(&mut admin, "settings-completed", page).await;
    let typed = settings("E2ANOTHER000001", "", "save");
    post(&mut admin, "settings-saved-untested", page, &typed).await;
    get(&mut admin, "settings-untested", "/settings/cdn?done=saved").await;

    let remove = "/settings/cdn/remove";
    post(&mut admin, "settings-remove", remove, &[]).await;
    let confirmed = [("confirmed", "yes")];
    post(&mut admin, "settings-remove-confirmed", remove, &confirmed).await;
    let removed = "/settings/cdn?done=removed-saved";
    get(&mut admin, "settings-removed", removed).await;
    get(&mut admin, "activity-without-settings", "/activity").await;
    get(&mut admin, "purge-without-settings", "/purge").await;
    get(&mut admin, "audit-of-settings", "/audit").await;
}

#[tokio::test]
async fn publishing_spending_tokens_and_secrets_have_forms() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let publishing = "/settings/cdn/publishing";
    let wrong = [
        ("hosts", "not a host"),
        ("origin_path", "/a b"),
        ("related", "/blog/* => /a*b"),
    ];
    post(&mut admin, "publishing-with-mistakes", publishing, &wrong).await;
    let right = [
        ("hosts", "www.example.com\nexample.com"),
        ("related", "/blog/* => /blog/ /feed.xml\n/sitemap.xml"),
        ("directory_variants", "yes"),
        ("origin_path", "live/"),
    ];
    post(&mut admin, "publishing-saved", publishing, &right).await;
    let tried = [
        right[1],
        ("action", "try"),
        ("try", "/blog/post-1\n/logo.png"),
    ];
    post(&mut admin, "publishing-tried", publishing, &tried).await;

    let spending = "/settings/cdn/policy";
    let wrong = [
        ("policy", "economical"),
        ("fold_above", "none"),
        ("monthly_limit", "-1"),
    ];
    post(&mut admin, "spending-with-mistakes", spending, &wrong).await;
    let right = [
        ("policy", "economical"),
        ("fold_above", "50"),
        ("monthly_limit", "2000"),
        ("past_limit", "hold"),
    ];
    post(&mut admin, "spending-saved", spending, &right).await;

    post(
        &mut admin,
        "token-nameless",
        "/settings/cdn/tokens",
        &[("name", "")],
    )
    .await;
    let made = [("name", "GitHub Actions")];
    post(&mut admin, "token-made", "/settings/cdn/tokens", &made).await;
    post(&mut admin, "secret-made", "/settings/cdn/secrets", &[]).await;
    let rules = "/settings/cdn/publishing?done=rules";
    get(&mut admin, "publishing", rules).await;
    let policy = "/settings/cdn/policy?done=policy";
    get(&mut admin, "spending", policy).await;
    get(&mut admin, "hook", "/settings/cdn/hook").await;
    let html = admin.get("/settings/cdn/hook").await.body;
    for (kind, action) in [
        ("token", "reveal"),
        ("secret", "reveal"),
        ("token", "revoke"),
        ("secret", "revoke"),
    ] {
        let start = format!("/settings/cdn/{kind}s/");
        let at = html.find(&start).unwrap() + start.len();
        let id = &html[at..at + 36];
        let path = format!("{start}{id}/{action}");
        post(&mut admin, &format!("{kind}-{action}"), &path, &[]).await;
        let confirmed = [("confirmed", "yes")];
        post(
            &mut admin,
            &format!("{kind}-{action}-confirmed"),
            &path,
            &confirmed,
        )
        .await;
    }
    let unknown = format!("/settings/cdn/tokens/{}/revoke", uuid::Uuid::nil());
    post(
        &mut admin,
        "token-unknown",
        &unknown,
        &[("confirmed", "yes")],
    )
    .await;
}

#[tokio::test]
async fn a_purge_by_hand_is_previewed_and_sent() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    get(&mut admin, "purge", "/purge").await;
    let purge = |items: &'static str, action: &'static str| [("items", items), ("action", action)];
    let items =
        "root\nhttps://www.example.com/blog/post-1\n/blog/*\n/files/old~name.pdf\n#article:42";
    post(
        &mut admin,
        "purge-preview",
        "/purge",
        &purge(items, "preview"),
    )
    .await;
    let wrong = "/about\n/blog/*/comments\n#two words";
    post(
        &mut admin,
        "purge-with-mistakes",
        "/purge",
        &purge(wrong, "purge"),
    )
    .await;
    post(&mut admin, "purge-sent", "/purge", &purge(items, "purge")).await;
    post(
        &mut admin,
        "purge-everything",
        "/purge",
        &purge("", "everything"),
    )
    .await;
    let mut confirmed = purge("", "everything").to_vec();
    confirmed.push(("confirmed", "yes"));
    post(
        &mut admin,
        "purge-everything-confirmed",
        "/purge",
        &confirmed,
    )
    .await;
}

#[tokio::test]
async fn each_state_of_a_publish_has_its_page() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let mut editor = sent(&service, "Editors", &["default"]).await;
    get(&mut admin, "activity-empty", "/activity").await;

    let completed = service.publish_and_run("/completed").await;
    service.sandbox.complete().await;
    service.pass(12).await;
    let refused = json!({ "kind": "error", "code": "InvalidArgument", "status": 400,
        "message": "Your request contains one or more invalid invalidation paths." });
    service.sandbox.fail_creates(1, refused).await;
    let failed = service.publish_and_run("/failed").await;
    service.sandbox.lose_answer().await;
    let unconfirmed = service.publish_and_run("/unconfirmed").await;
    service.run_until_ended(&unconfirmed).await;
    let running = service.api.publish(json!({
        "paths": ["/running", "/", "/files/old~name.pdf"], "tags": ["Article:42"],
    }));
    let running = running.await["id"].as_str().unwrap().to_owned();
    service.run().await;
    service.advance(Duration::seconds(3));
    let queued = service.api.publish_path("/queued").await;
    for (name, id) in [
        ("completed", completed),
        ("failed", failed.clone()),
        ("unconfirmed", unconfirmed),
        ("in-progress", running),
        ("queued", queued),
    ] {
        get(
            &mut admin,
            &format!("publish-{name}"),
            &format!("/activity/{id}"),
        )
        .await;
    }
    get(&mut admin, "activity", "/activity").await;
    get(&mut editor, "activity-of-an-editor", "/activity").await;
    get(&mut admin, "activity-failed", "/activity?state=failed").await;
    get(
        &mut admin,
        "activity-of-a-path",
        "/activity?path=%2Frunning",
    )
    .await;
    let unknown = format!("/activity/{}", uuid::Uuid::nil());
    get(&mut admin, "publish-unknown", &unknown).await;
    get(&mut admin, "publish-malformed", "/activity/17").await;
    let retry = format!("/activity/{failed}/retry");
    post(&mut admin, "publish-retried", &retry, &[]).await;
    get(
        &mut admin,
        "publish-after-its-retry",
        &format!("/activity/{failed}"),
    )
    .await;
}

#[tokio::test]
async fn a_key_that_may_not_ask_is_reported_on_every_page() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let mut denied = policy(DISTRIBUTION);
    denied["Statement"][0]["Action"] = json!(["cloudfront:CreateInvalidation"]);
    service.sandbox.set_policy(denied).await;
    let id = service.publish_and_run("/about").await;
    service.pass(5).await;
    service.refresh_sites().await;
    get(&mut admin, "unasked-publish", &format!("/activity/{id}")).await;
    for page in ["/activity", "/purge", "/settings/cdn"] {
        let answer = admin.get(page).await;
        let html = answer.body;
        assert!(
            html.contains("Completion cannot be confirmed"),
            "{page}: {html}"
        );
    }
}

#[tokio::test]
async fn editors_are_led_to_no_page_that_refuses_them() {
    let service = service(&[]).await;
    let mut editor = sent(&service, "Editors", &["default"]).await;
    service.sandbox.set_policy(Value::Null).await;
    let id = service.publish_and_run("/about").await;
    let (directory, store) = (&service.state.directory, &service.state.store);
    directory.refresh(store).await.unwrap();
    let publish = format!("/activity/{id}");
    for page in ["/activity", "/purge", "/help", &publish] {
        let html = editor.get(page).await.body;
        assert!(
            page == "/help" || html.contains("An administrator can fix this"),
            "{page}"
        );
        let links = html.split(" href=\"").skip(1);
        let addresses: Vec<_> = links.map(|link| link.split('"').next().unwrap()).collect();
        for known in ["/activity", "/purge"] {
            assert!(addresses.contains(&known), "{page}: {addresses:?}");
        }
        for address in addresses {
            if address.starts_with('/') {
                let status = editor.get(address).await.status;
                assert!(status < 400, "{page} leads to {address}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn a_paused_site_says_so_on_every_page() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let mut editor = sent(&service, "Editors", &["default"]).await;
    service.sandbox.set_policy(Value::Null).await;
    let id = service.publish_and_run("/about").await;
    service.refresh_sites().await;
    get(&mut admin, "paused-publish", &format!("/activity/{id}")).await;
    get(&mut admin, "paused-settings", "/settings/cdn").await;
    get(&mut admin, "paused-activity", "/activity").await;
    get(&mut editor, "paused-activity-of-an-editor", "/activity").await;
    get(&mut editor, "paused-purge-of-an-editor", "/purge").await;
}

#[tokio::test]
async fn a_rebuild_shows_how_far_it_is() {
    let service = service(&[("CLOUDFRONT_FILES_IN_PROGRESS", "100")]).await;
    let mut admin = admin(&service).await;
    for n in 0..3 {
        let paths: Vec<String> = (0..100)
            .map(|page| format!("/archive/{n}/{page}"))
            .collect();
        service.api.publish(json!({ "paths": paths })).await;
    }
    service.run().await;
    service.advance(Duration::seconds(20));
    get(&mut admin, "rebuild", "/activity").await;
}

#[tokio::test]
async fn a_named_site_has_pages_of_its_own() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    get(&mut admin, "sites-one", "/sites").await;
    post(
        &mut admin,
        "site-misnamed",
        "/sites",
        &[("name", "The Shop")],
    )
    .await;
    post(&mut admin, "site-made", "/sites", &[("name", "shop")]).await;
    get(
        &mut admin,
        "site-settings-new",
        "/sites/shop/settings/cdn?done=created",
    )
    .await;
    let shop: SiteId = service.state.directory.site("shop").unwrap().id;
    service
        .sandbox
        .add_tenant("E2SHOP00000001", "AKIASHOP000000000001")
        .await;
    service
        .activate(shop, "E2SHOP00000001", "AKIASHOP000000000001")
        .await;
    get(&mut admin, "site-settings", "/sites/shop/settings/cdn").await;
    get(&mut admin, "site-activity", "/sites/shop/activity").await;
    get(&mut admin, "site-purge", "/sites/shop/purge").await;
    get(&mut admin, "sites", "/sites").await;

    let mut editor = sent(&service, "Editors", &["shop"]).await;
    get(&mut editor, "site-home-of-its-editor", "/").await;
    get(
        &mut editor,
        "site-activity-of-its-editor",
        "/sites/shop/activity",
    )
    .await;
    get(&mut editor, "site-hidden-from-an-editor", "/activity").await;
    get(
        &mut editor,
        "site-settings-of-an-editor",
        "/sites/shop/settings/cdn",
    )
    .await;
    let mut theirs = sent(&service, "Administrators", &["shop"]).await;
    get(
        &mut theirs,
        "site-settings-of-its-administrator",
        "/sites/shop/settings/cdn",
    )
    .await;

    let rename = "/sites/shop/rename";
    post(
        &mut admin,
        "site-renamed-to-a-taken-name",
        rename,
        &[("name", "default")],
    )
    .await;
    post(&mut admin, "site-renamed", rename, &[("name", "store")]).await;
    post(&mut admin, "site-remove", "/sites/store/remove", &[]).await;
    let confirmed = [("confirmed", "yes"), ("name", "store")];
    post(
        &mut admin,
        "site-removed",
        "/sites/store/remove",
        &confirmed,
    )
    .await;
    get(&mut admin, "site-unknown", "/sites/store/activity").await;
    get(&mut admin, "audit-of-sites", "/audit?search=store").await;
}

#[tokio::test]
async fn a_password_is_changed_and_an_editor_has_none() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let mut editor = sent(&service, "Editors", &["default"]).await;
    get(&mut admin, "password", "/password").await;
    let change = |current: &'static str, new: &'static str| {
        [
            ("current_password", current),
            ("new_password", new),
            ("repeat_password", new),
        ]
    };
    post(
        &mut admin,
        "password-wrong",
        "/password",
        &change("a wrong one, surely", "nine blue kites over sand"),
    )
    .await;
    post(
        &mut admin,
        "password-common",
        "/password",
        &change(PASSWORD, "password1234"),
    )
    .await;
    post(
        &mut admin,
        "password-changed",
        "/password",
        &change(PASSWORD, "nine blue kites over sand"),
    )
    .await;
    post(
        &mut admin,
        "sign-out-everywhere",
        "/sign-out-everywhere",
        &[],
    )
    .await;
    get(&mut editor, "editor-password", "/password").await;
    get(&mut editor, "editor-settings", "/settings/cdn").await;
    get(&mut editor, "editor-sites", "/sites").await;
    get(&mut editor, "editor-purge", "/purge").await;
}

#[tokio::test]
async fn without_a_database_pages_say_so() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    service.state.store.close().await;
    get(&mut admin, "no-database", "/activity").await;
    get(
        &mut Browser::new(&service.api.base),
        "no-database-of-a-stranger",
        "/activity",
    )
    .await;
}
