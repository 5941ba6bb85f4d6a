//! `Prefer: wait`, and whether the service is well.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Database, Replica, Sandbox, Stepped, eventually};

const BODY: &str = r#"{"paths": ["/about"]}"#;

#[tokio::test]
async fn a_held_answer_comes_as_soon_as_the_publish_has_ended() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let replica = Replica::start(&database, &sandbox).await;
    sandbox.never_complete().await;
    let lasting = replica.api.publish_path("/lasting").await;
    replica.api.wait_until_in_progress(&lasting).await;
    sandbox.config(json!({ "in_progress_ms": 300 })).await;
    let path = format!("/api/sites/default/publishes/{lasting}");
    let posted = tokio::select! {
        posted = replica.api.post(&[("prefer", "wait=60")], BODY) => posted,
        _ = replica.api.get(&path, &[("prefer", "wait=40")]) => panic!("its time was up first"),
    };
    assert_eq!(
        (posted.status, &posted.json()["state"]),
        (202, &json!("completed"))
    );
    assert_eq!(posted.header("preference-applied"), Some("wait=60"));

    let id = replica.api.publish_path("/other").await;
    let path = format!("/api/sites/default/publishes/{id}");
    let shown = replica
        .api
        .get(&path, &[("prefer", "respond-async, wait=40")])
        .await;
    assert_eq!(
        (shown.status, &shown.json()["state"]),
        (200, &json!("completed"))
    );
}

#[tokio::test]
async fn a_held_answer_comes_after_n_seconds_at_the_latest() {
    let service = Stepped::start().await;
    let posted = service.api.post(&[("prefer", "wait=1")], BODY).await;
    assert_eq!(
        (posted.status, &posted.json()["state"]),
        (202, &json!("queued"))
    );
}

/// An error would say that nothing was accepted: whoever sends no key would publish again.
#[tokio::test]
async fn what_was_accepted_is_answered_so_though_nobody_can_tell_how_far_it_is() {
    let few = accepted_before_the_database_goes_away(BODY.to_owned()).await;
    assert_eq!(few["items"], json!(["/about"]));
    let paths: Vec<String> = (0..1_001).map(|n| format!("/{n}")).collect();
    let body = json!({ "paths": paths }).to_string();
    let many = accepted_before_the_database_goes_away(body).await;
    assert_eq!(many["items"], json!(paths));
}

#[tokio::test]
async fn few_large_publishes_are_waited_for_at_once() {
    let service = Stepped::start().await;
    let paths: Vec<String> = (0..1_001).map(|n| format!("/{n}")).collect();
    let body = json!({ "paths": paths }).to_string();
    let mut held = JoinSet::new();
    for _ in 0..5 {
        let (api, body) = (service.api.clone(), body.clone());
        held.spawn(async move { api.post(&[("prefer", "wait=60")], body).await });
    }
    let early = held.join_next().await.unwrap().unwrap();
    let told = early.json();
    assert_eq!((early.status, &told["items"]), (202, &json!(paths)));
    assert_eq!(early.header("preference-applied"), None);
    service.state.stop.cancel();
    while let Some(answer) = held.join_next().await {
        assert_eq!(answer.unwrap().status, 202);
    }
}

/// What a publish is answered whose end is waited for in vain.
async fn accepted_before_the_database_goes_away(body: String) -> Value {
    let service = Stepped::start().await;
    let api = service.api.clone();
    let held = tokio::spawn(async move { api.post(&[("prefer", "wait=2")], body).await });
    eventually("the publish to be stored", || async {
        let stored = service.database.count("SELECT count(*) FROM publish");
        (stored.await == 1).then_some(())
    })
    .await;
    service.state.store.close().await;
    let posted = held.await.unwrap();
    let told = posted.json();
    assert_eq!((posted.status, &told["state"]), (202, &json!("queued")));
    assert!(posted.location().contains(told["id"].as_str().unwrap()));
    told
}

#[tokio::test]
async fn however_many_wait_the_database_is_asked_once_for_all() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start_with(600_000).await);
    let mut replica = Replica::start(&database, &sandbox).await;
    let transactions = "SELECT xact_commit FROM pg_stat_database
                        WHERE datname = current_database()";
    let before = database.count(transactions).await;
    let id = replica.api.publish_path("/about").await;
    let mut held = JoinSet::new();
    for _ in 0..400 {
        let (api, id) = (replica.api.clone(), id.clone());
        held.spawn(async move {
            let path = format!("/api/sites/default/publishes/{id}");
            api.get(&path, &[("prefer", "wait=60")]).await.status
        });
    }
    let mut last = String::new();
    for n in 0..40 {
        last = replica.api.publish_path(&format!("/{n}")).await;
    }
    replica.api.wait_until_in_progress(&last).await;
    assert!(replica.terminate().await.success());
    assert!(held.join_all().await.iter().all(|status| *status == 200));

    // Connections count what they did when they end.
    eventually("the connections' end", || async {
        let left = database.count(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'skycms-cdn'",
        );
        (left.await == 0).then_some(())
    })
    .await;
    let made = database.count(transactions).await - before;
    assert!(made < 5_000, "{made} transactions");
}

#[tokio::test]
async fn what_cannot_be_waited_for_is_capped_or_ignored() {
    let service = Stepped::start().await;
    let id = service.api.publish_path("/about").await;
    service.run_until_ended(&id).await;
    let path = format!("/api/sites/default/publishes/{id}");
    for (prefer, applied) in [
        ("wait=60", Some("wait=60")),
        ("wait=61", Some("wait=60")),
        ("wait=18446744073709551615", Some("wait=60")),
        ("WAIT=5", Some("wait=5")),
        ("return=minimal; foo=bar, wait=7", Some("wait=7")),
        ("wait=\"8\"", Some("wait=8")),
        ("wait=99999999999999999999", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=soon", None),
        ("wait", None),
        ("", None),
    ] {
        let shown = service.api.get(&path, &[("prefer", prefer)]).await;
        assert_eq!(shown.status, 200);
        assert_eq!(shown.header("preference-applied"), applied, "{prefer}");
    }
}

#[tokio::test]
async fn a_stop_ends_held_answers_and_unreadies_the_service() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start_with(600_000).await);
    let mut replica = Replica::start(&database, &sandbox).await;
    assert_eq!(replica.api.get("/health/live", &[]).await.status, 200);
    assert_eq!(replica.api.get("/health/ready", &[]).await.status, 200);
    let id = replica.api.publish_path("/about").await;
    replica.api.wait_until_in_progress(&id).await;

    let api = replica.api.clone();
    let held = tokio::spawn(async move {
        let path = format!("/api/sites/default/publishes/{id}");
        api.get(&path, &[("prefer", "wait=60")]).await
    });
    eventually("the question that is asked for those who wait", || async {
        let asked = database.count(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'skycms-cdn'
             AND query LIKE '%unnest($1::int[], $2::uuid[]) AS w%'",
        );
        (asked.await > 0).then_some(())
    })
    .await;
    assert!(replica.terminate().await.success());
    let held = held.await.unwrap();
    assert_eq!(
        (held.status, &held.json()["state"]),
        (200, &json!("in_progress"))
    );
}
