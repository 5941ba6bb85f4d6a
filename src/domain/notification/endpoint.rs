//! Where notifications go.

use std::fmt;

use strum::{EnumString, IntoStaticStr};
use url::{Position, Url};

use crate::domain::Refused;

const MAX_URL_BYTES: usize = 2_000;
/// A path of up to this many characters tells endpoints apart and is no secret.
const SHORT_PATH: usize = 16;

/// What an endpoint understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum EndpointKind {
    /// JSON, signed as Standard Webhooks says.
    #[default]
    Standard,
    /// A text, as Slack's incoming webhooks take it, and compatible ones.
    Slack,
}

/// The address of an endpoint. Often whoever knows it may post there, so it is kept like a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl(Url);

impl EndpointUrl {
    /// Reads what somebody typed. Plain http is for trials on one machine.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, Refused> {
        let text = text.trim();
        let is_web =
            |url: &Url| text.len() <= MAX_URL_BYTES && matches!(url.scheme(), "http" | "https");
        let Some(mut url) = Url::parse(text).ok().filter(is_web) else {
            return Err(Refused::new(
                "Enter the address to post to, such as https://hooks.example.com/cdn.",
            ));
        };
        if url.scheme() == "http" && !allow_http {
            return Err(Refused::new(
                "Begin with https://, so that nobody can listen in.",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::new(
                "Leave out user name and password: the signature proves who calls.",
            ));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// The part that may be shown: the host, and only the end of a long path.
    pub fn shown(&self) -> String {
        let origin = &self.0[..Position::BeforePath];
        let rest = &self.0[Position::BeforePath..];
        if rest == "/" {
            return origin.to_owned();
        }
        if rest.len() <= SHORT_PATH && self.0.query().is_none() {
            return format!("{origin}{rest}");
        }
        // It is all ASCII.
        format!("{origin}/…{}", &rest[rest.len().saturating_sub(4)..])
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}
