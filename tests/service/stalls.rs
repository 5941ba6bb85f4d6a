//! What stands still without ending: a database that does not answer, a replica that is stopped in
//! a transaction.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::support::Stepped;

/// Somewhat longer than a transaction may stand still.
const STANDSTILL: Duration = Duration::from_secs(11);

#[tokio::test]
async fn a_database_that_does_not_answer_is_a_503_and_the_key_tells_what_became_of_it() {
    let service = Stepped::start().await;
    let mut db = service.database.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE publish IN ACCESS EXCLUSIVE MODE")
        .execute(&mut db)
        .await
        .unwrap();
    let (key, body) = ([("idempotency-key", "held")], r#"{"paths": ["/about"]}"#);
    let began = Instant::now();
    let answer = service.api.post(&key, body).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert!(began.elapsed() < Duration::from_secs(15));

    sqlx::raw_sql("COMMIT").execute(&mut db).await.unwrap();
    let answer = service.api.post(&key, body).await;
    assert_eq!(answer.status, 202, "{}", answer.json());
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM publish")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(stored, 1);
}

#[tokio::test]
async fn a_site_whose_claim_stands_still_holds_no_other_up() {
    let service = Stepped::start().await;
    let shop = service
        .add_site("shop", "E2SHOP00000001", "AKIASHOP000000000001")
        .await;
    let mut db = service.database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT FROM site WHERE name = 'shop' FOR UPDATE")
        .execute(&mut db)
        .await
        .unwrap();
    let began = Instant::now();
    let stop = CancellationToken::new();
    let dispatcher = tokio::spawn(service.dispatcher.clone().run(stop.clone()));
    let held = shop.publish_path("/held").await;
    for path in ["/one", "/two"] {
        let id = service.api.publish_path(path).await;
        service.api.wait_until(&id, "its call", is_sent).await;
        service.advance(time::Duration::seconds(2));
    }
    assert!(began.elapsed() < STANDSTILL);
    assert_eq!(shop.get_publish(&held).await["state"], "queued");

    sqlx::raw_sql("COMMIT").execute(&mut db).await.unwrap();
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
    let mut db = service.database.connect().await;
    let id = service.api.publish_path("/good").await;
    // The bad one comes first.
    sqlx::raw_sql(
        "UPDATE publish SET items = '{no path}' WHERE items = '{/bad}';
         UPDATE distribution SET sent_at = now() WHERE id <> 'E2SHOP00000001'",
    )
    .execute(&mut db)
    .await
    .unwrap();
    service.run().await;
    assert_eq!(service.api.get_publish(&id).await["state"], "in_progress");
    assert_eq!(shop.get_publish(&bad).await["state"], "queued");

    sqlx::query("UPDATE publish SET items = '{/repaired}' WHERE items = '{no path}'")
        .execute(&mut db)
        .await
        .unwrap();
    service.run().await;
    assert_eq!(shop.get_publish(&bad).await["state"], "in_progress");
}

fn is_sent(publish: &serde_json::Value) -> bool {
    publish["state"] != "queued"
}
