//! Each way a call to CloudFront can end, and the state that the user sees for it.

use serde_json::{Value, json};

use crate::support::{DISTRIBUTION, KEY, Stepped, policy};

const OTHER: &str = "E2OTHER0000001";
const OTHER_KEY: &str = "AKIAOTHER00000000001";

/// The one invalidation of a publish.
fn only(publish: &Value) -> &Value {
    let [invalidation] = publish["invalidations"].as_array().unwrap().as_slice() else {
        panic!("not one invalidation: {publish:#}");
    };
    invalidation
}

/// Checks the state of a publish, and its invalidation's status, reason to wait, and attempts.
fn assert_shows(publish: &Value, state: &str, status: &str, waiting_for: Value, attempts: u32) {
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

fn create(times: u32, fault: Value) -> Value {
    json!({ "operation": "create", "times": times, "fault": fault })
}

#[tokio::test]
async fn a_throttled_call_waits_for_its_rate_and_costs_no_attempt() {
    let service = Stepped::start().await;
    let throttling =
        json!({ "kind": "error", "code": "Throttling", "status": 400, "message": "Rate exceeded" });
    service.sandbox.fault(create(2, throttling)).await;
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
        "it is not asked in vain"
    );

    service.sandbox.complete().await;
    service.sandbox.config(json!({ "in_progress_ms": 0 })).await;
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
    service.sandbox.fault(create(1, full)).await;
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
    service
        .sandbox
        .config(json!({ "in_progress_ms": 600_000 }))
        .await;
    let ids: Vec<String> = {
        let mut ids = Vec::new();
        for n in 0..4 {
            ids.push(service.publish_and_run(&format!("/{n}")).await);
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
    assert_eq!(
        service.sandbox.outcomes().await.len(),
        3,
        "the rest has gathered"
    );
    service.sandbox.complete().await;
    for id in ids {
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
}

#[tokio::test]
async fn a_call_without_an_answer_is_tried_again_with_the_same_reference() {
    for (fault, code) in [
        (
            json!({ "kind": "error", "code": "ServiceUnavailable", "status": 503 }),
            "ServiceUnavailable",
        ),
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
        service.sandbox.fault(create(2, fault.clone())).await;
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
        json!({ "kind": "error", "code": "ServiceUnavailable", "status": 503 }),
    ]
}

#[tokio::test]
async fn an_accepted_call_whose_answer_is_lost_is_billed_once_and_completed() {
    for fault in lost_answers() {
        let service = Stepped::start().await;
        let mut rule = create(1, fault.clone());
        rule["handled"] = json!(true);
        service.sandbox.fault(rule).await;
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
        let mut rule = create(1, fault.clone());
        rule["handled"] = json!(true);
        service.sandbox.fault(rule).await;
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
        .fault(create(1, json!({ "kind": "drop_answer" })))
        .await;
    service
        .sandbox
        .fault(create(
            1,
            json!({ "kind": "error", "code": "InvalidationBatchAlreadyExists", "status": 409 }),
        ))
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
    // As on a distribution that has no header for cache tags: CloudFront refuses each batch with one.
    service
        .sandbox
        .set_distribution(DISTRIBUTION, json!({ "cache_tags": false }))
        .await;
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
    let mut billed: Vec<String> = Vec::new();
    for invalidation in service.sandbox.accepted().await {
        billed
            .extend(serde_json::from_value::<Vec<String>>(invalidation["paths"].clone()).unwrap());
    }
    billed.sort();
    assert_eq!(
        billed,
        (0..8).map(|n| format!("/{n}")).collect::<Vec<_>>(),
        "each once"
    );
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
    service.sandbox.fault(create(1, refusal)).await;
    let id = service.publish_and_run("/about").await;
    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "failed", "Failed", Value::Null, 1);
    assert_eq!(
        only(&publish)["error"]["message"],
        "Your request contains a bad path."
    );
}

/// Breaks the settings in force, checks that the site pauses and the other one does not notice, mends them, and checks
/// that everything goes on by itself.
async fn a_pause(service: &Stepped, code: &str, bad: Value, good: Value) {
    let other = service.add_site("other", OTHER, OTHER_KEY).await;
    service.sandbox.set_key(KEY, bad).await;
    let id = service.publish_and_run("/about").await;
    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "queued", "Queued", json!("settings"), 1);
    assert_eq!(only(&publish)["error"]["code"], code);
    assert!(
        only(&publish)["error"]["fix"]
            .as_str()
            .is_some_and(|fix| fix.len() > 20)
    );

    // What comes meanwhile waits too, and AWS is left in peace.
    let later = service.publish_and_run("/later").await;
    let waiting = service.api.get_publish(&later).await;
    assert_eq!(
        (&waiting["state"], &waiting["waiting_for"]),
        (&json!("queued"), &json!("settings"))
    );
    service.pass(20).await;
    let ours = |calls: Vec<Value>| {
        calls
            .iter()
            .filter(|c| c["distribution"] == DISTRIBUTION)
            .count()
    };
    assert_eq!(ours(service.sandbox.creates().await), 1);
    let theirs = other.publish_path("/theirs").await;
    service.run().await;
    service.pass(3).await;
    assert_eq!(other.get_publish(&theirs).await["state"], "completed");

    service.pass(10).await;
    assert_eq!(
        ours(service.sandbox.creates().await),
        2,
        "tried again now and then"
    );
    service.sandbox.set_key(KEY, good).await;
    for id in [id, later] {
        let publish = service.run_until_ended(&id).await;
        assert_eq!(publish["state"], "completed");
        assert_eq!(only(&publish)["waiting_for"], Value::Null);
    }
    service
        .state
        .directory
        .refresh(&service.state.store)
        .await
        .unwrap();
    assert_eq!(service.state.directory.site("default").unwrap().pause, None);
}

#[tokio::test]
async fn a_disabled_key_pauses_its_site_until_it_is_enabled() {
    let service = Stepped::start().await;
    a_pause(
        &service,
        "InvalidClientTokenId",
        json!({ "enabled": false }),
        json!({ "enabled": true }),
    )
    .await;
}

#[tokio::test]
async fn a_detached_policy_pauses_its_site_until_it_is_attached() {
    let service = Stepped::start().await;
    a_pause(
        &service,
        "AccessDenied",
        json!({ "policy": null }),
        json!({ "policy": policy(DISTRIBUTION) }),
    )
    .await;
}

#[tokio::test]
async fn a_changed_secret_pauses_its_site_until_the_settings_are_mended() {
    let service = Stepped::start().await;
    let secret = crate::support::SECRET;
    a_pause(
        &service,
        "SignatureDoesNotMatch",
        json!({ "secret_access_key": "another/secret/of/cloudfront/00000000001" }),
        json!({ "secret_access_key": secret }),
    )
    .await;
}

#[tokio::test]
async fn a_wrong_distribution_waits_for_settings_and_goes_to_the_right_one() {
    let service = Stepped::start().await;
    let site = service.site();
    service.activate(site, "E2WRONG0000001", KEY).await;
    for (policy_of, code) in [(DISTRIBUTION, "AccessDenied"), ("*", "NoSuchDistribution")] {
        service
            .sandbox
            .set_key(KEY, json!({ "policy": policy(policy_of) }))
            .await;
        service.activate(site, "E2WRONG0000001", KEY).await;
        let id = service.publish_and_run("/about").await;
        let publish = service.api.get_publish(&id).await;
        assert_eq!(publish["state"], "queued");
        let invalidation = publish["invalidations"].as_array().unwrap().last();
        if let Some(invalidation) = invalidation {
            assert_eq!(invalidation["waiting_for"], "settings");
            assert_eq!(invalidation["error"]["code"], code);
            assert_eq!(invalidation["distribution_id"], "E2WRONG0000001");
        } else {
            assert_eq!(publish["waiting_for"], "settings");
        }
        service.activate(site, DISTRIBUTION, KEY).await;
        let publish = service.run_until_ended(&id).await;
        assert_shows(&publish, "completed", "Completed", Value::Null, 1);
        assert_eq!(only(&publish)["distribution_id"], DISTRIBUTION);
    }
    assert_eq!(service.sandbox.accepted().await.len(), 2);
}

#[tokio::test]
async fn a_pause_ends_with_whatever_shows_that_the_settings_work() {
    for fault in [
        json!({ "kind": "error", "code": "TooManyInvalidationsInProgress", "status": 400 }),
        json!({ "kind": "error", "code": "InvalidArgument", "status": 400 }),
    ] {
        let service = Stepped::start().await;
        service
            .sandbox
            .set_key(KEY, json!({ "enabled": false }))
            .await;
        service.publish_and_run("/about").await;
        service
            .sandbox
            .set_key(KEY, json!({ "enabled": true }))
            .await;
        service.sandbox.fault(create(1, fault.clone())).await;
        service.pass(31).await;
        service
            .state
            .directory
            .refresh(&service.state.store)
            .await
            .unwrap();
        let pause = &service.state.directory.site("default").unwrap().pause;
        assert_eq!(*pause, None, "{fault}");
    }
}

#[tokio::test]
async fn a_secret_that_does_not_open_waits_for_settings_and_holds_nobody_else_up() {
    let service = Stepped::start().await;
    let other = service.add_site("other", OTHER, OTHER_KEY).await;
    service.activate(service.site(), DISTRIBUTION, KEY).await;
    let sent = service.publish_and_run("/sent").await;
    let mut db = service.database.connect().await;
    sqlx::query("UPDATE cdn_settings SET secret_access_key = '\\x0100' WHERE distribution_id = $1")
        .bind(DISTRIBUTION)
        .execute(&mut db)
        .await
        .unwrap();
    let waiting = service.api.publish_path("/waiting").await;
    let theirs = other.publish_path("/theirs").await;
    service.run().await;
    service.pass(3).await;
    service.pass(31).await;
    assert_eq!(other.get_publish(&theirs).await["state"], "completed");
    assert_eq!(service.api.get_publish(&sent).await["state"], "in_progress");
    let publish = service.api.get_publish(&waiting).await;
    assert_eq!(
        (&publish["state"], &publish["waiting_for"]),
        (&json!("queued"), &json!("settings"))
    );
    service
        .state
        .directory
        .refresh(&service.state.store)
        .await
        .unwrap();
    let site = service.state.directory.site("default").unwrap();
    let error = &site.pause.as_ref().unwrap().error;
    assert!(
        error
            .message
            .contains("enter the secret again on the settings page")
    );

    service.activate(service.site(), DISTRIBUTION, KEY).await;
    for id in [sent, waiting] {
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
}

#[tokio::test]
async fn an_invalidation_that_cloudfront_does_not_know_yet_is_asked_about_again() {
    let service = Stepped::start().await;
    let gone = json!({ "kind": "error", "code": "NoSuchInvalidation", "status": 404 });
    service
        .sandbox
        .fault(json!({ "operation": "get", "times": 2, "fault": gone }))
        .await;
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
    service
        .sandbox
        .fault(json!({ "operation": "get", "fault": gone }))
        .await;
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
        json!({ "kind": "error", "code": "ServiceUnavailable", "status": 503 }),
        json!({ "kind": "error", "code": "Throttling", "status": 400 }),
        json!({ "kind": "status", "status": 502 }),
        json!({ "kind": "reset" }),
        json!({ "kind": "drop_answer" }),
        json!({ "kind": "garbage" }),
        json!({ "kind": "empty" }),
        json!({ "kind": "truncated" }),
    ] {
        let service = Stepped::start().await;
        service
            .sandbox
            .fault(json!({ "operation": "get", "times": 2, "fault": fault }))
            .await;
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
async fn a_question_that_the_policy_forbids_waits_for_settings() {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "in_progress_ms": 600_000 }))
        .await;
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

#[tokio::test]
async fn a_clock_that_is_off_waits_for_settings_and_goes_on_by_itself() {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "clock_offset_seconds": 3_600 }))
        .await;
    let id = service.publish_and_run("/about").await;
    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "queued", "Queued", json!("settings"), 1);
    assert!(
        only(&publish)["error"]["fix"]
            .as_str()
            .unwrap()
            .contains("clock")
    );
    service
        .sandbox
        .config(json!({ "clock_offset_seconds": 0 }))
        .await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
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
