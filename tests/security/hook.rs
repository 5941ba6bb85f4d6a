//! Signed calls of the publish hook.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::Value;
use skycms_cdn::domain::session::Role;

use crate::support::{Answer, HOOK_SECRET, Service, sign};

const BODY: &str = r#"{"paths": ["/about"]}"#;

async fn call(
    service: &Service,
    site: &str,
    id: &str,
    at: i64,
    signature: &str,
    body: &str,
) -> Answer {
    let timestamp = at.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("webhook-id", id),
        ("webhook-timestamp", &timestamp),
        ("webhook-signature", signature),
    ];
    let path = format!("/api/sites/{site}/publishes");
    let mut caller = service.browser();
    caller
        .request(Method::POST, &path, &headers, body.to_owned())
        .await
}

/// Accepting needs the task that writes; it runs on the test's runtime.
async fn publishes(service: &Service) -> i64 {
    service.database.count("SELECT count(*) FROM publish").await
}

#[tokio::test]
async fn a_signed_call_is_accepted_and_repeated_safely() {
    let service = Service::start().await;
    let now = service.now();
    let signature = sign(HOOK_SECRET, "msg_1", now, BODY);
    let first = call(&service, "default", "msg_1", now, &signature, BODY).await;
    assert_eq!(first.status, 202, "{}", first.body);
    let again = call(&service, "default", "msg_1", now, &signature, BODY).await;
    assert_eq!(again.status, 202);
    let id = |answer: &Answer| serde_json::from_str::<Value>(&answer.body).unwrap()["id"].clone();
    assert_eq!(
        id(&first),
        id(&again),
        "the webhook-id makes it the same publish"
    );
    assert_eq!(publishes(&service).await, 1);

    let other = r#"{"paths": ["/other"]}"#;
    let signature = sign(HOOK_SECRET, "msg_1", now, other);
    let reused = call(&service, "default", "msg_1", now, &signature, other).await;
    assert_eq!(reused.status, 422, "{}", reused.body);

    let path = format!(
        "/api/sites/default/publishes/{}",
        id(&first).as_str().unwrap()
    );
    let (signature, timestamp) = (sign(HOOK_SECRET, "msg_2", now, ""), now.to_string());
    let headers = [
        ("webhook-id", "msg_2"),
        ("webhook-timestamp", timestamp.as_str()),
        ("webhook-signature", &signature),
    ];
    let read = service
        .browser()
        .request(Method::GET, &path, &headers, "")
        .await;
    assert_eq!(read.status, 200);
}

#[tokio::test]
async fn without_valid_proof_nothing_is_done_and_nothing_revealed() {
    let service = Service::start().await;
    let now = service.now();
    let right = sign(HOOK_SECRET, "msg_1", now, BODY);
    let other = sign("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "msg_1", now, BODY);
    let truncated = format!(
        "v1,{}",
        STANDARD.encode(&STANDARD.decode(&right[3..]).unwrap()[..16])
    );
    let (early, late) = (now - 301, now + 301);
    let forged = [
        (
            "another body",
            "msg_1",
            now,
            right.clone(),
            r#"{"paths": ["/evil"]}"#,
        ),
        ("another id", "msg_2", now, right.clone(), BODY),
        ("another time", "msg_1", now + 1, right.clone(), BODY),
        ("another secret", "msg_1", now, other, BODY),
        ("a part of it", "msg_1", now, truncated, BODY),
        (
            "another version",
            "msg_1",
            now,
            right.replace("v1,", "v2,"),
            BODY,
        ),
        ("no version", "msg_1", now, right[3..].to_owned(), BODY),
        ("an empty one", "msg_1", now, "v1,".into(), BODY),
        ("nothing", "msg_1", now, "x".into(), BODY),
        (
            "stale",
            "msg_1",
            early,
            sign(HOOK_SECRET, "msg_1", early, BODY),
            BODY,
        ),
        (
            "from the future",
            "msg_1",
            late,
            sign(HOOK_SECRET, "msg_1", late, BODY),
            BODY,
        ),
        (
            "an ambiguous id",
            "a.1",
            now,
            sign(HOOK_SECRET, "a.1", now, BODY),
            BODY,
        ),
        ("not JSON, and not signed", "msg_1", now, right.clone(), "{"),
    ];
    for (what, id, at, signature, body) in forged {
        for site in ["default", "no-such-site"] {
            let answer = call(&service, site, id, at, &signature, body).await;
            assert_eq!(answer.status, 401, "{what} at {site}");
            assert!(!answer.body.contains(site), "{what}");
        }
    }
    // What is wrong is told apart; whether the site exists is not.
    let missing = [
        ("webhook-id", "msg_1"),
        ("content-type", "application/json"),
    ];
    let unknown = [
        ("authorization", "Bearer skycdn_no_such_token"),
        ("content-type", "application/json"),
    ];
    for (headers, words) in [
        (missing, "This call is not authenticated"),
        (unknown, "This publish token is not known"),
    ] {
        let mut answers = Vec::new();
        for site in ["default", "no-such-site"] {
            let path = format!("/api/sites/{site}/publishes");
            let mut caller = service.browser();
            let answer = caller
                .request(Method::POST, &path, &headers, BODY.to_owned())
                .await;
            assert_eq!(answer.status, 401, "{words}");
            assert!(answer.body.contains(words), "{}", answer.body);
            answers.push(answer.body);
        }
        assert_eq!(answers[0], answers[1]);
    }
    // The right signature at a site that does not exist is answered as a wrong one.
    let answer = call(&service, "no-such-site", "msg_1", now, &right, BODY).await;
    let wrong = call(&service, "default", "msg_1", now, "v1,AAAA", BODY).await;
    assert_eq!((answer.status, &answer.body), (401, &wrong.body));
    assert!(
        wrong
            .body
            .contains("No signing secret in force made this signature")
    );
    let oversized = format!("{BODY}{}", " ".repeat(1 << 20));
    let answer = call(&service, "default", "msg_1", now, &right, &oversized).await;
    assert_eq!(answer.status, 413);
    assert_eq!(publishes(&service).await, 0);
}

/// The example in PowerShell signs and sends bytes: as text, Windows PowerShell would send `é` in
/// Latin-1.
#[tokio::test]
async fn the_powershell_example_sends_the_bytes_that_it_signs() {
    const EXAMPLES: &str = include_str!("../../docs/DEVELOPERS.md");
    for line in [
        "$body = [Text.Encoding]::UTF8.GetBytes((@{ paths = @('/about', '/café') } | ConvertTo-Json -Compress))",
        "$mac = $hmac.ComputeHash([byte[]]([Text.Encoding]::UTF8.GetBytes(\"$id.$timestamp.\") + $body))",
        "-ContentType 'application/json' -Body $body -Headers @{",
    ] {
        assert!(EXAMPLES.contains(line), "the example has changed: {line}");
    }
    let service = Service::start().await;
    let now = service.now();
    let utf8 = b"{\"paths\":[\"/about\",\"/caf\xC3\xA9\"]}".to_vec();
    let latin1 = b"{\"paths\":[\"/about\",\"/caf\xE9\"]}".to_vec();
    let text = std::str::from_utf8(&utf8).unwrap();
    let signature = sign(HOOK_SECRET, "msg_powershell", now, text);
    for (body, status) in [(latin1, 401), (utf8.clone(), 202)] {
        let request = Request::post("/api/sites/default/publishes")
            .header("content-type", "application/json")
            .header("webhook-id", "msg_powershell")
            .header("webhook-timestamp", now)
            .header("webhook-signature", &signature)
            .body(Body::from(body))
            .unwrap();
        let answer = service.send(request).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.body.contains("/caf%C3%A9"), status == 202);
    }
}

#[tokio::test]
async fn a_site_has_no_more_secrets_than_a_signature_is_checked_with() {
    let service = Service::start_with(&[("PUBLISH_HOOK_SECRET", "")]).await;
    let mut admin = service.signed_in(Role::Admin).await;
    let path = "/settings/cdn/secrets";
    for once in 2..=16 {
        let once = once.to_string();
        assert_eq!(admin.post(path, &[("once", &once)]).await.status, 200);
    }
    let refused = admin.post(path, &[("once", "17")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("at most 16 signing secrets"));
    assert!(!refused.body.contains("whsec_"));
}

#[tokio::test]
async fn secrets_are_shown_once_and_rotated_without_a_pause() {
    let service = Service::start_with(&[("PUBLISH_HOOK_SECRET", "")]).await;
    let mut admin = service.signed_in(Role::Admin).await;
    let page = admin.get("/settings/cdn/hook").await.body;
    let reveal = page
        .split('"')
        .find(|part| part.contains("/secrets/") && part.contains("/reveal"))
        .expect("the generated secret waits to be shown")
        .to_owned();
    let shown = |body: &str| {
        let from = body.find("whsec_").expect("a secret");
        body[from..].split('<').next().unwrap().to_owned()
    };
    let old = shown(&admin.post(&reveal, &[]).await.body);
    assert_eq!(admin.post(&reveal, &[]).await.status, 404, "only once");
    let new = shown(&admin.post("/settings/cdn/secrets", &[]).await.body);
    let page = admin.get("/settings/cdn/hook").await.body;
    assert!(!page.contains("whsec_"));

    let now = service.now();
    let by = |secret: &str, id: &str| sign(secret, id, now, BODY);
    let status = async |id: &str, signature: &str| {
        call(&service, "default", id, now, signature, BODY)
            .await
            .status
    };
    let both = format!("{} {}", by(&old, "both"), by(&new, "both"));
    assert_eq!(status("with-old", &by(&old, "with-old")).await, 202);
    assert_eq!(status("with-new", &by(&new, "with-new")).await, 202);
    assert_eq!(status("both", &both).await, 202);
    let revoke = reveal.replace("reveal", "revoke");
    let confirmed = [("confirmed", "yes")];
    assert_eq!(admin.post(&revoke, &confirmed).await.status, 303);
    assert_eq!(status("late", &by(&old, "late")).await, 401);
    assert_eq!(status("late", &by(&new, "late")).await, 202);
    let page = admin.get("/settings/cdn/hook").await.body;
    assert!(!page.contains("Never used"), "uses are noted");
}
