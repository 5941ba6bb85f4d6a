//! What the site's owner allows, what CloudFront's quotas and rates let through, and what it costs.

use std::sync::Arc;

use serde_json::{Value, json};
use skycms_cdn::domain::{
    MonthUsage, MonthlyLimit, PastLimit, Policy, Publishing, Spending, WaitNote,
};
use skycms_cdn::store::{PublishFilter, PublishSummary};
use time::Duration;
use time::macros::datetime;

use crate::support::{
    DISTRIBUTION, Database, KEY, OTHER, OTHER_KEY, Replica, Sandbox, Stepped, places, settings,
    texts, throttling, unavailable, variables,
};

const ECONOMICAL: Spending = Spending {
    policy: Policy::Economical,
    fold_above: 7,
    monthly_limit: None,
};

const FOLD_ABOVE_40: Spending = Spending {
    fold_above: 40,
    ..ECONOMICAL
};

fn limit(paths: u64, then: PastLimit) -> Spending {
    Spending {
        monthly_limit: Some(MonthlyLimit { paths, then }),
        ..Spending::default()
    }
}

impl Stepped {
    async fn allow(&self, spending: Spending) {
        let store = &self.state.store;
        store
            .save_spending(self.site(), None, &spending)
            .await
            .unwrap();
        let (saved, _) = store.spending(self.site()).await.unwrap();
        assert_eq!(saved, spending);
    }

    async fn month(&self) -> MonthUsage {
        let now = self.state.clock.now();
        let store = &self.state.store;
        store.month_usage(self.site(), now).await.unwrap()
    }

    /// Publishes pages together, and gives the publish's id.
    async fn publish_pages(&self, directory: &str, pages: std::ops::Range<u32>) -> String {
        let paths = pages.map(|n| format!("/{directory}/{n}"));
        self.publish_paths(paths).await
    }

    /// How many files a call is believed to hold at most, if a refusal has taught it.
    pub(crate) async fn learned_size(&self) -> Option<i32> {
        let learned = "SELECT (beliefs #>> '{files,most}')::int FROM distribution";
        let (learned,): (Option<i32>,) = self.database.row(learned).await;
        learned
    }

    /// What CloudFront has accepted, oldest first.
    async fn sent(&self) -> Vec<Vec<String>> {
        self.sandbox.accepted_paths().await
    }
}

#[tokio::test]
async fn folding_spares_what_is_known_and_did_not_change() {
    let service = Stepped::start().await;
    service.publish_pages("a", 0..200).await;
    service.run().await;
    service.allow(ECONOMICAL).await;
    let a = service.publish_pages("a", 0..6).await;
    let b = service.publish_pages("b", 0..6).await;
    service.run().await;
    let mut last = service.sent().await.pop().unwrap();
    last.sort();
    assert_eq!(
        last,
        ["/a/0", "/a/1", "/a/2", "/a/3", "/a/4", "/a/5", "/b/*"]
    );
    for id in [a, b] {
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
    let month = service.month().await;
    assert_eq!((month.site_paths, month.site_asked), (207, 212));
}

#[tokio::test]
async fn exact_sends_what_was_asked_and_everything_one_wildcard() {
    let service = Stepped::start().await;
    service.publish_pages("a", 0..150).await;
    service.run().await;
    service
        .allow(Spending {
            policy: Policy::Everything,
            ..Spending::default()
        })
        .await;
    service.publish_pages("b", 0..3).await;
    service.run().await;
    let sent = service.sent().await;
    assert_eq!((sent[0].len(), &sent[1][..]), (150, &["/*".to_owned()][..]));
}

#[tokio::test]
async fn a_monthly_limit_holds_until_it_is_raised_or_the_month_ends() {
    let service = Stepped::start().await;
    service.allow(limit(5, PastLimit::Hold)).await;
    let first = service.publish_pages("a", 0..3).await;
    service.run().await;
    let second = service.publish_pages("b", 0..3).await;
    let third = service.publish_pages("c", 0..3).await;
    service.run().await;
    assert_eq!(service.run_until_ended(&first).await["state"], "completed");
    let held = service.api.get_publish(&second).await;
    assert_eq!(held["state"], "queued");
    assert_eq!(held["waiting_for"], "quota");
    let note = held["note"].as_str().unwrap();
    assert!(note.contains("monthly limit"), "{note}");
    assert_eq!(service.sent().await.len(), 1, "never past the limit");
    // What still fits goes meanwhile.
    let small = service.publish_pages("d", 0..2).await;
    service.run().await;
    assert_eq!(service.run_until_ended(&small).await["state"], "completed");

    service.allow(limit(10, PastLimit::Hold)).await;
    assert_eq!(service.run_until_ended(&second).await["state"], "completed");
    assert_eq!(service.api.get_publish(&third).await["state"], "queued");
    service.pass(32 * 86_400).await;
    assert_eq!(service.run_until_ended(&third).await["state"], "completed");
    assert_eq!(service.month().await.site_paths, 3, "a new month");
}

#[tokio::test]
async fn a_monthly_limit_holds_what_was_planned_before_and_is_not_sent_yet() {
    let service = Stepped::start_with(&[("CLOUDFRONT_FILES_IN_PROGRESS", "4")]).await;
    let id = service.publish_pages("a", 0..12).await;
    service.run().await;
    service.allow(limit(6, PastLimit::Hold)).await;
    service.sandbox.complete().await;
    service.pass_in_steps(3, 30).await;
    assert_eq!(service.sent().await.concat().len(), 4);
    assert_eq!(service.state_of(&id).await, "in_progress");

    service.allow(limit(12, PastLimit::Hold)).await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    let month = service.month().await;
    assert_eq!((month.site_paths, month.site_asked), (12, 12));
}

/// Working settings would not let it go either.
#[tokio::test]
async fn what_a_monthly_limit_holds_is_said_to_wait_for_it_also_while_settings_are_rejected() {
    let service = Stepped::start().await;
    service.publish_pages("a", 0..3).await;
    service.run().await;
    service.sandbox.enable_key(false).await;
    let large = service.publish_pages("b", 0..3).await;
    service.run().await;
    service.allow(limit(4, PastLimit::Hold)).await;
    service.pass(31).await;
    let small = service.publish_pages("c", 0..1).await;
    for (id, why, has_note) in [(&large, "quota", true), (&small, "settings", false)] {
        let publish = service.api.get_publish(id).await;
        assert_eq!(publish["waiting_for"], why);
        assert_eq!(publish["note"].is_string(), has_note, "{publish:#}");
    }
    service.sandbox.enable_key(true).await;
    assert_eq!(service.run_until_ended(&small).await["state"], "completed");
    service.allow(limit(7, PastLimit::Hold)).await;
    assert_eq!(service.run_until_ended(&large).await["state"], "completed");
}

#[tokio::test]
async fn a_monthly_limit_holds_what_is_searched_for_an_item_at_fault() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "1"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    let refusal = json!({ "kind": "error", "code": "MalformedInput", "status": 400 });
    let fault = json!({ "operation": "create", "at_least": 2, "fault": refusal });
    service.sandbox.fault(fault).await;
    let id = service.publish_pages("a", 0..5).await;
    service.run().await;
    service.allow(limit(3, PastLimit::Hold)).await;
    service.pass_in_steps(6, 30).await;
    assert!(service.sent().await.is_empty());
    assert_eq!(service.state_of(&id).await, "queued");

    service.allow(Spending::default()).await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    assert_eq!(service.month().await.site_paths, 5);
}

#[tokio::test]
async fn what_fits_a_monthly_limit_and_waits_for_room_says_nothing_of_the_limit() {
    let service = Stepped::start_with(&[("CLOUDFRONT_FILES_IN_PROGRESS", "3")]).await;
    service.sandbox.never_complete().await;
    service.allow(limit(10, PastLimit::Hold)).await;
    service.publish_pages("a", 0..3).await;
    service.run().await;
    let large = service.publish_pages("b", 0..8).await;
    let small = service.publish_pages("c", 0..7).await;
    service.run().await;
    for (id, is_limited) in [(&large, true), (&small, false)] {
        let held = service.api.get_publish(id).await;
        assert_eq!(held["waiting_for"], "quota", "{held:#}");
        assert_eq!(held["note"].is_string(), is_limited, "{held:#}");
    }
    let (site, now) = (service.site(), service.state.clock.now());
    let filter = PublishFilter::default();
    let listed = service.state.store.publishes(site, filter, 2, now);
    let listed = listed.await.unwrap().items;
    let is_limited =
        |publish: &PublishSummary| matches!(publish.note, Some(WaitNote::MonthlyLimit { .. }));
    let limited: Vec<_> = listed.iter().map(is_limited).collect();
    assert_eq!(limited, [false, true], "the newest first");
}

#[tokio::test]
async fn what_fits_a_monthly_limit_goes_however_much_waits_before_it() {
    // What one plan looks at, and more than that.
    for (publishes, pages) in [(12, 400), (4, 10_000)] {
        let service = Stepped::start().await;
        service.allow(limit(100, PastLimit::Hold)).await;
        for n in 0..publishes {
            service.publish_pages(&n.to_string(), 0..pages).await;
        }
        service.run().await;
        let small = service.publish_and_run("/small").await;
        assert_eq!(service.run_until_ended(&small).await["state"], "completed");
    }
}

#[tokio::test]
async fn what_is_full_hides_nothing_of_the_other_kind() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    let wildcards =
        |n: u32, count: u32| -> Vec<_> { (0..count).map(|i| format!("/{n}/{i}/*")).collect() };
    let full = json!({ "paths": wildcards(0, 15) });
    service.api.publish(full).await;
    service.run().await;
    for n in 1..10 {
        let waits = json!({ "paths": wildcards(n, 400) });
        service.api.publish(waits).await;
    }
    service.run().await;
    service.publish_and_run("/page").await;
    assert_eq!(service.sent().await.pop().unwrap(), ["/page"]);
}

#[tokio::test]
async fn publishes_that_wait_for_a_wildcard_each_hold_back_no_page() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_FILES_IN_PROGRESS", "20"),
        ("CLOUDFRONT_WILDCARDS_IN_PROGRESS", "1"),
    ])
    .await;
    service.sandbox.never_complete().await;
    service.publish_and_run("/first/*").await;
    for n in 0..10 {
        let pages = (0..5).map(|page| format!("/{n}/{page}"));
        let wildcard = format!("/section-{n}/*");
        service.publish_paths(pages.chain([wildcard])).await;
    }
    service.run().await;
    service.publish_and_run("/page").await;
    assert_eq!(service.sent().await.pop().unwrap(), ["/page"]);
}

#[tokio::test]
async fn what_there_is_some_room_for_and_not_enough_waits_for_the_quota() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_FILES_IN_PROGRESS", "4"),
        ("CLOUDFRONT_WILDCARDS_PER_SECOND", "0.01"),
    ])
    .await;
    service.sandbox.never_complete().await;
    let first = ["/1", "/2", "/3", "/first/*"].map(String::from);
    service.publish_paths(first).await;
    service.run().await;
    let second = ["/4", "/5", "/second/*"].map(String::from);
    let id = service.publish_paths(second).await;
    service.run().await;
    let held = service.api.get_publish(&id).await;
    assert_eq!(held["waiting_for"], "quota", "a completion makes room");
}

#[tokio::test]
async fn a_page_that_goes_as_a_wildcard_waits_for_the_rate_of_wildcards() {
    let service = Stepped::start_with(&[("CLOUDFRONT_WILDCARDS_PER_SECOND", "1")]).await;
    service.sandbox.never_complete().await;
    service
        .allow(Spending {
            policy: Policy::Everything,
            ..Spending::default()
        })
        .await;
    service.publish_and_run("/first").await;
    let id = service.publish_and_run("/second").await;
    let held = service.api.get_publish(&id).await;
    assert_eq!(held["waiting_for"], "rate", "{held:#}");
    service.pass(3).await;
    assert_ne!(service.state_of(&id).await, "queued");
}

/// What cannot be planned shows whether it was tried.
#[tokio::test]
async fn nothing_is_read_while_there_is_no_room_for_any_of_it() {
    for policy in [Policy::Exact, Policy::Economical, Policy::Everything] {
        let service = Stepped::start_with(&[
            ("CLOUDFRONT_FILES_IN_PROGRESS", "1"),
            ("CLOUDFRONT_WILDCARDS_IN_PROGRESS", "1"),
        ])
        .await;
        service.sandbox.never_complete().await;
        service
            .allow(Spending {
                policy,
                ..Spending::default()
            })
            .await;
        let first = ["/page", "/section/*"].map(String::from);
        service.publish_paths(first).await;
        service.run().await;
        let id = service.api.publish_path("/second").await;
        service
            .database
            .change("UPDATE publish SET items = '{not an item}' WHERE NOT planned")
            .await;
        service.run().await;
        let held = service.api.get_publish(&id).await;
        assert_eq!(held["waiting_for"], "quota", "{policy:?}: {held:#}");
    }
}

#[tokio::test]
async fn past_a_monthly_limit_exact_may_become_economical() {
    let service = Stepped::start().await;
    service.allow(limit(10, PastLimit::Economical)).await;
    service.publish_pages("a", 0..10).await;
    service.run().await;
    service.publish_pages("b", 0..10).await;
    service.run().await;
    assert_eq!(service.sent().await[1], ["/b/*"]);
}

/// Three wildcards wait for one that CloudFront does not complete.
async fn with_backlog() -> Stepped {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_WILDCARDS_IN_PROGRESS", "1"),
        ("MAX_BACKLOG_SECONDS", "60"),
    ])
    .await;
    service
        .sandbox
        .config(json!({ "in_progress_ms": 600_000, "wildcards_in_progress": 1 }))
        .await;
    service.publish_and_run("/first/*").await;
    for n in 0..3 {
        service.publish_and_run(&format!("/news/{n}/*")).await;
    }
    service
}

#[tokio::test]
async fn a_backlog_that_takes_too_long_is_folded_unless_the_site_is_exact() {
    let service = with_backlog().await;
    let waiting = service.publish_and_run("/news/3/*").await;
    service.pass(61).await;
    let publish = service.api.get_publish(&waiting).await;
    assert_eq!(publish["waiting_for"], "quota");
    assert!(publish["note"].is_string(), "{publish:#}");
    assert_eq!(service.sent().await.len(), 1);

    service.allow(ECONOMICAL).await;
    service.sandbox.complete().await;
    service.pass(90).await;
    service.sandbox.complete().await;
    service.pass(90).await;
    let sent = service.sent().await;
    assert_eq!(
        (&sent[1][..], &sent[2][..]),
        (&["/news/0/*".to_owned()][..], &["/news/*".to_owned()][..]),
        "CloudFront was asked about the first, and the rest is folded"
    );
}

#[tokio::test]
async fn a_backlog_at_the_old_distribution_folds_nothing_at_the_new_one() {
    let service = with_backlog().await;
    service.pass(61).await;
    let backlog = "SELECT count(*) FROM site WHERE backlog_since IS NOT NULL";
    assert_eq!(service.database.count(backlog).await, 1);

    service.allow(ECONOMICAL).await;
    service.sandbox.add_tenant(OTHER, OTHER_KEY).await;
    service.activate(service.site(), OTHER, OTHER_KEY).await;
    service.run().await;
    assert_eq!(service.sent().await[1], ["/news/0/*"]);
}

#[tokio::test]
async fn a_rebuild_that_comes_bit_by_bit_is_folded_too() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    service.allow(FOLD_ABOVE_40).await;
    for n in 0..10 {
        service.publish_pages("a", n * 20..(n + 1) * 20).await;
        service.run().await;
    }
    let sent: Vec<_> = service.sent().await.iter().map(Vec::len).collect();
    assert_eq!(sent, [20, 20, 1, 1, 1, 1, 1, 1, 1, 1]);
    service.publish_pages("b", 0..5).await;
    service.run().await;
    let last = service.sent().await.pop().unwrap();
    assert_eq!(last.len(), 5, "a few items go as they are: {last:?}");
}

#[tokio::test]
async fn what_is_sent_in_pieces_counts_unfolded_too() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    service.allow(FOLD_ABOVE_40).await;
    let full = json!({ "kind": "error", "code": "TooManyInvalidationsInProgress", "status": 400 });
    service.sandbox.fail_creates(1, full).await;
    let pages = (0..60).map(|n| format!("/a/{n}"));
    service.publish_paths(pages.chain(["/z".to_owned()])).await;
    service.run().await;
    let mut sent = service.sent().await;
    sent.sort();
    assert_eq!(sent, [["/a/*"], ["/z"]], "each kind for itself");
    service.publish_pages("b", 0..20).await;
    service.run().await;
    assert_eq!(service.sent().await.pop().unwrap(), ["/b/*"]);
}

#[tokio::test]
async fn paths_a_second_are_kept_and_nothing_is_refused() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    sandbox
        .config(json!({ "paths_per_second": 10, "wildcards_per_second": 1 }))
        .await;
    let mut variables = variables(&database, &sandbox);
    variables.insert("CLOUDFRONT_PATHS_PER_SECOND".into(), "10".into());
    variables.insert("CLOUDFRONT_WILDCARDS_PER_SECOND".into(), "1".into());
    let replica = Replica::start_with(&variables).await;
    let pages: Vec<_> = (0..25).map(|n| format!("/{n}")).collect();
    let large = replica.api.publish(json!({ "paths": pages })).await;
    let wild = replica
        .api
        .publish(json!({ "paths": ["/a/*", "/b/*", "/c"] }))
        .await;
    for publish in [large, wild] {
        let id = publish["id"].as_str().unwrap();
        assert_eq!(replica.api.wait_until_ended(id).await["state"], "completed");
    }
    let outcomes = sandbox.outcomes().await;
    assert!(outcomes.iter().all(|o| o == "Accepted"), "{outcomes:?}");
    assert!(outcomes.len() >= 4);
}

/// To read and plan a long queue takes time, and what is stored of it follows at once.
#[tokio::test]
async fn what_a_second_takes_counts_from_the_call_rather_than_from_the_look_before_it() {
    let service = Stepped::start_with(&[("CLOUDFRONT_PATHS_PER_SECOND", "10")]).await;
    service.publish_pages("a", 0..20).await;
    let held = service.database.hold("SELECT FROM site FOR UPDATE").await;
    let dispatcher = service.dispatcher.clone();
    let sending = tokio::spawn(async move { dispatcher.run_pending().await });
    service.database.wait_for_locks(1).await;
    service.advance(Duration::seconds(2));
    held.release().await;
    sending.await.unwrap().unwrap();
    assert_eq!(service.sent().await.len(), 1);
    service.pass(1).await;
    assert_eq!(service.sent().await.len(), 1, "it may have had to connect");
    service.pass(1).await;
    assert_eq!(service.sent().await.len(), 2);
}

#[tokio::test]
async fn throttling_waits_for_the_keys_rate_and_spends_no_attempt() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.5"),
        ("CLOUDFRONT_REQUEST_BURST", "5"),
    ])
    .await;
    service.sandbox.fail_creates(1, throttling()).await;
    let id = service.publish_and_run("/about").await;
    let publish = service.api.get_publish(&id).await;
    let invalidation = &publish["invalidations"][0];
    assert_eq!(invalidation["waiting_for"], "rate");
    assert_eq!(invalidation["attempts"], 0);
    service.pass(3).await;
    assert_eq!(service.sandbox.creates().await.len(), 1, "four seconds");
    service.pass(2).await;
    assert_eq!(service.sandbox.creates().await.len(), 2);
    let publish = service.run_until_ended(&id).await;
    assert_eq!(publish["state"], "completed");
    assert_eq!(publish["invalidations"][0]["attempts"], 1);
}

#[tokio::test]
async fn a_call_that_is_throttled_by_chance_makes_no_batch_smaller() {
    let service = Stepped::start().await;
    let paths = ["/a", "/b", "/c", "/d"];
    let first = service.api.publish(json!({ "paths": paths })).await;
    service.run_until_ended(first["id"].as_str().unwrap()).await;
    for times in [1, 2, 1] {
        service.sandbox.fail_creates(times, throttling()).await;
        let publish = service.api.publish(json!({ "paths": paths })).await;
        service.run().await;
        let publish = service
            .run_until_ended(publish["id"].as_str().unwrap())
            .await;
        assert_eq!(publish["state"], "completed");
        let invalidations = publish["invalidations"].as_array().unwrap();
        assert_eq!(invalidations.len(), 1, "{publish:#}");
    }
    let most = service.learned_size().await;
    assert_eq!(most, None, "nothing is remembered against its size");
}

#[tokio::test]
async fn a_refusal_for_quota_waits_for_the_next_completion() {
    let service = Stepped::start().await;
    let sandbox = &service.sandbox;
    sandbox
        .config(json!({ "wildcards_in_progress": 1, "in_progress_ms": 600_000 }))
        .await;
    let first = service.publish_and_run("/a/*").await;
    let second = service.publish_and_run("/b/*").await;
    let held = service.api.get_publish(&second).await;
    assert_eq!(held["invalidations"][0]["waiting_for"], "quota");
    assert_eq!(held["invalidations"][0]["attempts"], 0);
    sandbox.complete().await;
    service.pass(3).await;
    let publish = service.api.get_publish(&first).await;
    assert_eq!(publish["state"], "completed");
    let calls = sandbox.outcomes().await;
    assert_eq!(
        calls,
        ["Accepted", "TooManyInvalidationsInProgress", "Accepted"]
    );
    sandbox.complete().await;
    let publish = service.run_until_ended(&second).await;
    assert_eq!(publish["invalidations"][0]["attempts"], 1);
}

/// CloudFront refuses a call, and what it was refused for ends before its answer has come.
#[tokio::test]
async fn a_refusal_for_quota_does_not_wait_if_something_completed_during_the_call() {
    let service = Stepped::start().await;
    let sandbox = &service.sandbox;
    sandbox
        .config(json!({ "wildcards_in_progress": 1, "in_progress_ms": 600_000 }))
        .await;
    service.publish_and_run("/a/*").await;
    let slow = json!({ "kind": "slow", "ms": 1_000 });
    sandbox.fail_creates(1, slow).await;
    let second = service.api.publish_path("/b/*").await;
    let dispatcher = service.dispatcher.clone();
    let calling = tokio::spawn(async move { dispatcher.run_pending().await });
    sandbox.wait_for_creates(2).await;
    sandbox.complete().await;
    service.pass(2).await;
    service.advance(Duration::SECOND);
    calling.await.unwrap().unwrap();
    assert_eq!(service.state_of(&second).await, "in_progress");
    let calls = sandbox.outcomes().await;
    let refused = "TooManyInvalidationsInProgress";
    assert_eq!(calls, ["Accepted", refused, "Accepted"]);
}

#[tokio::test]
async fn a_batch_beyond_the_real_quota_goes_in_halves() {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "files_in_progress": 2 }))
        .await;
    let id = service.publish_pages("a", 0..4).await;
    let same = service.publish_pages("a", 0..4).await;
    service.run().await;
    let publish = service.run_until_ended(&id).await;
    let mut sent = service.sent().await;
    sent.sort();
    assert_eq!(sent, [["/a/0", "/a/1"], ["/a/2", "/a/3"]]);
    assert_eq!(publish["state"], "completed", "{publish:#}");
    assert_eq!(service.api.get_publish(&same).await["state"], "completed");
    let month = service.month().await;
    assert_eq!((month.site_paths, month.site_asked), (4, 8));
}

#[tokio::test]
async fn the_meter_follows_a_rotated_key() {
    let service = Stepped::start().await;
    service.publish_pages("a", 0..4).await;
    service.publish_pages("a", 2..6).await;
    service.run().await;
    let other = service.add_other_site().await;
    other.publish_path("/x").await;
    service.run().await;
    let month = service.month().await;
    assert_eq!(
        (month.site_paths, month.site_asked, month.key_paths),
        (6, 8, 6),
        "other keys may be other accounts'"
    );
    service
        .activate(service.site(), DISTRIBUTION, "AKIAROTATED000000001")
        .await;
    assert_eq!(service.month().await.key_paths, 6);
    let free = service.state.limits.prices.free_left(month.key_paths);
    assert_eq!(free, 994);
}

/// The answer came after midnight, to a repeat.
#[tokio::test]
async fn what_was_accepted_before_midnight_counts_in_the_month_that_ended() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    // Far ahead of the sandbox, which has therefore accepted it as soon as it was planned.
    let last_second = datetime!(2099-12-31 23:59:59 UTC);
    let service = Stepped::start_at(database, sandbox, &[], last_second).await;
    let lost = json!({ "kind": "drop_answer" });
    service.sandbox.spoil_answer(&lost).await;
    service.publish_and_run("/about").await;
    service.pass(3).await;
    assert_eq!(service.month().await.site_paths, 0);
    let store = &service.state.store;
    let ended = store.month_usage(service.site(), last_second).await;
    assert_eq!(ended.unwrap().site_paths, 1);
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_sent_and_stores_nothing() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_FREE_PATHS", "2"),
        ("CLOUDFRONT_PATH_PRICE_USD", "0.25"),
    ])
    .await;
    let path = "/api/sites/default/publishes?dry_run=true";
    let dry_run = |body: Value| {
        crate::support::send(
            service
                .api
                .request(http::Method::POST, path, &[], body.to_string()),
        )
    };
    let answer = dry_run(json!({ "paths": ["root", "/blog/*", "/blog/x", "/a~b"] })).await;
    assert_eq!(answer.status, 200);
    let told = answer.json();
    assert_eq!(
        texts(&told["invalidations"][0]["items"]),
        ["/", "/index.html", "/blog/*", "/a*"]
    );
    assert_eq!(told["billed_paths"], 4);
    assert_eq!(told["price_usd"], "0.50");
    assert_eq!(told["free_paths_left"], 2);
    assert_eq!(told["waiting_for"], Value::Null);
    assert_eq!(told["widened"][0]["from"], "/a~b");
    let swallowed = &told["explanations"][2];
    assert_eq!(swallowed["given"], "/blog/x");
    assert_eq!(swallowed["items"][0]["fate"], "swallowed");
    assert_eq!(swallowed["items"][0]["by"], "/blog/*");
    assert_eq!(told["explanations"][3]["origin"], "widened");

    service.allow(ECONOMICAL).await;
    let pages: Vec<_> = (0..10).map(|n| format!("/news/{n}")).collect();
    let told = dry_run(json!({ "paths": pages })).await.json();
    assert_eq!(texts(&told["invalidations"][0]["items"]), ["/news/*"]);
    assert_eq!(told["explanations"][0]["items"][0]["fate"], "folded");

    service.allow(limit(5, PastLimit::Hold)).await;
    let told = dry_run(json!({ "paths": pages })).await.json();
    assert_eq!(told["waiting_for"], "quota");
    assert!(told["note"].is_string());

    assert_eq!(dry_run(json!({ "paths": ["/a*b"] })).await.status, 422);
    let nonsense = service.api.request(
        http::Method::POST,
        "/api/sites/default/publishes?dry_run=perhaps",
        &[],
        json!({ "paths": ["/a"] }).to_string(),
    );
    assert_eq!(crate::support::send(nonsense).await.status, 400);
    service.run().await;
    assert!(service.sandbox.creates().await.is_empty());
    let stored = "SELECT count(*) FROM publish";
    assert_eq!(service.database.count(stored).await, 0);
}

#[tokio::test]
async fn related_pages_go_with_pages_and_hosts_are_checked() {
    let service = Stepped::start().await;
    let related = ["/sitemap.xml", "/blog/* => /feed.xml"].map(|rule| rule.parse().unwrap());
    let rules = Publishing {
        hosts: vec!["www.example.com".parse().unwrap()],
        related: related.into(),
        directory_variants: true,
        ..Publishing::default()
    };
    service.save_publishing(&rules).await;
    let items = async |path: &str| {
        let publish = service.api.publish(json!({ "paths": [path] })).await;
        texts(&publish["items"])
    };
    assert_eq!(
        items("https://www.example.com/about").await,
        ["/about", "/about/", "/about/index.html", "/sitemap.xml"]
    );
    assert_eq!(items("/logo.png").await, ["/logo.png"]);
    assert_eq!(
        items("/blog/cat.png").await,
        ["/blog/cat.png", "/feed.xml"],
        "a rule holds for files too"
    );
    let body = json!({ "paths": ["https://other.example.com/about"] });
    assert_eq!(service.api.post(&[], body.to_string()).await.status, 422);
}

#[tokio::test]
async fn a_test_of_settings_takes_from_the_keys_rate() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.5"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    let now = service.state.clock.now();
    let tested = settings(DISTRIBUTION, KEY);
    service
        .state
        .store
        .count_forced_call(service.site(), &tested, false, &service.state.limits, now)
        .await
        .unwrap();
    let id = service.publish_and_run("/about").await;
    assert!(service.sandbox.creates().await.is_empty());
    let publish = service.api.get_publish(&id).await;
    assert_eq!(publish["waiting_for"], "rate");
    service.pass(3).await;
    assert_eq!(service.sandbox.creates().await.len(), 1);
}

/// Publishes would wait for it.
#[tokio::test]
async fn a_test_of_settings_takes_no_call_that_is_not_there() {
    let service = Stepped::start().await;
    service.publish_and_run("/about").await;
    let (store, limits) = (&service.state.store, &service.state.limits);
    let (tested, now) = (settings(DISTRIBUTION, KEY), service.state.clock.now());
    for (before, after) in [(2.0, 1.0), (0.5, 0.5), (0.0, 0.0)] {
        let set = format!("UPDATE access_key SET tokens = {before}");
        service.database.change(&set).await;
        let counted = store.count_forced_call(service.site(), &tested, true, limits, now);
        counted.await.unwrap();
        let left: (f64,) = service.database.row("SELECT tokens FROM access_key").await;
        assert_eq!(left, (after,));
    }
}

#[tokio::test]
async fn an_unconfirmed_invalidation_counts_for_as_long_as_others_take() {
    let service = Stepped::start_with(&[("CLOUDFRONT_FILES_IN_PROGRESS", "1")]).await;
    service
        .sandbox
        .config(
            json!({ "already_used": "invalid_argument", "in_progress_ms": 600_000,
            "files_in_progress": 1 }),
        )
        .await;
    service
        .sandbox
        .fail_creates(1, json!({ "kind": "drop_answer" }))
        .await;
    let lost = service.publish_and_run("/lost").await;
    let publish = service.run_until_ended(&lost).await;
    assert_eq!(publish["state"], "unconfirmed");

    let next = service.publish_and_run("/next").await;
    service.pass(20).await;
    assert_eq!(service.api.get_publish(&next).await["waiting_for"], "quota");
    assert_eq!(
        service.sandbox.outcomes().await,
        ["Accepted", "InvalidArgument"]
    );

    service.sandbox.complete().await;
    service.sandbox.complete_at_once().await;
    let publish = service.run_until_ended(&next).await;
    assert_eq!(publish["state"], "completed");
    assert_eq!(
        service.sandbox.outcomes().await,
        ["Accepted", "InvalidArgument", "Accepted"]
    );
}

/// Not when CloudFront would be asked against its belief, 30 seconds after its last answer.
#[tokio::test]
async fn what_waits_for_an_unconfirmed_one_goes_when_that_no_longer_counts() {
    let service = Stepped::start_with(&[("CLOUDFRONT_FILES_IN_PROGRESS", "2")]).await;
    let sandbox = &service.sandbox;
    sandbox
        .config(json!({ "already_used": "invalid_argument", "in_progress_ms": 0 }))
        .await;
    let lost = json!({ "kind": "drop_answer" });
    sandbox.fail_creates(1, lost).await;
    let lost = service.publish_and_run("/lost").await;
    let lost = service.run_until_ended(&lost).await;
    assert_eq!(lost["state"], "unconfirmed");
    service.pass(18).await;
    let answered = service.publish_and_run("/answered").await;
    service.run_until_ended(&answered).await;

    let both = service
        .publish_paths(["/one", "/two"].map(String::from))
        .await;
    service.pass(1).await;
    assert_eq!(service.api.get_publish(&both).await["waiting_for"], "quota");
    service.pass(8).await;
    assert_ne!(service.state_of(&both).await, "queued");
}

#[tokio::test]
async fn what_was_accepted_long_before_that_became_known_counts_no_longer() {
    let service = Stepped::start_with(&[("CLOUDFRONT_FILES_IN_PROGRESS", "1")]).await;
    let sandbox = &service.sandbox;
    sandbox
        .config(json!({ "already_used": "invalid_argument", "files_in_progress": 1 }))
        .await;
    let lost = json!({ "kind": "drop_answer" });
    sandbox.fail_creates(1, lost).await;
    let silent = unavailable();
    sandbox.fail_all("create", &silent).await;
    let lost = service.publish_and_run("/lost").await;
    service.pass(60).await;
    assert_eq!(service.api.get_publish(&lost).await["state"], "queued");

    sandbox.clear_faults().await;
    let lost = service.run_until_ended(&lost).await;
    assert_eq!(lost["state"], "unconfirmed");
    let next = service.publish_and_run("/next").await;
    assert_eq!(service.api.get_publish(&next).await["state"], "in_progress");
}

#[tokio::test]
async fn pieces_of_a_batch_that_others_got_throttled_grow_together_again() {
    let service = Stepped::start().await;
    service.sandbox.config(json!({ "rate": null })).await;
    service.sandbox.fail_creates(6, throttling()).await;
    let id = service.publish_pages("a", 0..128).await;
    service.run().await;
    service.pass_in_steps(75, 1).await;
    let sizes: Vec<_> = service.sent().await.iter().map(Vec::len).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 128, "{sizes:?}");
    assert!(sizes.len() <= 42, "{sizes:?}");
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    let month = service.month().await;
    assert_eq!((month.site_paths, month.site_asked), (128, 128));
}

#[tokio::test]
async fn what_is_stored_waits_for_the_keys_rate_without_being_looked_at() {
    let service = Stepped::start_with(&[
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.1"),
        ("CLOUDFRONT_REQUEST_BURST", "1"),
    ])
    .await;
    service.sandbox.fail_creates(1, unavailable()).await;
    service.publish_and_run("/first").await;
    service.pass(2).await;
    let now = service.state.clock.now();
    let due = service.state.store.due(&[], places(1), now).await.unwrap();
    assert!(!due.is_now() && due.next.is_some(), "{due:?}");
    service.pass(10).await;
    assert_eq!(service.sent().await, [["/first"]]);
}

#[tokio::test]
async fn what_a_lower_limit_cuts_is_sent_as_it_is_cut() {
    let service = Stepped::start_with(&[("CLOUDFRONT_FILES_IN_PROGRESS", "4")]).await;
    service.publish_pages("a", 0..64).await;
    service.run().await;
    assert_eq!(service.sent().await.len(), 1);
    let (database, sandbox) = (
        Database::at(service.database.url.clone()),
        Arc::clone(&service.sandbox),
    );
    let lower = [("CLOUDFRONT_PATHS_PER_REQUEST", "1")];
    let service = Stepped::start_on(database, sandbox, &lower, Duration::MINUTE).await;
    service.run().await;
    let sizes: Vec<_> = service.sent().await.iter().map(Vec::len).collect();
    assert_eq!(sizes[..3], [4, 1, 1]);
}

#[tokio::test]
async fn stored_files_hold_up_no_wildcard_and_stored_wildcards_no_file() {
    for (stored, other) in [("", "/other/*"), ("/*", "/other")] {
        let service = Stepped::start_with(&[
            ("CLOUDFRONT_PATHS_PER_REQUEST", "2"),
            ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.5"),
            ("CLOUDFRONT_REQUEST_BURST", "1"),
        ])
        .await;
        service
            .publish_paths((0..40).map(|n| format!("/{n}{stored}")))
            .await;
        service.run().await;
        let other = service.publish_and_run(other).await;
        service.pass(2).await;
        service.pass(2).await;
        let publish = service.api.get_publish(&other).await;
        assert_ne!(publish["state"], "queued", "{publish:#}");
    }
}

#[tokio::test]
async fn what_a_waiting_publish_shares_with_others_is_not_sent_again_for_it() {
    let service = Stepped::start_with(&[("CLOUDFRONT_WILDCARDS_IN_PROGRESS", "2")]).await;
    service.sandbox.never_complete().await;
    let pair =
        |one: &str, two: &str| json!({ "paths": [format!("/{one}/*"), format!("/{two}/*")] });
    service.api.publish_path("/a/*").await;
    let mut ids = Vec::new();
    for (one, two) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let publish = service.api.publish(pair(one, two)).await;
        ids.push(publish["id"].as_str().unwrap().to_owned());
    }
    service.run().await;
    // Others have sent `/b/*` for it; `/c/*` waits.
    let partly = service.api.get_publish(&ids[1]).await;
    assert_eq!(partly["state"], "in_progress");
    assert_eq!(partly["submitted_at"], Value::Null);
    for _ in 0..4 {
        service.sandbox.complete().await;
        service.pass(5).await;
    }
    let mut sent = service.sent().await.concat();
    sent.sort();
    assert_eq!(sent, ["/a/*", "/b/*", "/c/*"]);
    for id in ids {
        assert_eq!(service.api.get_publish(&id).await["state"], "completed");
    }
    let month = service.month().await;
    assert_eq!((month.site_paths, month.site_asked), (3, 7));
}
