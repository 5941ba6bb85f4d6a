//! Accepts connections, and lets a handler cut its own, which a web framework cannot do.

use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long calls in flight may go on after the signal to stop. Some hang on purpose.
const GRACE: Duration = Duration::from_secs(1);

/// A handler's hold on the connection it serves. Found among the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    cut: CancellationToken,
    reset: Arc<AtomicBool>,
}

impl Connection {
    /// Closes the connection without another byte (TCP FIN).
    pub(crate) async fn close(&self) -> Infallible {
        self.cut.cancel();
        future::pending().await
    }

    /// Resets the connection (TCP RST).
    pub(crate) async fn reset(&self) -> Infallible {
        self.reset.store(true, Ordering::Release);
        self.close().await
    }
}

/// Serves until `stop` is cancelled.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match stream {
            Ok((stream, _)) => {
                tasks.spawn(serve_connection(stream, router.clone(), stop.clone()));
            }
            // Out of file descriptors, most likely: let some connections end.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    tasks.close();
    let _ = tokio::time::timeout(GRACE, tasks.wait()).await;
}

async fn serve_connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let connection = Connection::default();
    let handle = connection.clone();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(handle.clone());
        hyper::service::Service::call(&router, request.map(Body::new))
    });
    let mut served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ended = &mut served => return,
        () = connection.cut.cancelled() => {}
        () = stop.cancelled() => {
            std::pin::Pin::new(&mut served).graceful_shutdown();
            let _ended = served.await;
            return;
        }
    }
    if connection.reset.load(Ordering::Acquire) {
        // Closing a socket that may not linger sends RST instead of FIN.
        let _best_effort = served.into_parts().io.into_inner().set_zero_linger();
    }
}
