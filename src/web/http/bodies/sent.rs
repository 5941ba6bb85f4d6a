//! An answer's body, and what it takes of the memory.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::pool::{Owner, SMALL};
use super::{Bodies, Share};

/// An answer's body, whose large pieces count.
pub(super) struct Sent {
    pub(super) body: Body,
    pub(super) bodies: Bodies,
    pub(super) owner: Owner,
}

impl Sent {
    /// A piece of it, counted unless it is small.
    fn piece(&self, data: Bytes) -> Bytes {
        if data.len() <= SMALL {
            return data;
        }
        let share = self.bodies.share(self.owner.clone());
        // It is in memory already, even if there is no room.
        let _ = share.take(data.len());
        Bytes::from_owner(Piece {
            data,
            _share: share,
        })
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| frame.map_data(|data| self.piece(data)))
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
