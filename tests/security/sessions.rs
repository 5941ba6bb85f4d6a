//! Sessions and the sign-in.

use time::Duration;

use crate::harness::{PASSWORD, Service};

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
    let cookie = answer.header("set-cookie").to_owned();
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
        let cookie = answer.header("set-cookie");
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

#[tokio::test]
async fn the_way_back_leads_nowhere_else() {
    let service = Service::start_with(&[("PUBLIC_URL", "https://editor.example.com/cdn")]).await;
    for (next, location) in [
        ("/settings/cdn?done=saved", "/cdn/settings/cdn?done=saved"),
        ("//evil.example/", "/cdn/activity"),
        ("https://evil.example/", "/cdn/activity"),
        ("/\\evil.example", "/cdn/activity"),
        ("/a\r\nSet-Cookie: owned=1", "/cdn/activity"),
        ("/\u{e4}", "/cdn/activity"),
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
