//! The two calls, as they go when all is well, and who is let in.

use aws_credential_types::Credentials;
use aws_sdk_cloudfront::operation::RequestId as _;
use serde_json::{Value, json};

use crate::support::{
    DISTRIBUTION, KEY, SECRET, Sandbox, batch, code, create, create_on, get, refusal,
};

#[tokio::test]
async fn an_invalidation_is_in_progress_and_then_completed() {
    let sandbox = Sandbox::start_with(&["--in-progress-ms", "600000"]);
    let client = sandbox.client();
    let created = create(&client, "r1", &["/a?x=1&y=2", "/blog/*", "#article:42"])
        .await
        .unwrap();
    let invalidation = created.invalidation().unwrap();
    let id = invalidation.id();
    assert!(
        created
            .location()
            .unwrap()
            .ends_with(&format!("/distribution/{DISTRIBUTION}/invalidation/{id}"))
    );
    assert_eq!(created.request_id().unwrap().len(), 36);
    assert_eq!(invalidation.status(), "InProgress");
    let echoed = invalidation.invalidation_batch().unwrap();
    assert_eq!(
        *echoed,
        batch("r1", &["/a?x=1&y=2", "/blog/*", "#article:42"])
    );

    let running = get(&client, id).await.unwrap();
    assert_eq!(running.invalidation().unwrap(), invalidation);
    let completed = sandbox.set("POST", "/sandbox/complete", Value::Null).await;
    assert_eq!(completed["completed"], 1);
    let completed = get(&client, id).await.unwrap();
    assert_eq!(completed.invalidation().unwrap().status(), "Completed");
}

#[tokio::test]
async fn an_invalidation_completes_by_itself() {
    let sandbox = Sandbox::start_with(&["--in-progress-ms", "0"]);
    let client = sandbox.client();
    let created = create(&client, "r1", &["/a"]).await.unwrap();
    let id = created.invalidation().unwrap().id();
    let read = get(&client, id).await.unwrap();
    assert_eq!(read.invalidation().unwrap().status(), "Completed");
}

#[tokio::test]
async fn a_distribution_tenant_has_its_own_routes() {
    let sandbox = Sandbox::start();
    let tenant = "dt_2wjDZi3hD1ivOXf6rpZJO1AB";
    let resource = format!("arn:aws:cloudfront::*:distribution-tenant/{tenant}");
    let policy = json!({ "Statement": { "Effect": "Allow", "Action": "cloudfront:*", "Resource": [resource, "*/dt_none"] } });
    sandbox.key(json!({ "policy": policy })).await;
    sandbox
        .set(
            "PUT",
            &format!("/sandbox/distributions/{tenant}"),
            json!({ "kind": "tenant" }),
        )
        .await;
    let client = sandbox.client();
    let create = |id: &'static str| {
        client
            .create_invalidation_for_distribution_tenant()
            .id(id)
            .invalidation_batch(batch("r", &["/*"]))
            .send()
    };
    let created = create(tenant).await.unwrap();
    let read = client
        .get_invalidation_for_distribution_tenant()
        .distribution_tenant_id(tenant)
        .id(created.invalidation().unwrap().id())
        .send()
        .await
        .unwrap();
    assert_eq!(read.invalidation(), created.invalidation());
    assert_eq!(
        code(&create("dt_none").await),
        (404, "EntityNotFound".into())
    );
    let wrong_route = create_on(&client, tenant, "r2", &["/"]).await;
    assert_eq!(code(&wrong_route), (403, "AccessDenied".into()));
}

#[tokio::test]
async fn what_does_not_exist_is_404() {
    let sandbox = Sandbox::start();
    let policy = json!({ "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } });
    sandbox.key(json!({ "policy": policy })).await;
    let client = sandbox.client();
    let created = create_on(&client, "ENONE", "r", &["/"]).await;
    assert_eq!(
        refusal(&created),
        (
            404,
            "NoSuchDistribution".into(),
            "The specified distribution does not exist.".into()
        )
    );
    assert!(
        created
            .unwrap_err()
            .as_service_error()
            .unwrap()
            .is_no_such_distribution()
    );
    let read = get(&client, "INONE").await;
    assert_eq!(code(&read), (404, "NoSuchInvalidation".into()));
}

#[tokio::test]
async fn a_wrong_secret_does_not_match() {
    let sandbox = Sandbox::start();
    let client = sandbox.client_of(
        Credentials::from_keys(KEY, SECRET.replace('1', "2"), None),
        "us-east-1",
    );
    let (status, code, message) = refusal(&create(&client, "r", &["/"]).await);
    assert_eq!((status, code.as_str()), (403, "SignatureDoesNotMatch"));
    assert!(
        message.starts_with("The request signature we calculated does not match"),
        "{message}"
    );
    assert_eq!(
        sandbox.last_call().await["outcome"],
        "SignatureDoesNotMatch"
    );
}

#[tokio::test]
async fn a_wrong_clock_is_reported_with_both_times() {
    let sandbox = Sandbox::start();
    // A client of its own for each call: the SDK learns the server's clock from the `Date` of an
    // answer.
    for (offset, words) in [
        (600, "Signature expired: "),
        (-600, "Signature not yet current: "),
    ] {
        sandbox
            .config(json!({ "clock_offset_seconds": offset }))
            .await;
        let (status, code, message) = refusal(&create(&sandbox.client(), "r", &["/"]).await);
        assert_eq!((status, code.as_str()), (403, "SignatureDoesNotMatch"));
        assert!(
            message.starts_with(words) && message.ends_with(" 5 min.)"),
            "{message}"
        );
    }
    sandbox.config(json!({ "clock_offset_seconds": 240 })).await;
    create(&sandbox.client(), "r", &["/"]).await.unwrap();
}

#[tokio::test]
async fn only_cloudfronts_own_region_signs() {
    let sandbox = Sandbox::start();
    let credentials = || Credentials::from_keys(KEY, SECRET, None);
    let (_, code, message) =
        refusal(&create(&sandbox.client_of(credentials(), "eu-west-1"), "r", &["/"]).await);
    assert_eq!(code, "SignatureDoesNotMatch");
    assert_eq!(
        message,
        "Credential should be scoped to a valid region, not 'eu-west-1'."
    );

    for (partition, region) in [("aws-cn", "cn-northwest-1"), ("aws-eusc", "eusc-de-east-1")] {
        let resource = format!("arn:{partition}:cloudfront::*:distribution/{DISTRIBUTION}");
        let policy = json!({ "Statement": [{ "Effect": "Allow", "Action": "cloudfront:*", "Resource": resource }] });
        sandbox.key(json!({ "policy": policy })).await;
        let distribution = format!("/sandbox/distributions/{DISTRIBUTION}");
        sandbox
            .set("PUT", &distribution, json!({ "partition": partition }))
            .await;
        let client = sandbox.client_of(credentials(), region);
        create(&client, partition, &["/"]).await.unwrap();
        assert_eq!(
            crate::support::code(&create(&sandbox.client(), "r", &["/"]).await).1,
            "SignatureDoesNotMatch"
        );
        let tag = create(&client, &format!("tag {partition}"), &["#tag"]).await;
        assert_eq!(tag.is_err(), partition == "aws-cn");
    }
}

#[tokio::test]
async fn unknown_and_disabled_keys_are_invalid_tokens() {
    let sandbox = Sandbox::start();
    let stranger = Credentials::from_keys("AKIANOBODYKNOWSTHIS1", SECRET, None);
    let expected = (
        403,
        "InvalidClientTokenId".to_owned(),
        "The security token included in the request is invalid.".to_owned(),
    );
    let created = create(&sandbox.client_of(stranger, "us-east-1"), "r", &["/"]).await;
    assert_eq!(refusal(&created), expected);

    sandbox.key(json!({ "enabled": false })).await;
    assert_eq!(
        refusal(&create(&sandbox.client(), "r", &["/"]).await),
        expected
    );
    sandbox.key(json!({ "enabled": true })).await;
    create(&sandbox.client(), "r", &["/"]).await.unwrap();
}

#[tokio::test]
async fn temporary_credentials_need_their_token_and_expire() {
    let sandbox = Sandbox::start();
    sandbox.key(json!({ "session_token": "token" })).await;
    let client = |token: Option<&str>| {
        let credentials = Credentials::from_keys(KEY, SECRET, token.map(str::to_owned));
        sandbox.client_of(credentials, "us-east-1")
    };
    let invalid = (403, "InvalidClientTokenId".to_owned());
    assert_eq!(code(&create(&client(None), "r", &["/"]).await), invalid);
    assert_eq!(
        code(&create(&client(Some("other")), "r", &["/"]).await),
        invalid
    );
    create(&client(Some("token")), "r", &["/"]).await.unwrap();
    sandbox
        .key(json!({ "expires_at": "2020-01-01T00:00:00Z" }))
        .await;
    assert_eq!(
        code(&create(&client(Some("token")), "r", &["/"]).await),
        (403, "ExpiredToken".into())
    );
}

#[tokio::test]
async fn a_call_without_a_signature_is_refused_in_the_envelope() {
    let sandbox = Sandbox::start();
    let path = format!("/2020-05-31/distribution/{DISTRIBUTION}/invalidation");
    let (status, body) = sandbox
        .http("POST", &path, "<InvalidationBatch/>".into())
        .await;
    assert_eq!(status, 403);
    assert!(
        body.contains(
            "<ErrorResponse xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Error><Type>Sender</Type>\
             <Code>MissingAuthenticationToken</Code><Message>Request is missing Authentication Token</Message>\
             </Error><RequestId>"
        ),
        "{body}"
    );
}
