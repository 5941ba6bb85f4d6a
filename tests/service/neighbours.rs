//! Nobody waits for another's trouble: sites that share a distribution, and sites beside one that
//! cannot be read.

use std::sync::Arc;

use serde_json::json;
use skycms_cdn::domain::{AfterGet, MonthlyLimit, PastLimit, Policy, Spending};
use skycms_cdn::store::{PollRecorded, Slot};
use sqlx::PgConnection;
use time::Duration;
use uuid::Uuid;

use crate::support::{
    DISTRIBUTION, Database, KEY, OTHER_KEY, Stepped, places, settings, unavailable,
};

const SLOW: u64 = 3_600_000;

#[tokio::test]
async fn a_removed_sites_batches_hold_nobody_and_cause_no_work() {
    let service = Stepped::start().await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    service.sandbox.fail_creates(1, unavailable()).await;
    other
        .publish(json!({ "paths": (0..3_000).map(|n| format!("/{n}")).collect::<Vec<_>>() }))
        .await;
    service.run().await;
    let (store, now) = (&service.state.store, service.state.clock.now());
    let site = store
        .site_id(&"other".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert!(store.remove_site(site, now).await.unwrap());
    let due = store.due(&[], places(1), now).await.unwrap();
    assert!(!due.is_now() && due.next.is_none(), "{due:?}");
    let path = service.publish_and_run("/path").await;
    assert_eq!(service.state_of(&path).await, "in_progress");
}

#[tokio::test]
async fn a_neighbours_files_fold_nothing_here() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    let pages: Vec<_> = (0..200).map(|n| format!("/theirs/{n}")).collect();
    other.publish(json!({ "paths": pages })).await;
    service.run().await;
    let economical = Spending {
        policy: Policy::Economical,
        ..Spending::default()
    };
    service
        .state
        .store
        .save_spending(service.site(), None, &economical)
        .await
        .unwrap();
    service
        .publish_paths((0..12).map(|n| format!("/ours/{n}")))
        .await;
    service.run().await;
    let newest = service.sandbox.accepted().await.remove(0);
    assert_eq!(newest["paths"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn a_site_that_cannot_be_read_stops_only_itself() {
    let service = Stepped::start().await;
    let other = service.add_other_site().await;
    let theirs = other.publish_path("/theirs").await;
    let ours = service.publish_and_run("/ours").await;
    let unreadable = format!(
        "UPDATE cdn_settings SET region = 'moon-1' WHERE distribution_id = '{DISTRIBUTION}'"
    );
    service.database.change(&unreadable).await;
    let waiting = service.api.publish_path("/waiting").await;
    service.pass(3).await;
    assert_eq!(other.get_publish(&theirs).await["state"], "completed");
    assert_eq!(
        service.states(&[ours, waiting]).await,
        ["in_progress", "queued"]
    );
    service
        .state
        .directory
        .refresh(&service.state.store)
        .await
        .unwrap();
}

/// A later version may test in other steps, while this one still runs beside it.
#[tokio::test]
async fn a_report_that_cannot_be_read_stops_nothing() {
    let service = Stepped::start().await;
    let (store, site) = (&service.state.store, service.site());
    service
        .database
        .change(r#"UPDATE cdn_settings SET test_report = '{"steps": []}'"#)
        .await;
    let saved = store.readable_settings(site).await.unwrap();
    assert_eq!(saved[0].report, None);
    let id = service.publish_and_run("/about").await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}

#[tokio::test]
async fn a_neighbours_batch_without_an_answer_holds_nobody() {
    let service = Stepped::start().await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    service
        .sandbox
        .fault(json!({ "operation": "create", "at_least": 2, "fault": unavailable() }))
        .await;
    let theirs: Vec<_> = (0..3_000).map(|n| format!("/{n}")).collect();
    let theirs = other.publish(json!({ "paths": theirs })).await;
    service.run().await;
    let ours = service.publish_and_run("/ours").await;
    service.pass_in_steps(6, 5).await;
    assert_ne!(service.state_of(&ours).await, "queued");

    let off = json!({ "enabled": false });
    service.sandbox.set_key(OTHER_KEY, off).await;
    service.sandbox.clear_faults().await;
    service.pass(31).await;
    let id = theirs["id"].as_str().unwrap();
    let held = other.get_publish(id).await;
    assert_eq!(held["invalidations"][0]["waiting_for"], "settings");
    let next = service.publish_and_run("/next").await;
    assert_ne!(service.state_of(&next).await, "queued", "they are paused");
}

#[tokio::test]
async fn a_neighbours_calls_neither_clear_nor_age_a_backlog() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_WILDCARDS_IN_PROGRESS", "1"),
        ("MAX_BACKLOG_SECONDS", "60"),
    ])
    .await;
    service
        .sandbox
        .config(json!({ "in_progress_ms": SLOW, "wildcards_in_progress": 1 }))
        .await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    let economical = Spending {
        policy: Policy::Economical,
        ..Spending::default()
    };
    let store = &service.state.store;
    store
        .save_spending(service.site(), None, &economical)
        .await
        .unwrap();
    service.publish_and_run("/first/*").await;
    let mut theirs = String::new();
    for n in 0..3 {
        theirs = other.publish_path(&format!("/theirs/{n}/*")).await;
        service.run().await;
    }
    service.pass(61).await;
    service
        .publish_paths((0..3).map(|n| format!("/ours/{n}")))
        .await;
    service.run().await;
    let newest = service.sandbox.accepted().await.remove(0);
    assert_eq!(
        newest["paths"],
        json!(["/ours/0", "/ours/1", "/ours/2"]),
        "their backlog is not ours"
    );
    let held = other.get_publish(&theirs).await;
    assert_eq!(held["waiting_for"], "quota");
    assert!(held["note"].is_string(), "still their backlog: {held:#}");
}

#[tokio::test]
async fn settings_that_move_during_a_call_leave_no_lease() {
    let service = Stepped::start().await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    let slow = json!({ "kind": "slow", "ms": 1_000 });
    service.sandbox.fail_creates(1, slow).await;
    let ours = service.api.publish_path("/ours").await;
    let dispatcher = service.dispatcher.clone();
    let calling = tokio::spawn(async move { dispatcher.run_pending().await });
    service.sandbox.wait_for_creates(1).await;
    let elsewhere = "E2ELSEWHERE001";
    service
        .sandbox
        .add_tenant(elsewhere, "AKIAMOVED00000000001")
        .await;
    service
        .activate(service.site(), elsewhere, "AKIAMOVED00000000001")
        .await;
    calling.await.unwrap().unwrap();
    let theirs = other.publish_path("/theirs").await;
    service.run().await;
    assert_ne!(other.get_publish(&theirs).await["state"], "queued");
    assert_eq!(service.run_until_ended(&ours).await["state"], "completed");
}

/// Settings that move between a refusal and the pieces that take the refused batch's place.
#[tokio::test]
async fn settings_that_move_while_a_batch_is_split_leave_no_piece_behind() {
    let service = Stepped::start().await;
    let refused = json!({ "kind": "error", "code": "InvalidArgument", "status": 400 });
    service.sandbox.fail_creates(1, refused).await;
    let paths = json!({ "paths": ["/a", "/b", "/c/*"] });
    let publish = service.api.publish(paths).await;
    let elsewhere = ("E2ELSEWHERE001", "AKIAMOVED00000000001");
    service.sandbox.add_tenant(elsewhere.0, elsewhere.1).await;
    let mut db = service.database.connect().await;
    // "publ": the turn that storing the pieces waits for.
    let turn = async |db: &mut PgConnection, sql: &'static str| {
        let turn = sqlx::query(sql).bind(0x70_75_62_6c).bind(service.site().0);
        turn.execute(db).await.unwrap();
    };
    turn(&mut db, "SELECT pg_advisory_lock($1, $2)").await;
    let dispatcher = service.dispatcher.clone();
    let splitting = tokio::spawn(async move { dispatcher.run_pending().await });
    service.database.wait_for_locks(1).await;
    tokio::join!(
        service.activate(service.site(), elsewhere.0, elsewhere.1),
        async {
            service.database.wait_for_locks(2).await;
            turn(&mut db, "SELECT pg_advisory_unlock($1, $2)").await;
        }
    );
    splitting.await.unwrap().unwrap();
    let id = publish["id"].as_str().unwrap();
    assert_eq!(service.run_until_ended(id).await["state"], "completed");
    let left = "SELECT count(*) FROM invalidation WHERE status = 'Queued'";
    assert_eq!(service.database.count(left).await, 0);
}

/// Two sites that share a distribution, and always have something new, call by turns.
#[tokio::test]
async fn what_had_no_answer_is_tried_again_between_two_sites_that_are_never_done() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.5"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    let other = service.add_site("other", DISTRIBUTION, KEY).await;
    service.sandbox.fail_creates(2, unavailable()).await;
    let mut troubled = [String::new(), String::new()];
    for round in 0..24 {
        let ours = service.api.publish_path(&format!("/ours/{round}")).await;
        let theirs = other.publish_path(&format!("/theirs/{round}")).await;
        if round == 0 {
            troubled = [ours, theirs];
        }
        service.pass(3).await;
    }
    let [ours, theirs] = troubled;
    assert_ne!(service.state_of(&ours).await, "queued");
    assert_ne!(other.get_publish(&theirs).await["state"], "queued");
}

/// Questions about the old distribution say nothing about the new settings.
#[tokio::test]
async fn a_denial_of_the_old_distribution_is_not_told_of_the_new_settings() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    let id = service.publish_and_run("/about").await;
    let elsewhere = ("E2ELSEWHERE001", "AKIAMOVED00000000001");
    service.sandbox.add_tenant(elsewhere.0, elsewhere.1).await;
    service
        .activate(service.site(), elsewhere.0, elsewhere.1)
        .await;
    service.pass(61).await;
    assert_eq!(service.state_of(&id).await, "unconfirmed");
    service.refresh_sites().await;
    let site = service.state.directory.site("default").unwrap();
    assert_eq!(site.poll_denied_since, None);
}

/// What another version has written.
#[tokio::test]
async fn an_id_that_cannot_be_read_stops_no_question_about_others() {
    let service = Stepped::start().await;
    let strange = service.publish_and_run("/strange").await;
    service
        .database
        .change("UPDATE invalidation SET distribution_id = 'not an ID'")
        .await;
    let id = service.publish_and_run("/about").await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    assert_eq!(service.state_of(&strange).await, "in_progress");
}

#[tokio::test]
async fn a_site_that_is_removed_during_a_call_leaves_no_lease() {
    let service = Stepped::start().await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    let slow = json!({ "kind": "slow", "ms": 1_000 });
    service.sandbox.fail_creates(1, slow).await;
    other.publish_path("/theirs").await;
    let dispatcher = service.dispatcher.clone();
    let calling = tokio::spawn(async move { dispatcher.run_pending().await });
    service.sandbox.wait_for_creates(1).await;
    let (store, now) = (&service.state.store, service.state.clock.now());
    let site = store.site_id(&"other".parse().unwrap()).await.unwrap();
    assert!(store.remove_site(site.unwrap(), now).await.unwrap());
    calling.await.unwrap().unwrap();
    let ours = service.publish_and_run("/ours").await;
    assert_eq!(service.state_of(&ours).await, "in_progress");
}

#[tokio::test]
async fn an_entry_of_a_site_that_cannot_be_read_stops_no_start() {
    let service = Stepped::start().await;
    service
        .database
        .change("UPDATE site SET publisher_hosts = '{not a host/, www.example.com}'")
        .await;
    let again = Database::at(service.database.url.clone());
    let sandbox = Arc::clone(&service.sandbox);
    let service = Stepped::start_on(again, sandbox, &[], Duration::ZERO).await;
    let id = service.publish_and_run("/about").await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    let site = service.state.directory.site("default").unwrap();
    assert_eq!(site.publishing.hosts.len(), 1);
}

#[tokio::test]
async fn hosts_that_cannot_be_read_let_no_other_host_in() {
    let service = Stepped::start().await;
    service
        .database
        .change("UPDATE site SET publisher_hosts = '{not a host/}'")
        .await;
    let (directory, store) = (&service.state.directory, &service.state.store);
    directory.refresh(store).await.unwrap();
    let publish = async |path: &str| {
        let body = json!({ "paths": [path] }).to_string();
        service.api.post(&[], body).await.status
    };
    assert_eq!(publish("https://www.example.com/about").await, 422);
    assert_eq!(publish("/about").await, 202);
}

#[tokio::test]
async fn beside_a_neighbour_that_always_publishes_cloudfront_is_asked_all_the_same() {
    let service = Stepped::start().await;
    let config = json!({ "in_progress_ms": SLOW, "rate": null });
    service.sandbox.config(config).await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    let pages: Vec<_> = (0..2_955).map(|n| format!("/old/{n}")).collect();
    other.publish(json!({ "paths": pages })).await;
    service.run().await;
    service
        .publish_paths((0..60).map(|n| format!("/ours/{n}")))
        .await;
    service.run().await;
    for n in 0..11 {
        service.pass(5).await;
        let theirs = other.publish_path(&format!("/new/{n}")).await;
        service.run().await;
        let sent: usize = service
            .sandbox
            .accepted_paths()
            .await
            .iter()
            .map(Vec::len)
            .sum();
        let is_queued = other.get_publish(&theirs).await["state"] == "queued";
        assert!(!is_queued || sent == 3_000, "{sent} in progress");
    }
    let outcomes = service.sandbox.outcomes().await;
    let refused = outcomes.iter().filter(|o| *o != "Accepted").count();
    assert_eq!(refused, 1, "asked once in half a minute, at nobody's cost");
    let statuses = "SELECT status FROM invalidation WHERE site_id = 1 ORDER BY id";
    let ours: Vec<String> = service.database.column(statuses).await;
    assert_eq!(ours, ["InProgress", "Queued"], "what has room goes");

    let config = json!({ "files_in_progress": 3_100 });
    service.sandbox.config(config).await;
    service.pass(10).await;
    let ours: Vec<String> = service.database.column(statuses).await;
    assert_eq!(ours, ["InProgress"; 2]);
}

#[tokio::test]
async fn what_is_held_for_the_month_hides_no_lack_of_room() {
    let service = Stepped::start().await;
    let config = json!({ "in_progress_ms": SLOW, "rate": null, "files_in_progress": 3_100 });
    service.sandbox.config(config).await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    let pages: Vec<_> = (0..2_970).map(|n| format!("/old/{n}")).collect();
    other.publish(json!({ "paths": pages })).await;
    service.run().await;
    let limited = Spending {
        monthly_limit: Some(MonthlyLimit {
            paths: 100,
            then: PastLimit::Hold,
        }),
        ..Spending::default()
    };
    let store = &service.state.store;
    store
        .save_spending(service.site(), None, &limited)
        .await
        .unwrap();
    let held = service
        .publish_paths((0..200).map(|n| format!("/held/{n}")))
        .await;
    let ours = service
        .publish_paths((0..40).map(|n| format!("/ours/{n}")))
        .await;
    service.run().await;
    assert_eq!(service.state_of(&ours).await, "queued");
    for n in 0..11 {
        service.pass(5).await;
        other.publish_path(&format!("/new/{n}")).await;
        service.run().await;
    }
    // CloudFront was asked, as without the other.
    assert_eq!(
        service.states(&[held, ours]).await,
        ["queued", "in_progress"]
    );
}

/// Whoever moves a site's settings locks what it has stored, oldest first. One that has the first
/// must get the others.
#[tokio::test]
async fn what_a_completion_wakes_is_locked_oldest_first() {
    let service = Stepped::start_with(&[("CLOUDFRONT_FILES_IN_PROGRESS", "4")]).await;
    service.sandbox.never_complete().await;
    service
        .publish_paths((0..12).map(|n| format!("/{n}")))
        .await;
    service.run().await;
    let mut db = service.database.connect().await;
    let stored: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM invalidation WHERE status = 'Queued' AND waiting_for = 'quota' ORDER BY id",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    let [first, second] = stored[..] else {
        panic!("{stored:?}");
    };
    // This moves it behind the other in the table.
    sqlx::query("UPDATE invalidation SET next_at = next_at + interval '1 second' WHERE id = $1")
        .bind(first)
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut db).await.unwrap();
    let lock = async |db: &mut PgConnection, id: Uuid| {
        let lock = "SELECT FROM invalidation WHERE id = $1 FOR UPDATE NOWAIT";
        sqlx::query(lock).bind(id).execute(db).await
    };
    lock(&mut db, first).await.unwrap();
    service.sandbox.complete().await;
    service.advance(Duration::seconds(3));
    let dispatcher = service.dispatcher.clone();
    let asking = tokio::spawn(async move { dispatcher.run_pending().await });
    service.database.wait_for_locks(1).await;
    let locked = lock(&mut db, second).await;
    assert!(locked.is_ok(), "{locked:?}");
    sqlx::raw_sql("COMMIT").execute(&mut db).await.unwrap();
    asking.await.unwrap().unwrap();
    assert_eq!(service.sandbox.accepted().await.len(), 2);
}

/// Paths and tags that were separated since CloudFront refused them together are not joined again
/// because a neighbour's call was accepted in between: it would refuse them again and again.
#[tokio::test]
async fn a_neighbours_calls_put_no_refused_batch_together_again() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.5"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    let other = service.add_site("other", DISTRIBUTION, OTHER_KEY).await;
    service.sandbox.refuse_tags().await;
    let ours = json!({ "paths": ["/ours"], "tags": ["t"] });
    service.api.publish(ours).await;
    service.run().await;
    other.publish_path("/theirs").await;
    service.run().await;
    service.pass(3).await;
    let accepted = service.sandbox.accepted_paths().await;
    assert_eq!(accepted, [["/theirs"], ["/ours"]]);
}

/// What fails with the last refusal of a search waits for whoever moves the settings, without a
/// lock on any of it.
#[tokio::test]
async fn what_is_left_of_a_search_fails_before_or_after_a_move_of_the_settings() {
    let service = Stepped::start().await;
    service.sandbox.refuse_tags().await;
    let slow = json!({ "kind": "slow", "ms": 1_000 });
    let slow = json!({ "operation": "create", "times": 2, "fault": slow, "path": "#c" });
    service.sandbox.fault(slow).await;
    let tags = json!({ "tags": ["a", "b", "c"] });
    let publish = service.api.publish(tags).await;
    let dispatcher = service.dispatcher.clone();
    let searching = tokio::spawn(async move { dispatcher.run_pending().await });
    service.sandbox.wait_for_creates(3).await;
    let held = service.database.hold("SELECT FROM site FOR UPDATE").await;
    service.database.wait_for_locks(1).await;
    held.end_with("SELECT FROM invalidation FOR UPDATE NOWAIT")
        .await;
    searching.await.unwrap().unwrap();
    let id = publish["id"].as_str().unwrap();
    assert_eq!(service.state_of(id).await, "failed");
    assert_eq!(service.sandbox.creates().await.len(), 3);
}

/// Of three invalidations of the site, the last ends, and the others wait for its room.
#[tokio::test]
async fn settings_that_move_while_an_end_makes_room_wait_for_it_and_hold_nothing_of_it() {
    let service = Stepped::start().await;
    let open = "INSERT INTO invalidation (id, site_id, distribution_id, caller_reference, items, files, wildcards, asked,
                                          status, waiting_for, cloudfront_id, created_at, submitted_at, next_at)
                SELECT o.id::uuid, f.site_id, f.distribution_id, o.id, '{/about}'::text[], 1, 0, 1,
                       o.status, o.waiting_for, o.cloudfront_id, i.at, i.at,
                       CASE o.status WHEN 'Queued' THEN now() + interval '1 minute' ELSE i.at END
                FROM settings_in_force f, (SELECT now() - interval '1 minute' AS at) i, (VALUES
                  ('01a209ba-0000-7000-8000-000000000001', 'Queued', 'quota', NULL),
                  ('01a209ba-0000-7000-8000-000000000002', 'Queued', 'quota', NULL),
                  ('01a209ba-0000-7000-8000-000000000003', 'InProgress', 'settings', 'I2J0I21PCUYOIK'))
                  o (id, status, waiting_for, cloudfront_id)";
    service.database.change(open).await;
    let (store, site) = (service.state.store.clone(), service.site());
    let (token, now) = (service.state.clock.id(), service.state.clock.now());
    let claims = store.claim_polls(places(1), token, now).await.unwrap();
    let second = "SELECT FROM invalidation WHERE id::text LIKE '%2' FOR UPDATE";
    let second = service.database.hold(second).await;
    let recording = {
        let store = store.clone();
        let record = async move {
            let completed = AfterGet::Completed;
            store.record_poll(&claims[0], &completed, None, now).await
        };
        tokio::spawn(record)
    };
    service.database.wait_for_locks(1).await;
    let saving = tokio::spawn(async move {
        let settings = settings("E2ELSEWHERE001", OTHER_KEY);
        let (slot, seen) = (Slot::Active, None);
        let saved = store.save_settings(site, seen, slot, &settings, None, now);
        saved.await
    });
    service.database.wait_for_locks(2).await;
    second.release().await;
    assert_eq!(recording.await.unwrap().unwrap(), PollRecorded::MadeRoom);
    assert!(saving.await.unwrap().unwrap());
    let left = "SELECT count(*) FROM invalidation WHERE status <> 'Completed'";
    assert_eq!(service.database.count(left).await, 0);
}

/// A record that has its invalidation must get to the site, for the usage that it counts.
#[tokio::test]
async fn a_removal_that_waits_for_a_record_keeps_it_from_nothing() {
    let service = Stepped::start().await;
    service.sandbox.fail_creates(1, unavailable()).await;
    service.publish_and_run("/about").await;
    let recording = service.database.hold("SELECT FROM invalidation FOR UPDATE");
    let recording = recording.await;
    let (store, site) = (service.state.store.clone(), service.site());
    let now = service.state.clock.now();
    let removing = tokio::spawn(async move { store.remove_site(site, now).await });
    service.database.wait_for_locks(1).await;
    recording
        .end_with("SELECT FROM site FOR KEY SHARE NOWAIT")
        .await;
    assert!(removing.await.unwrap().unwrap());
    let named = "SELECT count(*) FROM site WHERE name = 'default'";
    assert_eq!(service.database.count(named).await, 0, "its name is free");
}
