//! `prune`: the janitor's work, now.

use skycms_cdn::domain::notification::EndpointKind;
use skycms_cdn::store::hash;

use super::run::run;
use crate::support::{Stepped, endpoint, variables};

#[tokio::test]
async fn what_ended_long_ago_is_deleted_and_nothing_else() {
    let service = Stepped::start().await;
    let ended = service.publish_and_run("/old").await;
    service.run_until_ended(&ended).await;
    let recent = service.publish_and_run("/recent").await;
    service.run_until_ended(&recent).await;
    let open = service.api.publish_path("/open").await;
    let aged = format!(
        "UPDATE publish SET ended_at = ended_at - interval '20 days',
                            received_at = received_at - interval '20 days'
         WHERE id IN ('{ended}', '{open}');
         UPDATE invalidation SET ended_at = ended_at - interval '20 days'
         WHERE items = '{{/old}}'"
    );
    service.database.change(&aged).await;

    let variables = variables(&service.database, &service.sandbox);
    let said = run(&variables, &["prune", "--dry-run", "--older-than", "10"]).await;
    said.assert_ok();
    assert_eq!(
        said.stdout,
        "Nothing was deleted. Ended more than 10 days ago: publishes 1, invalidations 1, notifications 0.\n"
    );
    let said = run(&variables, &["prune", "--older-than", "10"]).await;
    said.assert_ok();
    assert_eq!(
        said.stdout,
        "Deleted publishes, invalidations and notifications that ended more than 10 days ago: 2.\n"
    );
    let kept = "SELECT items[1] FROM publish ORDER BY id";
    let kept: Vec<String> = service.database.column(kept).await;
    assert_eq!(kept, ["/recent", "/open"]);
    let said = run(&variables, &["prune"]).await;
    assert!(
        said.stdout.ends_with("more than 90 days ago: 0.\n"),
        "{said:?}"
    );
    for wrong in ["0", "-1", "many"] {
        run(&variables, &["prune", "--older-than", wrong])
            .await
            .assert_ended(2, &["error: "]);
    }
}

#[tokio::test]
async fn notifications_are_counted_as_they_are_deleted() {
    let service = Stepped::start().await;
    let (state, id) = (&service.state, service.state.clock.id());
    let (endpoint, now) = (
        endpoint(id, "http://127.0.0.1:9/", EndpointKind::Slack),
        state.clock.now(),
    );
    let added = state
        .store
        .add_endpoint(service.site(), &endpoint, &hash("form"), now)
        .await;
    assert!(added.unwrap().is_some());
    // What is told only once stays for its month.
    let told = "INSERT INTO delivery (endpoint_id, event, happened_at, state, once, ended_at)
                SELECT id, 'test', now(), 'delivered', once, now() - days * interval '1 day'
                FROM endpoint, (VALUES (20, NULL), (20, '2026-01'), (60, '2025-12'), (1, NULL)) AS old (days, once)";
    service.database.change(told).await;
    let variables = variables(&service.database, &service.sandbox);
    for (arguments, words) in [
        (
            &["prune", "--dry-run", "--older-than", "10"][..],
            "10 days ago: publishes 0, invalidations 0, notifications 2.\n",
        ),
        (&["prune", "--older-than", "10"][..], "10 days ago: 2.\n"),
    ] {
        let said = run(&variables, arguments).await;
        said.assert_ok();
        assert!(said.stdout.ends_with(words), "{said:?}");
    }
}
