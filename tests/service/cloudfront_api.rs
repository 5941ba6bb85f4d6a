//! CloudFront's own API, through AWS's SDK and by requests signed by hand.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sdk_cloudfront::Client;
use aws_sdk_cloudfront::config::retry::RetryConfig;
use aws_sdk_cloudfront::config::{BehaviorVersion, Region};
use aws_sdk_cloudfront::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use axum::body::Body;
use http::{Method, Request};
use serde_json::json;
use skycms_cdn::domain::NewKeyPair;

use crate::support::{Answer, DISTRIBUTION, Stepped, send};

const ACCESS_KEY: &str = "SKYCTESTKEYPAIR00001";
const SECRET_KEY: &str = "a/secret/of/a/key/pair/of/this/service/1";
const REFERENCE: &str = "reference-1";

async fn start(more: &[(&str, &str)]) -> Stepped {
    let pair = [
        ("PUBLISH_ACCESS_KEY_ID", ACCESS_KEY),
        ("PUBLISH_SECRET_ACCESS_KEY", SECRET_KEY),
    ];
    Stepped::start_with(&[&pair, more].concat()).await
}

fn client_with(service: &Stepped, access_key: &str, secret: &str) -> Client {
    let config = aws_sdk_cloudfront::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new(access_key, secret, None, None, "test"))
        .endpoint_url(&service.api.base)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn client(service: &Stepped) -> Client {
    client_with(service, ACCESS_KEY, SECRET_KEY)
}

fn batch(reference: &str, paths: &[&str]) -> InvalidationBatch {
    let count = i32::try_from(paths.len()).unwrap();
    let items = paths.iter().map(|path| (*path).to_owned()).collect();
    InvalidationBatch::builder()
        .caller_reference(reference)
        .paths(
            Paths::builder()
                .quantity(count)
                .set_items(Some(items))
                .build()
                .unwrap(),
        )
        .build()
        .unwrap()
}

/// The invalidation's id, or CloudFront's code and message.
async fn create(
    client: &Client,
    distribution: &str,
    batch: InvalidationBatch,
) -> Result<String, (u16, String, String)> {
    client
        .create_invalidation()
        .distribution_id(distribution)
        .invalidation_batch(batch)
        .send()
        .await
        .map(|answer| answer.invalidation.unwrap().id)
        .map_err(told)
}

fn told<E: ProvideErrorMetadata + std::fmt::Debug>(error: SdkError<E>) -> (u16, String, String) {
    let status = error.raw_response().unwrap().status().as_u16();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    (status, text(error.code()), text(error.message()))
}

async fn status(client: &Client, id: &str) -> Result<String, (u16, String, String)> {
    client
        .get_invalidation()
        .distribution_id(DISTRIBUTION)
        .id(id)
        .send()
        .await
        .map(|answer| answer.invalidation.unwrap().status)
        .map_err(told)
}

#[tokio::test]
async fn an_invalidation_is_a_publish() {
    let service = start(&[]).await;
    let client = client(&service);
    let paths = [
        "about",
        "https://www.example.com/blog/a b",
        "root",
        "#Article:42",
    ];
    let created = client
        .create_invalidation()
        .distribution_id(DISTRIBUTION)
        .invalidation_batch(batch(REFERENCE, &paths))
        .send()
        .await
        .unwrap();
    let invalidation = created.invalidation.unwrap();
    let id = invalidation.id.as_str();
    assert_eq!(invalidation.status, "InProgress");
    assert_eq!(
        created.location.unwrap(),
        format!(
            "{}/2020-05-31/distribution/{DISTRIBUTION}/invalidation/{id}",
            service.state.public
        )
    );
    let items = ["/about", "/blog/a%20b", "/", "/index.html", "#article:42"];
    let named = invalidation.invalidation_batch.unwrap();
    assert_eq!(named.paths.unwrap().items.unwrap(), items);

    assert_eq!(status(&client, id).await.unwrap(), "InProgress");
    let publish = service.run_until_ended(id).await;
    assert_eq!(publish["items"], json!(items));
    let got = client
        .get_invalidation()
        .distribution_id("default")
        .id(id)
        .send()
        .await
        .unwrap()
        .invalidation
        .unwrap();
    assert_eq!(got.status, "Completed");
    assert_eq!(got.invalidation_batch.unwrap().caller_reference, REFERENCE);
    assert_eq!(service.sandbox.outcomes().await, ["Accepted"]);
    let used = service.state.store.key_pairs(service.site()).await.unwrap();
    assert_eq!(used[0].name, "PUBLISH_ACCESS_KEY_ID");
}

#[tokio::test]
async fn the_same_batch_is_one_publish_and_another_with_its_reference_is_another() {
    let service = start(&[]).await;
    let client = client(&service);
    let first = create(&client, DISTRIBUTION, batch(REFERENCE, &["/a"])).await;
    assert_eq!(
        create(&client, DISTRIBUTION, batch(REFERENCE, &["/a"])).await,
        first
    );
    assert_eq!(
        create(&client, "default", batch(REFERENCE, &["/a"])).await,
        first
    );
    let other = create(&client, DISTRIBUTION, batch(REFERENCE, &["/b"])).await;
    assert_ne!(other.unwrap(), first.unwrap());
    let hook = service
        .api
        .post(&[("idempotency-key", REFERENCE)], r#"{"paths": ["/a"]}"#)
        .await;
    assert_eq!(hook.status, 202, "the hook's keys are its own");
}

#[tokio::test]
async fn invalidations_are_listed_newest_first() {
    let service = start(&[]).await;
    let client = client(&service);
    let mut ids = Vec::new();
    for n in 0..3 {
        let batch = batch(&format!("r{n}"), &["/a"]);
        ids.insert(0, create(&client, DISTRIBUTION, batch).await.unwrap());
    }
    let mut listed = Vec::new();
    let mut pages = client
        .list_invalidations()
        .distribution_id(DISTRIBUTION)
        .into_paginator()
        .page_size(2)
        .items()
        .send();
    while let Some(summary) = pages.next().await {
        listed.push(summary.unwrap().id);
    }
    assert_eq!(listed, ids);
}

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
            (400, "InvalidArgument", "\"a b\""),
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
async fn a_clock_that_is_wrong_is_told_with_both_times() {
    let service = start(&[]).await;
    let client = client(&service);
    service.advance(time::Duration::seconds(295));
    create(&client, DISTRIBUTION, batch("r", &["/a"]))
        .await
        .unwrap();
    service.advance(time::Duration::seconds(10));
    let (status, code, message) = create(&client, DISTRIBUTION, batch("r", &["/a"]))
        .await
        .unwrap_err();
    assert_eq!((status, code.as_str()), (400, "RequestExpired"));
    let here = service.state.clock.now();
    let minute = |at: time::OffsetDateTime| at.to_string()[..10].to_owned();
    assert!(
        message.contains("was signed at") && message.matches(&minute(here)).count() == 2,
        "{message}"
    );
}

#[tokio::test]
async fn a_publish_that_fails_is_an_error_at_once() {
    let service = start(&[]).await;
    let client = client(&service);
    let id = create(&client, DISTRIBUTION, batch("r", &["/a"]))
        .await
        .unwrap();
    let fault = json!({
        "kind": "error", "code": "InvalidArgument", "message": "That path again.",
    });
    service
        .sandbox
        .fault(json!({ "operation": "create", "fault": fault }))
        .await;
    assert_eq!(service.run_until_ended(&id).await["state"], "failed");
    let (status, code, message) = status(&client, &id).await.unwrap_err();
    assert_eq!((status, code.as_str()), (400, "InvalidationFailed"));
    assert!(
        message.contains("InvalidArgument: That path again."),
        "{message}"
    );
}

#[tokio::test]
async fn a_key_pair_is_rotated_and_revoked() {
    let service = start(&[]).await;
    let store = &service.state.store;
    let pair = store.key_pairs(service.site()).await.unwrap().remove(0);
    let fresh = NewKeyPair::of(*b"abcdefghijklmnop", [7; 30]);
    let now = service.state.clock.now();
    store
        .rotate_key_pair(service.site(), pair.id, &fresh.secret, now)
        .await
        .unwrap()
        .unwrap();
    service.state.directory.refresh(store).await.unwrap();
    let code = async |secret: &str| {
        let client = client_with(&service, ACCESS_KEY, secret);
        let created = create(&client, DISTRIBUTION, batch("r", &["/a"])).await;
        created.map_or_else(|(_, code, _)| code, |_| "accepted".to_owned())
    };
    let rotated = secrecy::ExposeSecret::expose_secret(&fresh.secret);
    assert_eq!(code(SECRET_KEY).await, "SignatureDoesNotMatch");
    assert_eq!(code(rotated).await, "accepted");
    store
        .revoke_key_pair(service.site(), pair.id)
        .await
        .unwrap()
        .unwrap();
    service.state.directory.refresh(store).await.unwrap();
    assert_eq!(code(rotated).await, "InvalidClientTokenId");
}

#[tokio::test]
async fn everything_is_the_home_page_for_a_key_pair_that_says_so() {
    let service = start(&[]).await;
    let (store, clock) = (&service.state.store, &service.state.clock);
    let pair = NewKeyPair::of(*b"abcdefghijklmnop", [7; 30]);
    store
        .add_key_pair(
            service.site(),
            clock.id(),
            "SkyCMS",
            &pair,
            true,
            clock.now(),
        )
        .await
        .unwrap();
    service.state.directory.refresh(store).await.unwrap();
    let secret = secrecy::ExposeSecret::expose_secret(&pair.secret);
    let client = client_with(&service, &pair.access_key_id, secret);
    let id = create(&client, DISTRIBUTION, batch("r", &["/*"]))
        .await
        .unwrap();
    assert_eq!(
        service.api.get_publish(&id).await["items"],
        json!(["/", "/index.html"])
    );
}

const BODY: &str = "<InvalidationBatch><Paths><Quantity>1</Quantity><Items><Path>/a</Path></Items></Paths>\
                    <CallerReference>by hand</CallerReference></InvalidationBatch>";

/// Signs for the address that a client called, and sends to where a proxy passes it on.
async fn through_proxy(
    service: &Stepped,
    called: &str,
    passed_on: &str,
    host: Option<&str>,
    location: SignatureLocation,
) -> Answer {
    let identity = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = location;
    if location == SignatureLocation::QueryParams {
        settings.expires_in = Some(std::time::Duration::from_secs(3600));
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("anywhere")
        .name("cloudfront")
        .time(SystemTime::from(service.state.clock.now()))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let signable = SignableRequest::new(
        "POST",
        called,
        [].into_iter(),
        SignableBody::Bytes(BODY.as_bytes()),
    )
    .unwrap();
    let (signing, _) = sign(signable, &params).unwrap().into_parts();
    let root = service
        .api
        .base
        .trim_end_matches(service.state.public.prefix.as_str());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{root}{passed_on}"))
        .body(Body::from(BODY))
        .unwrap();
    if let Some(host) = host {
        request.headers_mut().insert("host", host.parse().unwrap());
    }
    signing.apply_to_request_http1x(&mut request);
    send(request).await
}

#[tokio::test]
async fn a_signature_survives_proxies_that_change_host_and_path() {
    let service = start(&[("PUBLIC_URL", "https://editor.example.com/cdn")]).await;
    let call = format!("/2020-05-31/distribution/{DISTRIBUTION}/invalidation");
    let below = format!("/cdn{call}");
    for (called, passed_on, host, expected) in [
        (
            format!("https://editor.example.com{below}"),
            &below,
            Some("editor.example.com"),
            201,
        ),
        (
            format!("https://editor.example.com{below}"),
            &call,
            Some("editor.example.com"),
            201,
        ),
        (
            format!("https://editor.example.com{below}"),
            &call,
            None,
            201,
        ),
        (
            format!("https://cloudfront.amazonaws.com{call}"),
            &call,
            Some("cloudfront.amazonaws.com"),
            201,
        ),
        (
            format!("https://cloudfront.amazonaws.com{call}"),
            &below,
            Some("cloudfront.amazonaws.com"),
            201,
        ),
        (
            format!("https://cloudfront.amazonaws.com{call}"),
            &call,
            None,
            403,
        ),
        (
            format!("https://editor.example.com/other{call}"),
            &call,
            None,
            403,
        ),
    ] {
        for location in [SignatureLocation::Headers, SignatureLocation::QueryParams] {
            let answer = through_proxy(&service, &called, passed_on, host, location).await;
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(
                answer.status, expected,
                "{called} as {passed_on} {location:?}: {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_signature_in_the_query_holds_as_long_as_it_says() {
    let service = start(&[]).await;
    let call = format!("/2020-05-31/distribution/{DISTRIBUTION}/invalidation");
    let identity = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(std::time::Duration::from_secs(600));
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("cloudfront")
        .time(SystemTime::from(service.state.clock.now()))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let url = format!("{}{call}?MaxItems=1", service.api.base);
    let signable =
        SignableRequest::new("GET", url.clone(), [].into_iter(), SignableBody::Bytes(&[])).unwrap();
    let (signing, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = Request::get(url).body(()).unwrap();
    signing.apply_to_request_http1x(&mut request);
    let uri = request.uri().clone();
    for (seconds, expected) in [(0, 200), (590, 200), (20, 400)] {
        service.advance(time::Duration::seconds(seconds));
        let request = Request::get(&uri).body(Body::empty()).unwrap();
        assert_eq!(
            send(request).await.status,
            expected,
            "after {seconds} s more"
        );
    }
    let other = uri.to_string().replace("MaxItems=1", "MaxItems=2");
    service.advance(time::Duration::seconds(-60));
    let request = Request::get(other).body(Body::empty()).unwrap();
    assert_eq!(send(request).await.status, 403, "the query is signed too");
}

#[tokio::test]
async fn other_calls_and_bodies_are_answered_in_the_envelope() {
    let service = start(&[]).await;
    let call = format!("/2020-05-31/distribution/{DISTRIBUTION}/invalidation");
    for (method, path, status, code) in [
        (
            Method::GET,
            "/2020-05-31/distribution",
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
        let body = String::from_utf8_lossy(&answer.body).into_owned();
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
    assert!(String::from_utf8_lossy(&answer.body).contains("<Code>BatchTooLarge</Code>"));
    let request = Request::get(format!("{}/2020/nothing", service.api.base))
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(request).await.status, 404, "not CloudFront's");
}
