//! `health`: asks the service here whether it is ready, for containers, which have no curl.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
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
    let address = config.ops_listen_addr.unwrap_or(config.listen_addr);
    let words = match ask(address).await {
        Ok(StatusCode::OK) => return Ok(()),
        Ok(_) => format!("the service on {address} is not ready: its log says why"),
        Err(error) => format!("nothing answers on {address}: {}", causes(&error)),
    };
    Err(CliError::Failed(words))
}

async fn ask(address: SocketAddr) -> reqwest::Result<StatusCode> {
    let client = Client::builder()
        // A URL has no room for several addresses, nor for the scope of one.
        .resolve_to_addrs("localhost", &reachable(address))
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

/// Where a service can be asked that listens on `address`. `[::]` is every address of IPv4 too, and
/// in many containers there is no `::1`.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let port = address.port();
    match address {
        _ if !address.ip().is_unspecified() => vec![address],
        SocketAddr::V4(_) => vec![(Ipv4Addr::LOCALHOST, port).into()],
        SocketAddr::V6(_) => vec![
            (Ipv6Addr::LOCALHOST, port).into(),
            (Ipv4Addr::LOCALHOST, port).into(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_every_address_is_asked_on_loopback() {
        for (address, asked) in [
            ("10.0.0.1:8080", vec!["10.0.0.1:8080"]),
            ("0.0.0.0:8080", vec!["127.0.0.1:8080"]),
            ("[::]:8080", vec!["[::1]:8080", "127.0.0.1:8080"]),
        ] {
            let found = reachable(address.parse().expect("an address"));
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, asked, "{address}");
        }
    }
}
