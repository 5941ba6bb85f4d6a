//! Where a request comes from. `X-Forwarded-For` is a claim: only what trusted proxies added to it
//! is believed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// What proxies add. Only the first of them is ever believed; the others tell of a proxy as well.
pub(crate) const OF_PROXIES: [&str; 3] = [X_FORWARDED_FOR, "forwarded", "x-real-ip"];

/// The address of whoever made a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// Believes the proxies that are `trusted`, and notes and logs the first that is not.
    pub(crate) fn of(
        extensions: &Extensions,
        headers: &HeaderMap,
        trusted: &[IpNet],
        unbelieved_proxy: &OnceLock<IpAddr>,
    ) -> Self {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip());
        if let Some(proxy) = unbelieved(peer, headers, trusted)
            && unbelieved_proxy.set(proxy).is_ok()
        {
            tracing::warn!(
                %proxy,
                "{proxy} forwards requests as a proxy does, but TRUSTED_PROXIES does not name it: everybody behind it counts \
                 as one address, and somebody who guesses passwords locks out all the others. If it is your proxy, add \
                 it to TRUSTED_PROXIES and have it send X-Forwarded-For"
            );
        }
        Self(client(peer, headers, trusted))
    }
}

/// The peer, if it looks like a proxy that the operator forgot: it forwards and is not believed.
/// Where proxies are named, the header means nothing if it comes from elsewhere on the internet.
fn unbelieved(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    let is_near = match peer {
        IpAddr::V4(address) => address.is_private() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_loopback(),
    };
    let is_believed = trusted.iter().any(|network| network.contains(&peer));
    let forwards = OF_PROXIES.iter().any(|name| headers.contains_key(*name));
    let is_proxy = forwards && (is_near || trusted.is_empty());
    (is_proxy && !is_believed).then_some(peer)
}

/// The right-most address that is not a trusted proxy's: each proxy appends the one it was called
/// from.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(&address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let forwarded: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .collect();
    for hop in forwarded.into_iter().rev() {
        let Some(address) = address(hop.trim()) else {
            break;
        };
        client = address.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|n| n.parse::<IpNet>().expect("a network"));
        let far = "198.51.100.1";
        let seen = |peer: &str, forwarded: &[&str], trusted: &[IpNet]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(X_FORWARDED_FOR, value.parse().expect("a header"));
            }
            client(peer.parse().expect("an address"), &headers, trusted).to_string()
        };
        assert_eq!(seen("10.0.0.1", &[far], &[]), "10.0.0.1");
        for (peer, forwarded, expected) in [
            ("203.0.113.9", vec![far], "203.0.113.9"),
            ("10.0.0.1", vec![far], far),
            ("10.0.0.1", vec!["1.2.3.4, 198.51.100.1, 10.9.9.9"], far),
            ("10.0.0.1", vec!["1.2.3.4", far], far),
            ("::ffff:10.0.0.1", vec!["198.51.100.1:4711"], far),
            ("fd00::1", vec!["[2001:db8::7]:443"], "2001:db8::7"),
            ("10.0.0.1", vec!["nonsense"], "10.0.0.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
        ] {
            assert_eq!(seen(peer, &forwarded, &proxies), expected, "{forwarded:?}");
        }
    }
}
