//! What stands still without ending: a database that does not answer, a replica that is stopped in a transaction.

use std::time::{Duration, Instant};

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
async fn a_replica_that_stops_in_a_transaction_holds_nobody_up_for_long() {
    let service = Stepped::start().await;
    let id = service.api.publish_path("/about").await;
    let (store, clock) = (&service.state.store, &service.state.clock);
    let stopped = store
        .open_lane(service.site(), &service.state.limits, clock.now())
        .await
        .unwrap();
    assert!(stopped.is_some());
    service.run().await;
    assert_eq!(service.sandbox.outcomes().await, [""; 0], "it has the lane");

    tokio::time::sleep(STANDSTILL).await;
    let publish = service.run_until_ended(&id).await;
    assert_eq!(publish["state"], "completed");
}
