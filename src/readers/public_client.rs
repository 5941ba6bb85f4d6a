//! The client for addresses that somebody typed into a form: it never calls a private one, or any
//! in the clear, unless that is allowed, and never follows a redirect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Response, redirect};
use url::Host;

use crate::domain::NoAnswer;

/// How much of an error's words is told, in characters.
const MAX_CAUSE_CHARACTERS: usize = 300;

/// Calls public addresses only. Clones share the client.
#[derive(Clone)]
pub struct PublicClient {
    client: Client,
    allow_private: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("no client for edge checks and notifications: {0}")]
pub struct NoPublicClient(#[from] reqwest::Error);

/// How far a call may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How long it may take, all in all.
    pub(super) within: Duration,
    /// How much of the answer is read.
    pub(super) read: usize,
    /// How much of that is kept.
    pub(super) kept: usize,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The beginning of its body.
    pub(super) body: Vec<u8>,
}

impl PublicClient {
    /// Creates a client. If `allow_private` is set, it calls private addresses too, and plain http.
    ///
    /// # Errors
    /// If this machine's certificate authorities cannot be read.
    pub fn new(allow_private: bool) -> Result<Self, NoPublicClient> {
        let client = Client::builder()
            .dns_resolver(Resolver { allow_private })
            .redirect(redirect::Policy::none())
            .no_proxy()
            // A connection of its own each time: what it is pinned to was looked up just now.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            client,
            allow_private,
        })
    }

    pub(super) fn get(&self, url: &str) -> RequestBuilder {
        self.client.get(url)
    }

    pub(super) fn post(&self, url: &str) -> RequestBuilder {
        self.client.post(url)
    }

    /// Makes a call. Redirects are returned as they are.
    pub(super) async fn call(
        &self,
        request: RequestBuilder,
        bounds: Bounds,
    ) -> Result<Answer, NoAnswer> {
        let no_answer = |error: reqwest::Error| {
            // The address may be a secret.
            let error = error.without_url();
            let cause = root(&error);
            match cause.downcast_ref::<NoAnswer>() {
                Some(by_resolver) => by_resolver.clone(),
                None if error.is_timeout() => NoAnswer::TooSlow(bounds.within.as_secs()),
                None if error.is_connect() => NoAnswer::NoConnection(in_brief(cause)),
                None => NoAnswer::Broken(in_brief(cause)),
            }
        };
        let request = request.timeout(bounds.within).build().map_err(no_answer)?;
        // The resolver sees only names.
        let literal = match request.url().host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        if !self.allow_private && literal.is_some_and(|ip| !is_public(ip)) {
            return Err(NoAnswer::PrivateAddress);
        }
        // The address may have been entered while it was allowed.
        if !self.allow_private && request.url().scheme() != "https" {
            return Err(NoAnswer::NotHttps);
        }
        let mut response = self.client.execute(request).await.map_err(no_answer)?;
        let body = read(&mut response, bounds).await.map_err(no_answer)?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }
}

/// Reads an answer up to its bounds. One that breaks off has said enough by then.
///
/// # Errors
/// If its time is up.
async fn read(response: &mut Response, bounds: Bounds) -> Result<Vec<u8>, reqwest::Error> {
    let (mut read, mut kept) = (0, Vec::new());
    while read < bounds.read {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                read += chunk.len();
                let room = bounds.kept - kept.len();
                kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            Err(error) if error.is_timeout() => return Err(error),
            Ok(None) | Err(_) => break,
        }
    }
    Ok(kept)
}

fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |&cause| cause.source())
        .last()
        .unwrap_or(error)
}

/// The beginning of an error's words: that a certificate is for other names lists them all, and
/// there may be thousands.
fn in_brief(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    if let Some((end, _)) = words.char_indices().nth(MAX_CAUSE_CHARACTERS) {
        words.truncate(end);
        words.push('…');
    }
    words
}

/// Finds the addresses that may be called. The connection is made to one of these, so that a name
/// cannot lead elsewhere the second time it is looked up.
struct Resolver {
    allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|_| NoAnswer::NoAddress)?;
            let mut found: Vec<SocketAddr> = found.collect();
            if found.is_empty() {
                return Err(NoAnswer::NoAddress.into());
            }
            found.retain(|address| allow_private || is_public(address.ip()));
            if found.is_empty() {
                return Err(NoAnswer::PrivateAddress.into());
            }
            Ok(Box::new(found.into_iter()) as Box<_>)
        })
    }
}

/// The parts of IPv4 that are not the internet's, by IANA's registry of special-purpose addresses.
const NOT_PUBLIC_V4: [Ipv4Net; 14] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];
/// The part of IPv6 that is the internet's.
const GLOBAL: Ipv6Net = v6([0x2000, 0], 3);
/// The parts of that which are for documentation, or contain an IPv4 address.
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0], 23),
    v6([0x2001, 0x0db8], 32),
    v6([0x2002, 0], 16),
    v6([0x3ff0, 0], 12),
];
/// Where a network without IPv4 reaches it (NAT64, RFC 6052).
const NAT64: Ipv6Net = v6([0x0064, 0xff9b], 96);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b]: [u16; 2], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// Whether an address belongs to the internet: not to this machine, a private network or a cloud's
/// own services, in whatever notation.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&ip)),
        IpAddr::V6(ip) if NAT64.contains(&ip) => {
            let [.., a, b, c, d] = ip.octets();
            is_public(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(ip) => {
            GLOBAL.contains(&ip) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&ip))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for (addresses, is_of_the_internet) in [
            ("13.32.1.1 8.8.8.8 2600:9000:2000::1 2a00:1450::1", true),
            ("127.0.0.1 0.0.0.0 :: ::1 ::127.0.0.1", false),
            ("10.1.2.3 172.16.0.1 192.168.1.1 ::ffff:10.0.0.1", false),
            ("169.254.169.254 fe80::1 fd00:ec2::254 fec0::1", false),
            ("100.64.0.1 192.0.0.170 198.18.0.1", false),
            ("192.0.2.1 2001:db8::1", false),
            ("224.0.0.1 240.0.0.1 255.255.255.255 ff02::1", false),
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b::7f00:1 64:ff9b::169.254.169.254", false),
            ("64:ff9b:1::8.8.8.8", false),
            ("2002:7f00:1:: 2001::1", false),
        ] {
            for address in addresses.split(' ') {
                let ip = address.parse().expect("an address");
                assert_eq!(is_public(ip), is_of_the_internet, "{address}");
            }
        }
    }

    #[test]
    fn an_error_is_told_in_brief() {
        let told = |words: String| in_brief(&std::io::Error::other(words));
        assert_eq!(told("ä".repeat(300)), "ä".repeat(300));
        assert_eq!(told("ä".repeat(301)), format!("{}…", "ä".repeat(300)));
    }

    #[tokio::test]
    async fn no_address_is_called_that_is_private_or_in_the_clear() {
        let client = PublicClient::new(false).expect("certificates");
        let bounds = Bounds {
            within: Duration::from_secs(5),
            read: 0,
            kept: 0,
        };
        for (address, why_not) in [
            ("http://127.0.0.1:9", NoAnswer::PrivateAddress),
            ("https://localhost:9", NoAnswer::PrivateAddress),
            ("http://[::1]:9", NoAnswer::PrivateAddress),
            ("http://0x7f.1:9", NoAnswer::PrivateAddress),
            ("http://8.8.8.8:9", NoAnswer::NotHttps),
            ("http://www.example.com", NoAnswer::NotHttps),
        ] {
            let answer = client.call(client.get(address), bounds).await;
            assert_eq!(answer.err(), Some(why_not), "{address}");
        }
    }
}
