//! Signature Version 4, with a proxy in between and a clock that is wrong.

use axum::body::Body;
use http::{Method, Request};

use super::{BODY, CALL, Signing, USUAL, batch, client, create, signed, start};
use crate::support::{Answer, DISTRIBUTION, Stepped, send};

#[tokio::test]
async fn a_wrong_clock_is_reported_with_both_times() {
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
async fn the_last_day_that_can_be_written_is_a_wrong_clock_too() {
    let service = start(&[]).await;
    let call = format!(
        "{}/2020-05-31/distribution/{DISTRIBUTION}/invalidation",
        service.api.base
    );
    let scope = "aaa/99991231/us-east-1/cloudfront/aws4_request";
    let by_header = Request::get(&call)
        .header("x-amz-date", "99991231T235959Z")
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"),
        );
    let by_query = Request::get(format!(
        "{call}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date=99991231T235959Z\
         &X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature=00",
        scope.replace('/', "%2F")
    ));
    for request in [by_header, by_query] {
        let answer = send(request.body(Body::empty()).unwrap()).await;
        let text = answer.body;
        assert!(matches!(answer.status, 400 | 403), "{text}");
        assert!(
            text.contains("<Code>") && !text.contains("InternalError"),
            "{text}"
        );
    }
}

/// Signs for the address that a client called, and sends to where a proxy passes it on.
async fn through_proxy(
    service: &Stepped,
    called: &str,
    passed_on: &str,
    host: Option<&str>,
    signing: Signing,
) -> Answer {
    let prefix = service.state.public.prefix.as_str();
    let root = service.api.base.trim_end_matches(prefix);
    let mut request = Request::post(format!("{root}{passed_on}"))
        .body(Body::from(BODY))
        .unwrap();
    if let Some(host) = host {
        request.headers_mut().insert("host", host.parse().unwrap());
    }
    signing.apply(service, &mut request, called, BODY);
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
        for in_query in [None, Some(3600)] {
            let signing = Signing { in_query, ..USUAL };
            let answer = through_proxy(&service, &called, passed_on, host, signing).await;
            let body = answer.body;
            assert_eq!(
                answer.status, expected,
                "{called} as {passed_on} {in_query:?}: {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_signature_in_the_query_holds_as_long_as_it_says() {
    let service = start(&[]).await;
    let signing = Signing {
        in_query: Some(600),
        ..USUAL
    };
    let path = format!("{CALL}?MaxItems=1");
    let request = signed(&service, signing, &Method::GET, &path, "");
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
async fn a_signed_query_reports_both_times_too() {
    let service = start(&[]).await;
    let in_query = Signing {
        in_query: Some(60),
        ..USUAL
    };
    let request = signed(&service, in_query, &Method::POST, CALL, BODY);
    let uri = request.uri().clone();
    let write = |at: time::OffsetDateTime| {
        let whole = at.replace_nanosecond(0).unwrap();
        whole.format(&time::format_description::well_known::Rfc3339)
    };
    let then = write(service.state.clock.now()).unwrap();
    for (seconds, status) in [(59, 201), (2, 400)] {
        service.advance(time::Duration::seconds(seconds));
        let answer = send(Request::post(&uri).body(Body::from(BODY)).unwrap()).await;
        let text = answer.body;
        assert_eq!(answer.status, status, "{text}");
        let now = write(service.state.clock.now()).unwrap();
        let told = text.contains(&then) && text.contains(&now);
        assert_eq!(told, status == 400, "{text}");
    }
}

/// The body that counts is the one that came, whatever hash of it was declared.
#[tokio::test]
async fn a_signature_is_of_the_body_and_of_this_service() {
    let service = start(&[]).await;
    let hashed = Signing {
        declares_hash: true,
        ..USUAL
    };
    let storage = Signing {
        service: "s3",
        ..USUAL
    };
    for (signing, changed, status) in [
        (USUAL, false, 201),
        (hashed, false, 201),
        (USUAL, true, 403),
        (hashed, true, 403),
        (storage, false, 403),
    ] {
        let mut request = signed(&service, signing, &Method::POST, CALL, BODY);
        let declared = request.headers().contains_key("x-amz-content-sha256");
        assert_eq!(declared, signing.declares_hash);
        if changed {
            *request.body_mut() = Body::from(BODY.replace("/a", "/b"));
        }
        let answer = send(request).await;
        let text = answer.body;
        assert_eq!(answer.status, status, "{text}");
        let refused = text.contains("<Code>SignatureDoesNotMatch</Code>");
        assert_eq!(refused, status == 403, "{text}");
    }
}

/// It is hashed off the threads that serve requests.
#[tokio::test]
async fn a_large_body_is_signed_as_any_other() {
    let service = start(&[]).await;
    let large = BODY.to_owned() + &" ".repeat(100 << 10);
    for (sent, status) in [(large.clone(), 201), (large.replace("/a", "/b"), 403)] {
        let mut request = signed(&service, USUAL, &Method::POST, CALL, &large);
        *request.body_mut() = Body::from(sent);
        let answer = send(request).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}
