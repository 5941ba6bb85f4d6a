//! The bytes of bodies in memory: of requests until they are answered or given back, of answers
//! until they have gone. Past a bound, one of those that wait for their client gives way (`pool`).
//! Small ones always have room, since the number of connections is limited.

mod pool;
mod received;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use parking_lot::Mutex;

pub(crate) use self::pool::{NoRoom, Owner};
use self::pool::{Pool, SMALL};
pub(crate) use self::received::Received;

/// All bodies that are in memory now. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Bodies(Arc<Mutex<Pool>>);

/// What one body takes of the memory, until it is given back or this is dropped.
pub(crate) struct Share {
    bodies: Bodies,
    number: u64,
}

impl Bodies {
    fn share(&self, owner: Owner) -> Share {
        let number = self.0.lock().begin(owner);
        Share {
            bodies: self.clone(),
            number,
        }
    }

    /// What a request's body will take, unless it is small. What has come of it counts until the
    /// share is given back or dropped.
    pub(crate) fn receiving(&self, body: &Body, owner: &Owner) -> Option<Arc<Share>> {
        (!is_small(body)).then(|| Arc::new(self.share(owner.clone())))
    }

    /// An answer's body, of which each large piece counts until it has gone. It is never refused,
    /// since it is in memory already: the requests that come next find no room. Its length is not
    /// known any more: the router has set `Content-Length` before.
    pub(crate) fn sending(&self, body: Body, owner: Owner) -> Body {
        if is_small(&body) {
            return body;
        }
        let bodies = self.clone();
        Body::new(body.map_frame(move |frame: Frame<Bytes>| {
            frame.map_data(|data| bodies.counted(data, &owner))
        }))
    }

    /// A piece of an answer, counted until it has gone unless it is small.
    fn counted(&self, data: Bytes, owner: &Owner) -> Bytes {
        if data.len() <= SMALL {
            return data;
        }
        let share = self.share(owner.clone());
        // It is in memory already, even if there is no room.
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
        self.bodies.0.lock().add(self.number, bytes)
    }

    fn stop_waiting(&self) {
        self.bodies.0.lock().stop_waiting(self.number);
    }

    /// Stops counting it, because nothing of the body is left in memory.
    pub(crate) fn give_back(&self) {
        self.bodies.0.lock().remove(self.number);
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

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}
