//! The configuration: the only reader of the environment.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the room that reads the environment"
)]

mod access;
mod client;
mod limits;
mod public_url;
mod serve;
mod skycms;
mod variables;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use url::Url;

pub use access::AccessConfig;
pub use client::ClientConfig;
pub use public_url::{OWN_PATHS, PublicUrl};
pub use serve::ServeOptions;
pub use skycms::SkyCmsConfig;

use self::variables::{Variables, encryption_keys, grant};
use crate::domain::{DistributionId, Limits, SettingsForm};

/// A variable that cannot be used, and why, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct ConfigError {
    variable: String,
    problem: String,
}

/// Adds what `.env` in the working directory sets and the environment does not. One in a parent
/// directory may be somebody else's, and is not read. Call this before any thread starts.
pub fn read_dotenv() -> Result<(), ConfigError> {
    match dotenvy::from_path(".env") {
        Ok(_) => Ok(()),
        Err(e) if e.not_found() => Ok(()),
        // The working directory is closed to this account, as root's is after `sudo -u`.
        Err(dotenvy::Error::Io(_)) if std::fs::metadata(".").is_err() => Ok(()),
        // Its own words quote the line, which may hold a secret.
        Err(dotenvy::Error::LineParse(quoted, _)) => Err(error(".env", unreadable(&quoted))),
        Err(e) => Err(error(".env", e.to_string())),
    }
}

/// Where the line is that dotenvy quotes, or a part of, and nothing of what it holds.
fn unreadable(quoted: &str) -> String {
    let text = std::fs::read_to_string(".env").unwrap_or_default();
    let quoted = quoted.lines().next().unwrap_or_default().trim();
    let is_comment = |text: &str| text.trim_start().starts_with('#');
    // Nothing but a comment follows it: another line's name may begin with all of it.
    let ends_so = |line: &str| {
        line.rsplit_once(quoted)
            .is_some_and(|(_, rest)| rest.trim().is_empty() || is_comment(rest))
    };
    let is_it = |line: &str| !is_comment(line) && ends_so(line);
    let index = text.lines().position(is_it);
    let place = match index.filter(|_| !quoted.is_empty()) {
        Some(index) => format!("line {}", index + 1),
        None => "a line".to_owned(),
    };
    format!(
        "{place} is not NAME=value; a value with spaces, quotes, `#`, `$` or `\\` has to be in single quotes"
    )
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A key that seals secrets at rest: 32 bytes.
pub type EncryptionKey = SecretBox<[u8; 32]>;

/// Everything the environment decides.
#[derive(Debug)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen_addr: SocketAddr,
    /// A second listener for health and metrics, which answers however crowded the first is.
    pub ops_listen_addr: Option<SocketAddr>,
    /// The address users see, with any path prefix and without a trailing slash; `None` for the
    /// listener's.
    pub public_url: Option<Url>,
    /// The PostgreSQL to use; `None` for the embedded one.
    pub database_url: Option<SecretString>,
    /// For the embedded database and generated keys.
    pub data_dir: PathBuf,
    /// The first one seals, and any of them opens; empty: one is generated in `data_dir`.
    pub encryption_keys: Vec<EncryptionKey>,
    /// The first bearer token of site `default`; `None` where one is generated.
    pub publish_token: Option<SecretString>,
    pub access: AccessConfig,
    /// Settings of site `default` while none are saved.
    pub cloudfront: Option<SettingsForm>,
    /// Sites that may use the AWS default credentials, each with a distribution.
    pub default_credentials_for: Vec<(String, DistributionId)>,
    pub cloudfront_endpoint: Option<Url>,
    pub limits: Limits,
    pub serve: ServeOptions,
    /// Whether edge checks may go to private addresses and plain http, for trials and tests.
    pub allow_private_targets: bool,
    /// Bearer token for `/metrics`; `None` where only loopback is answered.
    pub metrics_token: Option<SecretString>,
    /// How many days publishes that have ended are kept.
    pub history_days: u16,
    pub log_format: LogFormat,
    /// Which log lines are written, in `RUST_LOG`'s syntax; `None` for the command's default.
    pub log_filter: Option<String>,
    /// Variables that are set, are called like the service's, and decide nothing.
    pub without_effect: Vec<String>,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// The first bad value, and what is wrong with it.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let asked = RefCell::new(BTreeSet::new());
        let config = Self::from_variables(|name| {
            asked.borrow_mut().insert(name.to_owned());
            std::env::var_os(name)
        })?;
        let asked = asked.into_inner();
        let without_effect = std::env::vars_os()
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, _)| name.into_string().ok())
            .filter(|name| is_ours(name) && !asked.contains(name))
            .collect();
        Ok(Self {
            without_effect,
            ..config
        })
    }

    pub fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let vars = Variables { lookup: &lookup };
        let config = Self {
            listen_addr: vars
                .parse("LISTEN_ADDR", "an address and port such as 127.0.0.1:8080")?
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            ops_listen_addr: vars.parse(
                "OPS_LISTEN_ADDR",
                "an address and port such as 127.0.0.1:8081",
            )?,
            public_url: vars.public_url()?,
            database_url: vars.database_url()?,
            data_dir: vars
                .text("DATA_DIR")?
                .map_or_else(|| PathBuf::from("data"), PathBuf::from),
            encryption_keys: match vars.secret("ENCRYPTION_KEY")? {
                Some(keys) => encryption_keys(keys.expose_secret())
                    .map_err(|problem| error("ENCRYPTION_KEY", problem))?,
                None => Vec::new(),
            },
            publish_token: vars.token("PUBLISH_TOKEN")?,
            access: AccessConfig::read(&vars)?,
            cloudfront: vars.cloudfront()?,
            default_credentials_for: vars.list("AWS_DEFAULT_CREDENTIALS_FOR", grant)?,
            cloudfront_endpoint: vars.endpoint("AWS_ENDPOINT_URL_CLOUDFRONT")?,
            limits: vars.limits()?,
            serve: ServeOptions::read(&vars)?,
            allow_private_targets: vars.flag("ALLOW_PRIVATE_TARGETS")?,
            metrics_token: vars.token("METRICS_TOKEN")?,
            history_days: vars.positive("HISTORY_DAYS")?.unwrap_or(90),
            log_format: vars
                .parse("LOG_FORMAT", "a format; use `text` or `json`")?
                .unwrap_or_default(),
            log_filter: vars.text("RUST_LOG")?,
            without_effect: Vec::new(),
        };
        if config.database_url.is_some() && config.encryption_keys.is_empty() {
            return Err(error(
                "ENCRYPTION_KEY",
                "is required with DATABASE_URL; make one with `openssl rand -base64 32` and keep it with your \
                 other secrets, since saved keys cannot be read without it",
            ));
        }
        let public = PublicUrl::new(config.public_url.as_ref(), config.listen_addr);
        let is_safe = public.is_https() || config.listen_addr.ip().is_loopback();
        if !is_safe && !vars.flag("ALLOW_INSECURE_HTTP")? {
            return Err(error(
                "LISTEN_ADDR",
                format!(
                    "{} can be reached from other machines, but PUBLIC_URL is not https://, so passwords and tokens \
                     would cross the network unencrypted; put a TLS proxy in front and set PUBLIC_URL to its https:// \
                     address, or set ALLOW_INSECURE_HTTP=true if this network is trusted",
                    config.listen_addr
                ),
            ));
        }
        Ok(config)
    }
}

/// Whether a variable is called as only the service's are. Kubernetes makes some of each `Service`,
/// which may be called anything.
fn is_ours(name: &str) -> bool {
    const BEGINNINGS: [&str; 5] = [
        "CLOUDFRONT_",
        "CloudFront__",
        "EMBED_",
        "PUBLISH_",
        "SKYCMS_",
    ];
    let is_of_kubernetes = name.contains("_SERVICE_") || name.contains("_PORT");
    let begins = BEGINNINGS
        .iter()
        .any(|beginning| name.starts_with(beginning));
    // The command line's own.
    begins && !is_of_kubernetes && name != "SKYCMS_CDN_URL"
}

/// Whether a host, as an address has it, is this machine itself.
pub fn is_this_machine(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback() || ip.is_unspecified(),
        Err(_) => host == "localhost",
    }
}

fn error(variable: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError {
        variable: variable.into(),
        problem: problem.into(),
    }
}
