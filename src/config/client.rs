//! What commands that call a running service need: its address and a token.

use secrecy::SecretString;
use url::Url;

use super::{ConfigError, Variables, error, is_this_machine};

/// Where a service listens that was started without `LISTEN_ADDR` and `PUBLIC_URL`.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

#[derive(Debug)]
pub struct ClientConfig {
    /// The service's address with any path prefix, without a trailing slash.
    pub url: String,
    /// Whether that is this machine itself.
    pub is_here: bool,
    pub token: SecretString,
}

impl ClientConfig {
    /// Reads these variables alone from the process's environment, so that a command does not need
    /// all that the service does.
    ///
    /// # Errors
    /// The first bad value, and what is wrong with it.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let vars = Variables {
            lookup: &|name| std::env::var_os(name),
        };
        let given = vars.base_url("SKYCMS_CDN_URL")?;
        let host = given.as_ref().and_then(Url::host_str);
        let is_here = host.is_none_or(is_this_machine);
        let url = given.map_or_else(
            || DEFAULT_URL.to_owned(),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        );
        let token = vars.secret("PUBLISH_TOKEN")?.ok_or_else(|| {
            error(
                "PUBLISH_TOKEN",
                "is not set; a token is made under Settings → CDN, and may also be in the file that PUBLISH_TOKEN_FILE names",
            )
        })?;
        Ok(Self {
            url,
            is_here,
            token,
        })
    }
}
