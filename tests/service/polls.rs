//! What `GetInvalidation` can answer, and the state that the user sees for it.

use serde_json::{Value, json};

use crate::faults::{assert_shows, only};
use crate::support::{DISTRIBUTION, Stepped, policy, throttling, unavailable};

#[tokio::test]
async fn an_invalidation_that_cloudfront_does_not_know_yet_is_asked_about_again() {
    let service = Stepped::start().await;
    let gone = json!({ "kind": "error", "code": "NoSuchInvalidation", "status": 404 });
    service.sandbox.fail_gets(2, &gone).await;
    let id = service.publish_and_run("/about").await;
    service.pass(2).await;
    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "in_progress", "InProgress", Value::Null, 1);
    assert_eq!(only(&publish)["error"]["code"], "NoSuchInvalidation");
    let publish = service.run_until_ended(&id).await;
    assert_shows(&publish, "completed", "Completed", Value::Null, 1);
    assert_eq!(only(&publish)["error"], Value::Null);
}

#[tokio::test]
async fn an_invalidation_that_cloudfront_forgot_is_failed_and_never_completed() {
    let service = Stepped::start().await;
    let gone = json!({ "kind": "error", "code": "NoSuchInvalidation", "status": 404 });
    service.sandbox.fail_all("get", &gone).await;
    let id = service.publish_and_run("/about").await;
    let publish = service.run_until_ended(&id).await;
    assert_shows(&publish, "failed", "Failed", Value::Null, 1);
    let invalidation = only(&publish);
    assert_eq!(invalidation["error"]["code"], "NoSuchInvalidation");
    assert_eq!(invalidation["completed_at"], Value::Null);
    assert_eq!(service.sandbox.creates().await.len(), 1);
}

#[tokio::test]
async fn a_question_without_an_answer_is_asked_again() {
    for fault in [
        unavailable(),
        throttling(),
        json!({ "kind": "status", "status": 502 }),
        json!({ "kind": "reset" }),
        json!({ "kind": "drop_answer" }),
        json!({ "kind": "garbage" }),
        json!({ "kind": "empty" }),
        json!({ "kind": "truncated" }),
    ] {
        let service = Stepped::start().await;
        service.sandbox.fail_gets(2, &fault).await;
        let id = service.publish_and_run("/about").await;
        service.pass(2).await;
        let publish = service.api.get_publish(&id).await;
        assert_shows(&publish, "in_progress", "InProgress", Value::Null, 1);
        assert!(only(&publish)["error"]["code"].is_string(), "{fault}");
        let publish = service.run_until_ended(&id).await;
        assert_shows(&publish, "completed", "Completed", Value::Null, 1);
        assert_eq!(service.sandbox.creates().await.len(), 1);
    }
}

#[tokio::test]
async fn a_question_that_is_refused_in_unknown_words_is_not_asked_for_ever() {
    let service = Stepped::start().await;
    let refusal = json!({ "kind": "error", "code": "SomethingNew", "status": 400 });
    service.sandbox.fail_all("get", &refusal).await;
    let id = service.publish_and_run("/about").await;
    service.pass_in_steps(9, 60).await;
    assert_eq!(service.api.get_publish(&id).await["state"], "in_progress");
    service.pass(61).await;
    let publish = service.run_until_ended(&id).await;
    assert_shows(&publish, "unconfirmed", "Unconfirmed", Value::Null, 1);
    assert_eq!(only(&publish)["error"]["code"], "SomethingNew");
}

#[tokio::test]
async fn a_question_that_the_policy_forbids_waits_for_settings() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    let id = service.publish_and_run("/about").await;
    service.sandbox.set_policy(Value::Null).await;
    service.pass(2).await;
    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "in_progress", "InProgress", json!("settings"), 1);
    assert_eq!(only(&publish)["error"]["code"], "AccessDenied");
    assert!(
        only(&publish)["error"]["fix"]
            .as_str()
            .unwrap()
            .contains("cloudfront:GetInvalidation")
    );
    service.sandbox.set_policy(policy(DISTRIBUTION)).await;
    service.sandbox.complete().await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}
