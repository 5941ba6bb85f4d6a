//! What stands still without ending: a database that does not answer, a replica that is stopped in
//! a transaction.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::support::{Stepped, eventually};

#[tokio::test]
async fn a_database_that_does_not_answer_is_a_503_and_the_key_tells_what_became_of_it() {
    let service = Stepped::start().await;
    let lock = "LOCK TABLE publish IN ACCESS EXCLUSIVE MODE";
    let lock = service.database.hold(lock).await;
    let (key, body) = ([("idempotency-key", "held")], r#"{"paths": ["/about"]}"#);
    let answer = service.api.post(&key, body).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());

    lock.release().await;
    let answer = service.api.post(&key, body).await;
    assert_eq!(answer.status, 202, "{}", answer.json());
    let stored = "SELECT count(*) FROM publish";
    assert_eq!(service.database.count(stored).await, 1);
}

#[tokio::test]
async fn a_site_whose_claim_stands_still_holds_no_other_up() {
    let service = Stepped::start().await;
    let shop = service
        .add_site("shop", "E2SHOP00000001", "AKIASHOP000000000001")
        .await;
    let lock = "SELECT FROM site WHERE name = 'shop' FOR UPDATE";
    let lock = service.database.hold(lock).await;
    let stop = CancellationToken::new();
    let dispatcher = tokio::spawn(service.dispatcher.clone().run(stop.clone()));
    let held = shop.publish_path("/held").await;
    let standing = "SELECT pid || ' since ' || xact_start FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("a call while one claim stands still", || async {
        let before = service.database.column::<String>(standing).await;
        let id = service.api.publish_path("/about").await;
        service.api.wait_until(&id, "its call", is_sent).await;
        service.advance(time::Duration::seconds(2));
        let after = service.database.column::<String>(standing).await;
        (!before.is_empty() && before == after).then_some(())
    })
    .await;
    assert_eq!(shop.get_publish(&held).await["state"], "queued");

    lock.release().await;
    shop.wait_until(&held, "its call", is_sent).await;
    stop.cancel();
    dispatcher.await.unwrap();
}

#[tokio::test]
async fn a_site_that_cannot_be_claimed_for_holds_no_other_up() {
    let service = Stepped::start().await;
    let shop = service
        .add_site("shop", "E2SHOP00000001", "AKIASHOP000000000001")
        .await;
    let bad = shop.publish_path("/bad").await;
    let id = service.api.publish_path("/good").await;
    // The bad one comes first.
    let worse = "UPDATE publish SET items = '{no path}' WHERE items = '{/bad}';
                 UPDATE distribution SET sent_at = now() WHERE id <> 'E2SHOP00000001'";
    service.database.change(worse).await;
    service.run().await;
    assert_eq!(service.api.get_publish(&id).await["state"], "in_progress");
    assert_eq!(shop.get_publish(&bad).await["state"], "queued");

    let better = "UPDATE publish SET items = '{/repaired}' WHERE items = '{no path}'";
    service.database.change(better).await;
    service.run().await;
    assert_eq!(shop.get_publish(&bad).await["state"], "in_progress");
}

/// Whoever waits for it gives up and tries again, while PostgreSQL goes on waiting.
#[tokio::test]
async fn what_waits_for_a_lock_keeps_no_connection_from_others() {
    let service = Stepped::start().await;
    let (store, site) = (&service.state.store, service.site());
    let lock = service.database.hold("SELECT FROM site FOR UPDATE").await;
    for _ in 0..12 {
        // A busy server has just answered on another connection.
        store.ping().await.expect("a connection is left");
        let taking_back = store.take_back(site);
        let given_up = tokio::time::timeout(Duration::from_millis(100), taking_back).await;
        assert!(given_up.is_err(), "the site is locked");
    }
    eventually("all connections", || async {
        let mut lent = Vec::new();
        for _ in 0..12 {
            lent.push(store.connect().await.ok()?);
        }
        Some(lent)
    })
    .await;
    lock.release().await;
}

fn is_sent(publish: &serde_json::Value) -> bool {
    publish["state"] != "queued"
}
