//! Serving connections: bounded in number and in time, and ended without losing an answer.
//!
//! A stop has an order, so that a roll-out behind a load balancer answers every request:
//!
//! 1. `/health/ready` answers 503, and every answer says `Connection: close`, so that clients leave by themselves.
//!    The listener stays open for [`ServeOptions::grace`]: a load balancer has not noticed yet.
//! 2. What is still in the accept queue is taken, the listener is closed, and idle connections are closed at once.
//! 3. Answers under way are finished, until [`ServeOptions::finish`] after the stop. Then the rest is cut.
//!
//! Beyond [`ServeOptions::connections`], new connections wait in the kernel's accept queue rather than being answered
//! 503: a storm of short requests passes through it unnoticed, and a connection that is refused costs as much as one
//! that is served. So that the wait is short, clients that only keep theirs alive are then asked to leave, and new ones must
//! hurry with their head.

mod pace;
mod rewake;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::pace::{Paced, Patience, Progress};
use self::rewake::Rewake;

/// Room for a request's head, and for what is read of a body at a time.
const BUFFER: usize = 64 << 10;
/// How long a client that has just connected may take for its first request's head while slots are wanted, or the
/// service stops.
const NEWCOMER: Duration = Duration::from_millis(500);
/// How long a client that still sends a body may do so after its answer. Closing on it would destroy the answer.
const LINGER: Duration = Duration::from_secs(1);
/// Pause after the machine could not give a connection, as when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// How many connections, and how long each step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// For a request's head to arrive.
    pub head: Duration,
    /// For a request's body to arrive, in all.
    pub body: Duration,
    /// For an answer to be ready, beyond what `Prefer: wait` asks for.
    pub answer: Duration,
    /// For a client that takes nothing of its answer.
    pub stalled: Duration,
    /// For a connection without a request. Longer than the 60 s of common load balancers, which would otherwise send a
    /// request just as it is being closed.
    pub idle: Duration,
    /// After a stop, for load balancers to notice.
    pub grace: Duration,
    /// After a stop, for all answers under way.
    pub finish: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections: 1_024,
            head: Duration::from_secs(10),
            body: Duration::from_secs(20),
            answer: Duration::from_secs(30),
            stalled: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            grace: Duration::from_secs(2),
            finish: Duration::from_secs(8),
        }
    }
}

/// Serves with `answer` until `stop`, then ends as this module says.
///
/// # Errors
/// If the listener cannot be used.
pub(crate) async fn serve<A, F>(
    listener: TcpListener,
    answer: A,
    options: ServeOptions,
    stop: CancellationToken,
) -> io::Result<()>
where
    A: Fn(Request) -> F + Clone + Send + Unpin + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let mut server = Server {
        answer,
        options,
        stop: stop.clone(),
        slots: Arc::new(Semaphore::new(options.connections)),
        waiting: None,
        full: false,
        crowded: Arc::default(),
        closing: CancellationToken::new(),
        cut: CancellationToken::new(),
        connections: TaskTracker::new(),
    };
    let graced = async {
        stop.cancelled().await;
        tokio::time::sleep(options.grace).await;
    };
    tokio::pin!(graced);
    loop {
        tokio::select! {
            () = &mut graced => break,
            (accepted, slot) = server.accept(&listener) => server.converse(accepted, Some(slot)),
        }
    }
    server.empty_queue(listener)?;
    server.closing.cancel();
    server.connections.close();
    let left = options.finish.saturating_sub(options.grace);
    if tokio::time::timeout(left, server.connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = server.connections.len(),
            "answers that did not end in time are cut"
        );
        server.cut.cancel();
        server.connections.wait().await;
    }
    Ok(())
}

type Accepted = (TcpStream, SocketAddr);

struct Server<A> {
    answer: A,
    options: ServeOptions,
    /// Answers say that the connection ends.
    stop: CancellationToken,
    /// One for each connection.
    slots: Arc<Semaphore>,
    /// Accepted, and without a slot yet.
    waiting: Option<Accepted>,
    /// Whether it was said that all slots are taken.
    full: bool,
    /// Told to connections when all slots are taken.
    crowded: Arc<Notify>,
    /// Connections end after the answer under way.
    closing: CancellationToken,
    /// Connections end.
    cut: CancellationToken,
    connections: TaskTracker,
}

impl<A, F> Server<A>
where
    A: Fn(Request) -> F + Clone + Send + Unpin + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    /// Waits for a client, then for a slot. Given up half-way, it loses neither.
    async fn accept(&mut self, listener: &TcpListener) -> (Accepted, OwnedSemaphorePermit) {
        while self.waiting.is_none() {
            match listener.accept().await {
                Ok(accepted) => self.waiting = Some(accepted),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let slot = self.slot().await;
        let accepted = self.waiting.take().expect("the loop above ends with one");
        (accepted, slot)
    }

    async fn slot(&mut self) -> OwnedSemaphorePermit {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            // Some room, so that a server at its limit does not say so again and again.
            if self.slots.available_permits() > self.options.connections / 10 {
                self.full = false;
            }
            return slot;
        }
        if !std::mem::replace(&mut self.full, true) {
            tracing::warn!(
                connections = self.options.connections,
                "all connections are in use; more wait to be accepted"
            );
        }
        self.crowded.notify_waiters();
        Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore")
    }

    /// Serves the clients that the kernel has already let in, slots or not: closing the listener would reset them.
    fn empty_queue(&mut self, listener: TcpListener) -> io::Result<()> {
        if let Some(accepted) = self.waiting.take() {
            self.converse(accepted, None);
        }
        let listener = listener.into_std()?;
        loop {
            match listener.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true)?;
                    self.converse((TcpStream::from_std(stream)?, peer), None);
                }
                Err(error) if is_of_one_connection(&error) => {}
                // None is left, or no more can be taken.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Serves one connection, beside the others.
    fn converse(&self, (stream, peer): Accepted, slot: Option<OwnedSemaphorePermit>) {
        let _ = stream.set_nodelay(true);
        let progress = Arc::new(Progress::default());
        let patience = Patience {
            head: self.options.head,
            stalled: self.options.stalled,
        };
        let socket = TokioIo::new(Paced::new(stream, patience, Arc::clone(&progress)));
        let service = service_fn({
            let (answer, stop) = (self.answer.clone(), self.stop.clone());
            let progress = Arc::clone(&progress);
            move |request: http::Request<Incoming>| {
                let answering = progress.begin(!request.body().is_end_stream());
                let stop = stop.clone();
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                let answer = answer(request);
                Box::pin(async move {
                    let mut response = answer.await;
                    if stop.is_cancelled() {
                        response
                            .headers_mut()
                            .insert(header::CONNECTION, HeaderValue::from_static("close"));
                    }
                    // Kept by the body, which is dropped when all of it has been handed over.
                    let hold = move |error| {
                        let _ = &answering;
                        error
                    };
                    Ok::<_, Infallible>(response.map(|body| body.map_err(hold)))
                })
            }
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Runs from the end of the last answer to the end of the next head.
            .header_read_timeout(self.options.idle)
            .max_buf_size(BUFFER)
            .serve_connection(socket, service);

        let (closing, cut) = (self.closing.clone(), self.cut.clone());
        let crowded = Arc::clone(&self.crowded).notified_owned();
        self.connections.spawn(async move {
            let _slot = slot;
            let asked_to_leave = async {
                tokio::select! {
                    () = crowded => {}
                    () = closing.cancelled() => {}
                }
                if progress.is_new() {
                    // Its first request may be on its way.
                    tokio::time::sleep(NEWCOMER).await;
                }
            };
            tokio::pin!(asked_to_leave);
            let rewake = Rewake::new();
            let (mut leaving, mut was_idle) = (false, false);
            let ended = loop {
                tokio::select! {
                    // First, so that a request which has arrived is not taken for idleness.
                    biased;
                    ended = poll_fn(|cx| rewake.poll(cx, |cx| connection.poll_without_shutdown(cx))) => break ended,
                    () = cut.cancelled() => return,
                    () = &mut asked_to_leave, if !leaving => {}
                }
                if progress.is_new() {
                    return;
                }
                leaving = true;
                was_idle = !progress.is_answering();
                Pin::new(&mut connection).graceful_shutdown();
            };
            if let Err(error) = &ended {
                tracing::debug!(%peer, %error, "a connection ended");
            }
            let mut stream = connection.into_parts().io.into_inner().into_inner();
            let _ = stream.shutdown().await;
            if ended.is_err() || (progress.had_body() && !was_idle) {
                tokio::select! {
                    () = swallow(&mut stream) => {}
                    () = cut.cancelled() => {}
                    () = tokio::time::sleep(LINGER) => {}
                }
            }
        });
    }
}

/// Reads and forgets until the client ends its side.
async fn swallow(stream: &mut TcpStream) {
    let mut scrap = [0; 8 << 10];
    while matches!(stream.read(&mut scrap).await, Ok(1..)) {}
}

/// Whether the trouble is a client's that has gone, rather than ours.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
