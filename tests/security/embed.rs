//! SkyCMS's tokens.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::support::{
    self, Answer, Browser, EMBED_SECRET, Service, between, jwt, jwt_with, unsigned_jwt,
};

pub(crate) fn claims(service: &Service, role: &str) -> Value {
    support::claims(&service.state.clock, role)
}

pub(crate) async fn open(browser: &mut Browser, token: &str) -> Answer {
    browser.get(&format!("/embed?token={token}")).await
}

#[tokio::test]
async fn skycms_signs_its_users_in() {
    let service = Service::start().await;
    let mut browser = service.browser();
    let answer = open(&mut browser, &jwt(&claims(&service, "Administrators"))).await;
    assert_eq!((answer.status, answer.location()), (303, "/settings/cdn"));
    // Nobody else learns the token. With `no-referrer`, the form of the question before a change of
    // user would come with `Origin: null`, and over plain HTTP nothing else says where it is from.
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
    assert_eq!(browser.get("/settings/cdn").await.status, 200);
    assert_eq!(
        browser.get("/password").await.status,
        403,
        "its password is SkyCMS's"
    );
    let audit = browser.get("/audit?search=came+from").await;
    assert!(audit.body.contains("ada@example.com") && audit.body.contains("192.0.2.10"));

    let mut editor = service.browser();
    let answer = open(&mut editor, &jwt(&claims(&service, "Editors"))).await;
    assert_eq!((answer.status, answer.location()), (303, "/activity"));
    let page = editor.get("/activity").await;
    assert!(
        !page.body.contains("/settings/cdn\""),
        "no way to the settings"
    );
    for path in ["/settings/cdn", "/audit", "/password"] {
        let page = editor.get(path).await;
        assert_eq!(page.status, 403, "{path}");
        assert!(!page.body.contains("E2SANDBOX0CDN1"));
    }
    for path in [
        "/settings/cdn",
        "/settings/cdn/remove",
        "/settings/cdn/tokens",
        "/settings/cdn/secrets",
    ] {
        assert_eq!(editor.post(path, &[]).await.status, 403, "{path}");
    }

    service.time.advance(time::Duration::hours(11));
    assert_eq!(editor.get("/activity").await.status, 200);
    service.time.advance(time::Duration::hours(1));
    assert_eq!(
        editor.get("/activity").await.status,
        303,
        "twelve hours and no more"
    );
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let service = Service::start().await;
    let good = claims(&service, "Administrators");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims["jti"] = json!(service.state.clock.id());
        claims[name] = value;
        jwt(&claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        jwt(&claims)
    };
    let headed = |header: Value| {
        let mut claims = good.clone();
        claims["jti"] = json!(service.state.clock.id());
        jwt_with(hmac::HMAC_SHA256, &header, &claims, EMBED_SECRET)
    };
    let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
    let none = json!({ "alg": "none", "typ": "JWT" });
    let genuine = jwt(&good);
    let (text, tag) = genuine.rsplit_once('.').unwrap();
    let editor = unsigned_jwt(&hs256, &claims(&service, "Editors"));
    let now = service.now();
    let forged = [
        ("alg none", format!("{}.", unsigned_jwt(&none, &good))),
        (
            "alg none with a signature",
            format!("{}.{tag}", unsigned_jwt(&none, &good)),
        ),
        ("no signature", format!("{text}.")),
        ("another signature", format!("{editor}.{tag}")),
        (
            "another key",
            jwt_with(
                hmac::HMAC_SHA256,
                &hs256,
                &good,
                "another secret, as long as needed",
            ),
        ),
        (
            "an empty key",
            jwt_with(hmac::HMAC_SHA256, &hs256, &good, ""),
        ),
        (
            "HS512",
            jwt_with(
                hmac::HMAC_SHA512,
                &json!({ "alg": "HS512" }),
                &good,
                EMBED_SECRET,
            ),
        ),
        (
            "RS256 by HMAC",
            jwt_with(
                hmac::HMAC_SHA256,
                &json!({ "alg": "RS256" }),
                &good,
                EMBED_SECRET,
            ),
        ),
        ("another audience", with("aud", json!("skycms"))),
        ("no audience", without("aud")),
        ("expired", with("exp", json!(now - 1))),
        ("expires now", with("exp", json!(now))),
        ("expires too late", with("exp", json!(now + 400))),
        ("lives too long", with("iat", json!(now - 250))),
        ("made in the future", with("iat", json!(now + 100))),
        ("overflows", with("exp", json!(i64::MAX))),
        ("not valid yet", with("nbf", json!(now + 100))),
        (
            "with critical rules",
            headed(json!({ "alg": "HS256", "crit": ["b64"], "b64": false })),
        ),
        (
            "made for something else",
            headed(json!({ "alg": "HS256", "typ": "at+jwt" })),
        ),
        ("no expiry", without("exp")),
        ("no iat", without("iat")),
        ("no subject", without("sub")),
        ("empty subject", with("sub", json!(" "))),
        ("a subject with a line break", with("sub", json!("a\nb"))),
        ("no jti", without("jti")),
        ("no role", without("role")),
        ("an unknown role", with("role", json!("Authors"))),
        (
            "a role in another case",
            with("role", json!("administrators")),
        ),
        (
            "a list of unknown roles",
            with("role", json!(["Authors", "Reviewers"])),
        ),
        ("no role in a list", with("role", json!([]))),
        ("a number in a list", with("role", json!(["Editors", 1]))),
        ("an expiry in words", with("exp", json!("soon"))),
        (
            "expired by a fraction",
            with("exp", json!(now as f64 - 0.5)),
        ),
        ("nothing", String::new()),
        ("nonsense", "a.b.c".into()),
    ];
    for (what, token) in forged {
        let mut browser = service.browser();
        let answer = open(&mut browser, &token).await;
        assert_eq!(answer.status, 401, "{what}");
        assert!(browser.cookies.is_empty(), "{what}");
    }
    let mut browser = service.browser();
    assert_eq!(
        open(&mut browser, &genuine).await.status,
        303,
        "the original is good"
    );
    let mut thief = service.browser();
    assert_eq!(
        open(&mut thief, &genuine).await.status,
        401,
        "but only once"
    );
    service.time.advance(time::Duration::seconds(121));
    service
        .state
        .store
        .forget_expired(service.state.clock.now())
        .await
        .unwrap();
    assert_eq!(
        open(&mut thief, &genuine).await.status,
        401,
        "and not later"
    );
}

/// .NET writes a claim that has one value as a string and one that has several as an array; dates
/// may have fractions.
#[tokio::test]
async fn claims_are_taken_as_dotnet_and_the_rfc_write_them() {
    let service = Service::start().await;
    let now = service.now() as f64;
    for (name, value, leads) in [
        ("role", json!(["Authors", "Editors"]), "/activity"),
        (
            "role",
            json!(["Editors", "Administrators"]),
            "/settings/cdn",
        ),
        ("aud", json!(["skycms", "skycms-cdn"]), "/settings/cdn"),
        ("sites", json!("default"), "/settings/cdn"),
        ("sites", json!(["default", "gone"]), "/settings/cdn"),
        ("exp", json!(now + 119.75), "/settings/cdn"),
        ("iat", json!(now - 0.25), "/settings/cdn"),
        ("nbf", json!(now - 0.25), "/settings/cdn"),
    ] {
        let mut claims = claims(&service, "Administrators");
        claims[name] = value.clone();
        let mut browser = service.browser();
        let answer = open(&mut browser, &jwt(&claims)).await;
        assert_eq!(answer.location(), leads, "{name}: {value}: {answer:?}");
        assert_eq!(browser.get(leads).await.status, 200, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_token_for_sites_that_are_not_here_says_so_and_names_none() {
    let service = Service::start().await;
    for sites in [json!("elsewhere"), json!(["elsewhere", "gone"]), json!([])] {
        let mut claims = claims(&service, "Administrators");
        claims["sites"] = sites;
        let path = format!("/embed?token={}", jwt(&claims));
        let html = [("accept", "text/html")];
        let mut browser = service.browser();
        let answer = browser.request(http::Method::GET, &path, &html, "").await;
        assert_eq!(answer.status, 401);
        answer.assert_says("no site that is set up here");
        for name in ["elsewhere", "gone", "default"] {
            assert!(!answer.body.contains(name), "{name}: {}", answer.body);
        }
        assert!(browser.cookies.is_empty());
    }
}

#[tokio::test]
async fn embedding_is_off_by_default() {
    let service = Service::start_with(&[("EMBED_JWT_SECRET", "")]).await;
    let mut browser = service.browser();
    let answer = open(&mut browser, &jwt(&claims(&service, "Administrators"))).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_theme_lasts_as_long_as_the_session() {
    let service = Service::start_with(&[]).await;
    let path = |theme| {
        let token = jwt(&claims(&service, "Editors"));
        format!("/embed?theme={theme}&token={token}")
    };
    for (given, theme) in [("dark", "dark"), ("Light", "light")] {
        let mut browser = service.browser();
        assert_eq!(browser.get(&path(given)).await.status, 303);
        let page = browser.get("/activity").await.body;
        assert!(page.contains(&format!(r#"data-theme="{theme}""#)));
    }
    let mut browser = service.browser();
    assert_eq!(browser.get(&path("black")).await.status, 400);
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn a_frame_gets_a_cookie_of_its_own() {
    let frame = [("sec-fetch-dest", "iframe")];
    let service = Service::start_with(&[
        ("PUBLIC_URL", "https://cdn.example.com"),
        ("EMBED_ORIGINS", "https://editor.example.com"),
    ])
    .await;
    let mut browser = service.browser();
    let path = format!("/embed?token={}", jwt(&claims(&service, "Editors")));
    let answer = browser.request(http::Method::GET, &path, &frame, "").await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-framed-session="), "{cookie}");
    for attribute in ["; Secure", "; HttpOnly", "; SameSite=None", "; Partitioned"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!browser.get("/activity").await.body.contains("Sign out"));
    service.time.advance(time::Duration::hours(12));
    let over = browser.get("/activity").await;
    assert_eq!(over.status, 401, "a frame does not lead to the sign-in");
    assert!(over.body.contains("in SkyCMS again"));
    let tab = [("sec-fetch-dest", "document")];
    let tab = browser.request(http::Method::GET, "/activity", &tab, "");
    assert_eq!(
        tab.await.location(),
        "/sign-in?next=%2Factivity",
        "a tab does"
    );

    // A form waits until SkyCMS has opened the frame again, also when the cookie has gone.
    browser.cookies.clear();
    let form = "items=%2Ftyped-before&action=preview".to_owned();
    let post = http::Method::POST;
    let frame = [frame[0], ("sec-fetch-site", "same-origin")];
    let waits = browser.request(post.clone(), "/purge", &frame, form).await;
    assert_eq!(waits.status, 401, "{waits:?}");
    assert!(!waits.body.contains("typed-before"), "{waits:?}");
    let kept = between(&waits.body, "name=\"kept\" value=\"", "\"");
    let kept = format!("kept={kept}");
    let again = "/purge?kept";
    let still = browser
        .request(post.clone(), again, &frame, kept.clone())
        .await;
    assert!(still.body.contains("not signed in yet"), "{still:?}");
    let path = format!("/embed?token={}", jwt(&claims(&service, "Editors")));
    browser.request(http::Method::GET, &path, &frame, "").await;
    let sent = browser.request(post, again, &frame, kept).await;
    assert!(sent.body.contains("/typed-before"), "{sent:?}");

    let alone = Service::start_with(&[("PUBLIC_URL", "https://cdn.example.com")]).await;
    let path = format!("/embed?token={}", jwt(&claims(&alone, "Editors")));
    let answer = alone
        .browser()
        .request(http::Method::GET, &path, &frame, "")
        .await;
    assert!(
        answer
            .header("set-cookie")
            .unwrap()
            .starts_with("__Host-session="),
        "nobody may frame it"
    );
}

/// Where somebody else is signed in, the frame asks first, and shows what becomes of the answer.
#[tokio::test]
async fn a_token_that_is_refused_in_a_frame_says_so_there() {
    let service = Service::start_with(&[
        ("PUBLIC_URL", "https://cdn.example.com"),
        ("EMBED_ORIGINS", "https://editor.example.com"),
    ])
    .await;
    let headers = |site| {
        [
            ("accept", "text/html"),
            ("sec-fetch-dest", "iframe"),
            ("sec-fetch-site", site),
        ]
    };
    let ours = headers("same-origin");
    let ticket = jwt(&claims(&service, "Editors"));
    let mut browser = service.browser();
    let fields = [("token", ticket.as_str())];
    let entered = browser.post_with("/embed", &ours, &fields).await;
    assert_eq!(entered.location(), "/activity", "{entered:?}");
    let refused = browser.post_with("/embed", &ours, &fields).await;
    assert_eq!(refused.status, 401, "it works once: {refused:?}");
    let policy = refused.header("content-security-policy").unwrap();
    let framed = "frame-ancestors 'self' https://editor.example.com";
    assert!(policy.ends_with(framed), "{policy}");
    assert_eq!(refused.header("x-frame-options"), None);
    assert!(refused.body.contains("<h1>"), "{refused:?}");
    let forged = headers("cross-site");
    let answer = browser.post_with("/embed", &forged, &fields).await;
    assert_eq!(answer.status, 403, "{answer:?}");
}
