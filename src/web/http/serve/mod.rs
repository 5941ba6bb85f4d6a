//! Serving connections: bounded in number and in time, and ended without losing an answer.
//!
//! A stop has an order, so that a roll-out behind a load balancer answers every request:
//!
//! 1. `/health/ready` answers 503, and every answer says `Connection: close`, so that clients leave
//!    by themselves. The listener stays open for [`ServeOptions::grace`]: a load balancer has not
//!    noticed yet.
//! 2. The listener and idle connections are closed.
//! 3. Answers under way are finished, until [`ServeOptions::finish`] after the stop. Then the rest
//!    is cut.
//!
//! Beyond [`ServeOptions::connections`], a connection that waits for its client gives way to the
//! next one (`connections`); where all are being answered, clients wait in the kernel's accept
//! queue. A client that does not read its answer keeps its connection; a proxy in front has a time
//! limit for that.

mod connections;
mod rewake;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use self::connections::{Connection, ConnectionTable, Watched};
use self::rewake::Rewake;
use crate::config::ServeOptions;

/// Room for a request's head, and for what is read of a body at a time.
const BUFFER: usize = 64 << 10;
/// While there is no room, how often a connection has to give way.
const CROWDED_PAUSE: Duration = Duration::from_millis(50);
/// Pause after the machine could not give a connection, as when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// What answers requests, such as a router.
pub trait Answering:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Answering for T where
    T: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Cuts the connection that a request came on, when cancelled.
#[derive(Clone)]
pub(crate) struct Cut(pub(crate) CancellationToken);

/// Serves until `stop`, then ends as this module says.
pub(crate) async fn serve(
    mut listener: impl Listener<Addr = SocketAddr>,
    routes: impl Answering,
    options: ServeOptions,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(options.connections));
    let table = ConnectionTable::default();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(options.head)
        .max_buf_size(BUFFER);
    let graceful = GracefulShutdown::new();
    let tasks = TaskTracker::new();
    let accepting = async {
        loop {
            let (stream, peer) = listener.accept().await;
            let slot = room(&slots, &table).await;
            let connection = table.add(peer.ip().to_canonical());
            let service = answering(routes.clone(), peer, Arc::clone(&connection));
            let served = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
            let served = Rewake::new(served);
            tasks.spawn(async move {
                tokio::select! {
                    ended = served => if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "a connection ended");
                    },
                    () = connection.cut.cancelled() => tracing::debug!(%peer, "a connection was cut"),
                }
                connection.remove();
                drop(slot);
            });
        }
    };
    let graced = async {
        stop.cancelled().await;
        tokio::time::sleep(options.grace).await;
    };
    tokio::select! {
        () = accepting => {}
        () = graced => {}
    }
    drop(listener);
    let left = options.finish.saturating_sub(options.grace);
    let finished = tokio::time::timeout(left, graceful.shutdown()).await;
    if finished.is_err() {
        tracing::warn!("cutting off answers that did not finish in time");
        table.cut_all();
    }
    tasks.close();
    tasks.wait().await;
}

/// Answers requests, and keeps track of whose turn it is.
fn answering(
    routes: impl Answering,
    peer: SocketAddr,
    connection: Arc<Connection>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Watched<Body>>,
    Error = Infallible,
    Future: Send,
> {
    service_fn(move |request: Request<Incoming>| {
        let (mut routes, connection) = (routes.clone(), Arc::clone(&connection));
        let mut request = request.map(|body| Body::new(connection.receiving(body)));
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(peer));
        extensions.insert(Cut(connection.cut.clone()));
        async move {
            let answer = routes.call(request).await?;
            Ok(answer.map(|body| connection.sending(body)))
        }
    })
}

/// Waits for a free slot, for which another connection may have to give way.
async fn room(slots: &Arc<Semaphore>, table: &ConnectionTable) -> OwnedSemaphorePermit {
    loop {
        if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            return slot;
        }
        table.make_room();
        let free = Arc::clone(slots).acquire_owned();
        if let Ok(Ok(slot)) = tokio::time::timeout(CROWDED_PAUSE, free).await {
            return slot;
        }
    }
}

/// As axum listens, which does not say when the machine can give no connection.
pub(crate) struct Tcp(pub(crate) TcpListener);

impl Listener for Tcp {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    // A socket that refuses this only answers a little later.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Whether a client that has gone is to blame, rather than this machine.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
