//! Clocks that jump: a machine that slept, a clock that was set back, a day without a call.

use serde_json::json;
use skycms_cdn::domain::WaitReason;
use skycms_cdn::store::Wait;
use time::Duration;

use crate::support::{OTHER_KEY, Stepped, eventually, places, throttling, unavailable};

#[tokio::test]
async fn one_hiccup_after_a_day_of_rejected_settings_fails_nothing() {
    let service = Stepped::start().await;
    service.sandbox.enable_key(false).await;
    let id = service.publish_and_run("/about").await;
    service.pass(86_400 + 60).await;
    service.sandbox.enable_key(true).await;
    service.sandbox.fail_creates(1, unavailable()).await;
    service.pass(601).await;
    assert_eq!(service.state_of(&id).await, "queued");
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}

/// The day without an answer begins again with whatever CloudFront answers.
#[tokio::test]
async fn any_answer_begins_the_day_without_one_again() {
    let service = Stepped::start().await;
    service.sandbox.fail_all("create", &unavailable()).await;
    let id = service.publish_and_run("/about").await;
    service.pass(23 * 3_600).await;
    service.sandbox.clear_faults().await;
    service.sandbox.fail_creates(1, throttling()).await;
    service.pass(60).await;
    let held = service.api.get_publish(&id).await;
    assert_eq!(held["invalidations"][0]["waiting_for"], "rate");
    service.sandbox.fail_all("create", &unavailable()).await;
    service.pass(2 * 3_600).await;
    service.pass(22 * 3_600).await;
    assert_eq!(service.state_of(&id).await, "queued");
    service.pass(3 * 3_600).await;
    assert_eq!(service.state_of(&id).await, "failed", "a day without any");
}

/// The machine sleeps between claim and call.
#[tokio::test]
async fn a_machine_that_slept_for_a_day_sends_what_it_had_claimed() {
    let service = Stepped::start().await;
    let id = service.api.publish_path("/about").await;
    let lock = "LOCK TABLE coverage IN EXCLUSIVE MODE";
    let lock = service.database.hold(lock).await;
    let dispatcher = service.dispatcher.clone();
    let claiming = tokio::spawn(async move { dispatcher.run_pending().await });
    service.database.wait_for_locks(1).await;
    service.advance(Duration::DAY);
    service.sandbox.fail_creates(1, unavailable()).await;
    lock.release().await;
    claiming.await.unwrap().unwrap();
    assert!(
        service.sandbox.creates().await.is_empty(),
        "its lease had run out"
    );
    service.pass(2).await;
    assert_eq!(service.sandbox.creates().await.len(), 1);
    assert_eq!(
        service.state_of(&id).await,
        "queued",
        "one call had no answer"
    );
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}

/// The machine sleeps between two calls that have no answer.
#[tokio::test]
async fn a_machine_that_slept_for_a_day_between_two_calls_asks_for_another_day() {
    let service = Stepped::start().await;
    let never = json!({ "operation": "create", "fault": unavailable() });
    service.sandbox.fault(never).await;
    let id = service.publish_and_run("/about").await;
    service.pass(86_400 + 60).await;
    for _ in 0..23 {
        service.pass(3_600).await;
        assert_eq!(service.state_of(&id).await, "queued");
    }
    service.pass(7_200).await;
    assert_eq!(service.state_of(&id).await, "failed", "a day without any");
}

/// The machine sleeps while it waits for the answer, which never comes.
#[tokio::test]
async fn a_machine_that_slept_for_a_day_during_a_call_tries_it_again() {
    let service = Stepped::start().await;
    let hang = json!({ "kind": "hang" });
    service.sandbox.fail_creates(1, hang).await;
    let id = service.api.publish_path("/about").await;
    let dispatcher = service.dispatcher.clone();
    let calling = tokio::spawn(async move { dispatcher.run_pending().await });
    service.sandbox.wait_for_creates(1).await;
    service.advance(Duration::DAY + Duration::MINUTE);
    calling.await.unwrap().unwrap();
    assert_eq!(service.state_of(&id).await, "queued");
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}

/// The same for a question, where the one before it had no answer either.
#[tokio::test]
async fn a_machine_that_slept_for_a_day_during_a_question_asks_it_again() {
    let service = Stepped::start().await;
    let id = service.publish_and_run("/about").await;
    service.sandbox.fail_gets(1, &unavailable()).await;
    service.pass(2).await;
    service
        .sandbox
        .fail_gets(1, &json!({ "kind": "hang" }))
        .await;
    service.advance(Duration::seconds(5));
    let dispatcher = service.dispatcher.clone();
    let asking = tokio::spawn(async move { dispatcher.run_pending().await });
    eventually("the question to reach CloudFront", || async {
        let asked = service.sandbox.calls("GetInvalidation").await;
        (asked.len() == 2).then_some(())
    })
    .await;
    service.advance(Duration::DAY + Duration::MINUTE);
    asking.await.unwrap().unwrap();
    assert_eq!(service.state_of(&id).await, "in_progress");
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_nothing() {
    for step in [Duration::seconds(45), Duration::minutes(2), Duration::HOUR] {
        let service = Stepped::start().await;
        service.sandbox.never_complete().await;
        let paused = service
            .add_site("paused", "E2PAUSED000001", OTHER_KEY)
            .await;
        service
            .sandbox
            .set_key(OTHER_KEY, json!({ "enabled": false }))
            .await;
        service.advance(step);
        let accepted = service.publish_and_run("/accepted").await;
        let held = paused.publish_path("/held").await;
        service.run().await;
        // It counts by the clock of its time, for 25 seconds.
        service.sandbox.fail_creates(1, unavailable()).await;
        service
            .publish_paths((0..15).map(|n| format!("/{n}/*")))
            .await;
        service.run().await;
        service.sandbox.fail_creates(1, throttling()).await;
        let throttled = service.publish_and_run("/throttled").await;
        service.advance(-step);
        service
            .sandbox
            .set_key(OTHER_KEY, json!({ "enabled": true }))
            .await;
        service.sandbox.complete_at_once().await;
        service.sandbox.complete().await;
        service.pass_in_steps(60, 1).await;
        assert_eq!(
            service.states(&[accepted, throttled]).await,
            ["completed", "completed"],
            "{step}"
        );
        assert_eq!(
            paused.get_publish(&held).await["state"],
            "completed",
            "{step}"
        );
    }
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_saw_unanswered_gathers_nothing_new() {
    let service = Stepped::start().await;
    let never = json!({ "operation": "create", "at_least": 2, "fault": unavailable() });
    service.sandbox.fault(never).await;
    service.advance(Duration::HOUR);
    for n in 0..2 {
        let pair = (0..2).map(|page| format!("/{n}/{page}"));
        service.publish_paths(pair).await;
        service.run().await;
    }
    service.advance(-Duration::HOUR);
    let id = service.api.publish_path("/new").await;
    service.pass_in_steps(5, 1).await;
    assert_ne!(service.state_of(&id).await, "queued");
}

/// Nobody knows when it came, and its id is the latest until the clock is there again.
#[tokio::test]
async fn a_site_with_a_publish_from_the_future_waits_like_any_other() {
    let service = Stepped::start().await;
    service.advance(Duration::HOUR);
    service.api.publish_path("/about").await;
    service.advance(-Duration::HOUR);
    let (store, site) = (&service.state.store, service.site());
    let now = service.state.clock.now();
    let connection = &mut store.connect().await.unwrap();
    let inputs = service.plan_inputs(connection).await;
    assert_eq!(store.due(&[], places(1), now).await.unwrap().sites, [site]);
    let until = now + Duration::seconds(30);
    let wait = Wait::new(WaitReason::Quota, until);
    let waits = store.note_wait(connection, &inputs, wait, now);
    assert!(waits.await.unwrap());
    let waiting = store.due(&[], places(1), now).await.unwrap();
    assert!(!waiting.is_now());
    assert_eq!(waiting.next, Some(until));
    assert_eq!(
        store.due(&[], places(1), until).await.unwrap().sites,
        [site]
    );
}

/// Whoever has locked one site may wait for another.
#[tokio::test]
async fn what_is_put_right_for_a_clock_waits_for_no_site() {
    let service = Stepped::start().await;
    let (store, now) = (&service.state.store, service.state.clock.now());
    let ahead = "UPDATE site SET waits_for = 'quota', waits_since = now(), waits_until = now() + interval '1 day',
                                 paused_at = now(), pause_error = '{}', resume_at = now() + interval '1 day'";
    service.database.change(ahead).await;
    let held = service.database.hold("SELECT FROM site FOR UPDATE").await;
    store.heal_clock(now).await.expect("it waits for nobody");
    let left = "SELECT count(*) FROM site WHERE waits_until > now() + interval '1 hour'
                                            AND resume_at > now() + interval '1 hour'";
    assert_eq!(service.database.count(left).await, 1);
    held.release().await;
    store.heal_clock(now).await.unwrap();
    assert_eq!(service.database.count(left).await, 0);
}

/// Nobody can ask about it while questions fail, and it must not fill the quota until then.
#[tokio::test]
async fn what_was_accepted_by_a_clock_that_was_ahead_counts_from_when_that_is_seen() {
    let service = Stepped::start().await;
    service.sandbox.fail_all("get", &unavailable()).await;
    service.publish_and_run("/about").await;
    service.publish_and_run("/news").await;
    let ahead = "UPDATE invalidation SET submitted_at = now() + interval '1 day',
                                         unknown_since = now() + interval '1 day';
                 UPDATE invalidation SET status = 'Unconfirmed', ended_at = now(), next_at = NULL,
                                         unanswered_since = now() + interval '1 day'
                 WHERE id = (SELECT min(id::text)::uuid FROM invalidation)";
    service.database.change(ahead).await;
    service.sandbox.fail_creates(1, unavailable()).await;
    let waiting = service.publish_and_run("/contact").await;
    let ahead = "UPDATE invalidation SET unanswered_since = now() + interval '1 day' WHERE status = 'Queued'";
    service.database.change(ahead).await;
    let (store, now) = (&service.state.store, service.state.clock.now());
    store.heal_clock(now).await.unwrap();
    let accepted =
        "SELECT count(*) FROM invalidation WHERE status = 'Queued' AND submitted_at IS NOT NULL";
    assert_eq!(service.database.count(accepted).await, 0, "{waiting}");
    let ahead = "SELECT count(*) FROM invalidation WHERE least(unanswered_since, submitted_at) > now() + interval '1 hour'
                                                   OR ended_at IS NULL AND unknown_since > now() + interval '1 hour'";
    assert_eq!(service.database.count(ahead).await, 0);
}
