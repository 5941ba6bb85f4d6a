//! Every fault, as the SDK sees it and as the ledger tells it.

use std::time::Duration;

use aws_sdk_cloudfront::error::SdkError;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Created, Sandbox, code, create, get};

/// The answer to one call under one fault, and what the API itself did.
async fn play(sandbox: &Sandbox, fault: Value) -> (Created, String) {
    let rule = json!({ "operation": "create", "times": 1, "fault": fault });
    sandbox.faults(json!([rule])).await;
    let created = create(&sandbox.client(), "r", &["/"]).await;
    let entry = sandbox.last_call().await;
    assert!(entry["fault"].is_string(), "{entry}");
    (created, entry["outcome"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_error_to_order() {
    let sandbox = Sandbox::start();
    let (created, outcome) = play(
        &sandbox,
        json!({ "kind": "error", "code": "ServiceUnavailable" }),
    )
    .await;
    assert_eq!(code(&created), (503, "ServiceUnavailable".into()));
    assert_eq!(outcome, "NotHandled");
    let (created, _) = play(
        &sandbox,
        json!({ "kind": "error", "code": "Odd", "status": 418, "message": "m" }),
    )
    .await;
    assert_eq!(
        crate::support::refusal(&created),
        (418, "Odd".into(), "m".into())
    );
    create(&sandbox.client(), "r", &["/"])
        .await
        .expect("the rule is used up");
}

#[tokio::test]
async fn a_bare_status() {
    let sandbox = Sandbox::start();
    let (created, outcome) = play(&sandbox, json!({ "kind": "status", "status": 502 })).await;
    assert_eq!(
        created
            .unwrap_err()
            .raw_response()
            .unwrap()
            .status()
            .as_u16(),
        502
    );
    assert_eq!(outcome, "NotHandled");
}

#[tokio::test]
async fn a_hang_for_ever_and_for_a_time() {
    let sandbox = Sandbox::start();
    let (created, outcome) = play(&sandbox, json!({ "kind": "hang" })).await;
    assert!(
        matches!(created, Err(SdkError::TimeoutError(_))),
        "{created:?}"
    );
    assert_eq!(outcome, "NotHandled");
    let (created, _) = play(&sandbox, json!({ "kind": "hang", "ms": 100 })).await;
    assert!(
        matches!(created, Err(SdkError::DispatchFailure(_))),
        "{created:?}"
    );
}

#[tokio::test]
async fn a_reset_comes_before_the_call_is_handled() {
    let sandbox = Sandbox::start();
    let (created, outcome) = play(&sandbox, json!({ "kind": "reset" })).await;
    let Err(SdkError::DispatchFailure(failure)) = &created else {
        panic!("{created:?}")
    };
    let chain = format!("{:?}", failure.as_connector_error());
    assert!(chain.contains("ConnectionReset"), "{chain}");
    assert_eq!(outcome, "NotHandled");
    assert_eq!(sandbox.state().await["invalidations"], json!([]));
}

#[tokio::test]
async fn a_dropped_answer_was_accepted() {
    let sandbox = Sandbox::start();
    let (created, outcome) = play(&sandbox, json!({ "kind": "drop_answer" })).await;
    let Err(SdkError::DispatchFailure(failure)) = &created else {
        panic!("{created:?}")
    };
    let chain = format!("{:?}", failure.as_connector_error());
    assert!(!chain.contains("ConnectionReset"), "{chain}");
    assert_eq!(outcome, "Accepted");
    let repeat = create(&sandbox.client(), "r", &["/"]).await.unwrap();
    assert_eq!(
        repeat.invalidation().unwrap().id(),
        sandbox.state().await["invalidations"][0]["id"]
    );
    assert_eq!(sandbox.state().await["counters"]["billed_paths"], 1);
}

#[tokio::test]
async fn answers_that_tell_nothing_were_accepted() {
    for kind in ["garbage", "empty", "truncated"] {
        let sandbox = Sandbox::start();
        let (created, outcome) = play(&sandbox, json!({ "kind": kind })).await;
        assert_eq!(outcome, "Accepted", "{kind}");
        match (kind, created) {
            ("garbage", Err(error @ SdkError::ServiceError(_))) => {
                assert_eq!(error.raw_response().unwrap().status().as_u16(), 201);
            }
            ("empty", Ok(output)) => assert!(output.invalidation().is_none()),
            ("truncated", Err(SdkError::ResponseError(_))) => {}
            (_, other) => panic!("{kind}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_slow_answer_is_right_and_late() {
    let sandbox = Sandbox::start();
    let start = Instant::now();
    let (created, outcome) = play(&sandbox, json!({ "kind": "slow", "ms": 150 })).await;
    assert!(created.is_ok() && start.elapsed() >= Duration::from_millis(150));
    assert_eq!(outcome, "Accepted");
}

#[tokio::test]
async fn an_error_may_hide_an_acceptance() {
    let sandbox = Sandbox::start();
    let rule = json!({ "times": 1, "handled": true, "fault": { "kind": "error", "code": "InternalError" } });
    sandbox.faults(json!([rule])).await;
    assert_eq!(
        code(&create(&sandbox.client(), "r", &["/"]).await),
        (500, "InternalError".into())
    );
    assert_eq!(sandbox.last_call().await["outcome"], "Accepted");
}

#[tokio::test]
async fn rules_choose_the_operation_and_can_be_cleared() {
    let sandbox = Sandbox::start();
    let rule = json!({ "operation": "get", "fault": { "kind": "error", "code": "Throttling" } });
    sandbox.faults(json!([rule])).await;
    let client = sandbox.client();
    let created = create(&client, "r", &["/"]).await.unwrap();
    let get = || get(&client, created.invalidation().unwrap().id());
    for _ in 0..3 {
        assert_eq!(code(&get().await), (400, "Throttling".into()));
    }
    sandbox.set("DELETE", "/sandbox/faults", Value::Null).await;
    get().await.unwrap();
}

#[tokio::test]
async fn rules_choose_batches_by_their_items_and_size() {
    let sandbox = Sandbox::start();
    let unavailable = json!({ "kind": "error", "code": "ServiceUnavailable" });
    let rules = json!([
        { "operation": "create", "at_least": 3, "fault": unavailable },
        { "operation": "get", "path": "/never-told", "fault": unavailable },
    ]);
    sandbox.faults(rules).await;
    let client = sandbox.client();
    let refused = (503, "ServiceUnavailable".to_owned());
    assert_eq!(
        code(&create(&client, "1", &["/a", "/b", "/c"]).await),
        refused
    );
    for (reference, path, expected) in [
        ("2", "/never-told", Some(refused.clone())),
        ("3", "/told", None),
    ] {
        let created = create(&client, reference, &[path, "/"]).await.unwrap();
        let got = get(&client, created.invalidation().unwrap().id()).await;
        match expected {
            Some(refused) => assert_eq!(code(&got), refused),
            None => assert!(got.is_ok(), "{got:?}"),
        }
    }
}

#[tokio::test]
async fn latency_is_added_to_each_call() {
    let sandbox = Sandbox::start_with(&["--latency-ms", "120"]);
    let start = Instant::now();
    create(&sandbox.client(), "r", &["/"]).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(120));
}
