//! What is refused, by CloudFront's codes and in its envelope.

use std::io;

use axum::body::Body;
use http::{Method, Request};
use skycms_cdn::web;
use tower::ServiceExt as _;

use super::{
    ACCESS_KEY, BODY, CALL, SECRET_KEY, USUAL, batch, client, client_with, create, signed, start,
    status,
};
use crate::support::{Answer, DISTRIBUTION, send};

#[tokio::test]
async fn what_is_wrong_is_said_by_cloudfronts_codes() {
    let service = start(&[]).await;
    let right = client(&service);
    for (client, distribution, given, expected) in [
        (
            client_with(&service, "AKIASANDBOX000000001", SECRET_KEY),
            DISTRIBUTION,
            batch("r", &["/a"]),
            (403, "InvalidClientTokenId", "not that of a key pair"),
        ),
        (
            client_with(&service, ACCESS_KEY, "another secret"),
            DISTRIBUTION,
            batch("r", &["/a"]),
            (403, "SignatureDoesNotMatch", "secret access key"),
        ),
        (
            right.clone(),
            "E2OTHER0000001",
            batch("r", &["/a"]),
            (403, "AccessDenied", DISTRIBUTION),
        ),
        (
            right.clone(),
            DISTRIBUTION,
            batch("r", &["/fine", "/a*b", "/c*d"]),
            (400, "InvalidArgument", "\"/a*b\""),
        ),
        (
            right.clone(),
            DISTRIBUTION,
            batch("r", &["#a b"]),
            (400, "InvalidArgument", "\"#a b\""),
        ),
        (
            right.clone(),
            DISTRIBUTION,
            batch("", &["/a"]),
            (400, "InvalidArgument", "CallerReference"),
        ),
    ] {
        let (status, code, message) = create(&client, distribution, given).await.unwrap_err();
        assert_eq!(
            (status, code.as_str()),
            (expected.0, expected.1),
            "{message}"
        );
        assert!(message.contains(expected.2), "{message}");
    }
    for id in ["00000000-0000-7000-8000-000000000000", "I2J0I21PCUYOIK"] {
        let (status, code, _) = status(&right, id).await.unwrap_err();
        assert_eq!((status, code.as_str()), (404, "NoSuchInvalidation"));
    }
    assert!(service.sandbox.creates().await.is_empty());

    let now = service.state.clock.now();
    let store = &service.state.store;
    store
        .set_environment(service.site(), None, now)
        .await
        .unwrap();
    service.state.directory.refresh(store).await.unwrap();
    let (status, code, message) = create(&right, DISTRIBUTION, batch("r", &["/a"]))
        .await
        .unwrap_err();
    assert_eq!((status, code.as_str()), (404, "NoSuchDistribution"));
    assert!(message.contains("Settings → CDN"), "{message}");
}

#[tokio::test]
async fn other_calls_and_bodies_are_answered_in_the_envelope() {
    let service = start(&[]).await;
    let call = format!("/2020-05-31/distribution/{DISTRIBUTION}/invalidation");
    let unreadable = format!("{call}/%FF");
    for (method, path, status, code) in [
        (Method::GET, unreadable.as_str(), 501, "NotImplemented"),
        // What W3 Total Cache asks first.
        (
            Method::GET,
            "/2018-11-05/distribution",
            501,
            "NotImplemented",
        ),
        (
            Method::GET,
            "/2018-11-05/distribution/E1/config",
            501,
            "NotImplemented",
        ),
        (Method::DELETE, call.as_str(), 501, "NotImplemented"),
        (
            Method::GET,
            "/somewhere/distribution/E1/invalidation",
            501,
            "NotImplemented",
        ),
        (
            Method::POST,
            call.as_str(),
            403,
            "MissingAuthenticationToken",
        ),
    ] {
        let request = Request::builder()
            .method(&method)
            .uri(format!("{}{path}", service.api.base))
            .body(Body::empty())
            .unwrap();
        let answer = send(request).await;
        let body = &answer.body;
        assert_eq!(answer.status, status, "{method} {path}: {body}");
        assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
        assert_eq!(answer.header("content-type"), Some("text/xml"));
        let id = answer.header("x-amzn-requestid").unwrap();
        assert!(
            body.contains(&format!("<RequestId>{id}</RequestId>")),
            "{body}"
        );
    }
    let request = Request::post(format!("{}{call}", service.api.base))
        .body(Body::from(vec![b' '; (1 << 20) + 1]))
        .unwrap();
    let answer = send(request).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("<Code>BatchTooLarge</Code>"));
    let request = Request::get(format!("{}/2020/nothing", service.api.base))
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(request).await.status, 404, "not CloudFront's");
}

/// What no SDK sends, and anybody can.
#[tokio::test]
async fn a_body_is_read_within_limits() {
    let service = start(&[]).await;
    let batch = |paths: &str| {
        format!(
            "<InvalidationBatch><Paths>{paths}</Paths><CallerReference>r</CallerReference></InvalidationBatch>"
        )
    };
    let one = "<Quantity>1</Quantity><Items><Path>/a</Path></Items>";
    let deep = format!("{}{}", "<Path>".repeat(9), "</Path>".repeat(9));
    let entity = "<!DOCTYPE b [<!ENTITY a '/a'>]>";
    for (body, status, code, words) in [
        (String::new(), 400, "MissingBody", "a body"),
        (
            batch("<Quantity>2</Quantity><Items><Path>/a</Path></Items>"),
            400,
            "InconsistentQuantities",
            "Quantity is 2",
        ),
        (
            batch(&one.replace("/a", &"a".repeat(1 << 20))),
            413,
            "BatchTooLarge",
            "1 MiB",
        ),
        (batch(&deep), 400, "MalformedInput", "unknown field `Path`"),
        (
            format!("{entity}{}", batch(one)),
            400,
            "MalformedInput",
            "document type",
        ),
        (
            batch(&one.replace("/a", "&a;")),
            400,
            "MalformedInput",
            "entity `a`",
        ),
        (
            batch(one).replace("Paths>", "Pages>"),
            400,
            "MalformedInput",
            "Pages",
        ),
        ("{}".into(), 400, "MalformedInput", "not the XML"),
    ] {
        let answer = send(signed(&service, USUAL, &Method::POST, CALL, &body)).await;
        let text = answer.body;
        assert_eq!(answer.status, status, "{text}");
        assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let listed = service.api.invalidations("").await.json();
    assert_eq!(listed["items"], serde_json::json!([]));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_its_senders_fault() {
    let service = start(&[]).await;
    let mut request = signed(&service, USUAL, &Method::POST, CALL, BODY);
    let pieces = [
        Ok(&BODY[..20]),
        Err(io::Error::other("the end of it is lost")),
    ];
    *request.body_mut() = Body::from_stream(futures_util::stream::iter(pieces));
    let answer = web::router(&service.state).oneshot(request).await.unwrap();
    let answer = Answer::of(answer).await.unwrap();
    let text = &answer.body;
    assert_eq!(answer.status, 400, "{text}");
    assert!(text.contains("<Code>MalformedInput</Code>"), "{text}");
    assert!(text.contains("could not be read to its end"), "{text}");
}

#[tokio::test]
async fn without_a_database_nothing_is_accepted() {
    let service = start(&[]).await;
    service.state.store.close().await;
    let answer = send(signed(&service, USUAL, &Method::POST, CALL, BODY)).await;
    let text = &answer.body;
    assert_eq!(answer.status, 503, "{text}");
    assert!(text.contains("<Code>ServiceUnavailable</Code>"), "{text}");
    assert!(text.contains("<Type>Receiver</Type>"), "{text}");
    assert_eq!(answer.header("retry-after"), Some("1"));
}
