//! Memory, connections and tries that one caller may take, and what is left for the others.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use skycms_cdn::domain::session::Role;
use skycms_cdn::domain::{Credentials, Settings};
use skycms_cdn::store::Slot;

use crate::embed::{claims, open};
use crate::support::{Api, Browser, Database, KEY, PASSWORD, Service, eventually, jwt, settings};

#[tokio::test]
async fn a_form_has_sixteen_kilobytes_and_one_of_paths_more() {
    let service = Service::start().await;
    let long = "x".repeat(17 << 10);
    let mut stranger = service.browser();
    let new = [("new_password", long.as_str()), ("repeat_password", &long)];
    let answer = stranger.post("/set-up?token=none", &new).await;
    assert_eq!(answer.status, 413);
    // A sign-in may bring along a form of paths that waits for it.
    let answer = stranger.sign_in(&"x".repeat(385 << 10)).await;
    assert_eq!(answer.status, 413);
    let mut admin = service.signed_in(Role::Admin).await;
    let answer = admin.post("/settings/cdn/tokens", &[("name", &long)]).await;
    assert_eq!(answer.status, 413);
    let paths: Vec<String> = (0..3_000).map(|n| format!("/page/{n}")).collect();
    let answer = admin.post("/purge", &[("items", &paths.join("\n"))]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

/// A body that nobody may begin to read.
struct Unread;

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body is read");
    }
}

#[tokio::test]
async fn nothing_is_read_of_a_body_that_no_proof_can_belong_to() {
    let service = Service::start().await;
    let now = service.now().to_string();
    let hook = "/api/sites/default/publishes";
    let endpoint = "/2020-05-31/distribution/E2SANDBOX0CDN1/invalidation";
    let day = service.state.clock.now();
    let (day, at) = (
        format!(
            "{:04}{:02}{:02}",
            day.year(),
            u8::from(day.month()),
            day.day()
        ),
        format!("T{:02}{:02}{:02}Z", day.hour(), day.minute(), day.second()),
    );
    let sent_at = format!("{day}{at}");
    let by_nobodys_key = format!(
        "AWS4-HMAC-SHA256 Credential=SKYCNOBODYSKEYPAIR01/{day}/us-east-1/cloudfront/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00"
    );
    for (path, headers, status) in [
        (hook, vec![], 401),
        (hook, vec![("authorization", "Bearer skycdn_nobodys")], 401),
        (
            hook,
            vec![
                ("webhook-id", "msg_1"),
                ("webhook-timestamp", &now),
                ("webhook-signature", "v2,AAAA"),
            ],
            401,
        ),
        (endpoint, vec![], 403),
        (
            endpoint,
            vec![("authorization", &by_nobodys_key), ("x-amz-date", &sent_at)],
            403,
        ),
    ] {
        let request = Request::post(path).header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let answer = service.answer(request.body(Body::new(Unread)).unwrap());
        assert_eq!(answer.await.status(), status, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn a_session_holds_sixteen_live_pages() {
    let service = Service::start().await;
    let browser = service.signed_in(Role::Editor).await;
    let ask = async || browser.stream("/events").await;
    let mut held = Vec::new();
    for _ in 0..16 {
        let answer = ask().await;
        assert_eq!(answer.status(), 200);
        held.push(answer);
    }
    let refused = ask().await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    held.clear();
    assert_eq!(ask().await.status(), 200, "they were given back");
}

/// Nor does it keep its session from being idle.
#[tokio::test]
async fn a_live_page_does_not_outlive_its_session_by_much() {
    let database = Database::fresh().await;
    let mut config = Service::config(&database, &[]);
    config.serve.session_check = Duration::from_millis(50);
    let service = Service::start_as(database, &config).await;
    let ask = async || {
        let mut browser = service.signed_in(Role::Editor).await;
        assert_eq!(browser.get("/activity").await.status, 200);
        let answer = browser.stream("/events").await;
        assert_eq!(answer.status(), 200);
        answer.into_body()
    };
    let mut lasting = ask().await;
    let quiet = tokio::time::timeout(Duration::from_millis(300), lasting.frame()).await;
    assert!(quiet.is_err(), "it ended beside its session: {quiet:?}");
    service.time.advance(time::Duration::hours(12));
    assert!(lasting.frame().await.is_none(), "it was idle");
    let mut ended = ask().await;
    let store = &service.state.store;
    store.end_sessions(None, None).await.unwrap();
    assert!(ended.frame().await.is_none());
}

/// `Prefer: wait` is a preference: what there is no room for is answered at once.
#[tokio::test]
async fn publishers_that_wait_leave_room_for_others() {
    let service = Service::start_with(&[("MAX_CONNECTIONS", "8")]).await;
    let publish = || {
        let body = r#"{"paths": ["/about"]}"#;
        let request = Api::new("").publishing(&[("prefer", "wait=60")], body);
        let router = service.router.clone();
        tokio::spawn(async move { tower::ServiceExt::oneshot(router, request).await.unwrap() })
    };
    // Nothing is sent in this test: whoever waits, waits for a minute.
    let mut held: Vec<_> = (0..3).map(|_| publish()).collect();
    let answered = eventually("an answer", || async {
        held.iter().position(tokio::task::JoinHandle::is_finished)
    })
    .await;
    let answered = held.swap_remove(answered).await.unwrap();
    assert_eq!(answered.status(), 202);
    // As the RFC has it, this names what was kept to.
    assert!(!answered.headers().contains_key("preference-applied"));
    for waiting in held {
        assert!(!waiting.is_finished());
        waiting.abort();
    }
}

/// Their publishes are stored: nothing of the bodies is needed any more.
#[tokio::test]
async fn publishers_that_wait_leave_memory_to_others() {
    let service = Service::start().await;
    let publish = |prefer: &str| {
        let mut body = r#"{"paths": ["/about"]}"#.to_owned();
        body.extend(std::iter::repeat_n(' ', (1 << 20) - body.len()));
        Api::new("").publishing(&[("prefer", prefer)], body)
    };
    let mut held = Vec::new();
    // One more than fit into memory.
    for n in 1..=49 {
        let router = service.router.clone();
        let waiting = tower::ServiceExt::oneshot(router, publish("wait=60"));
        held.push(tokio::spawn(waiting));
        eventually("the publish to be stored", || async {
            assert!(
                held.iter().all(|waiting| !waiting.is_finished()),
                "answered early: {n}"
            );
            let stored = service.database.count("SELECT count(*) FROM publish");
            (stored.await == n).then_some(())
        })
        .await;
    }
    let other = service.answer(publish("respond-async")).await;
    assert_eq!(other.status(), 202);
    for waiting in held {
        waiting.abort();
    }
}

fn defaults(distribution: &str) -> [(&'static str, &str); 4] {
    [
        ("distribution_id", distribution),
        ("credentials", "aws_default"),
        ("region", "us-east-1"),
        ("action", "save"),
    ]
}

/// They reach whatever the machine's role reaches.
#[tokio::test]
async fn default_credentials_are_the_operators_to_give() {
    let service = Service::start_with(&[(
        "AWS_DEFAULT_CREDENTIALS_FOR",
        "default=E2GRANTED00000, elsewhere=E2GRANTED00000",
    )])
    .await;
    let mut sent = service.browser();
    open(&mut sent, &jwt(&claims(&service, "Administrators"))).await;
    let save = async |browser: &mut Browser, distribution: &str| {
        let answer = browser.post("/settings/cdn", &defaults(distribution)).await;
        (
            answer.status,
            answer.body.contains("may not use AWS default credentials"),
        )
    };
    assert_eq!(save(&mut sent, "E2OTHER0000000").await, (422, true));
    assert_eq!(save(&mut sent, "E2GRANTED00000").await, (303, false));
    let mut owner = service.browser();
    owner.sign_in(PASSWORD).await;
    assert_eq!(save(&mut owner, "E2OTHER0000000").await, (303, false));
    let audit = owner.get("/audit?search=Allowed").await.body;
    assert!(audit.contains("E2OTHER0000000"), "{audit}");
    assert_eq!(
        save(&mut sent, "E2OTHER0000000").await,
        (303, false),
        "allowed now"
    );

    // A draft of what has been revoked since it was saved.
    let draft = Settings {
        credentials: Credentials::AwsDefault,
        ..settings("E2REVOKED00000", KEY)
    };
    let (state, now) = (&service.state, service.state.clock.now());
    let site = state.directory.site("default").unwrap().id;
    let saved = state
        .store
        .save_settings(site, None, Slot::Draft, &draft, None, now);
    assert!(saved.await.unwrap());
    let sure = [("action", "use_draft")];
    let answer = sent.post("/settings/cdn", &sure).await;
    assert_eq!(answer.status, 422);
    let why = "may not use AWS default credentials for E2REVOKED00000";
    assert!(answer.body.contains(why), "{}", answer.body);
}

/// Each is a call to AWS, with whatever key was typed.
#[tokio::test]
async fn settings_are_tested_now_and_then_and_not_forty_times() {
    let service = Service::start().await;
    let mut admin = service.signed_in(Role::Admin).await;
    let form = [
        ("distribution_id", "E2SANDBOX0CDN1"),
        ("access_key_id", "AKIASANDBOX000000001"),
        (
            "secret_access_key",
            "wRong/secret+typed/in+the/form0123456789",
        ),
        ("region", "us-east-1"),
        ("action", "save_and_test"),
    ];
    let mut tested = 0;
    let refused = loop {
        let answer = admin.post("/settings/cdn", &form).await;
        if answer.status != 303 {
            break answer;
        }
        tested += 1;
        assert!(tested <= 10);
    };
    // The first call of a pause counts a little more.
    assert_eq!((tested, refused.status), (9, 429));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let mut typed = form;
    typed[0].1 = "E2TYPED0000000";
    let refused = admin.post("/settings/cdn", &typed).await;
    assert_eq!(refused.status, 429);
    for kept in [
        "tested too often",
        r#"value="E2TYPED0000000""#,
        r#"name="kept_secret""#,
    ] {
        assert!(refused.body.contains(kept), "{kept}: {}", refused.body);
    }
    assert!(!refused.body.contains(typed[2].1));
}
