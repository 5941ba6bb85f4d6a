//! Forms as people use them: pressed twice, filled in twice, with a mistake in one field.

use http::Method;
use serde_json::json;
use skycms_cdn::domain::notification::Event;
use skycms_cdn::store::Slot;
use sqlx::postgres::PgListener;

use crate::pages::{admin, service, settings};
use crate::support::{
    Answer, Browser, DISTRIBUTION, Database, KEY, NO_SETTINGS, PASSWORD, SECRET, TIMEOUT, between,
    on_create, policy, send,
};

/// The second half of the key pair that a page shows this once.
fn secret_access_key(html: &str) -> String {
    let shown = between(html, "id=\"reveal-2\"", "</pre>");
    shown.split_once('>').unwrap().1.to_owned()
}

#[tokio::test]
async fn a_second_press_shows_what_came_of_the_first() {
    let service = service(&[("PUBLISH_TOKEN", "")]).await;
    let mut admin = admin(&service).await;
    let page = admin.get("/settings/cdn/hook").await.body;
    let once = between(&page, "name=\"once\" value=\"", "\"").to_owned();
    let shown = |html: String| between(&html, "id=\"reveal-1\"", "</pre>").to_owned();

    let new = [("name", "GitHub Actions"), ("once", once.as_str())];
    let first = shown(admin.post("/settings/cdn/tokens", &new).await.body);
    let second = shown(admin.post("/settings/cdn/tokens", &new).await.body);
    assert_eq!(first, second);
    let page = admin.get("/settings/cdn/hook").await.body;
    assert_eq!(page.matches("<b>GitHub Actions</b>").count(), 1);
    // Another form with the same name is refused, beside the field.
    let answer = admin
        .post("/settings/cdn/tokens", &[("name", "GitHub Actions")])
        .await;
    assert_eq!(answer.status, 422);
    answer.assert_says("There is a token called “GitHub Actions” already.");

    let endpoints = "/settings/cdn/notifications";
    let new = [
        ("url", "https://hooks.example.com/cdn"),
        ("kind", "standard"),
        ("publish.failed", "on"),
        ("once", once.as_str()),
    ];
    let first = shown(admin.post(endpoints, &new).await.body);
    assert_eq!(shown(admin.post(endpoints, &new).await.body), first);
    let told = admin.get(endpoints).await.body;
    assert_eq!(
        told.matches("/switch-on").count() + told.matches("/test\"").count(),
        1
    );
    // Another secret, and an end, only when asked for twice.
    let id = between(&told, "/settings/cdn/notifications/", "/");
    for (what, question) in [
        ("rotate", "new signing secret?"),
        ("remove", "Remove the endpoint"),
    ] {
        let path = format!("{endpoints}/{id}/{what}");
        let asked = admin.post(&path, &[]).await.body;
        assert!(asked.contains(question), "{asked}");
        assert!(admin.get(endpoints).await.body.contains(id));
        let sure = [("confirmed", "yes"), ("once", what)];
        let answer = admin.post(&path, &sure).await;
        assert!([200, 303].contains(&answer.status), "{what}");
    }
    assert!(!admin.get(endpoints).await.body.contains(id));

    let (before, _) = page.split_once("/reveal\"").unwrap();
    let (_, reveal) = before.rsplit_once('"').unwrap();
    let reveal = format!("{reveal}/reveal");
    let press = [("once", once.as_str())];
    let first = shown(admin.post(&reveal, &press).await.body);
    assert_eq!(shown(admin.post(&reveal, &press).await.body), first);
    assert_eq!(
        admin
            .post(&reveal, &[("once", "another form")])
            .await
            .status,
        404
    );
    service.pass(601).await;
    assert_eq!(
        admin.post(&reveal, &press).await.status,
        404,
        "kept for ten minutes"
    );

    let purge = [
        ("items", "/about"),
        ("action", "purge"),
        ("once", once.as_str()),
    ];
    let first = admin.post("/purge", &purge).await;
    let second = admin.post("/purge", &purge).await;
    assert_eq!(first.header("location"), second.header("location"));
    let other = [
        ("items", "/contact"),
        ("action", "purge"),
        ("once", once.as_str()),
    ];
    let other = admin.post("/purge", &other).await;
    assert_ne!(first.header("location"), other.header("location"));
    // The same wish some time later, from a page that was come back to, is another publish.
    service.pass(61).await;
    let later = admin.post("/purge", &purge).await;
    assert_ne!(first.header("location"), later.header("location"));
}

#[tokio::test]
async fn an_endpoint_is_tested_once_and_a_choice_of_no_event_is_shown() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let endpoints = "/settings/cdn/notifications";
    let page = admin.post(endpoints, &NEW).await.body;
    let id = between(&page, "<li id=\"endpoint-", "\"");
    let row = |html: &str| between(html, &format!("id=\"endpoint-{id}\""), "</li>").to_owned();
    let once = between(
        &page,
        "/test\"><input type=\"hidden\" name=\"once\" value=\"",
        "\"",
    );
    let (path, press) = (format!("{endpoints}/{id}/test"), [("once", once)]);
    let mut again = admin.clone();
    let (first, second) = tokio::join!(admin.post(&path, &press), again.post(&path, &press));
    let deliveries = async || {
        let deliveries = service.state.store.deliveries(service.site()).await;
        deliveries.unwrap().len()
    };
    assert!(first.location().ends_with("?done=test-sent"), "{first:?}");
    assert_eq!(second.location(), first.location());
    assert_eq!(deliveries().await, 1);
    admin.post(&path, &[("once", "another")]).await;
    assert_eq!(deliveries().await, 2);
    let unknown = format!("{endpoints}/{}/test", uuid::Uuid::nil());
    assert_eq!(admin.post(&unknown, &press).await.status, 404);

    let refused = admin.post(&format!("{endpoints}/{id}"), &[]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("Not saved: choose at least one"));
    let address = between(&refused.body, "data-address=\"", "\"");
    assert_eq!(address, format!("{endpoints}?endpoint={id}"));
    let shown = row(&refused.body);
    assert!(shown.contains("name=\"publish.failed\"") && !shown.contains("checked"));
    // What was chosen before is still in force.
    let page = admin.get(&format!("{endpoints}?endpoint={id}")).await.body;
    assert!(row(&page).contains("name=\"publish.failed\" checked"));
}

/// As for somebody who goes back to the form, and chooses something else in it.
#[tokio::test]
async fn an_endpoint_in_another_format_or_for_another_event_is_another_one() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    for (kind, event) in [
        ("slack", "publish.failed"),
        ("standard", "publish.failed"),
        ("standard", "site.paused"),
    ] {
        let form = [
            ("url", "https://hooks.example.com/cdn"),
            ("kind", kind),
            (event, "on"),
            ("once", "once"),
        ];
        let answer = admin.post("/settings/cdn/notifications", &form).await;
        if kind == "slack" {
            assert!(answer.location().ends_with("?done=endpoint"));
        } else {
            let secret = between(&answer.body, "id=\"reveal-1\"", "</pre>");
            assert!(secret.contains("whsec_"), "{event}: {secret}");
        }
    }
    let endpoints = service.state.store.endpoints(service.site()).await.unwrap();
    let told: Vec<_> = endpoints.iter().map(|one| one.events.as_slice()).collect();
    assert_eq!(told.len(), 3);
    assert!(told.contains(&[Event::SitePaused].as_slice()), "{told:?}");
}

/// Without scripts, a page whose deliveries are about to be sent reloads itself. Its reader would
/// lose a secret that is shown once, or what was typed.
#[tokio::test]
async fn the_answer_to_a_form_is_not_reloaded_while_a_delivery_waits() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let endpoints = "/settings/cdn/notifications";
    let page = admin.post(endpoints, &NEW).await.body;
    let id = between(&page, "<li id=\"endpoint-", "\"");
    let (test, rotate) = (
        format!("{endpoints}/{id}/test"),
        format!("{endpoints}/{id}/rotate"),
    );
    admin.post(&test, &[]).await;
    let reloads = |html: &str| html.contains("http-equiv=\"refresh\"");
    let page = admin.get(&format!("{endpoints}?done=test-sent")).await.body;
    assert!(reloads(&page));
    // Nor is one whose reader is about to type.
    let still = between(&page, "<a href=\"?", "\">Keep it still").replace("&#38;", "&");
    let page = admin.get(&format!("{endpoints}?{still}")).await.body;
    assert!(page.contains("on its way") && !reloads(&page));
    let sure = [("confirmed", "yes"), ("once", "pressed")];
    let shown = admin.post(&rotate, &sure).await.body;
    assert!(shown.contains("id=\"reveal-1\"") && !reloads(&shown));
    let refused = admin.post(endpoints, &[("url", "not an address")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("value=\"not an address\"") && !reloads(&refused.body));
}

/// Some addresses take forms alone: whoever reloads the answer is led elsewhere.
#[tokio::test]
async fn the_answer_to_a_form_names_a_page_that_can_be_reloaded() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    admin.post("/sites", &[("name", "shop")]).await;
    let second_step = "/password/second-step";
    let turn_off = format!("{second_step}/remove");
    let (bad_name, good_name) = ([("name", "The Shop")], [("name", "store")]);
    let wrong = [("current_password", "wrong"), ("code", "000000")];
    for (path, form, page) in [
        ("/sites/shop/rename", &bad_name[..], "/sites"),
        ("/sites/shop/rename", &good_name[..], "/sites"),
        ("/sites/shop/remove", &[][..], "/sites"),
        ("/settings/cdn/remove", &[][..], "/settings/cdn"),
        (turn_off.as_str(), &wrong[..], second_step),
    ] {
        let answer = admin.post(path, form).await;
        let address = between(&answer.body, "data-address=\"", "\"");
        assert_eq!(address, page, "{path}");
        assert_eq!(admin.get(address).await.status, 200, "{path}");
    }
}

/// Lets no row into a table.
async fn takes_no_rows(database: &Database, table: &str) {
    let change = format!("ALTER TABLE {table} ADD CONSTRAINT gone CHECK (false) NOT VALID");
    database.change(&change).await;
}

/// Undoes it.
async fn takes_rows(database: &Database, table: &str) {
    let change = format!("ALTER TABLE {table} DROP CONSTRAINT gone");
    database.change(&change).await;
}

/// What a form asks for cannot be stored just now, and the form is sent again.
#[tokio::test]
async fn a_secret_that_is_shown_is_stored() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let database = &service.database;
    for (table, path) in [
        ("publish_token", "/settings/cdn/tokens"),
        ("hook_secret", "/settings/cdn/secrets"),
        ("key_pair", "/settings/cdn/keys"),
        ("endpoint", "/settings/cdn/notifications"),
    ] {
        let form = [
            ("name", "GitHub Actions"),
            ("url", "https://hooks.example.com/cdn"),
            ("kind", "standard"),
            ("publish.failed", "on"),
            ("once", table),
        ];
        takes_no_rows(database, table).await;
        assert_eq!(admin.post(path, &form).await.status, 503, "{table}");
        takes_rows(database, table).await;
        let counted = format!("SELECT count(*) FROM {table}");
        let rows = async || database.count(&counted).await;
        let before = rows().await;
        let shown = |answer: Answer| {
            assert_eq!(answer.status, 200, "{table}");
            between(&answer.body, "id=\"reveal-1\"", "</pre>").to_owned()
        };
        let first = shown(admin.post(path, &form).await);
        assert_eq!(rows().await, before + 1, "{table}");
        assert_eq!(shown(admin.post(path, &form).await), first);
        assert_eq!(rows().await, before + 1, "{table}");
    }
}

/// What a site begins with cannot be stored just now, and the form is sent again.
#[tokio::test]
async fn a_site_is_made_with_all_that_it_begins_with() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let database = &service.database;
    let form = [("name", "shop"), ("once", "once")];
    for table in ["publish_token", "hook_secret"] {
        takes_no_rows(database, table).await;
        assert_eq!(admin.post("/sites", &form).await.status, 503, "{table}");
        takes_rows(database, table).await;
    }
    let made = admin.post("/sites", &form).await;
    assert_eq!(made.location(), "/sites/shop/settings/cdn?done=created");
    let whole = "SELECT count(*) FROM site s JOIN publish_token t ON t.site_id = s.id
                 JOIN hook_secret h ON h.site_id = s.id JOIN audit a ON a.site_id = s.id
                 WHERE s.name = 'shop'";
    assert_eq!(database.count(whole).await, 1);
}

#[tokio::test]
async fn a_second_press_brings_no_replaced_secret_back() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let keys = "/settings/cdn/keys";
    let named = [("name", "Wagtail"), ("once", "new")];
    let page = admin.post(keys, &named).await.body;
    let mut replaced = vec![secret_access_key(&page)];
    let (before, _) = page.split_once("/rotate\"").unwrap();
    let (_, path) = before.rsplit_once('"').unwrap();
    let rotate = format!("{path}/rotate");
    for once in ["first", "second", "second"] {
        let press = [("confirmed", "yes"), ("once", once)];
        let page = admin.post(&rotate, &press).await;
        assert_eq!(page.status, 200, "{once}");
        replaced.push(secret_access_key(&page.body));
        service.advance(time::Duration::SECOND);
    }
    let shown_twice = replaced.pop();
    assert_eq!(replaced.pop(), shown_twice);
    let first = [("confirmed", "yes"), ("once", "first")];
    for (path, form, status) in [(keys, named, 422), (rotate.as_str(), first, 404)] {
        let again = admin.post(path, &form).await;
        assert_eq!(again.status, status, "{path}");
        let shown = replaced.iter().find(|secret| again.body.contains(*secret));
        assert_eq!(shown, None, "{path}");
    }
    let mut database = service.database.connect().await;
    let rotated: time::OffsetDateTime = sqlx::query_scalar("SELECT rotated_at FROM key_pair")
        .fetch_one(&mut database)
        .await
        .unwrap();
    let now = service.state.clock.now();
    assert_eq!(now - rotated, time::Duration::seconds(2), "by the second");
}

/// Where things are made that a button ends, what the button's address ends with, and their list.
const ENDED: [(&str, &str, &str); 4] = [
    ("/settings/cdn/tokens", "revoke", "token-list"),
    ("/settings/cdn/keys", "revoke", "key-list"),
    ("/settings/cdn/secrets", "revoke", "secret-list"),
    ("/settings/cdn/notifications", "remove", "endpoint-list"),
];
const NEW: [(&str, &str); 5] = [
    ("name", "Wagtail"),
    ("url", "https://hooks.example.com/cdn"),
    ("kind", "standard"),
    ("publish.failed", "on"),
    ("once", "new"),
];

/// The secret that a page shows, after what else it shows once.
fn secret(page: &str) -> &str {
    let (_, last) = page.rsplit_once("id=\"reveal-").unwrap();
    between(last, ">", "</pre>")
}

/// Makes one, and gives the address of its button and its secret.
async fn made(admin: &mut Browser, (path, end, list): (&str, &str, &str)) -> (String, String) {
    let page = admin.post(path, &NEW).await;
    assert_eq!(page.status, 200, "{path}");
    let (_, rows) = page.body.split_once(&format!("id=\"{list}\"")).unwrap();
    let (before, _) = rows.split_once(&format!("/{end}\"")).unwrap();
    let (_, row) = before.rsplit_once('"').unwrap();
    (format!("{row}/{end}"), secret(&page.body).to_owned())
}

#[tokio::test]
async fn a_second_press_shows_nothing_that_was_revoked_or_removed() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    // So that each is the newest, which is listed first.
    service.advance(time::Duration::SECOND);
    for of in ENDED {
        let (path, _, _) = of;
        let (end, revoked) = made(&mut admin, of).await;
        let sure = [("confirmed", "yes")];
        let ended = admin.post(&end, &sure).await;
        assert_eq!(ended.status, 303, "{path}");
        let pressed_twice = admin.post(&end, &sure).await;
        assert_eq!(pressed_twice.location(), ended.location(), "{path}");

        let again = admin.post(path, &NEW).await;
        assert_eq!(again.status, 422, "{path}");
        assert!(again.body.contains("has been revoked, removed"), "{path}");
        assert!(!again.body.contains(&revoked), "{path}");
        let once = between(&again.body, "name=\"once\" value=\"", "\"");
        let fresh = [&NEW[..4], &[("once", once)]].concat();
        let another = admin.post(path, &fresh).await;
        assert_eq!(another.status, 200, "{path}");
        assert_ne!(secret(&another.body), revoked, "{path}");
    }
}

/// The second press comes as the first has just ended it.
#[tokio::test]
async fn what_is_ended_is_noted_at_the_same_moment() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    service.advance(time::Duration::SECOND);
    let database = &service.database;
    for (entries, of) in (1..).zip(ENDED) {
        let (end, _) = made(&mut admin, of).await;
        let sure = [("confirmed", "yes")];
        let held = database.hold("LOCK TABLE form_answer IN EXCLUSIVE MODE");
        let held = held.await;
        let mut again = admin.clone();
        let second = async {
            database.wait_for_locks(1).await;
            again.post(&end, &sure).await
        };
        let both_wait = async {
            database.wait_for_locks(2).await;
            held.release().await;
        };
        let (first, second, ()) = tokio::join!(admin.post(&end, &sure), second, both_wait);
        assert_eq!((first.status, second.status), (303, 303), "{end}");
        assert_eq!(first.location(), second.location());
        let audited = "SELECT count(*) FROM audit WHERE what ~ '^(Revoked|Removed)'";
        assert_eq!(database.count(audited).await, entries, "{end}");
    }
}

#[tokio::test]
async fn a_second_press_adds_nothing_to_the_audit() {
    let service = service(&[]).await;
    service.activate(service.site(), DISTRIBUTION, KEY).await;
    let (mut admin, _another) = (admin(&service).await, admin(&service).await);
    // So that each is the newest, which is listed first.
    service.advance(time::Duration::SECOND);
    let (revoke, _) = made(&mut admin, ENDED[0]).await;
    let (remove, _) = made(&mut admin, ENDED[3]).await;
    let endpoint = remove.strip_suffix("/remove").unwrap();
    let off = "UPDATE endpoint SET off_at = created_at";
    service.database.change(off).await;
    let switch_on = format!("{endpoint}/switch-on");
    let mut versions = Vec::new();
    let pages = [
        "/settings/cdn/policy",
        "/settings/cdn/publishing",
        "/settings/cdn",
    ];
    for page in pages {
        let html = admin.get(page).await.body;
        versions.push(between(&html, "name=\"version\" value=\"", "\"").to_owned());
    }
    let sure = [("confirmed", "yes")];
    let events = [("site.paused", "on"), ("month.reached", "on")];
    let policy = [("policy", "everything"), ("version", &versions[0])];
    let rules = [("origin_path", "live/"), ("version", &versions[1])];
    let mut save = settings(DISTRIBUTION, SECRET, "save").to_vec();
    save.push(("version", versions[2].as_str()));
    for (path, form) in [
        (revoke.as_str(), &sure[..]),
        (endpoint, &events[..]),
        (switch_on.as_str(), &[][..]),
        ("/settings/cdn/policy", &policy[..]),
        ("/settings/cdn/publishing", &rules[..]),
        ("/settings/cdn", &save[..]),
        ("/settings/cdn/remove", &sure[..]),
        ("/sessions/end-others", &[][..]),
    ] {
        let entries = async || service.database.count("SELECT count(*) FROM audit").await;
        let before = entries().await;
        let first = admin.post(path, form).await;
        assert_eq!((first.status, entries().await), (303, before + 1), "{path}");
        let second = admin.post(path, form).await;
        assert_eq!(second.location(), first.location(), "{path}");
        assert_eq!(entries().await, before + 1, "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_down_is_shown_as_done() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    service
        .database
        .change("ALTER TABLE audit ADD CONSTRAINT full_disk CHECK (false) NOT VALID")
        .await;
    let purge = [("items", "/about"), ("action", "purge")];
    let answer = admin.post("/purge", &purge).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let page = admin.get(answer.location()).await;
    assert_eq!(page.status, 200, "{}", page.body);

    let once = [("once", "once")];
    let tested = settings(DISTRIBUTION, SECRET, "save_and_test");
    let saved = settings(DISTRIBUTION, SECRET, "save");
    let sure = [("confirmed", "yes")];
    for (path, form, shown) in [
        ("/settings/cdn/hook/test", &once[..], "/activity/"),
        ("/settings/cdn", &tested[..], "/settings/cdn#test"),
        ("/settings/cdn", &saved[..], "/settings/cdn?done=saved"),
        ("/settings/cdn/remove", &sure[..], "?done=removed"),
    ] {
        let answer = admin.post(path, form).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.body);
        assert!(answer.location().contains(shown), "{path}");
    }
    let site = admin.post("/sites", &[("name", "shop")]).await;
    assert_eq!(site.location(), "/sites/shop/settings/cdn?done=created");
    let mut another = Browser::new(&service.api.base);
    assert_eq!(another.sign_in(PASSWORD).await.status, 303);
    let ended = admin.post("/sessions/end-others", &[]).await;
    assert_eq!(ended.location(), "/sessions?done=ended");
    assert_eq!(another.sign_in("a wrong one, surely").await.status, 401);
}

#[tokio::test]
async fn an_empty_secret_keeps_the_one_in_use() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let page = "/settings/cdn";
    let wrong = "wrong/wrong/wrong/wrong/wrong/wrong/wron";
    admin
        .post(page, &settings(DISTRIBUTION, wrong, "save_and_test"))
        .await;
    let drafted = admin.get(page).await;
    drafted.assert_says("The draft failed its test");
    // The draft as it is: asked about, since it has just failed.
    let failed = admin
        .post(page, &settings(DISTRIBUTION, wrong, "save"))
        .await;
    assert_eq!(failed.status, 200);
    assert!(failed.body.contains("Use settings that failed their test?"));
    let saved = admin.post(page, &settings(DISTRIBUTION, "", "save")).await;
    assert_eq!(saved.header("location"), Some("/settings/cdn?done=saved"));
    service.publish_and_run("/about").await;
    assert_eq!(service.sandbox.outcomes().await.last().unwrap(), "Accepted");

    admin
        .post(page, &settings(DISTRIBUTION, wrong, "save_and_test"))
        .await;
    let discarded = admin.post("/settings/cdn/discard", &[]).await;
    assert_eq!(
        discarded.header("location"),
        Some("/settings/cdn?done=discarded")
    );
    assert!(!admin.get(page).await.body.contains("Draft"));
}

/// `import-skycms --draft` tests nothing, and a draft may be used although it failed.
#[tokio::test]
async fn settings_that_failed_and_settings_without_a_test_are_told_apart() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let page = "/settings/cdn";
    let (store, now) = (&service.state.store, service.state.clock.now());
    let imported = crate::support::settings("E2UNTESTED0001", KEY);
    let kept = store.save_settings(service.site(), None, Slot::Draft, &imported, None, now);
    assert!(kept.await.unwrap());
    let html = admin.get(page).await.body;
    assert!(html.contains("The draft has not been tested."), "{html}");
    assert!(!html.contains("failed its test"), "{html}");

    let wrong = "wrong/wrong/wrong/wrong/wrong/wrong/wron";
    let typed = settings(DISTRIBUTION, wrong, "save_and_test");
    admin.post(page, &typed).await;
    let html = admin.get(page).await.body;
    assert!(html.contains("The draft failed its test"), "{html}");
    let used = admin.post(page, &[("action", "use_draft")]).await;
    let html = admin.get(used.location()).await.body;
    assert!(html.contains("have not passed a test"), "{html}");
    assert!(!html.contains("not been tested"), "{html}");
}

/// Another version has saved them, or another key has sealed them.
#[tokio::test]
async fn settings_that_cannot_be_read_are_replaced_and_break_no_others() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let page = "/settings/cdn";
    admin
        .post(page, &settings(DISTRIBUTION, SECRET, "save"))
        .await;
    service.advance(time::Duration::SECOND);
    let wrong = "wrong/wrong/wrong/wrong/wrong/wrong/wron";
    admin
        .post(page, &settings("E2DRAFT0000000", wrong, "save_and_test"))
        .await;
    let draft = "UPDATE cdn_settings SET region = 'moon-1' WHERE slot = 'draft'";
    service.database.change(draft).await;
    let shown = admin.get(page).await;
    assert_eq!(shown.status, 200);
    assert!(shown.body.contains(&format!("value=\"{DISTRIBUTION}\"")));
    assert!(!shown.body.contains("E2DRAFT0000000"));

    let all = "UPDATE cdn_settings SET region = 'moon-1'";
    service.database.change(all).await;
    service.publish_and_run("/about").await;
    service.pass(31).await;
    service.refresh_sites().await;
    let html = admin.get(page).await.body;
    assert!(html.contains("Purging is paused"), "{html}");
    // As each start does.
    let (store, now) = (&service.state.store, service.state.clock.now());
    let given = crate::support::settings(DISTRIBUTION, KEY);
    let said = store.set_environment(service.site(), Some(&given), now);
    said.await.unwrap();
    let version = between(&html, "name=\"version\" value=\"", "\"").to_owned();
    let mut new = settings(DISTRIBUTION, SECRET, "save").to_vec();
    new.push(("version", version.as_str()));
    let saved = admin.post(page, &new).await;
    assert_eq!(saved.location(), "/settings/cdn?done=saved");
    let read = store.each_settings(service.site()).await.unwrap();
    assert!(matches!(read[..], [(_, Ok(_))]));
}

#[tokio::test]
async fn a_secret_beside_a_mistake_is_kept_for_some_minutes() {
    let service = service(NO_SETTINGS).await;
    let mut admin = admin(&service).await;
    let page = "/settings/cdn";
    let mistaken = admin
        .post(page, &settings("no such thing!", SECRET, "save"))
        .await;
    assert_eq!(mistaken.status, 422);
    let html = mistaken.body;
    assert!(html.contains("<title>Error: ") && !html.contains(SECRET));
    let kept = between(&html, "name=\"kept_secret\" value=\"", "\"");
    let mut right = settings(DISTRIBUTION, "", "save").to_vec();
    assert_eq!(
        admin.post(page, &right).await.status,
        422,
        "no secret at all"
    );
    right.push(("kept_secret", kept));
    assert_eq!(
        admin.post(page, &right).await.header("location"),
        Some("/settings/cdn?done=saved")
    );
    service.publish_and_run("/about").await;
    assert_eq!(
        service.sandbox.creates().await.last().unwrap()["access_key_id"],
        KEY
    );
}

#[tokio::test]
async fn two_tabs_overwrite_nothing_unseen() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let page = "/settings/cdn/policy";
    let html = admin.get(page).await.body;
    let version = between(&html, "name=\"version\" value=\"", "\"").to_owned();
    let limit = [
        ("policy", "exact"),
        ("monthly_limit", "2000"),
        ("past_limit", "hold"),
        ("version", version.as_str()),
    ];
    assert_eq!(admin.post(page, &limit).await.status, 303);
    let policy = [("policy", "economical"), ("version", version.as_str())];
    let conflict = admin.post(page, &policy).await;
    assert_eq!(conflict.status, 422);
    let html = conflict.body;
    assert!(html.contains("Somebody else has changed these settings"));
    assert!(html.contains("<dd>2,000</dd>") && html.contains("value=\"economical\" checked"));
    assert!(admin.get(page).await.body.contains("value=\"2000\""));
    // Submitted again, it replaces what was shown.
    let version = between(&html, "name=\"version\" value=\"", "\"").to_owned();
    let policy = [("policy", "economical"), ("version", version.as_str())];
    assert_eq!(admin.post(page, &policy).await.status, 303);

    let page = "/settings/cdn/publishing";
    let html = admin.get(page).await.body;
    let version = between(&html, "name=\"version\" value=\"", "\"").to_owned();
    let hosts = [("hosts", "www.example.com"), ("version", version.as_str())];
    assert_eq!(admin.post(page, &hosts).await.status, 303);
    assert_eq!(
        admin.post(page, &hosts).await.status,
        303,
        "the same twice is no conflict"
    );
    let other = [("hosts", "shop.example.com"), ("version", version.as_str())];
    assert_eq!(admin.post(page, &other).await.status, 422);

    // Saved on another replica, of which this one has not heard yet.
    let saved = "UPDATE site SET publisher_hosts = '{news.example.com}',
                                 publishing_version = publishing_version + 1";
    service.database.change(saved).await;
    let shown = admin.get(page).await.body;
    assert!(shown.contains(">news.example.com</textarea>"), "{shown}");
    let conflict = admin.post(page, &other).await;
    let html = conflict.body;
    assert_eq!(conflict.status, 422);
    assert!(html.contains("<dd>news.example.com</dd>"), "{html}");
}

/// A test takes seconds, and a question may be open for as long as one likes.
#[tokio::test]
async fn settings_that_were_saved_meanwhile_are_not_overwritten_unseen() {
    let service = service(&[]).await;
    let (mut ada, mut bob) = (admin(&service).await, admin(&service).await);
    let page = "/settings/cdn";
    for watched in [false, true] {
        let slow = json!({ "kind": "slow", "ms": 1_500 });
        service.sandbox.fail_creates(1, slow).await;
        let calls = service.sandbox.creates().await.len();
        let headers = [
            ("sec-fetch-site", "same-origin"),
            (
                "accept",
                if watched {
                    "text/event-stream"
                } else {
                    "text/html"
                },
            ),
        ];
        let theirs = format!("E2THEIRS{:06}", usize::from(watched));
        let mine = settings(DISTRIBUTION, SECRET, "save_and_test");
        let testing = ada.post_with(page, &headers, &mine);
        let saving = async {
            service.sandbox.wait_for_creates(calls + 1).await;
            service.advance(time::Duration::SECOND);
            bob.post(page, &settings(&theirs, SECRET, "save")).await
        };
        let (tested, saved) = tokio::join!(testing, saving);
        assert_eq!(saved.header("location"), Some("/settings/cdn?done=saved"));
        let told = if watched {
            "yours were not saved"
        } else {
            "Somebody else has changed"
        };
        assert!(tested.body.contains(told), "{}", tested.body);
        if !watched {
            assert_eq!(tested.status, 422);
            assert!(tested.body.contains(&format!("<dd>{theirs}</dd>")));
            assert!(tested.body.contains(&format!("value=\"{DISTRIBUTION}\"")));
        }
        let in_force = service.state.store.readable_settings(service.site());
        let in_force = in_force.await.unwrap();
        assert_eq!(in_force.len(), 1);
        assert_eq!(in_force[0].settings.distribution_id.as_str(), theirs);
        service.advance(time::Duration::SECOND);
    }
    // What CloudFront accepted is billed and followed all the same.
    let followed = "SELECT count(*) FROM invalidation WHERE purpose = 'test'";
    assert_eq!(service.database.count(followed).await, 2);

    // Ada is asked about one draft, and Bob makes another.
    let wrong = "wrong/wrong/wrong/wrong/wrong/wrong/wron";
    ada.post(page, &settings(DISTRIBUTION, wrong, "save_and_test"))
        .await;
    let asked = ada.post(page, &settings(DISTRIBUTION, wrong, "save")).await;
    let version = between(&asked.body, "name=\"version\" value=\"", "\"").to_owned();
    service.advance(time::Duration::SECOND);
    bob.post(page, &settings("E2BOBS00000000", wrong, "save_and_test"))
        .await;
    let sure = [("action", "use_draft"), ("version", version.as_str())];
    let confirmed = ada.post(page, &sure).await;
    assert_eq!(confirmed.status, 422);
    let told = between(
        &confirmed.body,
        "role=\"alert\" tabindex=\"-1\" autofocus>",
        "</p>",
    );
    assert!(told.contains("The draft has changed since"), "{told}");
    assert!(confirmed.body.contains("value=\"E2BOBS00000000\""));
    assert!(!confirmed.body.contains("Somebody else has changed"));
    let saved = service.state.store.readable_settings(service.site());
    let saved = saved.await.unwrap();
    assert_eq!(saved.last().unwrap().slot, Slot::Draft);

    // Nor does Ada discard it, from a page that showed her own.
    let discard = "/settings/cdn/discard";
    let discarded = ada.post(discard, &sure[1..]).await;
    assert_eq!(discarded.status, 422);
    assert!(discarded.body.contains("The draft has changed since"));
    let version = between(&discarded.body, "name=\"version\" value=\"", "\"");
    let discarded = ada.post(discard, &[("version", version)]).await;
    assert_eq!(discarded.location(), "/settings/cdn?done=discarded");
    let saved = service.state.store.readable_settings(service.site());
    let saved = saved.await.unwrap();
    assert_eq!(saved.last().unwrap().slot, Slot::Active);
}

#[tokio::test]
async fn what_was_not_purged_is_named() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    service.sandbox.complete_at_once().await;
    let fault = json!({ "kind": "error", "code": "InvalidArgument" });
    let mut rule = on_create(50, &fault);
    rule["path"] = json!("/bad");
    service.sandbox.fault(rule).await;
    let publish = service
        .api
        .publish(json!({ "paths": ["/one", "/bad", "/two"] }))
        .await;
    let id = publish["id"].as_str().unwrap().to_owned();
    let publish = service.run_until_ended(&id).await;
    assert_eq!(
        (&publish["state"], &publish["failed_items"]),
        (&json!("failed"), &json!(["/bad"]))
    );
    let html = admin.get(&format!("/activity/{id}")).await.body;
    assert!(html.contains("Partly purged") && html.contains("<title>Failed: "));
    assert!(between(&html, "id=\"failed-title\"", "</ul>").contains("<code>/bad</code>"));
    assert!(admin.get("/activity").await.body.contains("Partly purged"));

    let retry = format!("/activity/{id}/retry");
    let again = admin.post(&retry, &[]).await;
    let again = again.header("location").unwrap().to_owned();
    let twice = admin.post(&retry, &[]).await;
    assert_eq!(twice.header("location"), Some(again.as_str()));
    let audited = "SELECT count(*) FROM audit WHERE what = 'Tried a publish again'";
    let audited = service.database.count(audited).await;
    assert_eq!(audited, 1, "one publish, one entry");
    let first = format!("/activity/{id}");
    for (page, link) in [(&first, &again), (&again, &first)] {
        let page = admin.get(page).await;
        page.assert_says(&format!("href=\"{link}\""));
    }
}

#[tokio::test]
async fn a_reached_limit_is_named() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let limit = [
        ("policy", "exact"),
        ("monthly_limit", "1"),
        ("past_limit", "hold"),
    ];
    admin.post("/settings/cdn/policy", &limit).await;
    service.publish_and_run("/one").await;
    let mut listener = PgListener::connect(&service.database.url).await.unwrap();
    listener.listen("skycms_cdn_sites").await.unwrap();
    let id = service.publish_and_run("/two").await;
    // Said once, not with every look at what waits: each replica reads all its sites again.
    service.publish_and_run("/two").await;
    let heard = async { listener.recv().await.unwrap() };
    tokio::time::timeout(TIMEOUT, heard).await.unwrap();
    assert!(listener.next_buffered().is_none());
    service.refresh_sites().await;
    for page in ["/activity", &format!("/activity/{id}"), "/purge"] {
        let html = admin.get(page).await.body;
        assert!(
            html.contains("The monthly limit is reached") && html.contains("Change the limit"),
            "{page}"
        );
        assert!(!html.contains("waiting for room"), "{page}");
    }
    let preview = [("items", "/three"), ("action", "preview")];
    let previewed = admin.post("/purge", &preview).await;
    previewed.assert_says("This waits until 1 December 2026");
}

#[tokio::test]
async fn what_is_searched_is_read_as_what_is_published() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    service.sandbox.set_policy(policy(DISTRIBUTION)).await;
    let id = service.publish_and_run("/über-uns").await;
    for typed in [
        "/über-uns",
        "https://www.example.com/%C3%BCber-uns#team",
        "ber-uns",
        "%C3%BCber",
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("path", typed)
            .finish();
        let html = admin.get(&format!("/activity?{query}")).await.body;
        assert!(html.contains(&id), "{typed}");
        assert!(html.contains("<code>/über-uns</code>"));
    }
    let html = admin
        .get("/activity?page=https%3A%2F%2Fwww.example.com%2F%C3%BCber-uns")
        .await
        .body;
    let live = between(&html, "id=\"live\"", "</section>");
    assert!(
        live.contains(&format!("/activity/{id}")) && live.contains("Not everywhere yet"),
        "{live}"
    );
    service.publish_and_run("/*").await;
    let html = admin.get("/activity?page=%2Fnever-published").await.body;
    let live = between(&html, "id=\"live\"", "</section>");
    assert!(live.contains("It was last published"));
    // A screen reader reads a status again when anything in it changes, and an age always does.
    let status = between(live, "role=\"status\"", "</span> It was");
    assert!(!status.contains("<time"), "{status}");
}

#[tokio::test]
async fn what_a_sender_got_wrong_is_said() {
    let service = service(&[]).await;
    let call = async |query: &str, headers: &[(&str, &str)], body: &str| {
        let path = format!("/api/sites/default/publishes{query}");
        let request = service
            .api
            .request(Method::POST, &path, headers, body.to_owned());
        let answer = send(request).await;
        (answer.status, answer.body)
    };
    let body = r#"{"paths": ["/about"]}"#;
    for query in ["?dryRun=true", "?dry-run=true", "?wait=5"] {
        let (status, text) = call(query, &[], body).await;
        assert!(
            status == 400 && text.contains("`dry_run`"),
            "{query}: {text}"
        );
    }
    let (status, text) = call("", &[("content-encoding", "gzip")], body).await;
    assert!(status == 415 && text.contains("gzip"), "{text}");
    let (status, _) = call("", &[], &format!("\u{feff}{body}")).await;
    assert_eq!(status, 202);
}

/// An agency's site may have many of everything, with names as long as they may be.
#[tokio::test]
async fn long_lists_are_shown_page_by_page_and_pages_stay_small() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let name = |n| format!("{n:02} {}", "x".repeat(97));
    for n in 0..13 {
        for list in ["tokens", "secrets", "keys"] {
            let path = format!("/settings/cdn/{list}");
            let answer = admin.post(&path, &[("name", &name(n))]).await;
            assert_eq!(answer.status, 200, "{list} {n}");
        }
        let fields = [
            ("url", &*format!("https://hooks.example.com/{n}")),
            ("kind", "standard"),
            ("publish.failed", "on"),
        ];
        admin.post("/settings/cdn/notifications", &fields).await;
    }
    let mut parts = 0;
    for part in ["style.css", "app.js", "icon.svg"] {
        let path = format!("/static/{part}");
        let compressed = [("accept-encoding", "gzip")];
        let request = service.api.request(Method::HEAD, &path, &compressed, "");
        let answer = send(request).await;
        let length = answer.header("content-length").unwrap();
        parts += length.parse::<usize>().unwrap();
    }
    let mut small = async |path: &str| {
        let page = admin.get(path).await.body;
        let bytes = page.len() + parts;
        assert!(bytes < 40_000, "{path}: {bytes} bytes");
        page
    };
    for list in ["tokens", "keys"] {
        let mut shown = Vec::new();
        for page in 1..=3 {
            let html = small(&format!("/settings/cdn/hook?{list}={page}")).await;
            let card = between(&html, &format!("id=\"{list}\""), "</section>");
            shown.extend((0..13).filter(|n| card.contains(&format!("<b>{}</b>", name(*n)))));
        }
        // Newest first; each page in the order of the filter.
        shown.sort_unstable();
        assert_eq!(shown, Vec::from_iter(0..13), "{list}");
    }
    let html = small("/settings/cdn/hook?secrets=4").await;
    assert!(html.contains("?secrets=3#secrets") && !html.contains("?secrets=5#secrets"));
    let html = small("/settings/cdn/notifications").await;
    assert!(html.contains("?endpoints=2#endpoints"));
    let id = between(&html, "?endpoint=", "#");
    let html = small(&format!("/settings/cdn/notifications?endpoint={id}")).await;
    let row = between(&html, &format!("id=\"endpoint-{id}\""), "</li>");
    assert!(row.contains("name=\"publish.failed\" checked"), "{row}");
}

#[tokio::test]
async fn a_mistake_is_on_the_line_that_is_named() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let typed = [("items", "\r\n/a*b"), ("action", "purge")];
    let answer = admin.post("/purge", &typed).await;
    assert_eq!(answer.status, 422);
    let html = answer.body;
    assert!(html.contains("Line 2"), "{html}");
    // Browsers leave out the first line break.
    assert!(html.contains(">\n\r\n/a*b</textarea>"), "{html}");
}

#[tokio::test]
async fn whoever_does_not_purge_everything_after_all_has_what_was_typed() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    for (items, action) in [("/about\n/b/*", "everything"), ("/about\n/*", "purge")] {
        let typed = [("items", items), ("action", action)];
        let asked = admin.post("/purge", &typed).await.body;
        assert!(asked.contains("Purge the whole site?"), "{asked}");
        // A browser that restores the fields of a page would send an old key.
        for (name, value) in typed {
            let field = format!("name=\"{name}\" value=\"{value}\" autocomplete=\"off\"");
            assert!(asked.contains(&field), "{asked}");
        }
        let answer = [("confirmed", "yes"), ("cancel", "")];
        let back = admin.post("/purge", &[typed, answer].concat()).await;
        assert_eq!(back.status, 200);
        let shown = format!(">{items}</textarea>");
        assert!(back.body.contains(&shown), "{}", back.body);
        let button = format!("value=\"{action}\" autofocus>");
        assert!(back.body.contains(&button), "{}", back.body);
    }
    service.run().await;
    assert!(service.sandbox.creates().await.is_empty());
}
