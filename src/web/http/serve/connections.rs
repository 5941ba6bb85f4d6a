//! The open connections, and whose turn it is on each. When there is no room for another, one that
//! waits for its client gives way: slow bodies and idle connections hold nobody up. A proxy would
//! see to that as well, but publishers on the same network need none to reach the service.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a client may take, even while there is no room.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
pub(super) struct ConnectionTable(Arc<Shared>);

#[derive(Default)]
struct Shared {
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

pub(super) struct Connection {
    table: ConnectionTable,
    number: u64,
    address: IpAddr,
    /// When it began to wait for its client; `None` while it is being answered.
    waits_since: Mutex<Option<Instant>>,
    /// Cancelled when it has to give way.
    pub(super) cut: CancellationToken,
}

impl ConnectionTable {
    pub(super) fn add(&self, address: IpAddr) -> Arc<Connection> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            table: self.clone(),
            number,
            address,
            waits_since: Mutex::default(),
            cut: CancellationToken::new(),
        });
        connection.wait_for_client();
        let mut open = self.0.open.lock();
        open.insert(number, Arc::clone(&connection));
        connection
    }

    /// Of the clients that have kept their connection waiting, the one with the most connections
    /// loses its slowest.
    pub(super) fn make_room(&self) {
        let open = self.0.open.lock();
        let mut of_address = HashMap::<IpAddr, usize>::new();
        for connection in open.values() {
            *of_address.entry(connection.address).or_default() += 1;
        }
        let slowest = open
            .values()
            .filter(|connection| !connection.cut.is_cancelled())
            .filter_map(|connection| Some((connection, (*connection.waits_since.lock())?)))
            .filter(|(_, since)| since.elapsed() >= CLIENT_TIMEOUT)
            .max_by_key(|(connection, since)| {
                let others = of_address.get(&connection.address).copied();
                (others, Reverse(*since))
            });
        if let Some((connection, _)) = slowest {
            connection.cut.cancel();
        }
    }

    pub(super) fn cut_all(&self) {
        for connection in self.0.open.lock().values() {
            connection.cut.cancel();
        }
    }
}

impl Connection {
    /// It is the service's turn.
    fn wait_for_service(&self) {
        *self.waits_since.lock() = None;
    }

    /// It is the client's turn.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a client is silent is no time of day: setting a clock must not cut it"
    )]
    fn wait_for_client(&self) {
        *self.waits_since.lock() = Some(Instant::now());
    }

    pub(super) fn remove(&self) {
        self.table.0.open.lock().remove(&self.number);
    }

    /// The request's body: when all of it has come, it is the service's turn. Until then it is the
    /// client's, from now on: on a connection that was idle, it has only just begun to send.
    pub(super) fn receiving<B: HttpBody>(self: &Arc<Self>, body: B) -> Watched<B> {
        if body.is_end_stream() {
            self.wait_for_service();
        } else {
            self.wait_for_client();
        }
        Watched {
            body,
            connection: Arc::clone(self),
            is_answer: false,
        }
    }

    /// The answer's body: when all of it has gone, it is the client's turn.
    pub(super) fn sending<B>(self: Arc<Self>, body: B) -> Watched<B> {
        self.wait_for_service();
        Watched {
            body,
            connection: self,
            is_answer: true,
        }
    }
}

/// A body, and what its end means for its connection.
pub(super) struct Watched<B> {
    body: B,
    connection: Arc<Connection>,
    is_answer: bool,
}

impl<B: HttpBody + Unpin> HttpBody for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if !self.is_answer && (matches!(polled, Poll::Ready(None)) || self.body.is_end_stream()) {
            self.connection.wait_for_service();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        if self.is_answer {
            self.connection.wait_for_client();
        }
    }
}
