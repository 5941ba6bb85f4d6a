//! Whoever is signed in to SkyCMS is signed in here, and nobody else is.

use http::StatusCode;
use time::Duration;

use crate::embed::claims;
use crate::support::{
    Browser, LOG, PASSWORD, Service, SkyCms, SkyCmsMood as Mood, between, eventually, jwt,
};

const PUBLIC_URL: &str = "https://editor.example.com/cdn";

async fn service(skycms: &SkyCms) -> Service {
    service_with(skycms, &[]).await
}

async fn service_with(skycms: &SkyCms, more: &[(&str, &str)]) -> Service {
    let variables = [("PUBLIC_URL", PUBLIC_URL), ("SKYCMS_URL", &skycms.url)];
    Service::start_with(&[&variables, more].concat()).await
}

fn signed_in(service: &Service, session: &str) -> Browser {
    let mut browser = service.browser();
    browser.cookies = [
        ("CosmosAuthCookie".into(), session.into()),
        ("another-cookie".into(), "of-somebody-else".into()),
    ]
    .into();
    browser
}

#[tokio::test]
async fn a_cookie_of_another_program_on_the_host_hides_no_session() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;
    let mut editor = signed_in(&service, &skycms.session("Editors"));
    editor.cookies.insert("name".into(), "Zoë".into());
    assert_eq!(editor.get("/cdn/activity").await.status, 200);
}

#[tokio::test]
async fn roles_are_skycms_s() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;

    let mut administrator = signed_in(&service, &skycms.session("Administrators"));
    let page = administrator.get("/cdn/settings/cdn").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("SkyCMS administrator"), "{}", page.body);
    assert!(!page.body.contains("/sign-out"), "the session is SkyCMS's");
    let saved = administrator
        .post("/cdn/settings/cdn/tokens", &[("name", "CI")])
        .await;
    assert_eq!(saved.status, 200, "{}", saved.body);
    let audit = administrator.get("/cdn/audit").await;
    assert!(audit.body.contains("SkyCMS administrator"));
    for path in ["/cdn/password", "/cdn/sites"] {
        let status = administrator.get(path).await.status;
        assert_eq!(status, 403, "{path} is for the admin of this service");
    }

    let mut editor = signed_in(&service, &skycms.session("Editors"));
    assert_eq!(editor.get("/cdn/activity").await.status, 200);
    assert_eq!(editor.get("/cdn/purge").await.status, 200);
    assert_eq!(editor.get("/cdn/settings/cdn").await.status, 403);

    let mut author = signed_in(&service, &skycms.session("Authors"));
    let answer = author.get("/cdn/activity").await;
    let denied = "/Identity/Account/AccessDenied?ReturnUrl=%2Fcdn%2Factivity";
    assert_eq!((answer.status, answer.location()), (303, denied));
}

#[tokio::test]
async fn a_link_that_signs_in_somebody_else_asks_whom_skycms_has_signed_in_too() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;
    let mut administrator = signed_in(&service, &skycms.session("Administrators"));
    let ticket = jwt(&claims(&service, "Editors"));
    let asked = administrator
        .get(&format!("/cdn/embed?token={ticket}"))
        .await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    assert!(asked.body.contains("ada@example.com"), "{}", asked.body);
    let page = administrator.get("/cdn/settings/cdn").await;
    assert_eq!(page.status, 200, "still the administrator");
}

#[tokio::test]
async fn strangers_get_skycms_s_sign_in_and_come_back() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;
    let mut strangers = [
        service.browser(),
        signed_in(&service, "made-up"),
        signed_in(&service, ""),
        signed_in(&service, &"x".repeat(40_000)),
    ];
    for stranger in &mut strangers {
        let answer = stranger.get("/cdn/activity?state=failed&x=%C3%A9").await;
        let way =
            "/Identity/Account/Login?ReturnUrl=%2Fcdn%2Factivity%3Fstate%3Dfailed%26x%3D%25C3%25A9";
        assert_eq!((answer.status, answer.location()), (303, way));
        let answer = stranger.post("/cdn/purge", &[]).await;
        let way = "/Identity/Account/Login?ReturnUrl=%2Fcdn%2F";
        assert_eq!((answer.status, answer.location()), (303, way));
    }
    // The way in for operators stays.
    let mut operator = service.browser();
    operator.get("/cdn/sign-in").await.assert_says("operators");
    assert_eq!(operator.sign_in(PASSWORD).await.status, 303);
    assert_eq!(operator.get("/cdn/sites").await.status, 200);
}

#[tokio::test]
async fn a_form_waits_until_skycms_has_signed_its_sender_in_again() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;
    let path = "/cdn/settings/cdn/tokens";
    let mut browser = signed_in(&service, "ended");
    let answer = browser.post(path, &[("name", "typed before")]).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    let way = "/Identity/Account/Login?ReturnUrl=%2Fcdn%2F";
    answer.assert_says(&format!("href=\"{way}\""));
    assert!(!answer.body.contains("typed before"), "it is sealed");
    let kept = between(&answer.body, "name=\"kept\" value=\"", "\"").to_owned();
    let again = "/cdn/settings/cdn/tokens?kept";
    assert!(answer.body.contains(&format!("action=\"{again}\"")));

    // Too soon: it goes on waiting, and is not sealed twice.
    let answer = browser.post(again, &[("kept", &kept)]).await;
    answer.assert_says("You are not signed in yet.");
    assert!(answer.body.contains(&kept));

    // SkyCMS does not answer: nothing is lost either.
    skycms.is(Mood::Broken);
    service.time.advance(Duration::minutes(2));
    let answer = browser.post(again, &[("kept", &kept)]).await;
    answer.assert_says("SkyCMS is not answering");
    assert!(answer.body.contains(&kept));
    skycms.is(Mood::Well);

    let mut browser = signed_in(&service, &skycms.session("Administrators"));
    let answer = browser.post(again, &[("kept", &kept)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("typed before"), "{answer:?}");
}

#[tokio::test]
async fn skycms_is_asked_once_a_minute_and_a_sign_out_there_is_one_here() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;
    let session = skycms.session("Administrators");
    let browser = signed_in(&service, &session);
    let pages = (0..4).map(|_| {
        let mut browser = browser.clone();
        async move { browser.get("/cdn/activity").await.status }
    });
    let statuses = futures_util::future::join_all(pages).await;
    assert_eq!(statuses, [200; 4]);
    let asked_with_session = || {
        let asked = skycms.asked().into_iter();
        asked
            .filter(|(_, headers)| headers.contains_key("cookie"))
            .count()
    };
    assert_eq!(asked_with_session(), 1);

    skycms.end(&session);
    service.time.advance(Duration::seconds(59));
    assert_eq!(browser.clone().get("/cdn/activity").await.status, 200);
    assert_eq!(asked_with_session(), 0);
    service.time.advance(Duration::seconds(1));
    let answer = browser.clone().get("/cdn/activity").await;
    assert!(answer.location().starts_with("/Identity/Account/Login"));
}

#[tokio::test]
async fn the_cookie_goes_to_skycms_alone_and_is_written_down_nowhere() {
    let (skycms, elsewhere) = (SkyCms::start().await, SkyCms::start().await);
    let service = service(&skycms).await;
    let session = skycms.session("Editors");
    signed_in(&service, &session).get("/cdn/settings/cdn").await;
    let asked = skycms.asked();
    let (page, headers) = &asked[0];
    assert_eq!(page, "/Cosmos___Settings/CDN");
    assert_eq!(headers["cookie"], format!("CosmosAuthCookie={session}"));
    assert_eq!(headers["x-origin-hostname"], "editor.example.com");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert!(!LOG.text().contains(&session));
    assert!(!service.database.dump().await.contains(&session));

    // Not where SkyCMS leads either.
    skycms.leads_to(&elsewhere.url);
    let answer = signed_in(&service, "another-session")
        .get("/cdn/activity")
        .await;
    assert_eq!((answer.status, answer.location()), (303, "/Templates"));
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_long_cookie_comes_in_pieces() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;
    let session = skycms.session("Editors");
    let (first, second) = session.split_at(10);
    let mut browser = service.browser();
    browser.cookies = [
        ("CosmosAuthCookie".into(), "chunks-2".into()),
        ("CosmosAuthCookieC1".into(), first.into()),
        ("CosmosAuthCookieC2".into(), second.into()),
        ("CosmosAuthCookieConsent".into(), "yes".into()),
    ]
    .into();
    assert_eq!(browser.get("/cdn/activity").await.status, 200);
    let asked = skycms.asked();
    let sent = asked[0].1["cookie"].to_str().unwrap();
    assert_eq!(sent.matches('=').count(), 3, "{sent}");
}

#[tokio::test]
async fn a_page_that_was_opened_to_everybody_just_now_proves_nothing() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;
    // What was said of a visitor without a session is not asked again for a minute.
    assert_eq!(service.browser().get("/cdn/activity").await.status, 303);
    skycms.is(Mood::Open);
    let mut stranger = signed_in(&service, "made-up");
    let answer = stranger.get("/cdn/settings/cdn/hook").await;
    assert!(
        answer.location().ends_with("skycms=proves-nothing"),
        "{} {}",
        answer.status,
        answer.location()
    );
}

#[tokio::test]
async fn a_skycms_that_does_not_answer_signs_nobody_in() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;
    let session = skycms.session("Administrators");
    for (mood, why) in [
        (Mood::Broken, "silent"),
        (Mood::Silent, "silent"),
        (Mood::Open, "proves-nothing"),
        (Mood::Bare(StatusCode::UNAUTHORIZED), "refused"),
        (Mood::Bare(StatusCode::NOT_FOUND), "refused"),
    ] {
        service.time.advance(Duration::minutes(1));
        skycms.is(mood);
        let who = if why == "refused" {
            "somebody"
        } else {
            &session
        };
        let mut browser = signed_in(&service, who);
        let answer = browser.get("/cdn/activity").await;
        let way = format!("/cdn/sign-in?next=%2Factivity&skycms={why}");
        assert_eq!(
            (answer.status, answer.location()),
            (303, way.as_str()),
            "{mood:?}"
        );
        let page = browser.get(&way).await;
        assert!(page.body.contains("role=\"alert\""), "{}", page.body);
        assert_eq!(browser.sign_in(PASSWORD).await.status, 303);
    }
    // It is asked again soon, not only after a minute.
    service.time.advance(Duration::minutes(1));
    skycms.is(Mood::Broken);
    let mut browser = signed_in(&service, &session);
    assert_eq!(browser.get("/cdn/activity").await.status, 303);
    skycms.is(Mood::Well);
    assert_eq!(browser.get("/cdn/activity").await.status, 303);
    service.time.advance(Duration::seconds(5));
    assert_eq!(browser.get("/cdn/activity").await.status, 200);

    let nobody = [("SKYCMS_URL", "http://127.0.0.1:9")];
    let service = service_with(&skycms, &nobody).await;
    let answer = signed_in(&service, &session).get("/cdn/activity").await;
    assert!(answer.location().ends_with("skycms=silent"));
}

#[tokio::test]
async fn strangers_who_are_asked_about_keep_no_user_waiting() {
    let skycms = SkyCms::start().await;
    let service = service(&skycms).await;
    let mut user = signed_in(&service, &skycms.session("Editors"));
    assert_eq!(user.get("/cdn/activity").await.status, 200);
    service.time.advance(Duration::minutes(1));

    skycms.asked();
    skycms.is(Mood::Silent);
    let strangers = (0..20).map(|n| {
        let mut stranger = signed_in(&service, &format!("made-up-{n}"));
        async move { stranger.get("/cdn/activity").await }
    });
    let strangers = tokio::spawn(futures_util::future::join_all(strangers));
    let mut asked = 0;
    eventually("all places of strangers to be taken", || {
        asked += skycms.asked().len();
        std::future::ready((asked >= 8).then_some(()))
    })
    .await;
    skycms.is(Mood::Well);
    assert_eq!(user.get("/cdn/activity").await.status, 200);
    assert!(!strangers.is_finished(), "the user waited for strangers");
    strangers.abort();
}

#[tokio::test]
async fn other_versions_have_other_pages() {
    let skycms = SkyCms::start().await;
    let session = skycms.session("Editors");
    let page = "/cdn/settings/cdn";
    // What it opens to editors makes them administrators here.
    let service = service_with(&skycms, &[("SKYCMS_ADMIN_PAGE", "/Templates")]).await;
    assert_eq!(signed_in(&service, &session).get(page).await.status, 200);

    let service = service_with(&skycms, &[("SKYCMS_COOKIE", "AnotherCookie")]).await;
    let mut browser = signed_in(&service, &session);
    skycms.asked();
    assert_eq!(browser.get(page).await.status, 303);
    let asked = skycms.asked();
    assert!(!asked.is_empty());
    assert!(
        asked
            .iter()
            .all(|(_, headers)| !headers.contains_key("cookie"))
    );
    let another = ("AnotherCookie".to_owned(), session.clone());
    browser.cookies.extend([another]);
    browser.get(page).await;
    let asked = skycms.asked();
    assert_eq!(asked[0].1["cookie"], format!("AnotherCookie={session}"));
}
