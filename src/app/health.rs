//! Asks the service on this machine whether it is ready: for containers, which have no curl.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::AppError;
use crate::config::Config;

/// How long each step may take. Readiness itself answers within a second.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How the answer of a service that is ready begins.
const READY: &[u8] = b"HTTP/1.1 200 ";

/// Whether the service that listens on `OPS_LISTEN_ADDR`, or without one on `LISTEN_ADDR`, is
/// ready.
pub fn health(config: &Config) -> Result<(), AppError> {
    let address = reachable(config.ops_listen_addr.unwrap_or(config.listen_addr));
    match ask(address) {
        Ok(true) => Ok(()),
        Ok(false) => Err(AppError::NotReady(address)),
        Err(source) => Err(AppError::NoAnswer { address, source }),
    }
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

fn ask(address: SocketAddr) -> io::Result<bool> {
    let mut connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    write!(
        connection,
        "GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut beginning = [0; READY.len()];
    connection.read_exact(&mut beginning)?;
    Ok(beginning == READY)
}
