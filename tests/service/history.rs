//! What is kept of the past, and how it is pruned.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use secrecy::SecretBox;
use skycms_cdn::clock::Clock;
use skycms_cdn::janitor;
use skycms_cdn::store::{DatabaseTimeouts, Sealer, Store};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::Database;

struct Past {
    store: Store,
    pool: PgPool,
    _database: Database,
}

impl Past {
    async fn none() -> Self {
        let database = Database::fresh().await;
        let options = PgConnectOptions::from_str(&database.url).unwrap();
        let sealer = Sealer::new(&[SecretBox::new(Box::new([7; 32]))]).unwrap();
        let store = Store::new(options.clone(), sealer, DatabaseTimeouts::default());
        let pool = PgPool::connect_with(options).await.unwrap();
        sqlx::raw_sql("INSERT INTO site (name, created_at) VALUES ('default', now())")
            .execute(&pool)
            .await
            .unwrap();
        Self {
            store,
            pool,
            _database: database,
        }
    }

    /// A publish, and an invalidation that covers it, each of which ended so many days ago or not
    /// at all.
    async fn add(
        &self,
        now: OffsetDateTime,
        publish: Option<i64>,
        invalidation: Option<i64>,
    ) -> Pair {
        let pair = Pair(Uuid::now_v7(), Uuid::now_v7());
        let at = |days: Option<i64>| days.map(|days| now - Duration::days(days));
        sqlx::query(
            "INSERT INTO publish (site_id, id, received_at, items, state, planned, ended_at)
             SELECT id, $1, now(), '{/a}', CASE WHEN $2::timestamptz IS NULL THEN 'in_progress' ELSE 'completed' END,
                    true, $2 FROM site",
        )
        .bind(pair.0)
        .bind(at(publish))
        .execute(&self.pool)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO invalidation (id, site_id, distribution_id, caller_reference, items, files, wildcards, asked,
                                       status, cloudfront_id, created_at, ended_at, next_at)
             SELECT $1, id, 'E2EXAMPLE', $1::text, '{/a}', 1, 0, 1,
                    CASE WHEN $2::timestamptz IS NULL THEN 'InProgress' ELSE 'Completed' END, 'I1', now(), $2,
                    CASE WHEN $2::timestamptz IS NULL THEN now() END FROM site",
        )
        .bind(pair.1)
        .bind(at(invalidation))
        .execute(&self.pool)
        .await
        .unwrap();
        self.cover(pair.0, pair.1).await;
        pair
    }

    async fn cover(&self, publish: Uuid, invalidation: Uuid) {
        sqlx::query("INSERT INTO coverage SELECT $2, site_id, id FROM publish WHERE id = $1")
            .bind(publish)
            .bind(invalidation)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    async fn left(&self) -> BTreeSet<Uuid> {
        sqlx::query_scalar("SELECT id FROM publish UNION ALL SELECT id FROM invalidation")
            .fetch_all(&self.pool)
            .await
            .unwrap()
            .into_iter()
            .collect()
    }
}

/// A publish and its invalidation.
struct Pair(Uuid, Uuid);

#[tokio::test]
async fn only_what_ended_long_ago_and_nobody_refers_to_is_forgotten() {
    let past = Past::none().await;
    let clock = Clock::system();
    let now = clock.now();
    let old = past.add(now, Some(91), Some(91)).await;
    let young = past.add(now, Some(89), Some(89)).await;
    let waiting = past.add(now, None, None).await;
    // Two publishes share an invalidation, and only one of them is old.
    let early = past.add(now, Some(91), Some(91)).await;
    past.cover(young.0, early.1).await;
    // The settings page tells how this test ended.
    let test = past.add(now, Some(91), Some(91)).await;
    sqlx::query(
        "INSERT INTO cdn_settings (site_id, slot, distribution_id, region, saved_at, test_invalidation)
         SELECT id, 'active', 'E2EXAMPLE', 'us-east-1', now(), $1 FROM site",
    )
    .bind(test.1)
    .execute(&past.pool)
    .await
    .unwrap();

    let deleted = janitor::prune_history(&past.store, &clock, 90)
        .await
        .unwrap();
    assert_eq!(deleted, 4, "old's two, early's publish and test's");
    let left = past.left().await;
    for id in [old.0, old.1, early.0, test.0] {
        assert!(!left.contains(&id));
    }
    for id in [young.0, young.1, waiting.0, waiting.1, early.1, test.1] {
        assert!(left.contains(&id));
    }
}

#[tokio::test]
async fn steps_are_small_wait_for_nobody_and_take_turns() {
    let past = Past::none().await;
    let now = OffsetDateTime::now_utc();
    sqlx::query(
        "INSERT INTO publish (site_id, id, received_at, items, state, ended_at)
         SELECT site.id, gen_random_uuid(), now(), '{/a}', 'failed', $1 FROM site, generate_series(1, 700)",
    )
    .bind(now - Duration::days(2))
    .execute(&past.pool)
    .await
    .unwrap();
    let before = now - Duration::days(1);

    // Somebody holds one of them.
    let mut holder = past.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM publish ORDER BY ended_at LIMIT 1 FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let step = || past.store.prune_step(before);
    assert_eq!(step().await.unwrap(), 500);
    assert_eq!(step().await.unwrap(), 199);
    assert_eq!(step().await.unwrap(), 0);
    holder.rollback().await.unwrap();

    // Another replica is in the middle of a step.
    let mut other = past.pool.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(x'7072756e65'::bigint)")
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(step().await.unwrap(), 0);
    other.rollback().await.unwrap();
    assert_eq!(step().await.unwrap(), 1);
}
