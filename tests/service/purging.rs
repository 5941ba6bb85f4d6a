//! Purging moves on: what is believed of CloudFront delays for seconds, and nobody waits for
//! another's trouble.

use serde_json::{Value, json};
use skycms_cdn::domain::{
    AfterGet, AwsError, DistributionId, KindCounts, Limits, MonthlyLimit, PastLimit, Policy, Room,
    Spending, Terms, WaitReason, Waiting, Wanted,
};
use skycms_cdn::store::Wait;
use time::{Duration, OffsetDateTime};

use crate::dispatch::all;
use crate::support::{
    DISTRIBUTION, Database, KEY, Replica, Sandbox, Stepped, places, policy, throttling, unavailable,
};

const SLOW: u64 = 3_600_000;

fn may(actions: &[&str]) -> Value {
    let mut policy = policy(DISTRIBUTION);
    policy["Statement"][0]["Action"] = json!(actions);
    policy
}

fn wildcards() -> Vec<String> {
    (0..15).map(|n| format!("/{n}/*")).collect()
}

/// `/0`, `/1` and so on.
fn numbered(pages: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    pages.map(|n| format!("/{n}"))
}

/// So many publishes of a page and a wildcard.
async fn publish_pairs(service: &Stepped, count: u32) {
    for n in 0..count {
        let pair = [format!("/{n}/page"), format!("/all/{n}/*")];
        service.publish_paths(pair).await;
    }
}

/// The quota of each kind, and one more that waits, and one of the other kind.
fn full_kinds() -> [(Vec<String>, &'static str, &'static str); 2] {
    let files = numbered(0..3_000).collect();
    [
        (wildcards(), "/16/*", "/path"),
        (files, "/one-more", "/all/*"),
    ]
}

#[tokio::test]
async fn a_kind_that_is_full_does_not_hold_up_the_other() {
    for (quota, waits, goes) in full_kinds() {
        let service = Stepped::start().await;
        service.sandbox.never_complete().await;
        service.publish_paths(quota).await;
        service.run().await;
        let ids = [
            service.publish_and_run(waits).await,
            service.publish_and_run(goes).await,
        ];
        assert_eq!(service.states(&ids).await, ["queued", "in_progress"]);
    }
}

/// A queue whose front alone is more than one plan looks at.
#[tokio::test]
async fn a_kind_that_has_room_goes_however_much_of_the_other_waits_before_it() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    service
        .publish_paths((0..3_000).map(|page| format!("/full/{page}")))
        .await;
    service.run().await;
    for n in 0..4 {
        service
            .publish_paths((0..10_000).map(|page| format!("/{n}/{page}")))
            .await;
    }
    service.run().await;
    let id = service.publish_and_run("/behind/*").await;
    assert_eq!(service.state_of(&id).await, "in_progress");
}

/// A machine that slept wakes up to a network that is not there yet, or to a denial that passes.
#[tokio::test]
async fn after_a_day_without_questions_one_bad_answer_ends_nothing() {
    let denied = json!({ "kind": "error", "code": "AccessDenied", "status": 403 });
    let unknown = json!({ "kind": "error", "code": "SomethingNew", "status": 400 });
    for trouble in [unavailable(), denied, unknown] {
        let service = Stepped::start().await;
        let id = service.publish_and_run("/about").await;
        service.sandbox.fail_gets(1, &trouble).await;
        service.pass(25 * 3_600).await;
        assert_eq!(service.state_of(&id).await, "in_progress", "{trouble}");
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
}

/// The network goes before a machine falls asleep, and comes back after it has woken up.
#[tokio::test]
async fn bad_answers_around_a_day_without_questions_end_nothing() {
    let denied = json!({ "kind": "error", "code": "AccessDenied", "status": 403 });
    for trouble in [unavailable(), denied] {
        let service = Stepped::start().await;
        let id = service.publish_and_run("/about").await;
        service.sandbox.fail_gets(2, &trouble).await;
        service.pass(2).await;
        service.pass(25 * 3_600).await;
        assert_eq!(service.sandbox.calls("GetInvalidation").await.len(), 2);
        assert_eq!(service.state_of(&id).await, "in_progress", "{trouble}");
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
}

#[tokio::test]
async fn a_key_that_may_create_and_not_ask_goes_on_and_says_what_is_missing() {
    let service = Stepped::start().await;
    service
        .sandbox
        .set_policy(may(&["cloudfront:CreateInvalidation"]))
        .await;
    let first = service.publish_paths(wildcards()).await;
    service.run().await;
    let next = service.publish_and_run("/next/*").await;
    service.pass(5).await;
    let site = |service: &Stepped| service.state.directory.site("default").unwrap();
    service.refresh_sites().await;
    assert!(site(&service).poll_denied_since.is_some());
    service.pass(26).await;
    assert_eq!(
        service.state_of(&next).await,
        "in_progress",
        "it counts for 25 seconds"
    );
    service.pass_in_steps(4, 31).await;
    assert_eq!(service.state_of(&first).await, "unconfirmed");
    assert_eq!(service.state_of(&next).await, "unconfirmed");

    service.sandbox.set_policy(policy(DISTRIBUTION)).await;
    let last = service.publish_and_run("/last").await;
    assert_eq!(service.run_until_ended(&last).await["state"], "completed");
    service.refresh_sites().await;
    assert_eq!(site(&service).poll_denied_since, None);
}

#[tokio::test]
async fn a_denial_of_a_key_that_was_replaced_during_the_question_says_nothing_about_the_new_one() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    service.publish_and_run("/about").await;
    let (store, clock) = (&service.state.store, &service.state.clock);
    let now = clock.now() + Duration::seconds(5);
    for is_replaced in [true, false] {
        let now = now + Duration::HOUR * u8::from(!is_replaced);
        let claims = store.claim_polls(places(1), clock.id(), now).await.unwrap();
        if is_replaced {
            service.activate(service.site(), DISTRIBUTION, KEY).await;
        }
        let denied = AfterGet::Again {
            at: now + Duration::SECOND,
            error: Some(AwsError {
                http_status: Some(403),
                ..AwsError::new("AccessDenied", "")
            }),
            settings_rejected: true,
        };
        store
            .record_poll(&claims[0], &denied, None, now)
            .await
            .unwrap();
        let denied = "SELECT count(*) FROM site WHERE poll_denied_at IS NOT NULL";
        let expected = i64::from(!is_replaced);
        assert_eq!(service.database.count(denied).await, expected);
    }
}

/// The same for files: what is counted needs no answer to end.
#[tokio::test]
async fn files_that_may_not_be_asked_about_make_room_by_themselves() {
    let service = Stepped::start().await;
    service
        .sandbox
        .set_policy(may(&["cloudfront:CreateInvalidation"]))
        .await;
    let [_, (quota, next, _)] = full_kinds();
    service.publish_paths(quota).await;
    service.run().await;
    let next = service.publish_and_run(next).await;
    assert_eq!(service.state_of(&next).await, "queued");
    service.pass(5).await;
    service.pass(26).await;
    assert_eq!(service.state_of(&next).await, "in_progress");
}

#[tokio::test]
async fn questions_that_are_not_answered_hold_nothing_for_long() {
    let service = Stepped::start().await;
    service.sandbox.fail_all("get", &unavailable()).await;
    service.publish_paths(wildcards()).await;
    service.run().await;
    let next = service.publish_and_run("/next/*").await;
    service.pass_in_steps(7, 5).await;
    assert_eq!(service.state_of(&next).await, "in_progress");
}

#[tokio::test]
async fn one_that_never_completes_delays_for_thirty_seconds() {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "in_progress_ms": SLOW, "wildcards_in_progress": 100 }))
        .await;
    service.publish_paths(wildcards()).await;
    service.run().await;
    let next = service.publish_and_run("/next/*").await;
    service.pass(20).await;
    assert_eq!(service.state_of(&next).await, "queued");
    service.pass(11).await;
    assert_eq!(
        service.state_of(&next).await,
        "in_progress",
        "CloudFront has room, and was asked"
    );
}

#[tokio::test]
async fn what_a_lost_answer_may_have_filled_is_not_filled_again_at_once() {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "in_progress_ms": 5_000 }))
        .await;
    let lost = json!({ "kind": "drop_answer" });
    service.sandbox.spoil_answer(&lost).await;
    service.publish_paths(numbered(0..6_000)).await;
    service.run().await;
    let calls = service.sandbox.calls("CreateInvalidation").await;
    assert_eq!(calls.len(), 1, "the quota may be full: {calls:?}");
}

/// What is in progress may stay so: then the room beside it is all there is.
#[tokio::test]
async fn a_batch_that_does_not_fit_beside_what_never_completes_goes_in_pieces() {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "in_progress_ms": SLOW, "files_in_progress": 20 }))
        .await;
    service.publish_paths(numbered(0..12)).await;
    service.run().await;
    let id = service.publish_paths(numbered(20..35)).await;
    service.run().await;
    assert_eq!(service.state_of(&id).await, "queued");
    service.pass_in_steps(60, 1).await;
    assert_ne!(service.state_of(&id).await, "queued", "there is room for 8");
    let most = service.learned_size().await;
    assert_eq!(most, None, "which says nothing about the size of a call");
}

/// After 25 seconds others may take its place, and it has to wait for one.
#[tokio::test]
async fn what_counts_no_longer_needs_room_again() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    service
        .sandbox
        .fault(json!({ "operation": "create", "at_least": 10, "fault": unavailable() }))
        .await;
    let first = service
        .publish_paths((0..10).map(|n| format!("/{n}/*")))
        .await;
    service.run().await;
    service.pass(26).await;
    service
        .publish_paths((10..19).map(|n| format!("/{n}/*")))
        .await;
    service.run().await;
    service.sandbox.clear_faults().await;
    service.pass_in_steps(20, 1).await;
    let outcomes = service.sandbox.outcomes().await;
    assert_eq!(outcomes.last().unwrap(), "Accepted", "{outcomes:?}");
    assert_eq!(service.state_of(&first).await, "queued");
    service.sandbox.complete().await;
    service.pass_in_steps(10, 1).await;
    assert_ne!(service.state_of(&first).await, "queued");
}

#[tokio::test]
async fn room_that_is_made_during_a_look_is_not_missed() {
    let service = Stepped::start_with(&[("CLOUDFRONT_FILES_IN_PROGRESS", "1")]).await;
    service.publish_and_run("/first").await;
    let (store, limits) = (&service.state.store, &Limits::default());
    let site = service.site();
    let now = OffsetDateTime::now_utc();
    let connection = &mut store.connect().await.unwrap();
    let before = store.plan_inputs(connection, site, limits, now);
    let before = before.await.unwrap().unwrap();
    service.pass(10).await;
    let wait = Wait::new(WaitReason::Quota, now);
    let waits = store.note_wait(connection, &before, wait, now);
    assert!(!waits.await.unwrap(), "the first one has completed since");
    let after = store.plan_inputs(connection, site, limits, now);
    let after = after.await.unwrap().unwrap();
    let waits = store.note_wait(connection, &after, wait, now);
    assert!(waits.await.unwrap());
}

/// As after a batch that was stored while more went in a second: it goes whole, and the next files
/// wait for as long as it would have taken.
async fn overdraw_files(service: &Stepped) {
    let overdraw =
        "UPDATE distribution SET beliefs = jsonb_set(beliefs, '{flow,tokens,files}', '-3000')";
    service.database.change(overdraw).await;
}

#[tokio::test]
async fn what_files_have_overdrawn_holds_up_no_wildcard() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_PATHS_PER_SECOND", "1"),
        ("CLOUDFRONT_WILDCARDS_IN_PROGRESS", "1"),
    ])
    .await;
    service.sandbox.never_complete().await;
    service.publish_and_run("/first/*").await;
    overdraw_files(&service).await;
    let file = service.publish_and_run("/file").await;
    let wildcard = service.publish_and_run("/second/*").await;
    service.pass(1).await;
    let both = [file, wildcard];
    assert_eq!(service.states(&both).await, ["queued", "queued"]);
    service.sandbox.complete().await;
    service.pass(3).await;
    assert_eq!(service.states(&both).await, ["queued", "in_progress"]);
}

#[tokio::test]
async fn what_files_have_overdrawn_holds_up_no_wildcard_that_waits_for_its_own_rate() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_PATHS_PER_SECOND", "1"),
        ("CLOUDFRONT_WILDCARDS_PER_SECOND", "1"),
    ])
    .await;
    service.publish_and_run("/first/*").await;
    overdraw_files(&service).await;
    let file = service.api.publish_path("/file").await;
    let wildcard = service.api.publish_path("/second/*").await;
    let both = [file, wildcard];
    service.pass(1).await;
    assert_eq!(service.states(&both).await, ["queued", "queued"]);
    service.pass(1).await;
    assert_eq!(service.states(&both).await, ["queued", "in_progress"]);
}

#[tokio::test]
async fn what_new_files_wait_for_puts_off_no_stored_wildcard() {
    let service = Stepped::start_with(&[("CLOUDFRONT_PATHS_PER_SECOND", "1")]).await;
    service.publish_and_run("/first").await;
    overdraw_files(&service).await;
    service.sandbox.fail_creates(1, unavailable()).await;
    let wildcard = service.publish_and_run("/news/*").await;
    let file = service.publish_and_run("/file").await;
    service.pass(2).await;
    assert_eq!(
        service.states(&[wildcard, file]).await,
        ["in_progress", "queued"]
    );
}

#[tokio::test]
async fn a_batch_that_never_gets_an_answer_holds_nobody() {
    let service = Stepped::start().await;
    service
        .sandbox
        .fault(json!({ "operation": "create", "at_least": 2, "fault": unavailable() }))
        .await;
    let batch = service.publish_paths(numbered(0..3_000)).await;
    service.run().await;
    let path = service.publish_and_run("/path").await;
    assert_eq!(service.state_of(&path).await, "queued", "it may be full");
    service.pass_in_steps(6, 5).await;
    assert_ne!(service.state_of(&path).await, "queued");
    let next = service.publish_and_run("/next").await;
    assert_ne!(
        service.state_of(&next).await,
        "queued",
        "it has stopped counting"
    );
    assert_eq!(service.state_of(&batch).await, "queued");
}

#[tokio::test]
async fn an_outage_does_not_turn_each_publish_into_a_call() {
    let service = Stepped::start().await;
    service.sandbox.fail_all("create", &unavailable()).await;
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(service.publish_and_run(&format!("/{n}")).await);
        service.pass(1).await;
    }
    let references: std::collections::BTreeSet<String> = service
        .sandbox
        .creates()
        .await
        .iter()
        .map(|call| call["caller_reference"].to_string())
        .collect();
    assert!(references.len() <= 5, "{}", references.len());
    service.sandbox.clear_faults().await;
    for id in ids {
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
}

#[tokio::test]
async fn a_quota_that_is_smaller_than_believed_is_found_at_once() {
    assert_eq!(refusals_before_a_small_quota_is_found(0, 20).await, 1);
}

/// The batch may be what the quota is full of: its pieces would be billed again.
#[tokio::test]
async fn a_quota_that_is_smaller_than_believed_is_found_once_the_unknown_attempt_is_old() {
    let refused = refusals_before_a_small_quota_is_found(1, 40).await;
    assert!((2..=4).contains(&refused), "{refused}");
}

async fn refusals_before_a_small_quota_is_found(unanswered: u32, seconds: u32) -> usize {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "files_in_progress": 20 }))
        .await;
    if unanswered > 0 {
        service
            .sandbox
            .fail_creates(unanswered, unavailable())
            .await;
    }
    let id = service.publish_paths(numbered(0..30)).await;
    service.run().await;
    service.pass_in_steps(seconds / 2, 2).await;
    let publish = service.api.get_publish(&id).await;
    assert_eq!(publish["state"], "completed", "{publish:#}");
    let outcomes = service.sandbox.outcomes().await;
    let is_refused = |outcome: &&String| *outcome == "TooManyInvalidationsInProgress";
    outcomes.iter().filter(is_refused).count()
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_split_although_some_calls_have_no_answer() {
    let service = Stepped::start().await;
    let second = json!({ "paths_per_second": 5, "rate": null });
    service.sandbox.config(second).await;
    let id = service.publish_paths(numbered(0..12)).await;
    for _ in 0..6 {
        service.sandbox.fail_creates(1, unavailable()).await;
        service.pass(6).await;
        service.pass(6).await;
        service.pass(6).await;
    }
    let publish = service.run_until_ended(&id).await;
    assert_eq!(publish["state"], "completed");
    let paths = service.sandbox.accepted_paths().await.concat();
    assert_eq!(paths.len(), 12, "none is billed twice");
}

#[tokio::test]
async fn tags_that_the_distribution_does_not_have_fail_after_three_calls() {
    let service = Stepped::start().await;
    service.sandbox.refuse_tags().await;
    let tags: Vec<_> = (0..40).map(|n| format!("tag:{n}")).collect();
    let tagged = service.api.publish(json!({ "tags": tags })).await;
    let tagged = tagged["id"].as_str().unwrap().to_owned();
    service.run().await;
    let path = service.publish_and_run("/path").await;
    assert_eq!(
        service.states(&[tagged, path]).await,
        ["failed", "in_progress"]
    );
    assert_eq!(service.sandbox.creates().await.len(), 4);
}

#[tokio::test]
async fn a_monthly_limit_holds_for_every_policy_and_rate() {
    for policy in [Policy::Exact, Policy::Economical] {
        let service = Stepped::start_with(&[("CLOUDFRONT_PATHS_PER_SECOND", "7")]).await;
        let spending = Spending {
            policy,
            monthly_limit: Some(MonthlyLimit {
                paths: 30,
                then: PastLimit::Hold,
            }),
            ..Spending::default()
        };
        let store = &service.state.store;
        store
            .save_spending(service.site(), None, &spending)
            .await
            .unwrap();
        for n in 0..6 {
            service
                .publish_paths((0..12).map(|page| format!("/d{n}-{page}")))
                .await;
        }
        service.pass_in_steps(40, 2).await;
        let month = store
            .month_usage(service.site(), service.state.clock.now())
            .await
            .unwrap();
        assert!(
            month.site_paths <= 30,
            "{policy:?}: {} paths",
            month.site_paths
        );
        assert!(
            month.site_paths >= 12,
            "{policy:?}: {} paths",
            month.site_paths
        );
    }
}

#[tokio::test]
async fn settings_that_move_away_and_back_lose_nothing_that_was_not_sent_yet() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_PATHS_PER_REQUEST", "2"),
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.1"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    let lost = json!({ "kind": "drop_answer" });
    service.sandbox.fail_creates(1, lost).await;
    let id = service.publish_paths(numbered(0..6)).await;
    service.run().await;
    service
        .activate(service.site(), "E2MISTYPED0001", KEY)
        .await;
    service.activate(service.site(), DISTRIBUTION, KEY).await;
    let publish = service.run_until_ended(&id).await;
    assert_eq!(publish["state"], "completed");
    let paths = service.sandbox.accepted_paths().await.concat();
    assert_eq!(paths.len(), 6);
}

#[tokio::test]
async fn settings_that_move_away_and_back_bill_nothing_twice() {
    let service = Stepped::start().await;
    let lost = json!({ "kind": "drop_answer" });
    service.sandbox.spoil_answer(&lost).await;
    let id = service.publish_and_run("/about").await;
    let site = service.site();
    service.activate(site, "E2MISTYPED0001", KEY).await;
    service.run().await;
    service.activate(site, DISTRIBUTION, KEY).await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    assert_eq!(service.sandbox.accepted().await.len(), 1);
    let now = service.state.clock.now();
    assert_eq!(
        service
            .state
            .store
            .month_usage(site, now)
            .await
            .unwrap()
            .site_paths,
        1
    );
}

#[tokio::test]
async fn what_is_accepted_while_the_settings_move_away_is_not_sent_again_when_they_move_back() {
    let service = Stepped::start().await;
    let site = service.site();
    let slow = json!({ "kind": "slow", "ms": 1_000 });
    service.sandbox.fail_creates(1, slow).await;
    let id = service.api.publish_path("/about").await;
    let dispatcher = service.dispatcher.clone();
    let calling = tokio::spawn(async move { dispatcher.run_pending().await });
    service.sandbox.wait_for_creates(1).await;
    service.activate(site, "E2MISTYPED0001", KEY).await;
    calling.await.unwrap().unwrap();
    service.activate(site, DISTRIBUTION, KEY).await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    assert_eq!(service.sandbox.accepted().await.len(), 1);
    let month = service
        .state
        .store
        .month_usage(site, service.state.clock.now())
        .await
        .unwrap();
    assert_eq!(month.site_paths, 1);
}

#[tokio::test]
async fn what_may_have_been_accepted_is_not_split_for_a_rate() {
    let service = Stepped::start().await;
    let paths = || (0..4).map(|n| format!("/{n}"));
    let first = service.publish_paths(paths()).await;
    service.run_until_ended(&first).await;

    let lost = json!({ "kind": "drop_answer" });
    service.sandbox.spoil_answer(&lost).await;
    let id = service.publish_paths(paths()).await;
    service.run().await;
    // An outage, and a rate that is full when it ends.
    service.advance(Duration::minutes(15));
    service.sandbox.fail_creates(6, throttling()).await;
    let publish = service.run_until_ended(&id).await;
    assert_eq!(publish["state"], "completed");
    assert_eq!(publish["invalidations"].as_array().unwrap().len(), 1);
    let accepted = service.sandbox.accepted().await;
    assert_eq!(accepted.len(), 2, "each batch is billed once");
}

/// A rate of paths, as AWS's quota page of 2026 is read, of which the service is not told.
#[tokio::test]
async fn a_rate_of_paths_is_learned_from_throttling() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    sandbox
        .config(json!({ "files_in_progress": null, "paths_per_second": 150 }))
        .await;
    let replica = Replica::start(&database, &sandbox).await;
    let mut ids = Vec::new();
    for n in 0..12 {
        let paths: Vec<_> = (0..100).map(|page| format!("/{n}/{page}")).collect();
        let publish = replica.api.publish(json!({ "paths": paths })).await;
        ids.push(publish["id"].as_str().unwrap().to_owned());
    }
    for id in ids {
        assert_eq!(
            replica.api.wait_until_ended(&id).await["state"],
            "completed"
        );
    }
    let outcomes = sandbox.outcomes().await;
    let refused = outcomes.iter().filter(|o| *o != "Accepted").count();
    assert!((1..12).contains(&refused), "{refused} of {outcomes:?}");
}

/// Reading stops at what one plan can use, however much waits.
#[tokio::test]
async fn a_queue_that_is_larger_than_a_plan_is_worked_off() {
    let service = Stepped::start().await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(
            service
                .publish_paths((0..10_000).map(|page| format!("/{n}/{page}")))
                .await,
        );
    }
    let read = read_as(&service, all()).await;
    let items: usize = read.iter().map(|waiting| waiting.items.len()).sum();
    assert!(items < 100_000, "{items}");
    for id in ids {
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
}

/// Of publishes that wait for a wildcard each, no more than a quota's worth is next.
#[tokio::test]
async fn no_more_is_read_of_what_waits_for_a_full_kind_than_may_be_next() {
    let service = Stepped::start().await;
    publish_pairs(&service, 700).await;
    let page = service.api.publish_path("/about").await;
    let read = read_with(&service, 3_000, 0).await;
    assert!(read.len() < 600, "{}", read.len());
    assert_eq!(read.last().unwrap().publish.to_string(), page);
}

/// However much it is: by itself, it would be paid for.
#[tokio::test]
async fn all_pages_that_go_along_with_a_wildcard_are_read() {
    let service = Stepped::start().await;
    for n in 0..12 {
        service
            .publish_paths((0..400).map(|page| format!("/all/{n}/{page}")))
            .await;
    }
    service.api.publish_path("/all/*").await;
    assert_eq!(read_with(&service, 0, 15).await.len(), 13);
}

#[tokio::test]
async fn all_wildcards_that_go_along_with_another_are_read() {
    let service = Stepped::start().await;
    service.api.publish_path("/all/*").await;
    publish_pairs(&service, 600).await;
    assert_eq!(read_with(&service, 3_000, 1).await.len(), 601);
}

/// What is left of a publish may be of the kind that there is room for.
#[tokio::test]
async fn what_is_begun_is_read_behind_what_waits_for_a_full_kind() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    let wildcard = service.publish_and_run("/begun/*").await;
    publish_pairs(&service, 700).await;
    let begun = service
        .publish_paths(["/page".to_owned(), "/begun/*".to_owned()])
        .await;
    let begin = format!(
        "INSERT INTO coverage (invalidation_id, site_id, publish_id)
         SELECT invalidation_id, site_id, '{begun}'::uuid FROM coverage
         WHERE publish_id = '{wildcard}'"
    );
    service.database.change(&begin).await;
    let read = read_with(&service, 3_000, 0).await;
    let last = read.last().unwrap();
    assert_eq!(last.publish.to_string(), begun);
    assert_eq!(last.items.len(), 1);
}

/// What is read of the queue where there is room for this many.
async fn read_with(service: &Stepped, files: u32, wildcards: u32) -> Vec<Waiting> {
    let (mut room, quota) = (Room::default(), Room::default());
    (room.items.files, room.items.wildcards) = (files, wildcards);
    let terms = Terms {
        policy: Policy::Exact,
        ..all().terms
    };
    read_as(service, Wanted { terms, room, quota }).await
}

async fn read_as(service: &Stepped, wanted: Wanted) -> Vec<Waiting> {
    let store = &service.state.store;
    store
        .waiting(
            &mut store.connect().await.unwrap(),
            service.site(),
            &DISTRIBUTION.parse::<DistributionId>().unwrap(),
            wanted,
        )
        .await
        .unwrap()
}

/// Where nothing is left of the monthly limit, or there is no room of either kind.
#[tokio::test]
async fn only_the_front_is_read_where_nothing_can_go() {
    let service = Stepped::start().await;
    for n in 0..50 {
        service.publish_paths([format!("/{n}")]).await;
    }
    for policy in [Policy::Exact, Policy::Economical, Policy::Everything] {
        let free = Terms {
            policy,
            ..all().terms
        };
        let spent = Terms {
            paths_left: Some(0),
            ..free
        };
        let (room, quota) = (Room::default(), Room::default());
        let full = Room {
            items: KindCounts::default(),
            ..room
        };
        for (terms, room) in [(spent, room), (free, full)] {
            let read = read_as(&service, Wanted { terms, room, quota }).await;
            assert!(read.len() <= 32, "{policy:?}: {}", read.len());
        }
    }
}

#[tokio::test]
async fn a_call_holds_no_more_bytes_than_arrive_in_time() {
    let service = Stepped::start().await;
    let long = "x".repeat(3_000);
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(
            service
                .publish_paths((0..300).map(|page| format!("/{n}/{page}/{long}")))
                .await,
        );
    }
    for id in ids {
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
    let accepted = service.sandbox.accepted_paths().await;
    assert!(accepted.len() >= 3, "{}", accepted.len());
    for paths in accepted {
        let bytes: usize = paths.iter().map(String::len).sum();
        assert!(bytes <= 1 << 20, "{bytes}");
    }
}

/// A publish that encoding makes larger than a call is stored as several, which do not grow
/// together again.
#[tokio::test]
async fn batches_that_go_together_hold_no_more_bytes_than_arrive_in_time() {
    let service = Stepped::start().await;
    let long = "é".repeat(600);
    let id = service
        .publish_paths((0..800).map(|page| format!("/{page}/{long}")))
        .await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    for paths in service.sandbox.accepted_paths().await {
        let bytes: usize = paths.iter().map(String::len).sum();
        assert!(bytes <= 1 << 20, "{bytes}");
    }
}

/// The dispatcher sleeps until something is due: what is always due keeps it awake.
#[tokio::test]
async fn a_paused_site_whose_try_has_no_answer_keeps_nobody_awake() {
    let service = Stepped::start().await;
    let off = json!({ "enabled": false });
    service.sandbox.set_key(KEY, off).await;
    let tried = service.publish_and_run("/tried").await;
    let waits = service.publish_and_run("/waits").await;
    service.sandbox.fail_creates(1, unavailable()).await;
    service.pass(31).await;
    let now = service.state.clock.now();
    let due = service.state.store.due(&[], places(1), now).await.unwrap();
    assert!(!due.is_now() && due.next.is_some(), "{due:?}");
    // And what it leaves waiting goes as soon as the settings work again.
    let on = json!({ "enabled": true });
    service.sandbox.set_key(KEY, on).await;
    service.pass(2).await;
    assert_eq!(
        service.states(&[tried, waits]).await,
        ["in_progress", "in_progress"]
    );
}

#[tokio::test]
async fn as_many_questions_are_due_as_there_are_places_for() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    for path in ["/a", "/b", "/c"] {
        service.publish_and_run(path).await;
    }
    let (store, now) = (&service.state.store, service.state.clock.now());
    for (now, questions) in [(now, [0, 0, 0]), (now + Duration::MINUTE, [0, 2, 3])] {
        for (most, questions) in [0, 2, 64].into_iter().zip(questions) {
            let due = store.due(&[], places(most), now).await.unwrap();
            assert_eq!(due.questions, questions, "{due:?}");
            let later = most > 0 && questions == 0;
            assert_eq!(due.next.is_some(), later, "{due:?}");
        }
    }
}

/// What cannot be planned shows whether it was tried.
#[tokio::test]
async fn nothing_is_planned_while_only_the_rate_is_missing() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.5"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    service.publish_and_run("/first").await;
    let id = service.api.publish_path("/second").await;
    service
        .database
        .change("UPDATE publish SET items = '{not an item}' WHERE NOT planned")
        .await;
    service.run().await;
    assert_eq!(service.api.get_publish(&id).await["waiting_for"], "rate");
}
