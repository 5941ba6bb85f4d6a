//! Crowds: the listener for operators answers, and publishes are taken, however many others there
//! are.

use futures_util::FutureExt as _;
use serde_json::json;
use skycms_cdn::app::App;
use skycms_cdn::clock::Clock;
use skycms_cdn::domain::{Item, Publisher, WaitReason};
use skycms_cdn::store::{Acceptance, Inbox, NewPublish, PublishFilter, SignInClient, Wait};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::support::{Database, Replica, Sandbox, Service, Stepped, TIMEOUT, send, set, variables};

#[tokio::test]
async fn health_and_metrics_answer_while_every_connection_is_taken() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let mut variables = variables(&database, &sandbox);
    let few = [("OPS_LISTEN_ADDR", "127.0.0.1:0"), ("MAX_CONNECTIONS", "4")];
    set(&mut variables, &few);
    let replica = Replica::start_with(&variables).await;
    let operations = replica.find("operations=").unwrap();
    let crowded = url::Url::parse(&replica.api.base).unwrap();
    let crowded = format!("127.0.0.1:{}", crowded.port().unwrap());
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&crowded).await.unwrap();
        let head = "POST /sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx";
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    }
    for (path, status) in [
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/metrics", 200),
        ("/sign-in", 404),
    ] {
        let request = http::Request::get(format!("http://{operations}{path}"))
            .body(axum::body::Body::empty())
            .unwrap();
        assert_eq!(send(request).await.status, status, "{path}");
    }
    // Whoever sends a whole request gets through there too.
    replica.api.publish_path("/about").await;
}

/// A stranger's forms, each a byte short, take what there is for all bodies together; then they are
/// cut.
#[tokio::test]
async fn slow_forms_give_way_to_publishes() {
    const FORM: usize = 256_000;
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let replica = Replica::start(&database, &sandbox).await;
    let address = replica.api.base.trim_start_matches("http://");
    let mut held = Vec::new();
    for _ in 0..230 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: {FORM}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Some find no room, and are answered before they have sent it all.
        let _ = stream.write_all(&vec![b'x'; FORM - 1]).await;
        held.push(stream);
    }
    let paths: Vec<String> = (0..2_900).map(|n| format!("/{n:0>40}")).collect();
    for _ in 0..3 {
        replica.api.publish(json!({"paths": paths})).await;
    }
    let mut had_no_room = 0;
    for stream in &held {
        let mut answer = [0; 64];
        match stream.try_read(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            // Cut, or answered 503.
            Ok(0) | Err(_) => had_no_room += 1,
            Ok(read) => {
                let answer = String::from_utf8_lossy(&answer[..read]);
                assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
                had_no_room += 1;
            }
        }
    }
    assert!(had_no_room > 0, "bodies have no bound");
}

/// As requests are whose clients go: a connection in the middle of a transaction that nobody ends
/// would take the work of others with it.
#[tokio::test]
async fn what_is_abandoned_leaves_no_transaction_open() {
    let service = Stepped::start().await;
    let (store, site) = (&service.state.store, service.site());
    let now = service.state.clock.now();
    let connection = &mut store.connect().await.unwrap();
    let inputs = service.plan_inputs(connection).await;
    for _ in 0..50 {
        // Dropped as soon as they wait for the database.
        let connection = &mut store.connect().await.unwrap();
        let _ = store
            .note_wait(connection, &inputs, Wait::new(WaitReason::Quota, now), now)
            .now_or_never();
        let _ = store
            .activity(site, PublishFilter::default(), 10, now)
            .now_or_never();
        let client = SignInClient::Stranger([192, 0, 2, 1].into());
        let _ = store.begin_attempt(client, now).now_or_never();
        tokio::task::yield_now().await;
    }
    // More than there are connections, and one after the other takes each of them.
    for n in 0..50 {
        let client = SignInClient::Stranger([198, 51, 100, n].into());
        let tried = store.begin_attempt(client, now).await;
        assert!(
            tried.is_ok(),
            "on a connection that is in a transaction: {tried:?}"
        );
    }
}

/// Otherwise it would go on, and refuse every publish until somebody noticed.
#[tokio::test]
async fn the_service_ends_when_a_writer_panics() {
    let database = Database::fresh().await;
    let (clock, _time) = Clock::manual(OffsetDateTime::now_utc());
    let app = App::start(&Service::config(&database, &[]), clock)
        .await
        .unwrap();
    let state = app.state();
    let publish = NewPublish {
        id: state.clock.id(),
        received_at: state.clock.now(),
        site: state.directory.site("default").unwrap().id,
        items: vec![Item::everything()],
        widened: Vec::new(),
        idempotency_key: None,
        traceparent: None,
        publisher: Publisher::Signature,
    };
    let (store, tasks) = (state.store.clone(), TaskTracker::new());
    let inbox = Inbox::start(store, &tasks, &state.stop, async |_| panic!("a bug"));
    assert_eq!(inbox.accept(publish).await, Ok(Acceptance::Stored));
    let running = app.run(std::future::pending());
    let ended = tokio::time::timeout(TIMEOUT, running).await;
    assert!(ended.expect("in time").is_err());
}
