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
//! Beyond [`ServeOptions::connections`], clients wait in the kernel's accept queue. A client that
//! does not read its answer keeps its connection; a proxy in front has a time limit for that.

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use crate::config::ServeOptions;

/// Room for a request's head, and for what is read of a body at a time.
const BUFFER: usize = 64 << 10;
/// Pause after the machine could not give a connection, as when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves until `stop`, then ends as this module says.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(options.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(options.head)
        .max_buf_size(BUFFER);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let graced = async {
        stop.cancelled().await;
        tokio::time::sleep(options.grace).await;
    };
    tokio::pin!(graced);
    loop {
        let (stream, peer, slot) = tokio::select! {
            () = &mut graced => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let service = Extension(ConnectInfo(peer)).layer(router.clone());
        let connection =
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let watched = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%peer, %error, "a connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    let left = options.finish.saturating_sub(options.grace);
    if tokio::time::timeout(left, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("answers that did not end in time are cut");
    }
    connections.shutdown().await;
}

/// Waits for a free slot, then for a client.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // A socket that refuses this only answers a little later.
                let _ = stream.set_nodelay(true);
                return (stream, peer, slot);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
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
