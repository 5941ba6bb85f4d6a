//! Each way a call of `CreateInvalidation` can end, and the state that the user sees for it.

use serde_json::{Value, json};

use crate::support::{Stepped, throttling, unavailable};

/// The one invalidation of a publish.
pub(crate) fn only(publish: &Value) -> &Value {
    let [invalidation] = publish["invalidations"].as_array().unwrap().as_slice() else {
        panic!("not one invalidation: {publish:#}");
    };
    invalidation
}

/// Checks the state of a publish, and its invalidation's status, reason to wait, and attempts.
pub(crate) fn assert_shows(
    publish: &Value,
    state: &str,
    status: &str,
    waiting_for: Value,
    attempts: u32,
) {
    let invalidation = only(publish);
    assert_eq!(
        (
            &publish["state"],
            &invalidation["status"],
            &invalidation["waiting_for"],
            &invalidation["attempts"]
        ),
        (
            &json!(state),
            &json!(status),
            &waiting_for,
            &json!(attempts)
        ),
        "{publish:#}"
    );
}

async fn references(service: &Stepped) -> Vec<Value> {
    let calls = service.sandbox.creates().await;
    calls
        .iter()
        .map(|c| c["caller_reference"].clone())
        .collect()
}

#[tokio::test]
async fn a_throttled_call_waits_for_its_rate_and_costs_no_attempt() {
    let service = Stepped::start().await;
    let throttling =
        json!({ "kind": "error", "code": "Throttling", "status": 400, "message": "Rate exceeded" });
    service.sandbox.fail_creates(2, throttling).await;
    let id = service.publish_and_run("/about").await;

    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "queued", "Queued", json!("rate"), 0);
    let error = &only(&publish)["error"];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("Throttling"), &json!("Rate exceeded"))
    );
    assert!(error["request_id"].is_string());

    let publish = service.run_until_ended(&id).await;
    assert_shows(&publish, "completed", "Completed", Value::Null, 1);
    assert_eq!(only(&publish)["error"], Value::Null);
    assert_eq!(service.sandbox.creates().await.len(), 3);
}

#[tokio::test]
async fn a_quota_that_cloudfront_finds_full_is_waited_for() {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "files_in_progress": 1, "in_progress_ms": 600_000 }))
        .await;
    let first = service.publish_and_run("/first").await;
    let second = service.publish_and_run("/second").await;
    let publish = service.api.get_publish(&second).await;
    assert_shows(&publish, "queued", "Queued", json!("quota"), 0);
    assert_eq!(
        only(&publish)["error"]["code"],
        "TooManyInvalidationsInProgress"
    );
    service.pass(10).await;
    assert_eq!(
        service.sandbox.creates().await.len(),
        2,
        "CloudFront is not asked needlessly"
    );

    service.sandbox.complete().await;
    service.sandbox.complete_at_once().await;
    service.pass(10).await;
    assert_eq!(service.api.get_publish(&first).await["state"], "completed");
    let publish = service.api.get_publish(&second).await;
    assert_shows(&publish, "in_progress", "InProgress", Value::Null, 1);
    assert_eq!(service.run_until_ended(&second).await["state"], "completed");
}

#[tokio::test]
async fn a_quota_that_others_fill_is_tried_again_soon() {
    let service = Stepped::start().await;
    let full = json!({ "kind": "error", "code": "TooManyInvalidationsInProgress", "status": 400 });
    service.sandbox.fail_creates(1, full).await;
    let id = service.publish_and_run("/about").await;
    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "queued", "Queued", json!("quota"), 0);
    service.pass(5).await;
    assert_shows(
        &service.api.get_publish(&id).await,
        "in_progress",
        "InProgress",
        Value::Null,
        1,
    );
}

#[tokio::test]
async fn a_quota_that_is_known_to_be_full_is_never_exceeded() {
    let service = Stepped::start_with(&[("CLOUDFRONT_FILES_IN_PROGRESS", "2")]).await;
    service.sandbox.never_complete().await;
    service
        .sandbox
        .config(json!({ "files_in_progress": 2 }))
        .await;
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for n in 0..4 {
            ids.push(service.api.publish_path(&format!("/{n}")).await);
            // A look that comes no later than the publish is not taken to have seen it.
            service.pass(1).await;
        }
        ids
    };
    let waiting = service.api.get_publish(&ids[2]).await;
    assert_eq!(
        (&waiting["state"], &waiting["waiting_for"]),
        (&json!("queued"), &json!("quota"))
    );
    assert_eq!(service.sandbox.outcomes().await, ["Accepted", "Accepted"]);

    service.sandbox.complete().await;
    service.pass(10).await;
    service.sandbox.complete().await;
    for id in ids {
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
    let outcomes = service.sandbox.outcomes().await;
    assert!(outcomes.iter().all(|o| o == "Accepted"), "{outcomes:?}");
}

#[tokio::test]
async fn a_call_without_an_answer_is_tried_again_with_the_same_reference() {
    for (fault, code) in [
        (unavailable(), "ServiceUnavailable"),
        (
            json!({ "kind": "error", "code": "InternalError", "status": 500 }),
            "InternalError",
        ),
        (json!({ "kind": "status", "status": 502 }), "Http502"),
        (json!({ "kind": "status", "status": 504 }), "Http504"),
        (json!({ "kind": "status", "status": 404 }), "Http404"),
        (json!({ "kind": "hang", "ms": 50 }), "ConnectionClosed"),
        (json!({ "kind": "reset" }), "ConnectionClosed"),
        (json!({ "kind": "hang" }), "Timeout"),
    ] {
        let service = Stepped::start().await;
        service.sandbox.fail_creates(2, fault.clone()).await;
        let id = service.publish_and_run("/about").await;
        let publish = service.api.get_publish(&id).await;
        assert_shows(&publish, "queued", "Queued", json!("retry"), 1);
        let error = &only(&publish)["error"];
        assert_eq!(error["code"], code, "{fault}");
        assert!(
            error["fix"].as_str().is_some_and(|fix| !fix.is_empty()),
            "{error}"
        );

        let publish = service.run_until_ended(&id).await;
        assert_shows(&publish, "completed", "Completed", Value::Null, 3);
        let references = references(&service).await;
        assert!(
            references
                .iter()
                .all(|r| *r == only(&publish)["caller_reference"]),
            "{fault}: {references:?}"
        );
        assert_eq!(
            service.sandbox.outcomes().await,
            ["NotHandled", "NotHandled", "Accepted"]
        );
    }
}

/// Faults with which CloudFront accepts, and nobody hears of it.
fn lost_answers() -> [Value; 8] {
    [
        json!({ "kind": "drop_answer" }),
        json!({ "kind": "garbage" }),
        json!({ "kind": "empty" }),
        json!({ "kind": "truncated" }),
        json!({ "kind": "hang", "ms": 50 }),
        json!({ "kind": "reset" }),
        json!({ "kind": "status", "status": 504 }),
        unavailable(),
    ]
}

#[tokio::test]
async fn an_accepted_call_whose_answer_is_lost_is_billed_once_and_completed() {
    for fault in lost_answers() {
        let service = Stepped::start().await;
        service.sandbox.spoil_answer(&fault).await;
        let id = service.publish_and_run("/about").await;
        let publish = service.api.get_publish(&id).await;
        assert_shows(&publish, "queued", "Queued", json!("retry"), 1);

        let publish = service.run_until_ended(&id).await;
        assert_shows(&publish, "completed", "Completed", Value::Null, 2);
        assert_eq!(
            service.sandbox.outcomes().await,
            ["Accepted", "Repeated"],
            "{fault}"
        );
        let [accepted] = service.sandbox.accepted().await.try_into().unwrap();
        assert_eq!(accepted["id"], only(&publish)["id"]);
    }
}

#[tokio::test]
async fn an_accepted_call_whose_id_is_lost_for_good_is_unconfirmed() {
    for fault in lost_answers() {
        let service = Stepped::start().await;
        service
            .sandbox
            .config(json!({ "already_used": "invalid_argument" }))
            .await;
        service.sandbox.spoil_answer(&fault).await;
        let id = service.publish_and_run("/about").await;

        let publish = service.run_until_ended(&id).await;
        assert_shows(&publish, "unconfirmed", "Unconfirmed", Value::Null, 2);
        let invalidation = only(&publish);
        assert_eq!(
            (&invalidation["id"], &invalidation["completed_at"]),
            (&Value::Null, &Value::Null)
        );
        assert!(invalidation["submitted_at"].is_string());
        assert!(invalidation["error"]["fix"].is_string());
        assert_eq!(
            service.sandbox.outcomes().await,
            ["Accepted", "InvalidArgument"],
            "{fault}"
        );
        // It does not weigh on what follows.
        let next = service.publish_and_run("/next").await;
        assert_eq!(service.run_until_ended(&next).await["state"], "completed");
    }
}

#[tokio::test]
async fn a_reference_that_already_exists_is_unconfirmed_too() {
    let service = Stepped::start().await;
    service
        .sandbox
        .fail_creates(1, json!({ "kind": "drop_answer" }))
        .await;
    service
        .sandbox
        .fail_creates(
            1,
            json!({ "kind": "error", "code": "InvalidationBatchAlreadyExists", "status": 409 }),
        )
        .await;
    let id = service.publish_and_run("/about").await;
    assert_eq!(service.run_until_ended(&id).await["state"], "unconfirmed");
    assert_eq!(service.sandbox.accepted().await.len(), 1);
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    let service = Stepped::start().await;
    service
        .sandbox
        .fault(json!({ "fault": { "kind": "slow", "ms": 700 } }))
        .await;
    let id = service.publish_and_run("/about").await;
    let publish = service.run_until_ended(&id).await;
    assert_shows(&publish, "completed", "Completed", Value::Null, 1);
}

#[tokio::test]
async fn one_bad_item_among_many_fails_alone() {
    let service = Stepped::start().await;
    service.sandbox.refuse_tags().await;
    let mut good = Vec::new();
    for n in 0..7 {
        good.push(service.api.publish_path(&format!("/{n}")).await);
    }
    let bad = service.api.publish(json!({ "tags": ["article:42"] })).await;
    let both = service
        .api
        .publish(json!({ "paths": ["/3", "/7"], "tags": ["article:42"] }))
        .await;
    service.run().await;
    for id in &good {
        assert_eq!(service.run_until_ended(id).await["state"], "completed");
    }
    for publish in [bad, both] {
        let publish = service
            .run_until_ended(publish["id"].as_str().unwrap())
            .await;
        assert_eq!(publish["state"], "failed");
        let failed: Vec<_> = publish["invalidations"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|i| i["status"] == "Failed")
            .collect();
        assert_eq!(failed.len(), 1, "{publish:#}");
        assert_eq!(failed[0]["items"], json!(["#article:42"]));
        assert_eq!(failed[0]["error"]["code"], "InvalidArgument");
        assert!(failed[0]["error"]["fix"].is_string());
    }
    let mut billed = service.sandbox.accepted_paths().await.concat();
    billed.sort();
    assert_eq!(
        billed,
        (0..8).map(|n| format!("/{n}")).collect::<Vec<_>>(),
        "each once"
    );
}

#[tokio::test]
async fn a_batch_that_is_refused_in_unknown_words_is_searched() {
    for code in ["MalformedInput", "SomethingNew"] {
        let service = Stepped::start().await;
        let refusal = json!({ "kind": "error", "code": code, "status": 400 });
        service
            .sandbox
            .fault(json!({ "operation": "create", "at_least": 2, "fault": refusal }))
            .await;
        let paths: Vec<_> = (0..5).map(|n| format!("/{n}")).collect();
        let publish = service.api.publish(json!({ "paths": paths })).await;
        let publish = service
            .run_until_ended(publish["id"].as_str().unwrap())
            .await;
        assert_eq!(publish["state"], "completed", "{publish:#}");
        assert_eq!(service.sandbox.accepted().await.len(), 5, "{code}");
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_sent_in_parts() {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "paths_per_request": 2 }))
        .await;
    let publish = service
        .api
        .publish(json!({ "paths": ["/1", "/2", "/3", "/4", "/5"] }))
        .await;
    let publish = service
        .run_until_ended(publish["id"].as_str().unwrap())
        .await;
    assert_eq!(publish["state"], "completed");
    assert!(
        publish["invalidations"]
            .as_array()
            .unwrap()
            .iter()
            .all(|i| i["status"] == "Completed")
    );
}

#[tokio::test]
async fn an_item_that_cloudfront_refuses_alone_fails_with_the_reason() {
    let service = Stepped::start().await;
    let refusal = json!({ "kind": "error", "code": "InvalidArgument", "message": "Your request contains a bad path." });
    service.sandbox.fail_creates(1, refusal).await;
    let id = service.publish_and_run("/about").await;
    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "failed", "Failed", Value::Null, 1);
    assert_eq!(
        only(&publish)["error"]["message"],
        "Your request contains a bad path."
    );
}

#[tokio::test]
async fn an_outage_of_a_day_ends_as_failed_with_the_reason() {
    let service = Stepped::start().await;
    service
        .sandbox
        .fault(json!({ "fault": { "kind": "error", "code": "ServiceUnavailable", "status": 503 } }))
        .await;
    let id = service.publish_and_run("/about").await;
    for _ in 0..23 {
        service.pass(3_600).await;
        assert_eq!(service.api.get_publish(&id).await["state"], "queued");
    }
    service.pass(7_200).await;
    let publish = service.api.get_publish(&id).await;
    assert_eq!(publish["state"], "failed");
    assert_eq!(only(&publish)["error"]["code"], "ServiceUnavailable");
}

#[tokio::test]
async fn a_batch_without_an_answer_that_only_gets_throttled_goes_in_pieces_after_half_a_minute() {
    let service = Stepped::start().await;
    let sandbox = &service.sandbox;
    sandbox.fail_creates(1, unavailable()).await;
    let rule = json!({ "operation": "create", "at_least": 3, "fault": throttling() });
    sandbox.fault(rule).await;
    let id = service.publish_paths((0..4).map(|n| format!("/{n}"))).await;
    service.run().await;
    service.pass_in_steps(29, 1).await;
    assert!(
        sandbox.accepted().await.is_empty(),
        "it may have been accepted"
    );
    let (rate,): (f64,) = service.database.row("SELECT rate FROM access_key").await;
    let configured = service.state.limits.requests_per_second;
    assert!(
        (rate - configured).abs() < f64::EPSILON,
        "the key is not slowed down: {rate}"
    );
    service.pass_in_steps(10, 1).await;
    assert_eq!(sandbox.accepted().await.len(), 2);
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}

#[tokio::test]
async fn a_lost_answer_to_what_was_planned_long_ago_is_billed_once() {
    let service = Stepped::start().await;
    let sandbox = &service.sandbox;
    sandbox.enable_key(false).await;
    let id = service.publish_paths((0..4).map(|n| format!("/{n}"))).await;
    service.run().await;
    service.pass(1_200).await;
    sandbox.enable_key(true).await;
    sandbox.lose_answer().await;
    service.pass(600).await;
    assert_eq!(sandbox.accepted().await.len(), 1);
    sandbox.fail_creates(4, throttling()).await;
    service.pass_in_steps(60, 1).await;
    assert_eq!(service.state_of(&id).await, "unconfirmed");
    assert_eq!(sandbox.accepted().await.len(), 1);
}

/// What fills the quota may be the second call, half a minute after the first.
#[tokio::test]
async fn a_quota_that_a_later_lost_answer_may_have_filled_splits_nothing() {
    let service = Stepped::start().await;
    let sandbox = &service.sandbox;
    sandbox.fail_creates(1, unavailable()).await;
    let id = service.publish_paths((0..4).map(|n| format!("/{n}"))).await;
    service.run().await;
    let lost = json!({ "kind": "drop_answer" });
    sandbox.spoil_answer(&lost).await;
    service.pass(40).await;
    assert_eq!(sandbox.accepted().await.len(), 1);
    let full = json!({ "kind": "error", "code": "TooManyInvalidationsInProgress", "status": 400 });
    sandbox.fail_creates(1, full).await;
    service.pass(21).await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    assert_eq!(sandbox.accepted().await.len(), 1);
}

#[tokio::test]
async fn throttled_repeats_of_an_earlier_call_split_nothing_that_a_later_one_may_have_sent() {
    let service = Stepped::start().await;
    let sandbox = &service.sandbox;
    sandbox.fail_creates(1, unavailable()).await;
    sandbox.fail_creates(5, throttling()).await;
    let lost = json!({ "kind": "drop_answer" });
    sandbox.spoil_answer(&lost).await;
    sandbox.fail_creates(2, throttling()).await;
    let id = service.publish_paths((0..4).map(|n| format!("/{n}"))).await;
    service.run().await;
    service.pass_in_steps(60, 1).await;
    assert_eq!(service.state_of(&id).await, "completed");
    assert_eq!(sandbox.accepted().await.len(), 1);
}
