//! Whose turn it is on each connection. When all are taken, one that waits for its client gives
//! way: slow bodies and idle connections hold nobody up while there is no room. A proxy would see to
//! that as well, but publishers on the same network need none to reach the service.

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
pub(super) struct Seats(Arc<Shared>);

#[derive(Default)]
struct Shared {
    taken: Mutex<HashMap<u64, Arc<Seat>>>,
    next: AtomicU64,
}

pub(super) struct Seat {
    seats: Seats,
    number: u64,
    address: IpAddr,
    /// When it began to wait for its client; `None` while it is being answered.
    waits_since: Mutex<Option<Instant>>,
    /// Cancelled when it has to give way.
    pub(super) cut: CancellationToken,
}

impl Seats {
    pub(super) fn take(&self, address: IpAddr) -> Arc<Seat> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat {
            seats: self.clone(),
            number,
            address,
            waits_since: Mutex::default(),
            cut: CancellationToken::new(),
        });
        seat.wait_for_client();
        let mut taken = self.0.taken.lock();
        taken.insert(number, Arc::clone(&seat));
        seat
    }

    /// Of the clients that have kept their connection waiting, the one with the most connections
    /// loses its slowest.
    pub(super) fn make_room(&self) {
        let taken = self.0.taken.lock();
        let mut of_address = HashMap::<IpAddr, usize>::new();
        for seat in taken.values() {
            *of_address.entry(seat.address).or_default() += 1;
        }
        let slowest = taken
            .values()
            .filter(|seat| !seat.cut.is_cancelled())
            .filter_map(|seat| Some((seat, (*seat.waits_since.lock())?)))
            .filter(|(_, since)| since.elapsed() >= CLIENT_TIMEOUT)
            .max_by_key(|(seat, since)| {
                let others = of_address.get(&seat.address).copied();
                (others, Reverse(*since))
            });
        if let Some((seat, _)) = slowest {
            seat.cut.cancel();
        }
    }
}

impl Seat {
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

    pub(super) fn leave(&self) {
        self.seats.0.taken.lock().remove(&self.number);
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
            seat: Arc::clone(self),
            is_answer: false,
        }
    }

    /// The answer's body: when all of it has gone, it is the client's turn.
    pub(super) fn sending<B>(self: Arc<Self>, body: B) -> Watched<B> {
        self.wait_for_service();
        Watched {
            body,
            seat: self,
            is_answer: true,
        }
    }
}

/// A body, and what its end means for the seat.
pub(super) struct Watched<B> {
    body: B,
    seat: Arc<Seat>,
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
            self.seat.wait_for_service();
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
            self.seat.wait_for_client();
        }
    }
}
