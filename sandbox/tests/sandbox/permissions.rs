//! IAM policies.

use serde_json::{Value, json};

use crate::support::{DISTRIBUTION, Sandbox, code, create, create_on, get, refusal};

async fn attach(sandbox: &Sandbox, policy: Value) {
    sandbox.key(json!({ "policy": policy })).await;
}

#[tokio::test]
async fn a_mistyped_distribution_is_access_denied_under_the_least_privilege_policy() {
    let sandbox = Sandbox::start();
    let created = create_on(&sandbox.client(), "EMISTYPED", "r", &["/"]).await;
    assert_eq!(
        refusal(&created),
        (
            403,
            "AccessDenied".into(),
            "User: arn:aws:iam::123456789012:user/skycms is not authorized to perform: \
             cloudfront:CreateInvalidation on resource: arn:aws:cloudfront::123456789012:distribution/EMISTYPED \
             because no identity-based policy allows the cloudfront:CreateInvalidation action"
                .into()
        )
    );
    assert!(
        created
            .unwrap_err()
            .as_service_error()
            .unwrap()
            .is_access_denied()
    );
}

#[tokio::test]
async fn each_action_is_permitted_on_its_own() {
    let sandbox = Sandbox::start();
    let client = sandbox.client();
    let id = create(&client, "r", &["/"])
        .await
        .unwrap()
        .invalidation()
        .unwrap()
        .id()
        .to_owned();
    let get = || get(&client, &id);
    let resource = format!("arn:aws:cloudfront::123456789012:distribution/{DISTRIBUTION}");

    attach(&sandbox, json!({ "Statement": { "Effect": "Allow", "Action": "cloudfront:CreateInvalidation", "Resource": resource } })).await;
    create(&client, "r2", &["/"]).await.unwrap();
    let (_, code_of_get, message) = refusal(&get().await);
    assert_eq!(code_of_get, "AccessDenied");
    assert!(
        message.contains("cloudfront:GetInvalidation on resource: "),
        "{message}"
    );

    attach(&sandbox, json!({ "Statement": [{ "Effect": "Allow", "Action": ["CloudFront:get*"], "Resource": ["*"] }] })).await;
    get().await.unwrap();
    assert_eq!(
        code(&create(&client, "r3", &["/"]).await),
        (403, "AccessDenied".into())
    );

    attach(&sandbox, Value::Null).await;
    assert_eq!(code(&get().await), (403, "AccessDenied".into()));
}

#[tokio::test]
async fn an_explicit_deny_wins_and_says_so() {
    let sandbox = Sandbox::start();
    attach(
        &sandbox,
        json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "cloudfront:Create*", "Resource": "*" },
        ] }),
    )
    .await;
    let (status, code, message) = refusal(&create(&sandbox.client(), "r", &["/"]).await);
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert!(
        message.ends_with(" with an explicit deny in an identity-based policy"),
        "{message}"
    );
}
