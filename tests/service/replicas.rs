//! Crashes at every stage, several replicas, and one that slept for longer than its lease.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use skycms_cdn::process;

use crate::pages::settings;
use crate::support::{
    Browser, DISTRIBUTION, Database, PASSWORD, Replica, SECRET, Sandbox, Stepped, eventually,
    variables,
};

/// Somewhat longer than a lease.
const LEASE: time::Duration = time::Duration::seconds(31);

/// Another service finds what a killed one left, after its leases have run out, and brings it to
/// its end.
async fn finish(database: Database, sandbox: Sandbox, ids: &[String]) -> Stepped {
    sandbox.clear_faults().await;
    sandbox.complete_at_once().await;
    sandbox.complete().await;
    let service = Stepped::start_on(database, sandbox, &[], LEASE).await;
    for id in ids {
        let publish = service.run_until_ended(id).await;
        assert_eq!(publish["state"], "completed", "{publish:#}");
    }
    assert_billed_once(&service.sandbox).await;
    service
}

/// Every path was accepted once, and every reference belongs to one invalidation.
async fn assert_billed_once(sandbox: &Sandbox) {
    let mut times = BTreeMap::<String, u32>::new();
    for path in sandbox.accepted_paths().await.concat() {
        *times.entry(path).or_default() += 1;
    }
    assert!(times.values().all(|n| *n == 1), "{times:#?}");
}

#[tokio::test]
async fn a_crash_after_the_202_loses_nothing() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let mut slow = variables(&database, &sandbox);
    slow.insert("CLOUDFRONT_REQUESTS_PER_SECOND".into(), "0.01".into());
    slow.insert("CLOUDFRONT_REQUEST_BURST".into(), "1".into());
    let replica = Replica::start_with(&slow).await;
    let sent = replica.api.publish_path("/sent").await;
    sandbox.wait_for_creates(1).await;
    let waiting = replica.api.publish_path("/waiting").await;
    let publish = replica
        .api
        .wait_until(&waiting, "the request rate", |p| p["waiting_for"] == "rate")
        .await;
    assert_eq!(publish["invalidations"], json!([]));
    replica.kill();
    finish(database, sandbox, &[sent, waiting]).await;
}

#[tokio::test]
async fn a_crash_while_cloudfront_is_asked_loses_nothing_and_bills_once() {
    for handled in [false, true] {
        let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
        sandbox
            .fault(
                json!({ "operation": "create", "handled": handled, "fault": { "kind": "hang" } }),
            )
            .await;
        let replica = Replica::start(&database, &sandbox).await;
        let id = replica.api.publish_path("/about").await;
        sandbox.wait_for_creates(1).await;
        replica.kill();
        let service = finish(database, sandbox, &[id]).await;
        let calls = service.sandbox.creates().await;
        let references: Vec<_> = calls.iter().map(|c| &c["caller_reference"]).collect();
        assert_eq!(references.len(), 2);
        assert_eq!(references[0], references[1]);
        let outcomes = service.sandbox.outcomes().await;
        let expected = if handled {
            ["Accepted", "Repeated"]
        } else {
            ["NotHandled", "Accepted"]
        };
        assert_eq!(outcomes, expected);
    }
}

#[tokio::test]
async fn a_crash_between_acceptance_and_completion_asks_on() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start_with(600_000).await);
    let replica = Replica::start(&database, &sandbox).await;
    let id = replica.api.publish_path("/about").await;
    replica.api.wait_until_in_progress(&id).await;
    replica.kill();
    let service = finish(database, sandbox, &[id]).await;
    assert_eq!(service.sandbox.outcomes().await, ["Accepted"]);
}

#[tokio::test]
async fn a_stop_waits_for_the_answer_and_hands_the_lease_back() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start_with(600_000).await);
    sandbox
        .fail_creates(1, json!({ "kind": "slow", "ms": 1_500 }))
        .await;
    let mut replica = Replica::start(&database, &sandbox).await;
    let id = replica.api.publish_path("/about").await;
    sandbox.wait_for_creates(1).await;
    assert!(replica.terminate().await.success());
    let ended = "SELECT i.status, i.lease_token IS NOT NULL OR d.lease_token IS NOT NULL
                 FROM invalidation i JOIN distribution d ON d.id = i.distribution_id";
    let (status, leased): (String, bool) = database.row(ended).await;
    assert_eq!((status.as_str(), leased), ("InProgress", false));
    finish(database, sandbox, &[id]).await;
}

#[tokio::test]
async fn a_terminal_that_closes_stops_the_service_in_good_order() {
    if process::outlives_terminal() {
        return; // under nohup, which what is started here is too
    }
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let mut replica = Replica::start(&database, &sandbox).await;
    assert!(replica.stopped_by(Signal::SIGHUP).await.success());
}

#[tokio::test]
async fn a_stop_waits_for_a_test_of_settings_and_records_it() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start_with(600_000).await);
    let slow = json!({ "kind": "slow", "ms": 1_500 });
    sandbox.fail_creates(1, slow).await;
    let mut variables = variables(&database, &sandbox);
    variables.insert("ADMIN_PASSWORD".into(), PASSWORD.into());
    let mut replica = Replica::start_with(&variables).await;
    let mut admin = Browser::signed_in(&replica.api.base).await;
    let events = [
        ("sec-fetch-site", "same-origin"),
        ("accept", "text/event-stream"),
    ];
    let form = crate::support::form(&settings(DISTRIBUTION, SECRET, "save_and_test"));
    let watching = tokio::spawn(async move {
        let method = http::Method::POST;
        admin.request(method, "/settings/cdn", &events, form).await
    });
    sandbox.wait_for_creates(1).await;
    // With its reader gone, only the test itself is still under way.
    watching.abort();
    assert!(replica.terminate().await.success());
    let recorded = "SELECT status FROM invalidation WHERE purpose = 'test'";
    let recorded: Vec<String> = database.column(recorded).await;
    assert_eq!(recorded, ["InProgress"]);
}

/// It has been billed.
#[tokio::test]
async fn a_test_is_recorded_although_its_settings_cannot_be_saved() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let slow = json!({ "kind": "slow", "ms": 1_500 });
    sandbox.fail_creates(1, slow).await;
    let mut variables = variables(&database, &sandbox);
    variables.insert("ADMIN_PASSWORD".into(), PASSWORD.into());
    let replica = Replica::start_with(&variables).await;
    let mut admin = Browser::signed_in(&replica.api.base).await;
    let events = [
        ("sec-fetch-site", "same-origin"),
        ("accept", "text/event-stream"),
    ];
    let form = crate::support::form(&settings(DISTRIBUTION, SECRET, "save_and_test"));
    tokio::spawn(async move {
        let method = http::Method::POST;
        admin.request(method, "/settings/cdn", &events, form).await
    });
    sandbox.wait_for_creates(1).await;
    let lock = "LOCK TABLE cdn_settings IN ACCESS EXCLUSIVE MODE";
    let lock = database.hold(lock).await;
    let counted = "SELECT coalesce(sum(paths), 0)::bigint FROM usage";
    eventually("its path in the usage", || async {
        (database.count(counted).await == 1).then_some(())
    })
    .await;
    lock.release().await;
}

#[tokio::test]
async fn two_replicas_send_one_call_at_a_time_and_nothing_twice() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start_with(200).await);
    sandbox.config(json!({ "latency_ms": 100 })).await;
    let one = Replica::start(&database, &sandbox).await;
    let two = Replica::start(&database, &sandbox).await;
    let mut ids = Vec::new();
    for n in 0..60 {
        let (api, other) = if n % 2 == 0 {
            (&one.api, &two.api)
        } else {
            (&two.api, &one.api)
        };
        ids.push(api.publish_path(&format!("/{n}")).await);
        if n % 10 == 9 {
            // What comes next is planned while what came before is under way or done.
            let sent = |publish: &Value| publish["state"] != "queued";
            other.wait_until(&ids[n - 5], "its call", sent).await;
        }
    }
    for id in ids {
        // Either replica tells of the other's publishes.
        assert_eq!(two.api.wait_until_ended(&id).await["state"], "completed");
    }
    assert_billed_once(&sandbox).await;
    let calls = sandbox.creates().await;
    assert!(
        calls.iter().all(|c| c["outcome"] == "Accepted"),
        "{calls:#?}"
    );
    let times: Vec<_> = calls
        .iter()
        .map(|call| {
            let text = call["time"].as_str().unwrap();
            time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
                .unwrap()
        })
        .collect();
    for pair in times.windows(2) {
        let apart = pair[1] - pair[0];
        // Half of the latency comes before the recorded time, half after it.
        assert!(
            apart >= time::Duration::milliseconds(95),
            "two calls at once: {apart}"
        );
    }
}

#[tokio::test]
async fn a_replica_that_slept_through_its_lease_overwrites_nothing() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let late = json!({ "kind": "error", "code": "InvalidArgument", "message": "a late refusal" });
    sandbox.spoil_answer(&late).await;
    sandbox.config(json!({ "latency_ms": 2_000 })).await;
    let sleeper = Replica::start(&database, &sandbox).await;
    let id = sleeper.api.publish_path("/about").await;
    // Recorded half-way through the latency: the answer is still to come.
    sandbox.wait_for_creates(1).await;
    sleeper.signal(Signal::SIGSTOP);
    sandbox.config(json!({ "latency_ms": 0 })).await;
    let service = finish(database, sandbox, std::slice::from_ref(&id)).await;
    let before = stored(&service).await;

    sleeper.signal(Signal::SIGCONT);
    let replaced = "another replica has taken this invalidation over";
    sleeper.line_with(replaced).await;
    assert_eq!(stored(&service).await, before);
    assert_eq!(sleeper.api.get_publish(&id).await["state"], "completed");
    assert_eq!(service.sandbox.outcomes().await, ["Accepted", "Repeated"]);
}

/// All that is stored about invalidations, publishes, the distribution and the usage.
async fn stored(service: &Stepped) -> Vec<Value> {
    let mut rows = Vec::new();
    for query in [
        "SELECT to_jsonb(t) FROM invalidation t",
        "SELECT to_jsonb(t) FROM publish t",
        "SELECT to_jsonb(t) FROM distribution t",
        "SELECT to_jsonb(t) FROM usage t",
        "SELECT to_jsonb(t) FROM site t",
    ] {
        rows.extend(service.database.column::<Value>(query).await);
    }
    rows
}

#[tokio::test]
async fn a_replica_starts_again_after_a_newer_one_has_migrated() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let migrated = database.change(
        "ALTER TABLE publish ADD COLUMN of_a_newer_version text;
         INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of a newer version', true, '', 0)",
    );
    migrated.await;
    let replica = Replica::start(&database, &sandbox).await;
    replica.api.assert_publishes().await;
}
