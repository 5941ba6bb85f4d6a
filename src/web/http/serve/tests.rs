//! Byte by byte, through pipes, and in time that passes only while nothing else happens.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path};
use axum::routing::{get, post};
use axum::serve::Listener;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::serve;
use crate::config::ServeOptions;

/// Where clients are, unless a test says otherwise.
const HOME: [u8; 4] = [192, 0, 2, 10];
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(3_600);

fn options() -> ServeOptions {
    ServeOptions {
        connections: 8,
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
            "/sleep/{seconds}",
            get(async |Path(seconds): Path<u64>| {
                sleep(Duration::from_secs(seconds)).await;
                "slept"
            }),
        )
        .route("/panic", get(async || -> &str { panic!("a bug") }))
}

/// Clients that connect, in place of a socket.
struct Pipes(mpsc::UnboundedReceiver<(DuplexStream, SocketAddr)>);

impl Listener for Pipes {
    type Io = DuplexStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (DuplexStream, SocketAddr) {
        match self.0.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct Service {
    door: mpsc::UnboundedSender<(DuplexStream, SocketAddr)>,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Service {
    fn start(options: ServeOptions) -> Self {
        let (door, pipes) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(Pipes(pipes), router(), options, stop.clone()));
        Self { door, stop, served }
    }

    fn connect(&self) -> Client {
        self.connect_from(HOME)
    }

    fn connect_from(&self, address: [u8; 4]) -> Client {
        let (near, far) = duplex(64 << 10);
        self.door.send((far, (address, 4_321).into())).unwrap();
        Client(near)
    }
}

struct Client(DuplexStream);

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await;
    }

    /// Begins a request of two bytes that needs one more.
    async fn begin_body(&mut self) {
        self.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nx")
            .await;
    }

    /// One whole answer with a `Content-Length`.
    async fn answer(&mut self) -> String {
        let mut text = String::new();
        let mut length = None;
        while length.is_none_or(|length| text.len() < length) {
            let mut buffer = [0; 4096];
            let read = timeout(LONG, self.0.read(&mut buffer))
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

    async fn is_closed_within(&mut self, limit: Duration) -> bool {
        let mut buffer = [0; 4096];
        let Ok(read) = timeout(limit, self.0.read(&mut buffer)).await else {
            return false;
        };
        let read = read.unwrap();
        assert_eq!(read, 0, "{}", String::from_utf8_lossy(&buffer));
        true
    }

    /// Whether it is closed when this time has passed, and not long before.
    async fn is_closed_after(&mut self, time: Duration) -> bool {
        let moment = Duration::from_millis(10);
        !self.is_closed_within(time - moment).await && self.is_closed_within(2 * moment).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_knows_its_client_and_keeps_the_connection() {
    let service = Service::start(options());
    let mut client = service.connect();
    for _ in 0..3 {
        client.get("/peer").await;
        assert!(client.answer().await.ends_with("192.0.2.10:4321"));
    }
    assert!(client.is_closed_after(options().head).await, "idle forever");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_ends_the_connection() {
    let service = Service::start(options());
    let mut silent = service.connect();
    assert!(silent.is_closed_after(options().head).await);

    let mut dripping = service.connect();
    dripping.get("/").await;
    dripping.answer().await;
    let mut dripped = 0;
    while dripping.0.write_all(b"G").await.is_ok() {
        sleep(Duration::from_secs(10)).await;
        dripped += 1;
        assert!(dripped <= 8, "a head may drip forever");
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_connections_wait() {
    let service = Service::start(ServeOptions {
        connections: 1,
        ..options()
    });
    let mut first = service.connect();
    first.get("/sleep/5").await;
    let mut second = service.connect();
    second.get("/").await;
    let mut early = [0];
    let answered = timeout(Duration::from_secs(4), second.0.read(&mut early));
    assert!(answered.await.is_err(), "two at once");
    assert!(first.answer().await.ends_with("slept"), "it was cut");
    assert!(second.answer().await.ends_with("hello"));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_slow_gives_way_while_there_is_no_room() {
    let service = Service::start(options());
    let mut busy = service.connect();
    busy.get("/sleep/10").await;
    let mut slow = Vec::new();
    for _ in 0..7 {
        let mut client = service.connect();
        client.begin_body().await;
        slow.push(client);
        sleep(Duration::from_millis(1)).await;
    }
    let mut quick = Vec::new();
    for _ in 0..3 {
        let mut client = service.connect();
        client.get("/").await;
        assert!(client.answer().await.ends_with("hello"));
        quick.push(client);
    }
    for (n, client) in slow.iter_mut().enumerate() {
        let is_cut = client.is_closed_within(Duration::ZERO).await;
        assert_eq!(is_cut, n < 3, "{n}: the slowest goes first");
    }
    assert!(busy.answer().await.ends_with("slept"), "it was cut");
}

#[tokio::test(start_paused = true)]
async fn the_address_with_the_most_connections_gives_way() {
    let service = Service::start(options());
    let mut other = service.connect_from([198, 51, 100, 7]);
    other.begin_body().await;
    sleep(Duration::from_millis(1)).await;
    let mut crowd: Vec<_> = (0..7).map(|_| service.connect()).collect();
    for client in &mut crowd {
        client.begin_body().await;
    }
    for _ in 0..3 {
        let mut client = service.connect();
        client.get("/").await;
        assert!(client.answer().await.ends_with("hello"));
        crowd.push(client);
    }
    // It has waited longest.
    other.send("y").await;
    assert!(other.answer().await.ends_with("received"), "it was cut");
}

#[tokio::test(start_paused = true)]
async fn how_long_a_connection_was_idle_is_not_held_against_a_body() {
    let service = Service::start(ServeOptions {
        connections: 1,
        ..options()
    });
    let mut first = service.connect();
    first.get("/").await;
    first.answer().await;
    sleep(Duration::from_secs(10)).await;
    first.begin_body().await;
    let mut second = service.connect();
    second.get("/").await;
    sleep(Duration::from_millis(900)).await;
    first.send("y").await;
    assert!(first.answer().await.ends_with("received"), "it was cut");
    assert!(second.answer().await.ends_with("hello"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_time_to_notice_then_finishes_what_is_under_way() {
    let service = Service::start(options());
    let (mut idle, mut busy) = (service.connect(), service.connect());
    idle.get("/").await;
    idle.answer().await;
    busy.get("/sleep/7").await;
    sleep(Duration::from_millis(1)).await;
    service.stop.cancel();

    // A load balancer that has not noticed yet.
    let mut late = service.connect();
    late.get("/").await;
    late.answer().await;

    assert!(idle.is_closed_after(options().grace).await);
    assert!(service.door.is_closed(), "it listens");
    assert!(busy.answer().await.ends_with("slept"));
    service.served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_cut() {
    let service = Service::start(options());
    let mut endless = service.connect();
    endless.get("/sleep/3600").await;
    sleep(Duration::from_millis(1)).await;
    service.stop.cancel();
    assert!(endless.is_closed_after(options().finish).await);
    service.served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_nobody_who_waits_for_room() {
    let service = Service::start(ServeOptions {
        connections: 1,
        ..options()
    });
    let (mut endless, mut waiting) = (service.connect(), service.connect());
    endless.get("/sleep/3600").await;
    sleep(Duration::from_millis(1)).await;
    waiting.get("/").await;
    service.stop.cancel();
    assert!(waiting.is_closed_after(options().grace).await);
    let left = options().finish - options().grace;
    assert!(endless.is_closed_after(left).await);
    service.served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_its_place_back() {
    let service = Service::start(ServeOptions {
        connections: 1,
        ..options()
    });
    for _ in 0..3 {
        let mut client = service.connect();
        client.get("/panic").await;
        assert!(client.is_closed_within(Duration::from_secs(1)).await);
    }
    let mut next = service.connect();
    next.get("/").await;
    assert!(next.answer().await.ends_with("hello"));
}
