//! Over real sockets, byte by byte.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{ServeOptions, serve};
use crate::web::http::limits;
use crate::web::http::problem::Problem;

const MIB: usize = 1 << 20;

/// Short, so that the tests are.
fn options() -> ServeOptions {
    ServeOptions {
        connections: 8,
        head: Duration::from_millis(300),
        body: Duration::from_millis(300),
        answer: Duration::from_millis(300),
        stalled: Duration::from_millis(300),
        idle: Duration::from_secs(2),
        grace: Duration::from_millis(300),
        finish: Duration::from_millis(1_500),
    }
}

fn router() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route(
            "/peer",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()),
        )
        .route("/length", post(async |body: Bytes| body.len().to_string()))
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
    served: JoinHandle<std::io::Result<()>>,
}

impl Service {
    async fn start() -> Self {
        Self::start_with(options()).await
    }

    async fn start_with(options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = router();
        let answer = move |request| {
            let router = router.clone();
            let answer = async |request| {
                let Ok(answer) = router.oneshot(request).await;
                answer
            };
            async move { limits::keep(&options, request, Problem::into_response, answer).await }
        };
        let served = tokio::spawn(serve(listener, answer, options, stop.clone()));
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
            .unwrap()
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
        // Longer than a head may take: between requests another limit holds.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert!(client.is_closed_within(3_000).await, "idle for ever");
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
        assert!(dripped < 20, "a head may drip for ever");
    }
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let service = Service::start().await;
    let mut client = service.connect().await;
    client
        .send("POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n")
        .await;
    for _ in 0..5 {
        client.send("x").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(client.is_closed_within(2_000).await);
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_taken_and_one_byte_more_is_not() {
    let service = Service::start().await;
    for (length, status) in [(MIB, "200"), (MIB + 1, "413")] {
        let mut client = service.connect().await;
        client
            .send(format!(
                "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
            ))
            .await;
        let _ = client.0.write_all(&vec![b'x'; length]).await;
        let answer = client.answer().await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_need_not_be_sent() {
    let service = Service::start().await;
    let mut client = service.connect().await;
    client
        .send("POST /length HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 99000000\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn an_endless_chunked_body_is_refused_while_it_streams_in() {
    let service = Service::start().await;
    let client = service.connect().await;
    let (mut reader, mut writer) = client.0.into_split();
    writer
        .write_all(b"POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let sending = tokio::spawn(async move {
        let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, "x".repeat(64 << 10));
        // Ends only when the server does not take any more.
        while writer.write_all(chunk.as_bytes()).await.is_ok() {}
    });
    let mut answer = [0; 12];
    timeout(Duration::from_secs(5), reader.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    timeout(Duration::from_secs(5), sending)
        .await
        .expect("the server goes on reading")
        .unwrap();
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_504_unless_it_was_asked_to_wait() {
    let service = Service::start().await;
    let mut client = service.connect().await;
    client.get("/sleep/2000").await;
    let answer = client.answer().await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");

    let mut client = service.connect().await;
    client
        .send("GET /sleep/600 HTTP/1.1\r\nhost: x\r\nprefer: wait=1\r\n\r\n")
        .await;
    assert!(client.answer().await.ends_with("slept"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let options = ServeOptions {
        connections: 1,
        ..options()
    };
    let service = Service::start_with(options).await;
    let mut deaf = service.connect().await;
    deaf.get("/endless").await;
    // Waits for the only slot.
    let mut next = service.connect().await;
    next.get("/").await;
    assert!(next.answer().await.ends_with("hello"));
}

#[tokio::test]
async fn beyond_the_limit_connections_wait_and_idle_ones_make_room() {
    let options = ServeOptions {
        connections: 2,
        idle: Duration::from_secs(60),
        ..options()
    };
    let service = Service::start_with(options).await;
    let mut idle = service.connect().await;
    idle.get("/").await;
    idle.answer().await;
    let mut busy = service.connect().await;
    busy.get("/sleep/250").await;
    let mut third = service.connect().await;
    third.get("/").await;
    assert!(third.answer().await.ends_with("hello"));
    assert!(idle.is_closed_within(100).await);
    assert!(busy.answer().await.ends_with("slept"), "work is not cut");
}

#[tokio::test]
async fn dripping_heads_make_room_for_others() {
    let options = ServeOptions {
        connections: 2,
        head: Duration::from_secs(60),
        ..options()
    };
    let service = Service::start_with(options).await;
    let mut dripping = Vec::new();
    for _ in 0..4 {
        let mut client = service.connect().await;
        client.send("GET /").await;
        dripping.push(client);
    }
    let mut client = service.connect().await;
    client.get("/").await;
    assert!(client.answer().await.ends_with("hello"));
}

#[tokio::test]
async fn a_stop_leaves_time_to_notice_then_finishes_what_is_under_way() {
    let service = Service::start().await;
    let (mut idle, mut busy) = (service.connect().await, service.connect().await);
    idle.get("/").await;
    idle.answer().await;
    busy.send("GET /sleep/800 HTTP/1.1\r\nhost: x\r\nprefer: wait=9\r\n\r\n")
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    service.stop.cancel();

    // A load balancer that has not noticed yet.
    let mut late = service.connect().await;
    late.get("/").await;
    let answer = late.answer().await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(late.is_closed_within(200).await);

    assert!(idle.is_closed_within(600).await);
    let address = service.address;
    assert!(TcpStream::connect(address).await.is_err());
    let answer = busy.answer().await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("slept"));
    service.ended().await;
}

#[tokio::test]
async fn a_stop_takes_what_waits_in_the_accept_queue() {
    let options = ServeOptions {
        connections: 1,
        grace: Duration::ZERO,
        ..options()
    };
    let service = Service::start_with(options).await;
    let mut busy = service.connect().await;
    busy.get("/sleep/250").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    // The slot is taken; the second of these is only known to the kernel.
    let mut queued = [service.connect().await, service.connect().await];
    tokio::time::sleep(Duration::from_millis(50)).await;
    service.stop.cancel();
    for client in &mut queued {
        client.get("/").await;
        assert!(client.answer().await.ends_with("hello"));
    }
    assert!(busy.answer().await.ends_with("slept"));
    service.ended().await;
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let service = Service::start().await;
    let mut endless = service.connect().await;
    endless.get("/endless").await;
    let mut reader = endless.0;
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while matches!(reader.read(&mut buffer).await, Ok(1..)) {}
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    service.stop.cancel();
    service.ended().await;
    reading.await.unwrap();
}
