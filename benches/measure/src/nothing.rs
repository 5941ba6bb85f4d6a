//! The yardstick for HTTP: a route that does nothing, on axum and two threads.

use std::io::Write as _;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;

use crate::Failure;

/// Serves until it is killed.
pub(crate) fn serve() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let routes = Router::new().route(
            "/api/sites/{site}/publishes",
            post(async || StatusCode::ACCEPTED),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        axum::serve(listener, routes).await?;
        Ok(())
    })
}
