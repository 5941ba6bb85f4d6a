//! The bytes of bodies that are held in memory: of requests until they are answered, of answers until
//! they have gone. Past a bound, of those that wait for their client one gives way: first one of
//! nobody who has shown a token, then the oldest of the address that holds most. Small ones always
//! have room, since there are only so many connections.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use bytes::BytesMut;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::proved::ProvedSite;

/// The most that is held at once of large bodies, in bytes.
const MOST: usize = 48 << 20;
/// What is held of any body without being counted.
const SMALL: usize = 16 << 10;
/// How much of a body is gathered before it is passed on.
const PIECE: usize = 4 << 10;
/// How long a client may take, even while there is no room for more of its own address.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);

/// What is held now. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Bodies(Arc<Mutex<Pool>>);

/// There is no room for more.
#[derive(Debug, thiserror::Error)]
#[error("too many bodies are under way")]
pub(crate) struct NoRoom;

/// Whose body it is.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) address: IpAddr,
    /// Who it is, as soon as it has proved it: with a token, before anything of its body is read.
    pub(crate) proved: ProvedSite,
    /// Cuts its connection.
    pub(crate) cut: CancellationToken,
}

impl Owner {
    fn has_proved(&self) -> bool {
        self.proved.get().is_some()
    }
}

#[derive(Debug, Default)]
struct Pool {
    /// The sum of what counts.
    counted: usize,
    next: u64,
    /// By number, so the oldest first.
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    owner: Owner,
    bytes: usize,
    since: Instant,
    /// For its client to send the rest, or to read it.
    waits: bool,
}

/// What is held of one body, until this is dropped.
pub(crate) struct Share {
    bodies: Bodies,
    number: u64,
}

impl Held {
    const fn counted(&self) -> usize {
        self.bytes.saturating_sub(SMALL)
    }

    /// Whether it gives way to one of `other`, where each address holds that much. A token goes before
    /// none, but not for long: its owner may be the one who holds others up.
    fn gives_way_to(&self, other: &Owner, of_address: &HashMap<IpAddr, usize>) -> bool {
        let of = |address| of_address.get(&address).copied().unwrap_or_default();
        let is_slow = self.since.elapsed() >= CLIENT_TIMEOUT;
        let is_of_more = of(self.owner.address) > of(other.address);
        match (self.owner.has_proved(), other.has_proved()) {
            (false, true) => true,
            _ if self.owner.address == other.address => is_slow,
            (true, false) => is_slow && is_of_more,
            _ => is_of_more,
        }
    }
}

impl Pool {
    /// Counts more of a body. Fails if it had to give way, or if nothing gives way to it.
    fn add(&mut self, number: u64, bytes: usize) -> Result<(), NoRoom> {
        let held = self.held.get_mut(&number).ok_or(NoRoom)?;
        let before = held.counted();
        held.bytes += bytes;
        let more = held.counted() - before;
        self.counted += more;
        while more > 0 && self.counted > MOST {
            let given_way = self.gives_way_to(number).ok_or(NoRoom)?;
            if let Some(held) = self.remove(given_way) {
                let Owner { address, .. } = held.owner;
                tracing::debug!(%address, bytes = held.bytes, "a body gave way to others");
                held.owner.cut.cancel();
            }
        }
        Ok(())
    }

    fn gives_way_to(&self, number: u64) -> Option<u64> {
        let other = &self.held.get(&number)?.owner;
        let mut of_address = HashMap::<IpAddr, usize>::new();
        for held in self.held.values() {
            *of_address.entry(held.owner.address).or_default() += held.counted();
        }
        let candidates = self.held.iter().filter(|(other_number, held)| {
            **other_number != number
                && held.waits
                && held.counted() > 0
                && held.gives_way_to(other, &of_address)
        });
        let first = candidates.min_by_key(|(number, held)| {
            let of_its_address = of_address.get(&held.owner.address).copied();
            (
                held.owner.has_proved(),
                usize::MAX - of_its_address.unwrap_or_default(),
                **number,
            )
        });
        first.map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) -> Option<Held> {
        let held = self.held.remove(&number)?;
        self.counted -= held.counted();
        Some(held)
    }
}

impl Bodies {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "how long a client keeps still is no time of day: a clock that is set must not cut it"
    )]
    fn share(&self, owner: Owner) -> Share {
        let mut pool = self.pool();
        let number = pool.next;
        pool.next += 1;
        pool.held.insert(
            number,
            Held {
                owner,
                bytes: 0,
                since: Instant::now(),
                waits: true,
            },
        );
        drop(pool);
        Share {
            bodies: self.clone(),
            number,
        }
    }

    /// A request's body, counted as it comes unless it is small. Whoever holds the share says that
    /// what came is still held.
    pub(crate) fn receiving(
        &self,
        body: Body,
        owner: impl FnOnce() -> Owner,
    ) -> (Received, Option<Arc<Share>>) {
        let share = (!is_small(&body)).then(|| Arc::new(self.share(owner())));
        let received = Received {
            body,
            gathered: BytesMut::new(),
            has_ended: false,
            share: share.clone(),
        };
        (received, share)
    }

    /// An answer's body, of which each large piece counts until it has gone. Nothing is refused: what
    /// is there is there, and the next who ask find no room.
    pub(crate) fn sending(&self, body: Body, owner: impl FnOnce() -> Owner) -> Body {
        if is_small(&body) {
            return body;
        }
        Body::new(Sent {
            body,
            bodies: self.clone(),
            owner: owner(),
        })
    }

    /// A piece of an answer, counted unless it is small.
    fn piece(&self, data: Bytes, owner: &Owner) -> Bytes {
        if data.len() <= SMALL {
            return data;
        }
        let share = self.share(owner.clone());
        // Even if there is no room.
        let _ = share.take(data.len());
        Bytes::from_owner(Piece {
            data,
            _share: share,
        })
    }
}

fn is_small(body: &Body) -> bool {
    let most = body.size_hint().upper();
    most.is_some_and(|most| most <= SMALL as u64)
}

impl Share {
    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        self.bodies.pool().add(self.number, bytes)
    }

    fn stop_waiting(&self) {
        if let Some(held) = self.bodies.pool().held.get_mut(&self.number) {
            held.waits = false;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.pool().remove(self.number);
    }
}

/// A request's body, in pieces of some size however small those were that it came in: each of these
/// keeps the buffer that it was read into, 8 KiB for a byte.
pub(crate) struct Received {
    body: Body,
    gathered: BytesMut,
    has_ended: bool,
    /// None: it is small.
    share: Option<Arc<Share>>,
}

impl Received {
    /// All of it has come, or nobody reads the rest.
    fn end(&mut self) {
        self.has_ended = true;
        if let Some(share) = &self.share {
            share.stop_waiting();
        }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        while !self.has_ended && self.gathered.len() < PIECE {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else {
                self.end();
                break;
            };
            // What may follow the data means nothing here.
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if let Some(share) = &self.share {
                share.take(data.len())?;
            }
            if self.body.is_end_stream() {
                self.end();
            }
            if self.has_ended && self.gathered.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.gathered.extend_from_slice(&data);
        }
        let piece = self.gathered.split().freeze();
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.gathered.is_empty() && (self.has_ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.body.size_hint();
        let gathered = self.gathered.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + gathered);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + gathered);
        }
        hint
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.end();
    }
}

/// An answer's body, whose large pieces count.
struct Sent {
    body: Body,
    bodies: Bodies,
    owner: Owner,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| frame.map_data(|data| self.bodies.piece(data, &self.owner)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of an answer: hyper drops it when the kernel has taken it.
struct Piece {
    data: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::store::SiteId;

    fn owner(address: u8, has_proved: bool) -> Owner {
        let proved = ProvedSite::default();
        if has_proved {
            proved.mark(SiteId(1));
        }
        Owner {
            address: IpAddr::from([192, 0, 2, address]),
            proved,
            cut: CancellationToken::new(),
        }
    }

    #[tokio::test]
    async fn what_is_held_is_bounded_and_given_back() {
        let bodies = Bodies::default();
        let share = || bodies.share(owner(1, true));
        let (first, second, small) = (share(), share(), share());
        assert!(first.take(SMALL + MOST - 10).is_ok());
        assert!(second.take(SMALL + 10).is_ok() && second.take(1).is_err());
        assert!(small.take(SMALL).is_ok(), "a small one always has room");
        drop((second, small));
        assert!(first.take(10).is_ok());
        drop(first);
        assert!(share().take(SMALL + MOST).is_ok());
    }

    /// As many as fill it, the first of them the oldest.
    fn fill(bodies: &Bodies, of: impl Fn(usize) -> Owner) -> Vec<(Share, CancellationToken)> {
        let fill = |n| {
            let owner = of(n);
            let cut = owner.cut.clone();
            let share = bodies.share(owner);
            assert!(share.take(SMALL + MOST / 8).is_ok());
            (share, cut)
        };
        (0..8).map(fill).collect()
    }

    fn cut(held: &[(Share, CancellationToken)]) -> Vec<usize> {
        let is_cut = |n: &usize| held.get(*n).is_some_and(|(_, cut)| cut.is_cancelled());
        (0..held.len()).filter(is_cut).collect()
    }

    #[tokio::test]
    async fn whoever_holds_most_gives_way_to_other_addresses_and_when_slow_to_its_own() {
        let bodies = Bodies::default();
        let held = fill(&bodies, |n| owner(if n == 0 { 1 } else { 2 }, true));
        let (other, own) = (bodies.share(owner(3, true)), bodies.share(owner(2, true)));
        assert!(other.take(SMALL + 1).is_ok());
        assert_eq!(cut(&held), [1], "the oldest of the second address");
        assert!(own.take(SMALL + MOST / 8).is_err());
        drop(own);
        for held in bodies.pool().held.values_mut() {
            held.since -= CLIENT_TIMEOUT;
        }
        let own = bodies.share(owner(2, true));
        assert!(own.take(SMALL + MOST / 8).is_ok());
        assert_eq!(cut(&held), [1, 2]);
        assert!(held.get(1).is_some_and(|(share, _)| share.take(1).is_err()));
    }

    #[tokio::test]
    async fn what_has_come_stays_and_strangers_give_way_to_a_token() {
        let bodies = Bodies::default();
        // Many addresses, each with less than the publisher has.
        let strangers = fill(&bodies, |n| {
            owner(u8::try_from(n).unwrap_or_default(), false)
        });
        let publisher = bodies.share(owner(100, true));
        assert!(publisher.take(SMALL + MOST / 2).is_ok());
        assert_eq!(cut(&strangers), [0, 1, 2, 3]);
        let stranger = bodies.share(owner(101, false));
        for (share, _) in &strangers {
            share.stop_waiting();
        }
        assert!(stranger.take(SMALL + 1).is_err());
        assert_eq!(cut(&strangers), [0, 1, 2, 3], "they are being answered");
    }

    #[tokio::test]
    async fn who_holds_all_by_a_token_holds_up_nobody_for_long() {
        let bodies = Bodies::default();
        let held = fill(&bodies, |_| owner(1, true));
        let signed = bodies.share(owner(2, false));
        assert!(signed.take(SMALL + 1).is_err());
        drop(signed);
        for held in bodies.pool().held.values_mut() {
            held.since -= CLIENT_TIMEOUT;
        }
        let signed = bodies.share(owner(2, false));
        assert!(signed.take(SMALL + 1).is_ok());
        assert_eq!(cut(&held), [0]);
    }

    #[tokio::test]
    async fn what_comes_byte_by_byte_is_gathered() {
        let bytes: Vec<u8> = (0..=255).cycle().take(PIECE + 100).collect();
        let frames = bytes
            .clone()
            .into_iter()
            .map(|byte| Ok::<_, Infallible>(vec![byte]));
        let bodies = Bodies::default();
        let receiving = |body| bodies.receiving(body, || owner(1, false));
        let body = Body::from_stream(futures_util::stream::iter(frames));
        let (mut body, share) = receiving(body);
        let (mut pieces, mut came) = (0, Vec::new());
        while let Some(Ok(frame)) = body.frame().await {
            pieces += 1;
            came.extend(frame.into_data().unwrap_or_default());
        }
        assert_eq!((pieces, came), (2, bytes));
        assert!(share.is_some_and(|share| {
            let pool = bodies.pool();
            let held = pool.held.get(&share.number);
            held.is_some_and(|held| held.bytes == PIECE + 100 && !held.waits)
        }));
        let (mut whole, share) = receiving(Body::from("whole"));
        assert!(whole.frame().await.is_some() && whole.is_end_stream() && share.is_none());
    }

    #[tokio::test]
    async fn an_answer_counts_until_it_has_gone() {
        let bodies = Bodies::default();
        let mut body = bodies.sending(Body::from(vec![0; SMALL + 10]), || owner(1, false));
        assert_eq!(bodies.pool().counted, 0);
        let frame = body.frame().await.and_then(Result::ok);
        drop(body);
        assert_eq!(bodies.pool().counted, 10);
        drop(frame);
        assert_eq!(bodies.pool().counted, 0);
    }
}
