//! The address users and SkyCMS see. Every link, redirect and cookie path is made from it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Url;

/// What the paths of the service begin with, which the prefix must not: nobody could tell which is
/// meant.
pub const OWN_PATHS: [&str; 21] = [
    "activity",
    "activity.csv",
    "api",
    "audit",
    "docs",
    "embed",
    "events",
    "health",
    "help",
    "metrics",
    "openapi.json",
    "password",
    "purge",
    "sessions",
    "set-up",
    "settings",
    "sign-in",
    "sign-out",
    "sign-out-everywhere",
    "sites",
    "static",
];

/// `PUBLIC_URL`, or the listener's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host and port, such as `https://editor.example.com`.
    pub origin: String,
    /// The path prefix: empty, or for example `/cdn`.
    pub prefix: String,
}

impl PublicUrl {
    pub fn new(given: Option<&Url>, listening: SocketAddr) -> Self {
        match given {
            Some(url) => Self {
                origin: url.origin().ascii_serialization(),
                prefix: url.path().trim_end_matches('/').to_owned(),
            },
            None => Self {
                origin: format!("http://{}", on_this_machine(listening)),
                prefix: String::new(),
            },
        }
    }

    /// The part of a request's path below the prefix, which a proxy may have stripped already.
    pub fn below<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.prefix.as_str())
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .unwrap_or(path)
    }

    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// The name of a cookie, with the prefix by which browsers vouch for its origin: `__Host-` is
    /// for the path `/` only.
    pub fn cookie_name(&self, name: &str) -> String {
        let vouched = match (self.is_https(), self.prefix.is_empty()) {
            (true, true) => "__Host-",
            (true, false) => "__Secure-",
            // All ports of a host share its cookies: the name must be our own.
            (false, _) => "skycms-cdn-",
        };
        format!("{vouched}{name}")
    }

    pub fn cookie_path(&self) -> &str {
        if self.prefix.is_empty() {
            "/"
        } else {
            &self.prefix
        }
    }
}

/// Where this machine reaches what listens there: `0.0.0.0` is every address, and leads nowhere.
fn on_this_machine(mut listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listening.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listening.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listening
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_public_url_links_lead_to_where_it_can_be_reached() {
        for (listening, shown) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("10.0.0.5:8080", "http://10.0.0.5:8080"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
        ] {
            let public = listening.parse().map(|at| PublicUrl::new(None, at));
            assert_eq!(public.map(|url| url.to_string()), Ok(shown.to_owned()));
        }
    }
}
