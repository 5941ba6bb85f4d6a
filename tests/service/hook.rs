//! Each row of the hook's table of answers, and the words for each kind of bad input.

use axum::body::{Body, Bytes};
use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{Answer, NO_SETTINGS, Stepped, TOKEN, send};

/// Checks that an answer is a problem of this status and type, and gives it.
fn problem(answer: &Answer, status: u16, kind: &str) -> Value {
    let told = answer.json();
    assert_eq!(answer.status, status, "{told}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(told["status"], status);
    assert_eq!(told["type"], format!("urn:skycms-cdn:problem:{kind}"));
    for member in ["title", "detail"] {
        assert!(
            told[member].as_str().is_some_and(|s| !s.is_empty()),
            "{told}"
        );
    }
    told
}

async fn nothing_is_queued(service: &Stepped) {
    let stored = "SELECT count(*) FROM publish";
    assert_eq!(service.database.count(stored).await, 0);
}

#[tokio::test]
async fn an_accepted_publish_has_the_documented_shape() {
    let service = Stepped::start().await;
    let body = json!({
        "paths": ["/about", "https://www.example.com/blog/post-1", "root", "/docs/*"],
        "tags": ["article:42"],
        "everything": false,
    });
    let answer = service.api.post(&[], body.to_string()).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let told = answer.json();
    let id = told["id"].as_str().unwrap();
    assert_eq!(
        answer.header("location"),
        Some(format!("/api/sites/default/publishes/{id}").as_str())
    );
    let received_at = told["received_at"].as_str().unwrap();
    assert!(received_at.ends_with('Z'), "{received_at}");
    assert_eq!(
        told,
        json!({
            "id": id, "site": "default", "state": "queued", "received_at": received_at,
            "items": ["/about", "/blog/post-1", "/", "/index.html", "/docs/*", "#article:42"],
            "invalidations": [], "edge": [],
        })
    );
    assert_eq!(service.api.get_publish(id).await, told, "it is durable");
}

/// Java's own HTTP client sends this header with each request.
#[tokio::test]
async fn whoever_takes_html_too_gets_a_problem() {
    let service = Stepped::start().await;
    let takes = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
    let body = r#"{"paths": ["ftp://www.example.com/a"]}"#;
    let answer = service.api.post(&[("accept", takes)], body).await;
    problem(&answer, 422, "bad-items");
    let headers = [("accept", takes), ("authorization", "")];
    problem(&service.api.post(&headers, body).await, 401, "unauthorized");
}

#[tokio::test]
async fn a_completed_publish_shows_its_invalidation() {
    let service = Stepped::start().await;
    let id = service.api.publish_path("/about").await;
    let publish = service.run_until_ended(&id).await;
    assert_eq!(publish["state"], "completed");
    let [invalidation] = publish["invalidations"].as_array().unwrap().as_slice() else {
        panic!("{publish}");
    };
    let accepted = &service.sandbox.accepted().await[0];
    for (member, value) in [
        ("id", accepted["id"].clone()),
        ("caller_reference", accepted["caller_reference"].clone()),
        ("distribution_id", json!("E2SANDBOX0CDN1")),
        ("status", json!("Completed")),
        ("items", json!(["/about"])),
        ("attempts", json!(1)),
        ("error", Value::Null),
        ("waiting_for", Value::Null),
    ] {
        assert_eq!(invalidation[member], value, "{member}");
    }
    for member in ["submitted_at", "completed_at"] {
        assert!(invalidation[member].as_str().unwrap().ends_with('Z'));
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_or_not_the_shape_is_400() {
    let service = Stepped::start().await;
    for (body, words) in [
        ("", "EOF"),
        ("not json", "expected"),
        (r#"{"paths": ["/a"]"#, "EOF"),
        (r#"["/a"]"#, "an object"),
        (r#""/a""#, "an object"),
        ("null", "an object"),
        (r#"{"paths": "/a"}"#, "expected a sequence"),
        (r#"{"paths": [1]}"#, "expected a string"),
        (
            r#"{"paths": ["/a"], "everything": "yes"}"#,
            "expected a boolean",
        ),
        (r#"{"path": ["/a"]}"#, "unknown field `path`"),
        (r#"{"paths": ["/a"], "paths": ["/b"]}"#, "duplicate field"),
        (r#"{"paths": ["/a"]} {}"#, "trailing characters"),
    ] {
        let told = problem(&service.api.post(&[], body).await, 400, "bad-request");
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{body}: {detail}");
        assert!(detail.contains(r#"{"paths": ["/about"]}"#), "{detail}");
    }
    let not_utf8 = service
        .api
        .post(&[], Bytes::from_static(b"{\"paths\":[\"/\xff\"]}"));
    problem(&not_utf8.await, 415, "encoded");
    nothing_is_queued(&service).await;
}

#[tokio::test]
async fn without_the_token_nobody_learns_anything() {
    let service = Stepped::start().await;
    let api = &service.api;
    let body = r#"{"paths": ["/a"]}"#;
    for authorization in [
        "",
        "Bearer wrong",
        "Bearer",
        "Bearer ",
        TOKEN,
        &format!("Basic {TOKEN}"),
        &format!("Bearer {TOKEN}x"),
        &format!("Bearer {}", &TOKEN[1..]),
    ] {
        let answer = api.post(&[("authorization", authorization)], body).await;
        problem(&answer, 401, "unauthorized");
        answer.assert_says("settings page");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    // What else is wrong with the request is told to nobody unknown.
    let unknown = api.of_site("no-such-site", "wrong");
    problem(&unknown.post(&[], "not json").await, 401, "unauthorized");
    problem(&unknown.invalidations("").await, 401, "unauthorized");
    let path = "/api/sites/default/publishes/0199c0de-0000-7000-8000-000000000000";
    let answer = api.get(path, &[("authorization", "")]).await;
    problem(&answer, 401, "unauthorized");

    let scheme = format!("bEARER {TOKEN}");
    assert_eq!(
        api.post(&[("authorization", &scheme)], body).await.status,
        202
    );
}

#[tokio::test]
async fn a_site_or_publish_that_is_not_this_tokens_is_404() {
    let service = Stepped::start().await;
    let other = service.add_other_site().await;
    let body = r#"{"paths": ["/a"]}"#;
    for name in ["other", "no-such-site", "DEFAULT", "a%2Fb"] {
        let api = service.api.of_site(name, TOKEN);
        let answer = api.post(&[], body).await;
        problem(&answer, 404, "no-such-site");
        answer.assert_says("this token");
        problem(&api.invalidations("").await, 404, "no-such-site");
    }
    nothing_is_queued(&service).await;

    let theirs = other.publish_path("/a").await;
    for id in [
        theirs.as_str(),
        "0199c0de-0000-7000-8000-000000000000",
        "not-a-uuid",
    ] {
        let path = format!("/api/sites/default/publishes/{id}");
        problem(&service.api.get(&path, &[]).await, 404, "no-such-publish");
    }
    problem(
        &service.api.get("/api/nowhere", &[]).await,
        404,
        "not-found",
    );
    let put = service.api.request(
        Method::PUT,
        "/api/sites/default/publishes",
        &[],
        Body::from(body),
    );
    problem(&send(put).await, 405, "method-not-allowed");
}

#[tokio::test]
async fn a_site_without_settings_is_409() {
    let service = Stepped::start_with(NO_SETTINGS).await;
    let answer = service.api.post(&[], r#"{"paths": ["/a"]}"#).await;
    problem(&answer, 409, "no-settings");
    answer.assert_says("Settings → CDN");
    nothing_is_queued(&service).await;
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_413() {
    let service = Stepped::start().await;
    let mebibyte = 1 << 20;
    let fitting = |size: usize| {
        let mut body = br#"{"paths": ["/a"]}"#.to_vec();
        body.resize(size, b' ');
        body
    };
    let answer = service.api.post(&[], fitting(mebibyte)).await;
    assert_eq!(answer.status, 202, "exactly 1 MiB is accepted");

    for size in [mebibyte + 1, 8 * mebibyte] {
        let answer = service.api.post(&[], fitting(size)).await;
        problem(&answer, 413, "too-large");
        answer.assert_says("1 MiB");

        let chunks: Vec<_> = fitting(size)
            .chunks(64 * 1024)
            .map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)))
            .collect();
        let streamed = Body::from_stream(futures_util::stream::iter(chunks));
        problem(&service.api.post(&[], streamed).await, 413, "too-large");
    }
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_415() {
    let service = Stepped::start().await;
    let body = r#"{"paths": ["/a"]}"#;
    for kind in [
        "",
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "json",
    ] {
        let answer = service.api.post(&[("content-type", kind)], body).await;
        problem(&answer, 415, "not-json");
        answer.assert_says("application/json");
    }
    nothing_is_queued(&service).await;
    for kind in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/cloudevents+json",
        "Application/CloudEvents+JSON",
    ] {
        let answer = service.api.post(&[("content-type", kind)], body).await;
        assert_eq!(answer.status, 202, "{kind}");
    }
}

#[tokio::test]
async fn every_bad_item_is_named_and_nothing_is_queued() {
    let service = Stepped::start().await;
    let long = format!("/{}", "a".repeat(4_000));
    let body = json!({
        "paths": ["/good", "/a*b", "", "/a\u{7}b", long, "ftp://example.com/a", "https://"],
        "tags": ["good", "two words", "a,b", "a*", "é", "t".repeat(257), ""],
    });
    let answer = service.api.post(&[], body.to_string()).await;
    let told = problem(&answer, 422, "bad-items");
    answer.assert_says("nothing was queued");
    let mut errors = told["errors"].as_array().unwrap().iter();
    for (pointer, words) in [
        ("/paths/1", "*"),
        ("/paths/2", "empty"),
        ("/paths/3", "control"),
        ("/paths/4", "4000"),
        ("/paths/5", "https://"),
        ("/paths/6", "complete URL"),
        ("/tags/1", "white space"),
        ("/tags/2", "comma"),
        ("/tags/3", "wildcard"),
        ("/tags/4", "ASCII"),
        ("/tags/5", "256"),
        ("/tags/6", "empty"),
    ] {
        let error = errors.next().unwrap();
        assert_eq!(error["pointer"], pointer);
        let detail = error["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{pointer}: {detail}");
    }
    assert_eq!(errors.next(), None);
    nothing_is_queued(&service).await;
}

#[tokio::test]
async fn a_request_that_asks_for_nothing_is_422() {
    let service = Stepped::start().await;
    for body in [
        "{}",
        r#"{"paths": [], "tags": []}"#,
        r#"{"everything": false}"#,
    ] {
        let answer = service.api.post(&[], body).await;
        let told = problem(&answer, 422, "bad-items");
        assert_eq!(told["errors"].as_array().unwrap().len(), 1, "{told}");
        assert_eq!(told["errors"][0]["pointer"], "");
        answer.assert_says("nothing to purge");
    }
    let many: Vec<_> = (0..10_001).map(|n| format!("/{n}")).collect();
    let answer = service
        .api
        .post(&[], json!({ "paths": many }).to_string())
        .await;
    problem(&answer, 422, "bad-items");
    answer.assert_says("split it");
    nothing_is_queued(&service).await;
}

#[tokio::test]
async fn a_path_that_can_only_be_widened_is_reported() {
    let service = Stepped::start().await;
    let told = service
        .api
        .publish(json!({ "paths": ["/files/a~b.png"] }))
        .await;
    assert_eq!(told["items"], json!(["/files/a*"]));
    let widened = json!([{ "from": "/files/a~b.png", "to": "/files/a*" }]);
    assert_eq!(told["widened"], widened);
    let id = told["id"].as_str().unwrap();
    assert_eq!(service.api.get_publish(id).await["widened"], widened);
}

#[tokio::test]
async fn everything_swallows_the_rest() {
    let service = Stepped::start().await;
    for body in [
        json!({ "everything": true, "paths": ["/a"], "tags": ["t"] }),
        json!({ "paths": ["/a", "*"] }),
        json!({ "paths": ["/*", "/a"] }),
    ] {
        assert_eq!(service.api.publish(body).await["items"], json!(["/*"]));
    }
}

#[tokio::test]
async fn a_prefix_of_the_public_address_may_be_left_or_stripped() {
    let service = Stepped::start_with(&[("PUBLIC_URL", "https://editor.example.com/cdn/")]).await;
    let bare = service.api.base.strip_suffix("/cdn").unwrap().to_owned();
    let body = r#"{"paths": ["/a"]}"#;
    let mut stripped = service.api.clone();
    stripped.base.clone_from(&bare);
    for api in [&service.api, &stripped] {
        let answer = api.post(&[], body).await;
        assert_eq!(answer.status, 202);
        let location = answer.header("location").unwrap();
        assert!(
            location.starts_with("/cdn/api/sites/default/publishes/"),
            "{location}"
        );
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        assert!(location.ends_with(&id));
        assert_eq!(service.api.get_publish(&id).await["id"], id.as_str());
        assert_eq!(stripped.get_publish(&id).await["id"], id.as_str());
        assert_eq!(api.get("/health/ready", &[]).await.status, 200);
        problem(&api.get("/nowhere", &[]).await, 404, "not-found");
    }
    let unrelated = Request::get(format!("{bare}/cdnx/health/live")).body(Body::empty());
    problem(&send(unrelated.unwrap()).await, 404, "not-found");
}

#[tokio::test]
async fn no_answer_may_be_sniffed_framed_or_kept() {
    let service = Stepped::start().await;
    for path in [
        "/health/live",
        "/nowhere",
        "/api/sites/default/invalidations",
    ] {
        let answer = service.api.get(path, &[]).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
    }
}
