//! The address users and SkyCMS see. Every link, redirect and cookie path follows it.

use std::fmt;
use std::net::SocketAddr;

use url::Url;

/// `PUBLIC_URL`, or what the listener makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host and port, such as `https://editor.example.com`.
    pub origin: String,
    /// The path prefix: empty, or such as `/cdn`.
    pub prefix: String,
}

impl PublicUrl {
    /// The given address, or the listener's.
    pub fn new(given: Option<&Url>, listening: SocketAddr) -> Self {
        match given {
            Some(url) => Self {
                origin: url.origin().ascii_serialization(),
                prefix: url.path().trim_end_matches('/').to_owned(),
            },
            None => Self {
                origin: format!("http://{listening}"),
                prefix: String::new(),
            },
        }
    }

    /// What of a request's path is below the prefix: a proxy may strip it or leave it.
    pub fn below<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.prefix.as_str()).unwrap_or(path)
    }

    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// The name of a cookie, with the prefix by which browsers vouch for its origin. `__Host-` is
    /// only for the path `/`.
    pub fn cookie_name(&self, name: &str) -> String {
        let vouched = match (self.is_https(), self.prefix.is_empty()) {
            (true, true) => "__Host-",
            (true, false) => "__Secure-",
            // Cookies of a host are shared by all its ports: a name of our own.
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

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}
