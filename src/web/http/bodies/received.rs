//! A request's body, and what it takes of the memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use bytes::BytesMut;
use hyper::body::Frame;

use super::Share;

/// How much of a body is gathered before it is passed on.
pub(super) const PIECE: usize = 4 << 10;

/// A request's body, gathered into larger pieces however small those are that it comes in: each of
/// those keeps the buffer that it was read into, 8 KiB for a byte.
pub(crate) struct Received {
    body: Body,
    gathered: BytesMut,
    has_ended: bool,
    /// `None` if it is small.
    share: Option<Arc<Share>>,
}

impl Received {
    pub(crate) fn new(body: Body, share: Option<Arc<Share>>) -> Self {
        Self {
            body,
            gathered: BytesMut::new(),
            has_ended: false,
            share,
        }
    }

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
            // Trailers mean nothing here.
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
}

impl Drop for Received {
    fn drop(&mut self) {
        self.end();
    }
}
