//! The time limits that hyper does not have: for a request's head once it has begun, and for a
//! client that does not read its answer.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What a connection is doing, shared by its socket and its requests.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Heads that have arrived.
    heads: AtomicU64,
    answering: AtomicBool,
    had_body: AtomicBool,
}

impl Progress {
    /// A request's head has arrived. Keep what is returned until its answer has been handed over.
    pub(super) fn begin(self: &Arc<Self>, has_body: bool) -> Answering {
        self.heads.fetch_add(1, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
        self.had_body.store(has_body, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Whether no request has come yet.
    pub(super) fn is_new(&self) -> bool {
        self.heads.load(Ordering::Relaxed) == 0
    }

    /// Whether an answer is under way.
    pub(super) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }

    /// Whether the last request had a body, of which the client may still be sending.
    pub(super) fn had_body(&self) -> bool {
        self.had_body.load(Ordering::Relaxed)
    }
}

/// A request is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Progress>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::Relaxed);
    }
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a head: from when the connection was made, or from its first byte on a connection that
    /// is kept alive.
    pub(super) head: Duration,
    /// Without taking any byte of an answer.
    pub(super) stalled: Duration,
}

/// A socket that fails with `TimedOut` when its client takes too long.
#[derive(Debug)]
pub(super) struct Paced<S> {
    socket: S,
    patience: Patience,
    progress: Arc<Progress>,
    /// Heads that had arrived when this last looked.
    heads: u64,
    /// Runs while a head is arriving.
    head: Option<Pin<Box<Sleep>>>,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(socket: S, patience: Patience, progress: Arc<Progress>) -> Self {
        Self {
            socket,
            patience,
            progress,
            heads: 0,
            head: Some(Box::pin(tokio::time::sleep(patience.head))),
            stalled: None,
        }
    }

    pub(super) fn into_inner(self) -> S {
        self.socket
    }

    fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience.stalled;
        expired(
            self.stalled
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience))),
            cx,
        )
    }
}

fn expired<T>(limit: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
    limit
        .as_mut()
        .poll(cx)
        .map(|()| Err(io::ErrorKind::TimedOut.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let heads = this.progress.heads.load(Ordering::Relaxed);
        if heads != this.heads {
            this.heads = heads;
            this.head = None;
        }
        let read = Pin::new(&mut this.socket).poll_read(cx, buf);
        if this.progress.is_answering() {
            // A body, whose time is limited where it is read, or the end of the connection.
            return read;
        }
        match (&read, &mut this.head) {
            (Poll::Pending, Some(limit)) => expired(limit, cx),
            (Poll::Ready(_), None) => {
                this.head = Some(Box::pin(tokio::time::sleep(this.patience.head)));
                read
            }
            _ => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.bound(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(cx);
        if flushed.is_ready() {
            // Nothing was taken: a flush of a socket has nothing to do.
            return flushed;
        }
        this.bound(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
