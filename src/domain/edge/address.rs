//! Where readers find the site.

use std::fmt;

use url::{Host, Position, Url};

use crate::domain::Refused;

/// Scheme, host and perhaps a port: `https://www.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAddress(Url);

impl PublicAddress {
    /// Reads what somebody typed. Plain http is for trials on one machine.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, Refused> {
        let text = text.trim();
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("https://{text}"))
        };
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
        let Some(url) = url.ok().filter(is_web) else {
            return Err(Refused::new(
                "Enter the address of the site as readers know it, such as https://www.example.com.",
            ));
        };
        if url.scheme() == "http" && !allow_http {
            return Err(Refused::new("Begin with https://, which readers use too."));
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || has_user {
            let origin = url.origin().ascii_serialization();
            return Err(Refused::new(format!(
                "Leave out everything after the host name: only {origin} is needed."
            )));
        }
        Ok(Self(url))
    }

    /// The address of a canonical path.
    pub fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// The host name, or an IPv4 or IPv6 address.
    pub fn host(&self) -> Option<Host<&str>> {
        self.0.host()
    }
}

impl fmt::Display for PublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[..Position::BeforePath])
    }
}
