//! What commands that call a running service need to know: where it is, and the token to call it
//! with.

use secrecy::SecretString;

use super::{ConfigError, Variables, error};

/// Where a service is that was started without `LISTEN_ADDR` and `PUBLIC_URL`.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// A running service and the token to call it with.
#[derive(Debug)]
pub struct ClientConfig {
    /// Its address with any path prefix, without a trailing slash.
    pub url: String,
    /// A publish token of the site.
    pub token: SecretString,
}

impl ClientConfig {
    /// Reads the process's environment, and of it nothing that the service alone needs.
    ///
    /// # Errors
    /// The first variable with a bad value, with what is wrong with it.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let vars = Variables {
            lookup: &|name| std::env::var_os(name),
        };
        let url = vars.base_url("SKYCMS_CDN_URL")?.map_or_else(
            || DEFAULT_URL.to_owned(),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        );
        let token = vars.secret("PUBLISH_TOKEN")?.ok_or_else(|| {
            error(
                "PUBLISH_TOKEN",
                "is not set; a token is made under Settings → CDN, and may also be in the file that PUBLISH_TOKEN_FILE names",
            )
        })?;
        Ok(Self { url, token })
    }
}
