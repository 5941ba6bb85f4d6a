//! Sessions and the sign-in.

use time::Duration;

use crate::embed::{claims, open};
use crate::support::{Browser, Database, EMBED_SECRET, PASSWORD, Service, between, jwt};

#[tokio::test]
async fn signs_in_and_out() {
    let service = Service::start().await;
    let mut browser = service.browser();
    let answer = browser.sign_in("not the password").await;
    assert_eq!(answer.status, 401);
    assert!(browser.cookies.is_empty());
    let wrong_name = browser
        .post("/sign-in", &[("username", "root"), ("password", PASSWORD)])
        .await;
    assert_eq!(wrong_name.status, 401);

    let answer = browser.sign_in(PASSWORD).await;
    assert_eq!((answer.status, answer.location()), (303, "/activity"));
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    assert_eq!(browser.get("/settings/cdn").await.status, 200);

    let mut thief = browser.clone();
    let answer = browser.post("/sign-out", &[]).await;
    assert_eq!((answer.status, answer.location()), (303, "/sign-in"));
    assert!(!browser.cookies.contains_key("skycms-cdn-session"));
    assert_eq!(
        thief.get("/settings/cdn").await.status,
        303,
        "the session itself is over"
    );
}

#[tokio::test]
async fn a_browser_that_goes_on_signing_in_stays_known() {
    let service = Service::start().await;
    let mut browser = service.browser();
    browser.sign_in(PASSWORD).await;
    let device = browser.cookies["skycms-cdn-device"].clone();
    service.time.advance(Duration::days(200));
    let answer = browser.sign_in(PASSWORD).await;
    let cookies = answer.headers.get_all("set-cookie").iter();
    let mut cookies = cookies.map(|cookie| cookie.to_str().unwrap());
    let begin = format!("skycms-cdn-device={device}; ");
    let renewed = cookies.find(|cookie| cookie.starts_with(&begin)).unwrap();
    assert!(renewed.contains("Max-Age=31536000"), "{renewed}");
}

#[tokio::test]
async fn cookies_are_bound_to_their_origin() {
    for (public, name, path) in [
        ("https://cdn.example.com", "__Host-session", "Path=/"),
        (
            "https://editor.example.com/cdn",
            "__Secure-session",
            "Path=/cdn",
        ),
    ] {
        let service = Service::start_with(&[("PUBLIC_URL", public)]).await;
        let answer = service.browser().sign_in(PASSWORD).await;
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.starts_with(&format!("{name}=")), "{cookie}");
        assert!(cookie.contains("; Secure"), "{cookie}");
        assert!(cookie.split("; ").any(|part| part == path), "{cookie}");
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
}

#[tokio::test]
async fn a_session_cannot_be_fixed_beforehand() {
    let service = Service::start().await;
    let mut victim = service.browser();
    let planted = "planted-by-the-attacker-0123456789";
    victim
        .cookies
        .insert("skycms-cdn-session".into(), planted.into());
    victim.sign_in(PASSWORD).await;
    assert_ne!(victim.cookies["skycms-cdn-session"], planted);
    let mut attacker = service.browser();
    attacker
        .cookies
        .insert("skycms-cdn-session".into(), planted.into());
    assert_eq!(attacker.get("/activity").await.status, 303);

    // Signing in again makes a new token, and the old one no longer works.
    let mut before = victim.clone();
    victim.sign_in(PASSWORD).await;
    assert_eq!(before.get("/activity").await.status, 303);
    assert_eq!(victim.get("/activity").await.status, 200);
}

#[tokio::test]
async fn sessions_end() {
    let service = Service::start().await;
    let mut browser = service.browser();
    browser.sign_in(PASSWORD).await;
    service.time.advance(Duration::hours(12) - Duration::SECOND);
    assert_eq!(
        browser.get("/activity").await.status,
        200,
        "used within 12 hours"
    );
    service.time.advance(Duration::hours(12));
    assert_eq!(
        browser.get("/activity").await.status,
        303,
        "idle for 12 hours"
    );

    browser.sign_in(PASSWORD).await;
    for _ in 0..16 {
        service.time.advance(Duration::hours(10));
        assert_eq!(browser.get("/activity").await.status, 200);
    }
    service.time.advance(Duration::hours(8));
    assert_eq!(
        browser.get("/activity").await.status,
        303,
        "older than 7 days"
    );
}

#[tokio::test]
async fn signing_out_everywhere_and_a_new_password_end_every_session() {
    let service = Service::start().await;
    let (mut here, mut there) = (service.browser(), service.browser_at("198.51.100.7"));
    here.sign_in(PASSWORD).await;
    there.sign_in(PASSWORD).await;
    here.post("/sign-out-everywhere", &[]).await;
    assert_eq!(there.get("/activity").await.status, 303);

    here.sign_in(PASSWORD).await;
    there.sign_in(PASSWORD).await;
    let new = "seven grey herons at dawn";
    let change = |current: &'static str, new: &'static str| {
        [
            ("current_password", current),
            ("new_password", new),
            ("repeat_password", new),
        ]
    };
    let answer = here
        .post("/password", &change("a wrong one, surely", new))
        .await;
    assert_eq!(answer.status, 422);
    let audit = here.get("/audit").await.body;
    assert!(audit.contains("Gave a wrong password or code"), "{audit}");
    let answer = here
        .post("/password", &change(PASSWORD, "password1234"))
        .await;
    assert_eq!(answer.status, 422, "too common");
    assert!(!answer.body.contains(PASSWORD) && !answer.body.contains("password1234"));
    let answer = here.post("/password", &change(PASSWORD, new)).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(
        here.get("/activity").await.status,
        200,
        "who changed it stays in"
    );
    assert_eq!(there.get("/activity").await.status, 303);
    assert_eq!(there.sign_in(PASSWORD).await.status, 401);
    assert_eq!(there.sign_in(new).await.status, 303);
}

/// The second press comes from the session that the first one ends, whichever is faster.
#[tokio::test]
async fn a_second_press_changes_the_password_once_and_stays_signed_in() {
    let service = Service::start().await;
    let mut first = service.browser();
    first.sign_in(PASSWORD).await;
    let page = first.get("/password").await.body;
    let once = between(&page, "name=\"once\" value=\"", "\"").to_owned();
    let new = "seven grey herons at dawn";
    let fields = |new, once| {
        let current = ("current_password", PASSWORD);
        [
            current,
            ("new_password", new),
            ("repeat_password", new),
            ("once", once),
        ]
    };
    let form = fields(new, once.as_str());
    let (mut second, mut third, mut thief) = (first.clone(), first.clone(), first.clone());
    let (one, two) = tokio::join!(
        first.post("/password", &form),
        second.post("/password", &form)
    );
    let three = third.post("/password", &form).await;
    for (answer, browser) in [(one, &mut first), (two, &mut second), (three, &mut third)] {
        assert_eq!((answer.status, answer.location()), (303, "/activity"));
        assert_eq!(browser.get("/activity").await.status, 200);
    }
    let entries = "SELECT count(*) FROM audit WHERE what <> 'Signed in'";
    assert_eq!(service.database.count(entries).await, 1);
    for form in [
        fields("another one, by a thief", &once),
        fields(new, "another form"),
    ] {
        let answer = thief.post("/password", &form).await;
        assert_ne!(answer.location(), "/activity");
    }
    assert_eq!(thief.get("/activity").await.status, 303);
    service.time.advance(Duration::minutes(11));
    assert_ne!(
        thief.post("/password", &form).await.location(),
        "/activity",
        "too late"
    );
    let dump = service.database.dump().await;
    assert!(!dump.contains(new));
}

/// It is changed after it was found to be right, and before the session begins.
#[tokio::test]
async fn a_password_that_has_just_been_changed_begins_no_session() {
    let service = Service::start().await;
    let mut browser = service.browser();
    let change = "UPDATE account SET password_hash = 'of another'";
    let change = service.database.hold(change).await;
    let changing = async {
        service.database.wait_for_locks(1).await;
        change.release().await;
    };
    let (answer, ()) = tokio::join!(browser.sign_in(PASSWORD), changing);
    assert_eq!((answer.status, answer.location()), (303, "/sign-in"));
    assert_eq!(browser.get("/activity").await.status, 303);
    let sessions = "SELECT count(*) FROM session";
    assert_eq!(service.database.count(sessions).await, 0);
}

#[tokio::test]
async fn a_cookie_of_another_program_on_the_host_hides_none() {
    let service = Service::start().await;
    let mut browser = service.browser();
    browser.sign_in(PASSWORD).await;
    browser.cookies.insert("name".into(), "Zoë".into());
    assert_eq!(browser.get("/activity").await.status, 200);
}

#[tokio::test]
async fn the_way_back_leads_nowhere_else() {
    let service = Service::start_with(&[("PUBLIC_URL", "https://editor.example.com/cdn")]).await;
    let long = format!("/{}", "a".repeat(3_000));
    for (next, location) in [
        (
            "/activity?state=failed&path=%2Fa",
            "/cdn/activity?state=failed&path=%2Fa",
        ),
        ("/settings/cdn?done=saved", "/cdn/settings/cdn?done=saved"),
        ("", "/cdn/activity"),
        ("settings", "/cdn/activity"),
        ("//evil.example/", "/cdn/activity"),
        ("https://evil.example/", "/cdn/activity"),
        ("/\\evil.example", "/cdn/activity"),
        ("/\t/evil.example", "/cdn/activity"),
        ("/a\r\nSet-Cookie: owned=1", "/cdn/activity"),
        ("/\u{e4}", "/cdn/activity"),
        ("javascript:alert(1)", "/cdn/activity"),
        (long.as_str(), "/cdn/activity"),
    ] {
        let answer = service
            .browser()
            .post(
                "/cdn/sign-in",
                &[
                    ("username", "admin"),
                    ("password", PASSWORD),
                    ("next", next),
                ],
            )
            .await;
        assert_eq!(answer.location(), location, "{next:?}");
        assert!(!format!("{:?}", answer.headers).contains("owned"));
    }
    let page = service
        .browser()
        .get("/cdn/sign-in?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        .await;
    assert!(!page.body.contains("<script>alert"), "{}", page.body);
}

/// A service on the database of another, as after a restart with other variables.
async fn restarted(service: &Service, more: &[(&str, &str)]) -> Service {
    let database = Database::at(service.database.url.clone());
    Service::start_on(database, more).await
}

#[tokio::test]
async fn a_session_of_skycms_ends_with_the_secret_that_vouched_for_it() {
    let service = Service::start().await;
    let mut sent = service.browser();
    open(&mut sent, &jwt(&claims(&service, "Administrators"))).await;
    let mut owner = service.browser();
    owner.sign_in(PASSWORD).await;
    for (secret, status) in [
        (EMBED_SECRET, 200),
        ("another secret of the embedding site", 303),
        ("", 303),
    ] {
        let again = restarted(&service, &[("EMBED_JWT_SECRET", secret)]).await;
        let on = |browser: &Browser| {
            let mut there = again.browser();
            there.cookies = browser.cookies.clone();
            there
        };
        assert_eq!(on(&sent).get("/audit").await.status, status, "{secret:?}");
        let mut owner = on(&owner);
        assert_eq!(owner.get("/audit").await.status, 200);
        let listed = owner.get("/sessions").await.body.contains("by SkyCMS");
        assert_eq!(listed, status == 200, "{secret:?}");
    }
}

#[tokio::test]
async fn the_owner_lists_and_ends_every_session() {
    let service = Service::start().await;
    let mut sent = service.browser_at("198.51.100.4");
    open(&mut sent, &jwt(&claims(&service, "Administrators"))).await;
    let mut owner = service.browser();
    owner.sign_in(PASSWORD).await;
    let mut elsewhere = service.browser_at("198.51.100.5");
    elsewhere.sign_in(PASSWORD).await;

    let page = owner.get("/sessions").await.body;
    for told in [
        "ada@example.com",
        "198.51.100.4",
        "198.51.100.5",
        "This one",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let (_, link) = page.split_once("/sessions/").unwrap();
    let (id, _) = link.split_once("/end").unwrap();
    for _ in 0..2 {
        let answer = owner.post(&format!("/sessions/{id}/end"), &[]).await;
        assert_eq!(
            answer.location(),
            "/sessions?done=ended",
            "also if pressed twice"
        );
    }
    let answer = owner.post("/sessions/end-others", &[]).await;
    assert_eq!(answer.location(), "/sessions?done=ended");
    assert_eq!(owner.get("/sessions").await.status, 200);
    assert_eq!(sent.get("/audit").await.status, 303);
    assert_eq!(elsewhere.get("/audit").await.status, 303);
}

#[tokio::test]
async fn whom_skycms_sent_sees_and_ends_their_own_sessions_only() {
    let service = Service::start().await;
    let mut owner = service.browser_at("198.51.100.6");
    owner.sign_in(PASSWORD).await;
    let mut own = service.browser();
    open(&mut own, &jwt(&claims(&service, "Administrators"))).await;
    let mut twin = service.browser_at("198.51.100.7");
    open(&mut twin, &jwt(&claims(&service, "Administrators"))).await;
    let page = own.get("/sessions").await.body;
    assert!(page.contains("198.51.100.7") && !page.contains("198.51.100.6"));
    let owners = owner.get("/sessions").await.body;
    let (before, _) = owners.split_once("This one").unwrap();
    assert!(before.contains("198.51.100.6"));
    own.post("/sessions/end-others", &[]).await;
    assert_eq!(twin.get("/audit").await.status, 303);
    assert_eq!(owner.get("/audit").await.status, 200);
    let owners = "SELECT id FROM session WHERE source = 'password'";
    let (owners,): (uuid::Uuid,) = service.database.row(owners).await;
    let answer = own.post(&format!("/sessions/{owners}/end"), &[]).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_link_that_signs_in_somebody_else_asks_first() {
    let service = Service::start().await;
    let mut owner = service.browser();
    owner.sign_in(PASSWORD).await;
    let ticket = jwt(&claims(&service, "Editors"));
    let asked = open(&mut owner, &ticket).await;
    assert_eq!(asked.status, 200);
    assert!(asked.body.contains("ada@example.com"), "{}", asked.body);
    assert_eq!(owner.get("/password").await.status, 200, "still the owner");
    let forged = [("sec-fetch-site", "cross-site")];
    let answer = owner
        .post_with("/embed", &forged, &[("token", &ticket)])
        .await;
    assert_eq!(answer.status, 403);
    let answer = owner.post("/embed", &[("token", &ticket)]).await;
    assert_eq!(answer.location(), "/activity");
    assert_eq!(owner.get("/password").await.status, 403, "now the editor");
    let again = jwt(&claims(&service, "Editors"));
    assert_eq!(open(&mut owner, &again).await.status, 303, "the same user");
}

#[tokio::test]
async fn a_frame_that_signs_in_somebody_else_asks_first() {
    let service = Service::start_with(&[("EMBED_ORIGINS", "https://editor.example.com")]).await;
    let mut owner = service.browser();
    owner.sign_in(PASSWORD).await;
    let path = format!("/embed?token={}", jwt(&claims(&service, "Editors")));
    let frame = [("sec-fetch-dest", "iframe")];
    let asked = owner.request(http::Method::GET, &path, &frame, "").await;
    assert_eq!(asked.status, 200, "{asked:?}");
    assert!(asked.body.contains(r#"action="/embed""#), "{}", asked.body);
    assert_eq!(owner.get("/password").await.status, 200, "still the owner");
}

/// The question is not a page of the site whose links it has.
#[tokio::test]
async fn whoever_does_not_see_the_default_site_can_continue_as_somebody_else() {
    let service = Service::start().await;
    let mut owner = service.browser();
    owner.sign_in(PASSWORD).await;
    owner.post("/sites", &[("name", "shop")]).await;
    let mut browser = service.browser();
    let mut here = claims(&service, "Editors");
    here["sites"] = "shop".into();
    let answer = open(&mut browser, &jwt(&here)).await;
    assert_eq!(answer.location(), "/sites/shop/activity");
    let mut coming = claims(&service, "Editors");
    coming["sub"] = "grace@example.com".into();
    let asked = open(&mut browser, &jwt(&coming)).await;
    assert!(asked.body.contains(r#"action="/embed""#), "{}", asked.body);
}

#[tokio::test]
async fn a_form_that_comes_too_late_waits_for_the_sign_in() {
    let service = Service::start().await;
    let mut admin = service.browser();
    admin.sign_in(PASSWORD).await;
    service.time.advance(Duration::hours(13));
    let path = "/settings/cdn";
    let form = [
        ("distribution_id", "E1TYPED0BEFORE1"),
        ("access_key_id", "AKIATYPEDBEFORE00001"),
        (
            "secret_access_key",
            "typed/before/the/session/ended/000000001",
        ),
        ("region", "us-east-1"),
        ("action", "save"),
    ];
    let answer = admin.post(path, &form).await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("none of it has been sent yet"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert!(
        !answer.body.contains("typed/before"),
        "the secret is sealed"
    );
    let kept = between(&answer.body, "name=\"kept\" value=\"", "\"").to_owned();

    // A wrong password loses nothing.
    let wrong = [
        ("username", "admin"),
        ("password", "wrong"),
        ("kept", &kept),
    ];
    let answer = admin.post("/sign-in", &wrong).await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains(&kept));
    let right = [
        ("username", "admin"),
        ("password", PASSWORD),
        ("kept", &kept),
    ];
    let answer = admin.post("/sign-in", &right).await;
    assert!(answer.body.contains("Send the form now?"), "{answer:?}");
    assert!(!answer.body.contains("typed/before"));
    assert!(answer.body.contains("action=\"/settings/cdn?kept\""));

    // It goes to its own address alone, by nobody but who is signed in.
    let again = [("kept", kept.as_str())];
    assert_eq!(admin.post("/purge?kept", &again).await.status, 400);
    let nobody = service.browser().post("/settings/cdn?kept", &again).await;
    assert!(nobody.location().starts_with("/sign-in"), "{nobody:?}");
    let elsewhere = [("sec-fetch-site", "cross-site")];
    let answer = admin
        .post_with("/settings/cdn?kept", &elsewhere, &again)
        .await;
    assert_eq!(answer.status, 403);
    let answer = admin.post("/settings/cdn?kept", &again).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let page = admin.get(path).await.body;
    assert!(page.contains("E1TYPED0BEFORE1"), "{page}");

    service.time.advance(Duration::minutes(31));
    let late = admin.post("/settings/cdn?kept", &again).await;
    assert_eq!(late.status, 400, "half an hour and no more");
    let mut returning = service.browser();
    let answer = returning.post("/sign-in", &right).await;
    assert_eq!(answer.status, 400, "and it is said: {answer:?}");
    assert!(answer.body.contains("This form has expired"), "{answer:?}");
    assert_eq!(returning.get("/password").await.status, 200, "signed in");
    assert_eq!(returning.cookies.len(), 2, "the session and the device");
    // Strangers have nothing kept.
    let answer = service.browser().post(path, &form).await;
    assert_eq!((answer.status, answer.location()), (303, "/sign-in"));
}

#[tokio::test]
async fn the_largest_form_waits_for_the_sign_in_too() {
    let service = Service::start().await;
    let mut admin = service.browser();
    admin.sign_in(PASSWORD).await;
    service.time.advance(Duration::hours(13));
    let typed = "a".repeat((256 << 10) - "items=&action=preview".len());
    let form = [("items", typed.as_str()), ("action", "preview")];
    let answer = admin.post("/purge", &form).await;
    assert_eq!(answer.status, 401);
    let kept = between(&answer.body, "name=\"kept\" value=\"", "\"").to_owned();
    let again = [("kept", kept.as_str())];
    let too_soon = admin.post("/purge?kept", &again).await;
    assert_eq!(too_soon.status, 401);
    assert!(too_soon.body.contains(&kept), "and it goes on waiting");

    let right = [("username", "admin"), ("password", PASSWORD), again[0]];
    let answer = admin.post("/sign-in", &right).await;
    assert!(answer.body.contains("Send the form now?"));
    let answer = admin.post("/purge?kept", &again).await;
    assert!(answer.body.contains(&typed), "{}", answer.status);
}
