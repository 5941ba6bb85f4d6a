//! The bytes of bodies that are held in memory, all together: past a bound nothing more is read of
//! large ones. Small ones always have room, since there are only so many connections.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// The most that is held at once of large bodies, in bytes.
const MOST: usize = 48 << 20;
/// What is held of any body without being counted.
const SMALL: usize = 16 << 10;

/// What is held now. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Bodies(Arc<AtomicUsize>);

/// There is no room for more.
#[derive(Debug, thiserror::Error)]
#[error("too many bodies are under way")]
pub(crate) struct NoRoom;

/// What one request holds, until this and its body are dropped.
pub(crate) struct Share {
    bodies: Bodies,
    held: AtomicUsize,
}

impl Share {
    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed);
        let counted = Self::counted(held + bytes) - Self::counted(held);
        let before = self.bodies.0.fetch_add(counted, Ordering::Relaxed);
        if counted > 0 && before + counted > MOST {
            return Err(NoRoom);
        }
        Ok(())
    }

    const fn counted(held: usize) -> usize {
        held.saturating_sub(SMALL)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let held = self.held.load(Ordering::Relaxed);
        let counted = Self::counted(held);
        self.bodies.0.fetch_sub(counted, Ordering::Relaxed);
    }
}

impl Bodies {
    /// The body, counted as it comes unless it is small. Whoever holds the share says that what came
    /// is still held.
    pub(crate) fn count(&self, body: Body) -> (Body, Option<Arc<Share>>) {
        if body
            .size_hint()
            .upper()
            .is_some_and(|most| most <= SMALL as u64)
        {
            return (body, None);
        }
        let share = Arc::new(Share {
            bodies: self.clone(),
            held: AtomicUsize::new(0),
        });
        let counted = Counted {
            body,
            share: Arc::clone(&share),
        };
        (Body::new(counted), Some(share))
    }
}

struct Counted {
    body: Body,
    share: Arc<Share>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(error) = self.share.take(data.len())
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let bodies = Bodies::default();
        let share = || Share {
            bodies: bodies.clone(),
            held: AtomicUsize::new(0),
        };
        let (first, second, small) = (share(), share(), share());
        assert!(first.take(SMALL + MOST - 10).is_ok());
        assert!(second.take(SMALL + 10).is_ok() && second.take(1).is_err());
        assert!(small.take(SMALL).is_ok(), "a small one always has room");
        drop((second, small));
        assert!(first.take(10).is_ok());
        drop(first);
        assert!(share().take(SMALL + MOST).is_ok());
    }
}
