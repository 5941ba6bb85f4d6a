//! Taking turns: kinds of items, sites that share a distribution and a key, and questions.

use serde_json::json;
use skycms_cdn::domain::WaitReason;
use skycms_cdn::store::{Places, Wait};
use time::Duration;

use crate::support::{
    Api, DISTRIBUTION, KEY, OTHER_KEY, Stepped, places, policy, throttling, unavailable,
};

const SLOW: u64 = 3_600_000;

fn numbered(count: u32, suffix: &str) -> impl Iterator<Item = String> {
    (0..count).map(move |n| format!("/{n}{suffix}"))
}

#[tokio::test]
async fn a_stored_page_waits_for_no_wildcards_that_have_no_room() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    service.publish_paths(numbered(300, "/*")).await;
    service.run().await;
    service.sandbox.fail_creates(1, throttling()).await;
    let page = service.publish_and_run("/page").await;
    assert_eq!(service.state_of(&page).await, "queued");
    for _ in 0..2 {
        // Something else has ended.
        let wake = "UPDATE invalidation SET next_at = 'epoch' WHERE waiting_for = 'quota'";
        service.database.change(wake).await;
        service.pass(2).await;
    }
    assert_ne!(service.state_of(&page).await, "queued");
}

#[tokio::test]
async fn a_stored_wildcard_takes_turns_with_stored_pages() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_PATHS_PER_REQUEST", "2"),
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.5"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    service.publish_paths(numbered(60, "")).await;
    service.run().await;
    service.sandbox.fail_creates(1, throttling()).await;
    let wildcard = service.publish_and_run("/news/*").await;
    service.pass_in_steps(15, 2).await;
    let publish = service.api.get_publish(&wildcard).await;
    assert_ne!(publish["state"], "queued", "{publish:#}");
}

/// Ten thousand may wait, and each call would write them all.
#[tokio::test]
async fn what_is_stored_waits_for_a_call_of_its_key_without_being_written() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_PATHS_PER_REQUEST", "1"),
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.5"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    service.publish_paths(numbered(20, "")).await;
    service.run().await;
    let written =
        "SELECT count(*) FROM invalidation WHERE status = 'Queued' AND next_at > created_at";
    assert_eq!(service.database.count(written).await, 0);
    let (store, now) = (&service.state.store, service.state.clock.now());
    let waiting = store.due(&[], places(0), now).await.unwrap();
    assert!(!waiting.is_now());
    let next = waiting.next.expect("when the key has a call");
    assert!(next > now && next < now + Duration::seconds(5), "{next}");
    let due = store.due(&[], places(0), next).await.unwrap();
    assert_eq!(due.sites, [service.site()]);
    service.pass(5).await;
    assert_eq!(service.sandbox.creates().await.len(), 2);
}

/// As many paths have been accepted before, so that nothing tells that they are too many by now.
#[tokio::test]
async fn a_repeat_that_only_gets_throttled_takes_turns_and_slows_the_key_down_for_a_while() {
    for (count, most) in [(4, 3), (3_000, 3_000)] {
        let service = Stepped::start().await;
        let sandbox = &service.sandbox;
        sandbox.complete_at_once().await;
        service.publish_paths(numbered(count, "")).await;
        service.pass_in_steps(10, 1).await;
        sandbox.fail_creates(1, unavailable()).await;
        let rule = json!({ "operation": "create", "at_least": most, "fault": throttling() });
        sandbox.fault(rule).await;
        service.publish_paths(numbered(count, "/again")).await;
        service.run().await;
        service.pass_in_steps(10, 1).await;
        for minute in 0..6 {
            let page = service.publish_and_run(&format!("/{minute}.html")).await;
            service.pass_in_steps(60, 1).await;
            assert_eq!(service.state_of(&page).await, "completed");
        }
        let (rate,): (f64,) = service.database.row("SELECT rate FROM access_key").await;
        let configured = service.state.limits.requests_per_second;
        assert!((rate - configured).abs() < f64::EPSILON, "{rate}");
    }
}

#[tokio::test]
async fn of_a_large_publish_what_has_room_goes_after_half_a_minute() {
    for (theirs, ours, suffix) in [(10, 15, "/*"), (1_600, 2_900, "")] {
        let service = Stepped::start().await;
        service
            .sandbox
            .config(json!({ "in_progress_ms": SLOW, "rate": null }))
            .await;
        let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
        other.publish_paths(numbered(theirs, suffix)).await;
        service.run().await;
        let ours = service
            .publish_paths(numbered(ours, &format!("/ours{suffix}")))
            .await;
        service.run().await;
        assert_eq!(service.state_of(&ours).await, "queued");
        service.pass_in_steps(33, 1).await;
        assert_ne!(service.state_of(&ours).await, "queued", "{theirs} others");
        let pieces = "SELECT count(*) FROM invalidation WHERE site_id = 1";
        assert_eq!(service.database.count(pieces).await, 2);
    }
}

/// A replica of another version, or with another key, may be able to read them.
#[tokio::test]
async fn settings_that_one_replica_cannot_read_hold_others_up_for_half_a_minute() {
    let service = Stepped::start().await;
    let change = |to: &str| {
        format!("UPDATE cdn_settings SET region = '{to}' WHERE distribution_id = '{DISTRIBUTION}'")
    };
    service.database.change(&change("moon-1")).await;
    let id = service.publish_and_run("/about").await;
    service.pass(31).await;
    let publish = service.api.get_publish(&id).await;
    assert_eq!(publish["waiting_for"], "settings");
    service.database.change(&change("eu-central-1")).await;
    service.pass_in_steps(31, 1).await;
    assert_ne!(service.state_of(&id).await, "queued");
}

/// Beside a neighbour who never lets the rate recover.
#[tokio::test]
async fn a_neighbours_small_calls_starve_no_call_of_a_whole_second() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "8"),
        ("CLOUDFRONT_REQUEST_BURST", "8"),
        ("CLOUDFRONT_PATHS_PER_SECOND", "100"),
    ])
    .await;
    service.sandbox.config(json!({ "rate": null })).await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    let mut ours = Vec::new();
    for at in 0..80 {
        if at % 20 == 4 {
            let (count, suffix) = (if at == 4 { 350 } else { 100 }, format!("/{at}"));
            ours.push(service.publish_paths(numbered(count, &suffix)).await);
        }
        other.publish_path(&format!("/theirs/{at}")).await;
        service.advance(Duration::milliseconds(250));
        service.run().await;
    }
    assert!(!service.states(&ours[..3]).await.contains(&"queued".into()));
}

/// Beside a neighbour who uses 60 or 90 % of the rate, so that there is never a second's worth.
#[tokio::test]
async fn what_waits_for_a_whole_second_goes_in_two_after_half_a_minute() {
    for (theirs, ours) in [(6, 50), (9, 20)] {
        let service = Stepped::start_with(&[
            ("CLOUDFRONT_REQUESTS_PER_SECOND", "8"),
            ("CLOUDFRONT_REQUEST_BURST", "8"),
            ("CLOUDFRONT_PATHS_PER_SECOND", "20"),
        ])
        .await;
        let quick = json!({ "in_progress_ms": 0, "rate": null });
        service.sandbox.config(quick).await;
        let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
        let mut id = String::new();
        for at in 0..76 {
            if at == 4 {
                id = service.publish_paths(numbered(ours, "/ours")).await;
            }
            other
                .publish_paths(numbered(theirs, &format!("/{at}")))
                .await;
            service.advance(Duration::milliseconds(500));
            service.run().await;
        }
        assert_eq!(service.state_of(&id).await, "completed", "beside {theirs}");
        let calls = "SELECT count(*) FROM invalidation WHERE site_id = 1";
        assert!(service.database.count(calls).await <= 5);
        let late = "SELECT count(*) FROM publish WHERE state = 'queued'";
        assert!(service.database.count(late).await < 6, "the neighbour");
    }
}

#[tokio::test]
async fn twenty_sites_that_share_a_key_take_turns() {
    let service = Stepped::start_with(&[
        // A call every two of the seconds below.
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.75"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    service.sandbox.complete_at_once().await;
    let mut sites: Vec<Api> = Vec::new();
    for n in 0..20 {
        let distribution = format!("E2SHARED00000{n:02}");
        sites.push(
            service
                .add_site(&format!("site{n}"), &distribution, KEY)
                .await,
        );
    }
    let mut policy = policy("E2SHARED0000000");
    policy["Statement"][0]["Resource"] = json!("*");
    service.sandbox.set_policy(policy).await;
    let mut waiting: Vec<Vec<(i32, String)>> = vec![Vec::new(); sites.len()];
    let mut longest = 0;
    for second in 0..120 {
        for (site, waiting) in sites.iter().zip(&mut waiting) {
            if second % 10 == 0 {
                waiting.push((second, site.publish_path(&format!("/{second}")).await));
            }
        }
        service.pass(1).await;
        for (site, waiting) in sites.iter().zip(&mut waiting) {
            let Some((since, id)) = waiting.first() else {
                continue;
            };
            longest = longest.max(second - since);
            if site.get_publish(id).await["state"] != "queued" {
                // One call takes all that has gathered.
                waiting.clear();
            }
        }
    }
    assert!(longest <= 60, "{longest} s");
}

/// What arrived before a look may be committed after it.
#[tokio::test]
async fn a_wait_hides_no_publish_that_was_on_its_way() {
    let service = Stepped::start().await;
    service.api.publish_path("/about").await;
    let (store, site, now) = (
        &service.state.store,
        service.site(),
        service.state.clock.now(),
    );
    let connection = &mut store.connect().await.unwrap();
    let inputs = service.plan_inputs(connection).await;
    for (after, sites) in [
        (Duration::milliseconds(500), vec![site]),
        (Duration::seconds(2), vec![]),
    ] {
        let wait = Wait::new(WaitReason::Quota, now + Duration::seconds(30));
        let waits = store.note_wait(connection, &inputs, wait, now + after);
        assert!(waits.await.unwrap());
        let due = store.due(&[], places(1), now + after).await.unwrap();
        assert_eq!(due.sites, sites, "{after}");
    }
}

#[tokio::test]
async fn questions_whose_settings_cannot_be_read_now_are_not_claimed() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    service.publish_and_run("/about").await;
    let lock = "LOCK TABLE cdn_settings IN ACCESS EXCLUSIVE MODE";
    let lock = service.database.hold(lock).await;
    let (store, clock) = (service.state.store.clone(), &service.state.clock);
    let (token, now) = (clock.id(), clock.now() + Duration::MINUTE);
    let claiming = tokio::spawn(async move { store.claim_polls(places(1), token, now).await });
    service.database.wait_for_locks(1).await;
    claiming.abort();
    assert!(claiming.await.is_err());
    lock.release().await;
    let leased = "SELECT count(*) FROM invalidation WHERE lease_token IS NOT NULL";
    assert_eq!(service.database.count(leased).await, 0);
}

#[tokio::test]
async fn questions_without_an_answer_take_no_places_from_others() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    for path in ["/a", "/b", "/c"] {
        service.publish_and_run(path).await;
    }
    service.sandbox.fail_gets(2, &unavailable()).await;
    service.pass(5).await;
    let unanswered = "SELECT count(*) FROM invalidation WHERE unanswered_since IS NOT NULL";
    assert_eq!(service.database.count(unanswered).await, 2);
    let (store, clock) = (&service.state.store, &service.state.clock);
    let now = clock.now() + Duration::MINUTE;
    for (answered, unanswered, due) in [(0, 1, 1), (1, 0, 1), (5, 1, 2), (5, 5, 3), (0, 0, 0)] {
        let places = Places {
            answered,
            unanswered,
        };
        assert_eq!(store.due(&[], places, now).await.unwrap().questions, due);
    }
    let places = Places {
        answered: 5,
        unanswered: 1,
    };
    let claims = store.claim_polls(places, clock.id(), now).await.unwrap();
    let unanswered = claims.iter().filter(|claim| claim.is_unanswered());
    assert_eq!((claims.len(), unanswered.count()), (2, 1));
}

/// Thousands may wait for a place, at an endpoint that hangs.
#[tokio::test]
async fn questions_without_an_answer_are_not_read_to_find_others() {
    let service = Stepped::start().await;
    let unanswered = "INSERT INTO invalidation (id, site_id, distribution_id, caller_reference, items, files, wildcards,
                                                asked, status, cloudfront_id, created_at, submitted_at, next_at,
                                                unanswered_since)
                      SELECT gen_random_uuid(), site_id, distribution_id, n::text, '{/about}'::text[], 1, 0,
                             1, 'InProgress', 'I' || n, now(), now(), now(), now()
                      FROM settings_in_force, generate_series(1, 5000) n;
                      ANALYZE invalidation";
    service.database.change(unanswered).await;
    let others = "EXPLAIN ANALYZE SELECT FROM invalidation
                  WHERE ended_at IS NULL AND status = 'InProgress' AND next_at <= now() AND unanswered_since IS NULL
                  LIMIT 64";
    let plan = service.database.column::<String>(others).await.join("\n");
    assert!(!plan.contains("Rows Removed"), "{plan}");
}
