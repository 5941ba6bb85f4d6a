//! What CloudFront is sent.

use super::*;

async fn request(settings: &Settings) -> String {
    let server = Canned::start(vec![invalidation(201, "InProgress")]).await;
    create_at(&server.endpoint, settings).await;
    server.requests().remove(0)
}

#[tokio::test]
async fn items_go_out_as_they_are() {
    let request = request(&settings()).await;
    for part in [
        "POST /2020-05-31/distribution/E2QWRUHEXAMPLE/invalidation ",
        "<Quantity>3</Quantity>",
        "<Path>/a?b=1&amp;c=2</Path><Path>/caf%C3%A9/*</Path><Path>#article:42</Path>",
        "<CallerReference>reference-1</CallerReference>",
    ] {
        assert!(request.contains(part), "{request}");
    }
}

/// One client calls for all sites.
#[tokio::test]
async fn each_call_is_signed_with_its_own_key_for_cloudfronts_own_region() {
    let accepted = || invalidation(201, "InProgress");
    let server = Canned::start(vec![accepted(), accepted(), accepted()]).await;
    let client = client(&server.endpoint);
    for (key, region, signed_for) in [
        (KEY, "eu-central-1", "us-east-1"),
        ("AKIAI44QH8DHBEXAMPLE", "cn-north-1", "cn-northwest-1"),
        (KEY, "eusc-de-east-1", "eusc-de-east-1"),
    ] {
        let settings = settings_of(DISTRIBUTION, key, region);
        client.create_invalidation(&settings, &batch(), None).await;
        let request = server.requests().pop().unwrap();
        let scope = format!("/{signed_for}/cloudfront/aws4_request");
        assert!(
            request.contains(&format!("Credential={key}/")) && request.contains(&scope),
            "{request}"
        );
    }
}

#[tokio::test]
async fn a_tenant_has_its_own_calls() {
    let tenant = "dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB";
    let settings = settings_of(tenant, KEY, "us-east-1");
    let create = request(&settings).await;
    assert!(
        create.starts_with(&format!(
            "POST /2020-05-31/distribution-tenant/{tenant}/invalidation "
        )),
        "{create}"
    );
    let server = Canned::start(vec![invalidation(200, "Completed")]).await;
    let id: InvalidationId = "I2J0I21PCUYOIK".parse().unwrap();
    let got = client(&server.endpoint)
        .get_invalidation(&settings, &settings.distribution_id, &id)
        .await;
    assert_eq!(got.into_str(), "completed");
    let get = server.requests().remove(0);
    assert!(
        get.starts_with(&format!(
            "GET /2020-05-31/distribution-tenant/{tenant}/invalidation/I2J0I21PCUYOIK "
        )),
        "{get}"
    );
}

/// Proxies may replace it with their own.
#[tokio::test]
async fn the_trace_goes_along_unsigned() {
    let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = TraceParent::parse(header).unwrap();
    for distribution in [DISTRIBUTION, "dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB"] {
        let settings = settings_of(distribution, KEY, "us-east-1");
        for (trace, times) in [(Some(&trace), 1), (None, 0)] {
            let server = Canned::start(vec![invalidation(201, "InProgress")]).await;
            let outcome = client(&server.endpoint)
                .create_invalidation(&settings, &batch(), trace)
                .await;
            assert_eq!(outcome.into_str(), "accepted");
            let request = server.requests().remove(0);
            let line = format!("traceparent: {header}\r\n");
            assert_eq!(request.matches(&line).count(), times, "{request}");
            assert_eq!(request.matches("traceparent").count(), times, "{request}");
        }
    }
}
