//! `health`: asks the service here whether it is ready, for containers, which have no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};

use super::CliError;
use super::service::causes;
use crate::config::Config;

/// How long it may take. Readiness itself answers within a second.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Whether the service that listens on `OPS_LISTEN_ADDR`, or without one on `LISTEN_ADDR`, is
/// ready.
pub(super) async fn run(config: &Config) -> Result<(), CliError> {
    let address = reachable(config.ops_listen_addr.unwrap_or(config.listen_addr));
    let words = match ask(address).await {
        Ok(StatusCode::OK) => return Ok(()),
        Ok(_) => format!("the service on {address} is not ready: its log says why"),
        Err(error) => format!("nothing answers on {address}: {}", causes(&error)),
    };
    Err(CliError::Failed(words))
}

/// Where a service can be asked that listens on `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

async fn ask(address: SocketAddr) -> reqwest::Result<StatusCode> {
    let client = Client::builder()
        // A URL has no room for the scope of an IPv6 address.
        .resolve("localhost", address)
        .redirect(redirect::Policy::none())
        .no_proxy()
        // There is no TLS, so that the machine's certificate authorities need not be read.
        .tls_certs_only([])
        .timeout(TIMEOUT)
        .build()?;
    let url = format!("http://localhost:{}/health/ready", address.port());
    let answer = client.get(url).send().await;
    Ok(answer.map_err(reqwest::Error::without_url)?.status())
}
