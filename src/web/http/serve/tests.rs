//! Over real sockets, byte by byte.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::serve;
use crate::config::ServeOptions;

/// Short, so that the tests are.
fn options() -> ServeOptions {
    ServeOptions {
        connections: 8,
        head: Duration::from_millis(300),
        grace: Duration::from_millis(300),
        finish: Duration::from_millis(1_500),
        ..ServeOptions::default()
    }
}

fn router() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route(
            "/peer",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()),
        )
        .route("/", post(async |_: Bytes| "received"))
        .route(
            "/sleep/{ms}",
            get(async |axum::extract::Path(ms): axum::extract::Path<u64>| {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                "slept"
            }),
        )
        .route(
            "/endless",
            get(async || {
                Body::from_stream(futures_util::stream::repeat_with(|| {
                    Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 8 << 10]))
                }))
            }),
        )
}

struct Service {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Service {
    async fn start() -> Self {
        Self::start_with(options()).await
    }

    async fn start_with(options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, router(), options, stop.clone()));
        Self {
            address,
            stop,
            served,
        }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Waits for the end after a stop.
    async fn ended(self) {
        timeout(Duration::from_secs(5), self.served)
            .await
            .expect("it does not end")
            .unwrap();
    }
}

struct Client(TcpStream);

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
    }

    /// One whole answer with a `Content-Length`.
    async fn answer(&mut self) -> String {
        let mut text = String::new();
        let mut length = None;
        while length.is_none_or(|length| text.len() < length) {
            let mut buffer = [0; 4096];
            let read = timeout(Duration::from_secs(5), self.0.read(&mut buffer))
                .await
                .expect("no answer")
                .unwrap();
            assert_ne!(read, 0, "closed in the middle of an answer: {text:?}");
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            length = text.split_once("\r\n\r\n").map(|(head, _)| {
                let body: usize = head
                    .to_ascii_lowercase()
                    .split_once("content-length: ")
                    .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok())
                    .expect(head);
                head.len() + 4 + body
            });
        }
        text
    }

    async fn is_closed_within(&mut self, milliseconds: u64) -> bool {
        let mut buffer = [0; 4096];
        let read = self.0.read(&mut buffer);
        match timeout(Duration::from_millis(milliseconds), read).await {
            Err(_) => false,
            Ok(Ok(read)) => {
                assert_eq!(read, 0, "{}", String::from_utf8_lossy(&buffer));
                true
            }
            Ok(Err(_)) => true,
        }
    }
}

#[tokio::test]
async fn an_answer_knows_its_client_and_keeps_the_connection() {
    let service = Service::start().await;
    let mut client = service.connect().await;
    let own = client.0.local_addr().unwrap().to_string();
    for _ in 0..3 {
        client.get("/peer").await;
        assert!(client.answer().await.ends_with(&own));
    }
    assert!(client.is_closed_within(2_000).await, "idle forever");
}

#[tokio::test]
async fn a_head_that_drips_ends_the_connection() {
    let service = Service::start().await;
    let mut silent = service.connect().await;
    assert!(silent.is_closed_within(1_000).await);

    let mut dripping = service.connect().await;
    dripping.get("/").await;
    dripping.answer().await;
    let mut dripped = 0;
    while dripping.0.write_all(b"G").await.is_ok() && !dripping.is_closed_within(50).await {
        dripped += 1;
        assert!(dripped < 20, "a head may drip forever");
    }
}

#[tokio::test]
async fn beyond_the_limit_connections_wait() {
    let options = ServeOptions {
        connections: 1,
        ..options()
    };
    let service = Service::start_with(options).await;
    let mut first = service.connect().await;
    first.get("/").await;
    first.answer().await;
    let mut second = service.connect().await;
    second.get("/").await;
    // Answered when the first is closed for its idleness.
    assert!(second.answer().await.ends_with("hello"));
    assert!(first.is_closed_within(100).await);
}

#[tokio::test]
async fn whoever_is_slow_gives_way_while_there_is_no_room() {
    let service = Service::start_with(ServeOptions {
        head: Duration::from_secs(60),
        ..options()
    })
    .await;
    let mut busy = service.connect().await;
    busy.get("/sleep/2500").await;
    let mut slow = Vec::new();
    for _ in 0..7 {
        let mut client = service.connect().await;
        client
            .send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nx")
            .await;
        slow.push(client);
    }
    for _ in 0..3 {
        let mut client = service.connect().await;
        client.get("/").await;
        assert!(client.answer().await.ends_with("hello"));
    }
    assert!(busy.answer().await.ends_with("slept"), "it was cut");
}

#[tokio::test]
async fn how_long_a_connection_was_idle_is_not_held_against_a_body() {
    let service = Service::start_with(ServeOptions {
        connections: 1,
        head: Duration::from_secs(60),
        ..options()
    })
    .await;
    let mut first = service.connect().await;
    first.get("/").await;
    first.answer().await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    first
        .send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nx")
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = service.connect().await;
    second.get("/").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    first.send("y").await;
    assert!(first.answer().await.ends_with("received"), "it was cut");
    assert!(second.answer().await.ends_with("hello"));
}

#[tokio::test]
async fn a_stop_leaves_time_to_notice_then_finishes_what_is_under_way() {
    let service = Service::start_with(ServeOptions {
        head: Duration::from_secs(60),
        ..options()
    })
    .await;
    let (mut idle, mut busy) = (service.connect().await, service.connect().await);
    idle.get("/").await;
    idle.answer().await;
    busy.get("/sleep/800").await;
    service.stop.cancel();

    // A load balancer that has not noticed yet.
    let mut late = service.connect().await;
    late.get("/").await;
    late.answer().await;

    assert!(idle.is_closed_within(600).await);
    let address = service.address;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(busy.answer().await.ends_with("slept"));
    service.ended().await;
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let service = Service::start().await;
    let mut endless = service.connect().await;
    endless.get("/endless").await;
    let mut reader = endless.0;
    let mut buffer = vec![0; 64 << 10];
    assert_ne!(reader.read(&mut buffer).await.unwrap(), 0);
    let reading =
        tokio::spawn(async move { while matches!(reader.read(&mut buffer).await, Ok(1..)) {} });
    service.stop.cancel();
    service.ended().await;
    reading.await.unwrap();
}
