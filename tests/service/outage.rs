//! PostgreSQL goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use secrecy::SecretBox;
use serde_json::json;
use skycms_cdn::store::{Changes, Connection, DatabaseTimeouts, Sealer, Store, listen};
use sqlx::postgres::PgConnectOptions;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Api, Postgres, Replica, Sandbox, Stepped, TIMEOUT, eventually, variables};

/// What the tests of a server that falls silent wait for.
const TIMEOUTS: DatabaseTimeouts = DatabaseTimeouts {
    connection: Duration::from_secs(3),
    // No server is taken to be there because it has just answered.
    fresh: Duration::ZERO,
    answer: Duration::from_millis(300),
    last_answer: Duration::from_millis(500),
    quiet: Duration::from_millis(500),
};

/// The connections of a store.
const CONNECTIONS: usize = 12;

/// A service on a PostgreSQL of its own.
struct Bench {
    replica: Replica,
    sandbox: Sandbox,
    postgres: Postgres,
}

impl Bench {
    async fn start() -> Self {
        let postgres = Postgres::started().await;
        let sandbox = Sandbox::start().await;
        let replica = Replica::start_with(&variables(&postgres.database(), &sandbox)).await;
        Self {
            postgres,
            sandbox,
            replica,
        }
    }
}

/// The way to a PostgreSQL, on which connections fall silent as if its host had vanished. New ones
/// then reach whoever has taken over.
struct Line {
    options: PgConnectOptions,
    silence: Arc<Mutex<CancellationToken>>,
    _socket: tempfile::TempDir,
}

impl Line {
    fn to(postgres: &Postgres) -> Self {
        let options = postgres.options();
        let name = format!(".s.PGSQL.{}", options.get_port());
        let server = options.get_socket().unwrap().join(&name);
        let socket = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket.path().join(&name)).unwrap();
        let silence = Arc::new(Mutex::new(CancellationToken::new()));
        let present = Arc::clone(&silence);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let silent = present.lock().clone();
                let mut server = UnixStream::connect(&server).await.unwrap();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        // Both ends stay open.
                        () = silent.cancelled() => std::future::pending::<()>().await,
                    }
                });
            }
        });
        Self {
            options: options.socket(socket.path()),
            silence,
            _socket: socket,
        }
    }

    /// No existing connection hears anything any more.
    fn fall_silent(&self) {
        let mut silence = self.silence.lock();
        std::mem::take(&mut *silence).cancel();
    }

    fn store(&self) -> Store {
        let sealer = Sealer::new(&[SecretBox::new(Box::new([7; 32]))]).unwrap();
        Store::new(self.options.clone(), sealer, TIMEOUTS)
    }
}

/// Takes as many connections as the pool gives.
async fn all_connections(store: &Store) -> Vec<Connection> {
    let mut lent = Vec::new();
    for _ in 0..CONNECTIONS {
        lent.push(store.connect().await.unwrap());
    }
    let another = tokio::time::timeout(TIMEOUTS.answer, store.connect()).await;
    assert!(another.is_err(), "there are more");
    lent
}

#[tokio::test]
async fn a_database_host_that_vanishes_keeps_no_connection() {
    let postgres = Postgres::started().await;
    let line = Line::to(&postgres);
    let store = line.store();
    store.ping().await.unwrap();
    line.fall_silent();
    let answer = store.ping().await;
    assert!(answer.is_ok(), "on a connection that was idle: {answer:?}");

    // All of them are lent when it vanishes again.
    let lent = all_connections(&store).await;
    line.fall_silent();
    drop(lent);
    eventually("a connection that answers", || async {
        store.ping().await.ok()
    })
    .await;
}

#[tokio::test]
async fn who_listens_notices_that_nobody_talks_any_more() {
    let postgres = Postgres::started().await;
    let line = Line::to(&postgres);
    let store = line.store();
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let listening = tokio::spawn({
        let store = store.clone();
        async move {
            let heard = |change| heard.send(change).unwrap();
            listen(&store, Uuid::nil(), heard).await
        }
    });
    assert_eq!(hears.recv().await, Some(Changes::Anything));
    line.fall_silent();
    let ended = tokio::time::timeout(TIMEOUT, listening).await;
    let ended = ended.expect("it waits forever").unwrap();
    assert!(ended.is_err(), "{ended:?}");
    all_connections(&store).await;
}

async fn status(api: &Api, path: &str) -> u16 {
    api.get(path, &[]).await.status
}

#[tokio::test]
async fn while_the_database_is_away_the_hook_says_so_and_then_all_goes_on() {
    let mut bench = Bench::start().await;
    let api = bench.replica.api.clone();
    bench.sandbox.never_complete().await;
    let before = api.publish_path("/before").await;
    api.wait_until_in_progress(&before).await;

    assert_eq!(bench.replica.health(), Ok(()));
    bench.postgres.stop().await;
    let path = format!("/api/sites/default/publishes/{before}");
    let (refused, ready, shown) = tokio::join!(
        api.post(
            &[("idempotency-key", "during")],
            r#"{"paths": ["/during"]}"#
        ),
        status(&api, "/health/ready"),
        api.get(&path, &[]),
    );
    for answer in [&refused, &shown] {
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").is_some());
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
    }
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("same Idempotency-Key"), "{detail}");
    assert_eq!((ready, status(&api, "/health/live").await), (503, 200));
    let health = bench.replica.health().unwrap_err();
    assert!(health.contains("is not ready"), "{health}");

    // A publish that comes shortly before the database is back is accepted.
    let publish = api.post(&[], r#"{"paths": ["/while"]}"#);
    let (accepted, ()) = tokio::join!(publish, bench.postgres.start());
    assert_eq!(accepted.status, 202, "{}", accepted.json());
    eventually("the service to be ready again", || async {
        (status(&api, "/health/ready").await == 200).then_some(())
    })
    .await;

    bench.sandbox.complete_at_once().await;
    bench.sandbox.complete().await;
    let after = api.publish_path("/after").await;
    let during = accepted.json()["id"].as_str().unwrap().to_owned();
    for id in [before, during, after] {
        assert_eq!(api.wait_until_ended(&id).await["state"], "completed");
    }
    let mut billed = bench.sandbox.accepted_paths().await.concat();
    billed.sort();
    assert_eq!(
        billed,
        ["/after", "/before", "/while"],
        "what got a 503 was not stored"
    );

    let held = api
        .post(&[("prefer", "wait=40")], r#"{"paths": ["/held"]}"#)
        .await;
    assert_eq!(held.json()["state"], "completed");
}

#[tokio::test]
async fn an_answer_of_cloudfronts_outlives_an_outage_of_the_database() {
    let mut bench = Bench::start().await;
    let api = bench.replica.api.clone();
    bench
        .sandbox
        .fail_creates(1, json!({ "kind": "slow", "ms": 1_500 }))
        .await;
    let id = api.publish_path("/about").await;
    bench.sandbox.wait_for_creates(1).await;
    bench.postgres.stop().await;
    bench
        .replica
        .line_with("could not record an outcome yet")
        .await;
    bench.postgres.start().await;
    assert_eq!(api.wait_until_ended(&id).await["state"], "completed");
    assert_eq!(
        bench.sandbox.outcomes().await,
        ["Accepted"],
        "it is not asked again"
    );
}

#[tokio::test]
async fn publishes_flow_through_restarts_of_the_database() {
    let mut bench = Bench::start().await;
    let api = bench.replica.api.clone();
    let accepted = Arc::new(AtomicUsize::new(0));
    let publishing: Vec<_> = (0..3)
        .map(|sender| {
            let (api, accepted) = (api.clone(), Arc::clone(&accepted));
            tokio::spawn(async move {
                for n in 0..10 {
                    let id = publish_until_accepted(&api, &format!("{sender}-{n}")).await;
                    accepted.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(api.wait_until_ended(&id).await["state"], "completed");
                }
            })
        })
        .collect();
    for enough in [5, 12, 19] {
        eventually("publishes to be accepted", || async {
            (accepted.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
        bench.postgres.stop().await;
        bench.postgres.start().await;
    }
    for sender in publishing {
        sender.await.unwrap();
    }
    let billed: u64 = bench
        .sandbox
        .creates()
        .await
        .iter()
        .filter(|call| call["outcome"] == "Accepted")
        .map(|call| call["paths"].as_u64().unwrap())
        .sum();
    assert_eq!(billed, 30);
}

/// As a real sender would: again until it is accepted.
async fn publish_until_accepted(api: &Api, name: &str) -> String {
    let body = json!({ "paths": [format!("/{name}")] }).to_string();
    eventually("a publish to be accepted", || async {
        let answer = api.post(&[("idempotency-key", name)], body.clone()).await;
        match answer.status {
            202 => Some(answer.json()["id"].as_str().unwrap().to_owned()),
            503 => None,
            _ => panic!("{}", answer.json()),
        }
    })
    .await
}

/// As through a proxy, whose connections outlive the failover that made their server a standby.
#[tokio::test]
async fn connections_to_a_server_that_takes_no_writes_any_more_are_given_up() {
    let postgres = Postgres::started().await;
    let (sandbox, ahead) = (Sandbox::start().await, time::Duration::ZERO);
    let service = Stepped::start_on(postgres.database(), sandbox, &[], ahead).await;
    let mut db = service.database.connect().await;
    // What connects from now on takes no writes, until it connects again.
    let demote = "ALTER DATABASE skycms_cdn SET default_transaction_read_only = on;
                  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = 'skycms_cdn' AND pid <> pg_backend_pid()";
    sqlx::raw_sql(demote).execute(&mut db).await.unwrap();
    let store = &service.state.store;
    eventually("a new connection", || async { store.ping().await.ok() }).await;
    let promote = "ALTER DATABASE skycms_cdn RESET default_transaction_read_only";
    sqlx::raw_sql(promote).execute(&mut db).await.unwrap();
    publish_until_accepted(&service.api, "about").await;
}
