//! An endpoint of notifications: a real HTTP server that remembers what it was sent and answers as
//! it is told.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::sign;

/// What an endpoint does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    /// Answers with a status.
    Answers(u16),
    /// Answers 429 and wants to be left alone for so many seconds.
    Busy(u32),
    /// Never answers.
    Hangs,
    /// Takes no connection.
    Closed,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// What it was answered.
    mood: Mood,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Debug)]
struct Inner {
    mood: Mood,
    received: Vec<Received>,
    open: usize,
    most_open: usize,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            inner: Arc::new(Mutex::new(Inner {
                mood: Mood::Answers(200),
                received: Vec::new(),
                open: 0,
                most_open: 0,
            })),
        };
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(receiver.clone());
        let door = Door(listener, receiver.clone());
        tokio::spawn(async move { axum::serve(door, router).await });
        receiver
    }

    pub(crate) fn be(&self, mood: Mood) {
        self.inner().mood = mood;
    }

    /// All that came, oldest first.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.inner().received.clone()
    }

    /// What came since the last time this was asked.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.inner().received)
    }

    /// The most requests that were open at the same time.
    pub(crate) fn most_open(&self) -> usize {
        self.inner().most_open
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

async fn answer(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let mood = {
        let mut inner = receiver.inner();
        inner.open += 1;
        inner.most_open = inner.most_open.max(inner.open);
        let mood = inner.mood;
        inner.received.push(Received {
            mood,
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        mood
    };
    let _closes = Closes(receiver);
    match mood {
        Mood::Answers(status) => (
            StatusCode::from_u16(status).unwrap(),
            "so says the receiver",
        )
            .into_response(),
        Mood::Busy(seconds) => {
            let retry = [("retry-after", seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, retry).into_response()
        }
        Mood::Hangs | Mood::Closed => std::future::pending().await,
    }
}

/// Where connections come in, unless it is closed.
struct Door(TcpListener, Receiver);

impl axum::serve::Listener for Door {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let accepted = axum::serve::Listener::accept(&mut self.0).await;
            if !matches!(self.1.inner().mood, Mood::Closed) {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Whichever way a request ends.
struct Closes(Receiver);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.inner().open -= 1;
    }
}

impl Received {
    pub(crate) fn was_taken(&self) -> bool {
        matches!(self.mood, Mood::Answers(200..300))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// What happened: `publish.completed`.
    pub(crate) fn event(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// Whether the secret signed it.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let timestamp = self.header("webhook-timestamp").parse().unwrap();
        let signature = sign(secret, self.header("webhook-id"), timestamp, &self.body);
        self.header("webhook-signature") == signature
    }
}
