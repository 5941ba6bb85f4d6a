//! Several sites: whoever sees one sees nothing of another, whichever way they ask.

use axum::body::Body;
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use skycms_cdn::domain::session::Role;
use skycms_cdn::store::{Changes, ShownTo, SiteId};

use crate::embed::{claims, open};
use crate::support::{Answer, Api, Browser, Service, TOKEN, between, jwt};

const SHOP_TOKEN: &str = "skycdn_token_of_the_shop";

/// A service with the sites `default`, `shop` and `blog`.
async fn service() -> Service {
    let service = Service::start().await;
    let mut admin = service.signed_in(Role::Admin).await;
    for name in ["shop", "blog"] {
        let answer = admin.post("/sites", &[("name", name)]).await;
        assert_eq!(
            answer.location(),
            format!("/sites/{name}/settings/cdn?done=created")
        );
    }
    let (store, clock) = (&service.state.store, &service.state.clock);
    let token = SecretString::from(SHOP_TOKEN);
    store
        .add_token(
            site(&service, "shop"),
            clock.id(),
            "test",
            token,
            ShownTo::Nobody,
            clock.now(),
        )
        .await
        .unwrap();
    service.state.directory.refresh(store).await.unwrap();
    service
}

fn site(service: &Service, name: &str) -> SiteId {
    service.state.directory.site(name).unwrap().id
}

/// The browser of somebody SkyCMS sends, for these sites.
async fn sent(service: &Service, role: &str, sites: Value) -> (Browser, Answer) {
    let mut claims = claims(service, role);
    if !sites.is_null() {
        claims["sites"] = sites;
    }
    let mut browser = service.browser();
    let answer = open(&mut browser, &jwt(&claims)).await;
    (browser, answer)
}

/// Publishes at a site, and gives the publish's id.
async fn publish(service: &Service, name: &str, token: &str) -> Answer {
    let api = Api::new("").of_site(name, token);
    let body = r#"{"paths": ["/secret-plans"]}"#;
    service.send(api.publishing(&[], body)).await
}

#[tokio::test]
async fn an_editor_sees_the_sites_that_the_sign_in_names_and_no_other() {
    let service = service().await;
    let published = publish(&service, "default", TOKEN).await;
    let id = published.json()["id"].as_str().unwrap().to_owned();

    let (mut editor, answer) = sent(&service, "Editors", json!(["shop"])).await;
    assert_eq!(answer.location(), "/sites/shop/activity");
    assert_eq!(editor.get("/").await.location(), "/sites/shop/activity");
    let page = editor.get("/sites/shop/activity").await;
    assert_eq!(page.status, 200);
    assert!(
        !page.body.contains("default") && !page.body.contains("blog"),
        "{}",
        page.body
    );
    for other in [
        "",
        "/sites/default",
        "/sites/blog",
        "/sites/none",
        "/sites/removed-0",
    ] {
        for path in ["/activity", "/purge", "/events", &format!("/activity/{id}")] {
            let answer = editor.get(&format!("{other}{path}")).await;
            assert_eq!(answer.status, 404, "{other}{path}");
            assert!(!answer.body.contains("secret-plans"));
        }
        for (path, fields) in [
            ("/purge", vec![("items", "/a"), ("action", "purge")]),
            (&*format!("/activity/{id}/retry"), vec![]),
        ] {
            let answer = editor.post(&format!("{other}{path}"), &fields).await;
            assert_eq!(answer.status, 404, "{other}{path}");
        }
    }
    // Another site's publish is not found below one's own either.
    let answer = editor.get(&format!("/sites/shop/activity/{id}")).await;
    assert_eq!(answer.status, 404);
    for path in ["/sites", "/sites/shop/settings/cdn"] {
        assert_eq!(editor.get(path).await.status, 403, "{path}");
    }
    assert_eq!(editor.post("/sites", &[("name", "mine")]).await.status, 403);
}

#[tokio::test]
async fn without_named_sites_there_is_only_default() {
    let service = service().await;
    let (mut editor, answer) = sent(&service, "Editors", Value::Null).await;
    assert_eq!(answer.location(), "/activity");
    assert_eq!(editor.get("/activity").await.status, 200);
    assert_eq!(editor.get("/sites/shop/activity").await.status, 404);
    for refused in [
        json!(["none"]),
        json!([]),
        json!("none"),
        json!([7]),
        json!({ "shop": true }),
    ] {
        let (mut nobody, answer) = sent(&service, "Editors", refused.clone()).await;
        assert_eq!(answer.status, 401, "{refused}");
        assert_eq!(
            nobody.get("/sites/shop/activity").await.status,
            303,
            "{refused}"
        );
    }
    // A single one may be written without its list.
    let (mut one, answer) = sent(&service, "Editors", json!("shop")).await;
    assert_eq!(answer.location(), "/sites/shop/activity");
    assert_eq!(one.get("/sites/shop/activity").await.status, 200);
    assert_eq!(one.get("/activity").await.status, 404);
    let (mut both, answer) = sent(&service, "Editors", json!(["none", "shop", "default"])).await;
    assert_eq!(answer.location(), "/activity");
    let page = both.get("/sites/shop/purge").await;
    assert!(
        page.body.contains("href=\"/purge\"") && !page.body.contains("blog"),
        "a choice of two"
    );
    // An error leads on to the same site, and not to one that is not theirs.
    for (path, purge) in [
        ("/sites/shop/activity/nothing", "/sites/shop/purge"),
        ("/sites/shop/settings/cdn", "/sites/shop/purge"),
        ("/sites/blog/activity", "/purge"),
    ] {
        let page = both.get(path).await;
        page.assert_says(&format!("href=\"{purge}\""));
    }
}

#[tokio::test]
async fn an_administrator_of_one_site_changes_nothing_of_another() {
    let service = service().await;
    let (mut admin, answer) = sent(&service, "Administrators", json!(["shop"])).await;
    assert_eq!(answer.location(), "/sites/shop/settings/cdn");
    assert_eq!(admin.get("/sites/shop/settings/cdn").await.status, 200);
    for (path, fields) in [
        ("/settings/cdn", vec![("action", "save")]),
        ("/settings/cdn/remove", vec![("confirmed", "yes")]),
        (
            "/settings/cdn/publishing",
            vec![("hosts", "evil.example.com")],
        ),
        ("/settings/cdn/policy", vec![("policy", "everything")]),
        ("/settings/cdn/tokens", vec![("name", "mine")]),
        ("/settings/cdn/secrets", vec![]),
    ] {
        for other in ["", "/sites/default", "/sites/blog"] {
            let answer = admin.post(&format!("{other}{path}"), &fields).await;
            assert_eq!(answer.status, 404, "{other}{path}");
        }
    }
    // A token of another site is not found below one's own.
    let store = &service.state.store;
    let foreign = store.tokens(site(&service, "default")).await.unwrap()[0].id;
    for act in ["reveal", "revoke"] {
        let path = format!("/sites/shop/settings/cdn/tokens/{foreign}/{act}");
        assert_eq!(admin.post(&path, &[]).await.status, 404, "{act}");
    }
    for (path, fields) in [
        ("/sites", vec![("name", "mine")]),
        ("/sites/shop/rename", vec![("name", "mine")]),
        ("/sites/shop/remove", vec![("confirmed", "yes")]),
    ] {
        assert_eq!(admin.post(path, &fields).await.status, 403, "{path}");
    }
    admin
        .post(
            "/sites/shop/settings/cdn/tokens",
            &[("name", "of the shop")],
        )
        .await;
    let audit = admin.get("/audit").await;
    assert!(audit.body.contains("of the shop"));
    assert!(
        !audit.body.contains("blog") && !audit.body.contains("Came from SkyCMS"),
        "{}",
        audit.body
    );
    let mut everything = service.signed_in(Role::Admin).await;
    let audit = everything.get("/audit").await;
    assert!(audit.body.contains("of the shop") && audit.body.contains("Came from SkyCMS"));
}

/// What a browser hears at that address.
async fn events(browser: &Browser, path: &str) -> Body {
    let answer = browser.stream(path).await;
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

#[tokio::test]
async fn events_tell_of_the_own_site_only() {
    let service = service().await;
    let (editor, _) = sent(&service, "Editors", json!(["shop"])).await;
    let mut stream = events(&editor, "/sites/shop/events").await;
    let mut admin = service.signed_in(Role::Admin).await;
    let mut of_default = events(&admin, "/events").await;
    let announce = |name: &str| {
        let site = site(&service, name);
        service.state.changes.announce(Changes::State(site));
    };
    announce("blog");
    announce("default");
    tokio::select! {
        // Asked first: an event that both are to hear comes here.
        biased;
        told = stream.frame() => panic!("told of another site: {told:?}"),
        told = of_default.frame() => assert!(told.is_some()),
    }
    announce("shop");
    let told = stream.frame().await.unwrap().unwrap();
    assert!(told.into_data().unwrap().starts_with(b"data"));

    admin
        .post("/sites/shop/remove", &[("confirmed", "yes")])
        .await;
    service.state.changes.announce(Changes::Sites);
    assert!(
        stream.frame().await.is_none(),
        "the stream of a site that is gone ends"
    );
}

#[tokio::test]
async fn a_renamed_site_keeps_everything_but_its_old_name() {
    let service = service().await;
    let (mut editor, _) = sent(&service, "Editors", json!(["shop"])).await;
    let mut admin = service.signed_in(Role::Admin).await;
    for (name, words) in [
        ("Shop", "must be 1 to 63 lower-case letters"),
        ("", "must be 1 to 63"),
        ("blog", "There is a site `blog` already."),
    ] {
        let answer = admin.post("/sites/shop/rename", &[("name", name)]).await;
        assert_eq!(answer.status, 422, "{name}");
        assert!(answer.body.contains(words), "{name}: {}", answer.body);
        let answer = admin.post("/sites", &[("name", name)]).await;
        assert_eq!(answer.status, 422, "{name}");
    }
    let answer = admin
        .post("/sites/default/rename", &[("name", "main")])
        .await;
    assert_eq!(answer.status, 404);

    let own_name = [("name", "shop"), ("confirmed", "yes")];
    let answer = admin.post("/sites/shop/rename", &own_name).await;
    assert_eq!(answer.location(), "/sites");
    assert!(!service.database.dump().await.contains("shop, now shop"));

    let new_name = [("name", "store"), ("confirmed", "yes")];
    let answer = admin.post("/sites/shop/rename", &new_name).await;
    assert_eq!(answer.location(), "/sites?done=renamed");
    let again = admin.post("/sites/shop/rename", &new_name).await;
    assert_eq!(again.location(), answer.location(), "a second press");
    let another = [("name", "stall"), ("confirmed", "yes")];
    let another = admin.post("/sites/shop/rename", &another).await;
    assert_eq!(another.status, 404, "another name than it was given");
    let misnamed = admin.post("/sites/shop/rename", &[("name", "Shop")]).await;
    assert_eq!(misnamed.status, 404, "a mistake needs a row to be shown in");
    let renamed = admin.get("/sites?done=renamed").await;
    renamed.assert_says("answered with 404");
    assert_eq!(admin.get("/sites/shop/activity").await.status, 404);
    assert_eq!(publish(&service, "shop", SHOP_TOKEN).await.status, 404);
    assert_eq!(
        publish(&service, "store", SHOP_TOKEN).await.status,
        409,
        "its own token, no settings yet"
    );
    service.state.store.check_keys().await.unwrap();

    // Who saw it still sees it, and nothing of a new site of the old name.
    assert_eq!(editor.get("/sites/store/activity").await.status, 200);
    admin.post("/sites", &[("name", "shop")]).await;
    assert_eq!(editor.get("/sites/shop/activity").await.status, 404);
    assert_eq!(publish(&service, "shop", SHOP_TOKEN).await.status, 404);
}

#[tokio::test]
async fn a_removed_site_is_gone_with_its_secrets() {
    let service = service().await;
    let (mut editor, _) = sent(&service, "Editors", json!(["shop"])).await;
    let mut admin = service.signed_in(Role::Admin).await;
    let id = site(&service, "shop");
    let asked = admin.post("/sites/shop/remove", &[]).await;
    assert_eq!(asked.status, 200);
    asked.assert_says("Remove the site shop?");
    asked.assert_says("already accepted");
    asked.assert_says("action=\"/sites/shop/remove\"");
    assert_eq!(
        publish(&service, "shop", SHOP_TOKEN).await.status,
        409,
        "it was only asked"
    );
    assert_eq!(
        admin
            .post("/sites/default/remove", &[("confirmed", "yes")])
            .await
            .status,
        404
    );

    let removed = admin
        .post("/sites/shop/remove", &[("confirmed", "yes")])
        .await;
    assert_eq!(removed.location(), "/sites?done=removed");
    assert_eq!(publish(&service, "shop", SHOP_TOKEN).await.status, 404);
    assert_eq!(admin.get("/sites/shop/settings/cdn").await.status, 404);
    let unreadable = admin.get("/sites/%FF/settings/cdn").await;
    assert_eq!(unreadable.status, 404, "and not the default site");
    // What a second press was to remove is removed. Whoever names no site that there was is told
    // so, and somebody who may not remove any is refused either way.
    let sure = [("confirmed", "yes")];
    let again = admin.post("/sites/shop/remove", &sure).await;
    assert_eq!(again.location(), removed.location());
    assert_eq!(admin.post("/sites/none/remove", &sure).await.status, 404);
    for name in ["shop", "none"] {
        let answer = editor.post(&format!("/sites/{name}/remove"), &sure).await;
        assert_eq!(answer.status, 403, "{name}");
    }
    assert_eq!(editor.get("/sites/shop/activity").await.status, 404);
    assert_eq!(editor.get("/").await.status, 303);
    let stored = service.database.dump().await;
    for table in ["cdn_settings", "hook_secret"] {
        let rows = stored
            .split(&format!("{table}:\n"))
            .nth(1)
            .unwrap()
            .split(":\n")
            .next()
            .unwrap();
        assert!(!rows.contains(&format!("\"site_id\":{}", id.0)), "{rows}");
    }
    // Its name is free.
    let answer = admin.post("/sites", &[("name", "shop")]).await;
    assert_eq!(answer.status, 303);
    assert_eq!(publish(&service, "shop", SHOP_TOKEN).await.status, 404);
    assert!(admin.get("/audit").await.body.contains("Removed a site"));
}

#[tokio::test]
async fn a_site_that_is_added_by_a_double_click_is_added_once() {
    let service = Service::start().await;
    let mut admin = service.signed_in(Role::Admin).await;
    let page = admin.get("/sites").await.body;
    let once = between(&page, "name=\"once\" value=\"", "\"");
    let add = [("name", "shop"), ("once", once)];
    let mut second = admin.clone();
    let (first, second) = tokio::join!(admin.post("/sites", &add), second.post("/sites", &add));
    for answer in [&first, &second, &admin.post("/sites", &add).await] {
        assert_eq!(
            answer.location(),
            "/sites/shop/settings/cdn?done=created",
            "{answer:?}"
        );
    }
    let audit = admin.get("/audit").await.body;
    assert_eq!(audit.matches("Created a site").count(), 1, "{audit}");
    let another = [("name", "shop"), ("once", "another form")];
    assert_eq!(admin.post("/sites", &another).await.status, 422);
}

#[tokio::test]
async fn whoever_has_one_site_is_not_bothered_with_sites() {
    let service = Service::start().await;
    let mut admin = service.signed_in(Role::Admin).await;
    for path in ["/activity", "/purge", "/audit", "/settings/cdn"] {
        let page = admin.get(path).await.body;
        assert!(!page.contains("class=\"site\""), "{path}");
        assert_eq!(
            page.matches("\"/sites\"").count(),
            usize::from(path == "/settings/cdn"),
            "{path}"
        );
    }
    let (mut skycms, _) = sent(&service, "Administrators", Value::Null).await;
    assert!(
        !skycms
            .get("/settings/cdn")
            .await
            .body
            .contains("\"/sites\"")
    );
}
