//! `cloudfront-sandbox`: a stateful stand-in for CloudFront's invalidation API, for tests, demos
//! and newcomers.
//!
//! It speaks the API of version 2020-05-31, checks signatures and policies, keeps the quotas, and
//! plays faults to order. `sandbox/README.md` documents how to run it and how to steer it.

mod access;
mod admin;
mod api;
mod app;
mod batch;
mod edge;
mod error;
mod faults;
mod iam;
mod invalidations;
mod ledger;
mod page;
mod quota;
mod readers;
mod server;
mod settings;
mod sigv4;
mod state;
mod xml;

use std::io::{self, Write as _};
use std::net::SocketAddr;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::settings::{Config, Quotas};
use crate::state::Start;

/// A stateful stand-in for CloudFront's invalidation API.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, env = "SANDBOX_LISTEN", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where readers of the site are answered; port 0 picks a free one.
    #[arg(long, env = "SANDBOX_EDGE_LISTEN", default_value = "127.0.0.1:0")]
    edge_listen: SocketAddr,
    /// The distribution that exists from the start.
    #[arg(
        long,
        env = "SANDBOX_DISTRIBUTION_ID",
        default_value = "E2SANDBOX0CDN1"
    )]
    distribution_id: String,
    /// The access key that may invalidate it.
    #[arg(
        long,
        env = "SANDBOX_ACCESS_KEY_ID",
        default_value = "AKIASANDBOX000000001"
    )]
    access_key_id: String,
    /// The secret of that key.
    #[arg(
        long,
        env = "SANDBOX_SECRET_ACCESS_KEY",
        hide_env_values = true,
        default_value = "sandbox/demo/secret/of/cloudfront/000001"
    )]
    secret_access_key: String,
    /// How long an invalidation stays InProgress, in milliseconds.
    #[arg(long, env = "SANDBOX_IN_PROGRESS_MS", default_value_t = 3_000)]
    in_progress_ms: u64,
    /// How long each call takes, in milliseconds.
    #[arg(long, env = "SANDBOX_LATENCY_MS", default_value_t = 0)]
    latency_ms: u64,
    /// Which reading of CloudFront's quotas holds.
    #[arg(
        long,
        env = "SANDBOX_QUOTAS",
        value_enum,
        default_value = "in-progress"
    )]
    quotas: Quotas,
    /// CreateInvalidation calls a second for each account; 0 for as many as come.
    #[arg(long, env = "SANDBOX_RATE", default_value_t = 0.5)]
    rate: f64,
    /// How many of those calls may come at once.
    #[arg(long, env = "SANDBOX_BURST", default_value_t = 5.0)]
    burst: f64,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let config = Config {
        in_progress_ms: arguments.in_progress_ms,
        latency_ms: arguments.latency_ms,
        rate: (arguments.rate != 0.0).then_some(arguments.rate),
        burst: arguments.burst,
        ..Config::default()
    };
    let config = config
        .with_quotas(arguments.quotas)
        .checked()
        .map_err(io::Error::other)?;
    let app = App::new(Start {
        config,
        distribution_id: arguments.distribution_id,
        access_key_id: arguments.access_key_id,
        secret_access_key: arguments.secret_access_key,
    });
    let router = page::router()
        .merge(admin::router())
        .merge(api::router())
        .with_state(app.clone());
    let edge = readers::router().with_state(app);

    let listener = bind(arguments.listen).await?;
    let address = listener.local_addr()?;
    let edge_listener = bind(arguments.edge_listen).await?;
    let edge_address = edge_listener.local_addr()?;
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "cloudfront-sandbox listening on http://{address} with an edge on http://{edge_address}"
    )?;
    stdout.flush()?;

    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stopper = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stopper.cancel();
    });
    tokio::join!(
        server::serve(listener, router, stop.clone()),
        server::serve(edge_listener, edge, stop),
    );
    Ok(())
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let named = |error: io::Error| {
        let words = format!("cannot listen on {address}: {error}");
        io::Error::new(error.kind(), words)
    };
    TcpListener::bind(address).await.map_err(named)
}
