//! The configuration: the only reader of the environment.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the room that reads the environment"
)]

mod access;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use url::Url;

pub use access::AccessConfig;

use crate::domain::{Limits, MicroUsd, Prices, SettingsForm};
use crate::web::ServeOptions;

/// What is wrong with which variable, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct ConfigError {
    variable: String,
    problem: String,
}

/// Reads `.env` in the working directory, if there is one, beneath the environment. Call it before any thread starts.
///
/// # Errors
/// If the file cannot be read or understood.
pub fn read_dotenv() -> Result<(), ConfigError> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(e) if e.not_found() => Ok(()),
        Err(e) => Err(error(".env", e.to_string())),
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A key that seals secrets at rest: 32 bytes.
pub type EncryptionKey = SecretBox<[u8; 32]>;

/// Everything the environment decides.
#[derive(Debug)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen_addr: SocketAddr,
    /// The address users see, with any path prefix and without a trailing slash; none: from the listener.
    pub public_url: Option<Url>,
    /// A PostgreSQL to use; none: the embedded one.
    pub database_url: Option<SecretString>,
    /// Embedded database and generated keys.
    pub data_dir: PathBuf,
    /// The first seals, all open. Empty: to be generated in `data_dir`.
    pub encryption_keys: Vec<EncryptionKey>,
    /// The first bearer token of site `default`; none: one is generated.
    pub publish_token: Option<SecretString>,
    /// Who is let in, and from where.
    pub access: AccessConfig,
    /// Settings of site `default` while none are saved.
    pub cloudfront: Option<SettingsForm>,
    /// Another CloudFront endpoint.
    pub cloudfront_endpoint: Option<Url>,
    /// CloudFront's quotas, rates and prices.
    pub limits: Limits,
    /// How connections are served.
    pub serve: ServeOptions,
    /// Bearer token for `/metrics`; none: only loopback is answered.
    pub metrics_token: Option<SecretString>,
    /// Days that ended publishes are kept.
    pub history_days: u16,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Filter of log lines, in `RUST_LOG`'s syntax.
    pub log_filter: String,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// The first variable with a bad value, with what is wrong with it.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// Reads variables from `lookup`.
    ///
    /// # Errors
    /// As [`Config::from_environment`].
    pub fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let vars = Variables { lookup: &lookup };
        let config = Self {
            listen_addr: vars
                .parse("LISTEN_ADDR", "an address and port such as 127.0.0.1:8080")?
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            public_url: vars
                .text("PUBLIC_URL")?
                .map(|text| public_url(&text).map_err(|problem| error("PUBLIC_URL", problem)))
                .transpose()?,
            database_url: vars.database_url()?,
            data_dir: vars
                .text("DATA_DIR")?
                .map_or_else(|| PathBuf::from("data"), PathBuf::from),
            encryption_keys: match vars.secret("ENCRYPTION_KEY")? {
                Some(keys) => encryption_keys(keys.expose_secret())
                    .map_err(|problem| error("ENCRYPTION_KEY", problem))?,
                None => Vec::new(),
            },
            publish_token: vars.secret("PUBLISH_TOKEN")?,
            access: AccessConfig::read(&vars)?,
            cloudfront: vars.cloudfront()?,
            cloudfront_endpoint: vars.endpoint("AWS_ENDPOINT_URL_CLOUDFRONT")?,
            limits: vars.limits()?,
            serve: vars.serve()?,
            metrics_token: vars.secret("METRICS_TOKEN")?,
            history_days: vars.positive("HISTORY_DAYS")?.unwrap_or(90),
            log_format: match vars.text("LOG_FORMAT")?.as_deref() {
                None | Some("text") => LogFormat::Text,
                Some("json") => LogFormat::Json,
                Some(other) => {
                    return Err(error(
                        "LOG_FORMAT",
                        format!("`{other}` is not a format; use `text` or `json`"),
                    ));
                }
            },
            log_filter: vars.text("RUST_LOG")?.unwrap_or_else(|| "info".into()),
        };
        if let Some(token) = &config.publish_token {
            let length = token.expose_secret().len();
            if !(16..=256).contains(&length) {
                return Err(error(
                    "PUBLISH_TOKEN",
                    format!("must have 16 to 256 characters, and has {length}"),
                ));
            }
        }
        if config.database_url.is_some() && config.encryption_keys.is_empty() {
            return Err(error(
                "ENCRYPTION_KEY",
                "is required with DATABASE_URL; make one with `openssl rand -base64 32` and keep it with your \
                 other secrets, since saved keys cannot be read without it",
            ));
        }
        let https = config
            .public_url
            .as_ref()
            .is_some_and(|url| url.scheme() == "https");
        if !config.listen_addr.ip().is_loopback()
            && !https
            && !vars.flag("ALLOW_INSECURE_HTTP")?.unwrap_or(false)
        {
            return Err(error(
                "LISTEN_ADDR",
                format!(
                    "{} can be reached from other machines, but PUBLIC_URL is not https://, so passwords and tokens \
                     would cross the network readably; put a TLS proxy in front and set PUBLIC_URL to its https:// \
                     address, or set ALLOW_INSECURE_HTTP=true if this network is trusted",
                    config.listen_addr
                ),
            ));
        }
        Ok(config)
    }
}

fn error(variable: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError {
        variable: variable.into(),
        problem: problem.into(),
    }
}

struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Variables<'_> {
    /// A variable's text without surrounding white space; an empty one counts as not set.
    fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some(raw) = (self.lookup)(name) else {
            return Ok(None);
        };
        let text = raw
            .into_string()
            .map_err(|_| error(name, "is not valid UTF-8"))?;
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// A secret from `name`, or from the file that `name_FILE` names.
    fn secret(&self, name: &str) -> Result<Option<SecretString>, ConfigError> {
        let file_variable = format!("{name}_FILE");
        let Some(path) = self.text(&file_variable)? else {
            return Ok(self.text(name)?.map(SecretString::from));
        };
        if self.text(name)?.is_some() {
            return Err(error(
                name,
                format!("is set together with {file_variable}; set one of the two"),
            ));
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|e| error(&file_variable, format!("cannot read {path}: {e}")))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(error(&file_variable, format!("{path} is empty")));
        }
        Ok(Some(SecretString::from(text)))
    }

    fn parse<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, ConfigError> {
        self.text(name)?
            .map(|text| {
                text.parse()
                    .map_err(|_| error(name, format!("`{text}` is not {expected}")))
            })
            .transpose()
    }

    fn endpoint(&self, name: &str) -> Result<Option<Url>, ConfigError> {
        let expected = "an http:// or https:// address";
        match self.parse::<Url>(name, expected)? {
            // `localhost:4000` is a URL of the scheme `localhost`.
            Some(url) if !matches!(url.scheme(), "http" | "https") => {
                Err(error(name, format!("`{url}` is not {expected}")))
            }
            url => Ok(url),
        }
    }

    fn database_url(&self) -> Result<Option<SecretString>, ConfigError> {
        let url = self.secret("DATABASE_URL")?;
        let is_postgres = |url: &SecretString| {
            let url = url.expose_secret();
            url.starts_with("postgres://") || url.starts_with("postgresql://")
        };
        if url.as_ref().is_some_and(|url| !is_postgres(url)) {
            return Err(error(
                "DATABASE_URL",
                "is not an address such as postgres://user:password@host/database",
            ));
        }
        Ok(url)
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        self.parse(name, "`true` or `false`")
    }

    fn positive<T: FromStr + PartialOrd + Default>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ConfigError> {
        let expected = "a positive number in range";
        match self.parse(name, expected)? {
            Some(value) if value <= T::default() => Err(error(name, format!("is not {expected}"))),
            value => Ok(value),
        }
    }

    fn rate(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        match self.positive::<f64>(name)? {
            Some(value) if !value.is_finite() => Err(error(name, "is not a finite number")),
            value => Ok(value),
        }
    }

    fn cloudfront(&self) -> Result<Option<SettingsForm>, ConfigError> {
        let id = self.text("CloudFront__DistributionId")?;
        let key = self.text("CloudFront__AccessKeyId")?;
        let secret = self.secret("CloudFront__SecretAccessKey")?;
        let region = self.text("CloudFront__Region")?;
        if id.is_none() && key.is_none() && secret.is_none() {
            return Ok(None);
        }
        let missing = |name| {
            error(
                name,
                "is needed together with the other CloudFront__ variables",
            )
        };
        Ok(Some(SettingsForm {
            distribution_id: id.ok_or_else(|| missing("CloudFront__DistributionId"))?,
            access_key_id: key.ok_or_else(|| missing("CloudFront__AccessKeyId"))?,
            secret_access_key: secret.ok_or_else(|| missing("CloudFront__SecretAccessKey"))?,
            region: region.unwrap_or_else(|| "us-east-1".into()),
            aws_default: false,
        }))
    }

    fn serve(&self) -> Result<ServeOptions, ConfigError> {
        const GRACE: &str = "SHUTDOWN_GRACE_SECONDS";
        let default = ServeOptions::default();
        let grace = self.parse(GRACE, "a number of seconds from 0 to 5")?;
        if grace.is_some_and(|seconds: u8| seconds > 5) {
            return Err(error(
                GRACE,
                "must be at most 5: answers under way need time after it",
            ));
        }
        Ok(ServeOptions {
            connections: self
                .positive::<u16>("MAX_CONNECTIONS")?
                .map_or(default.connections, usize::from),
            grace: grace.map_or(default.grace, |seconds| {
                Duration::from_secs(u64::from(seconds))
            }),
            ..default
        })
    }

    fn limits(&self) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        Ok(Limits {
            files_in_progress: self
                .positive("CLOUDFRONT_FILES_IN_PROGRESS")?
                .unwrap_or(default.files_in_progress),
            wildcards_in_progress: self
                .positive("CLOUDFRONT_WILDCARDS_IN_PROGRESS")?
                .unwrap_or(default.wildcards_in_progress),
            paths_per_request: self
                .positive("CLOUDFRONT_PATHS_PER_REQUEST")?
                .unwrap_or(default.paths_per_request),
            requests_per_second: self
                .rate("CLOUDFRONT_REQUESTS_PER_SECOND")?
                .unwrap_or(default.requests_per_second),
            request_burst: self
                .positive("CLOUDFRONT_REQUEST_BURST")?
                .unwrap_or(default.request_burst),
            paths_per_second: self.rate("CLOUDFRONT_PATHS_PER_SECOND")?,
            wildcards_per_second: self.rate("CLOUDFRONT_WILDCARDS_PER_SECOND")?,
            prices: Prices {
                free_paths: self
                    .parse("CLOUDFRONT_FREE_PATHS", "a whole number, 0 or more")?
                    .unwrap_or(default.prices.free_paths),
                path: self
                    .parse::<MicroUsd>(
                        "CLOUDFRONT_PATH_PRICE_USD",
                        "a price in dollars such as 0.005",
                    )?
                    .unwrap_or(default.prices.path),
            },
            max_backlog: self
                .positive::<u32>("MAX_BACKLOG_SECONDS")?
                .map_or(default.max_backlog, |seconds| {
                    time::Duration::seconds(seconds.into())
                }),
        })
    }
}

fn public_url(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|e| {
        format!("`{text}` is not an address such as https://editor.example.com/cdn: {e}")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("`{text}` must begin with http:// or https://"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("must have neither a query, nor a fragment, nor a user name".into());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn encryption_keys(text: &str) -> Result<Vec<EncryptionKey>, String> {
    text.split(',')
        .enumerate()
        .map(|(index, key)| {
            let position = index + 1;
            let bytes = STANDARD
                .decode(key.trim())
                .map_err(|_| format!("key {position} is not base64"))?;
            let length = bytes.len();
            let bytes: [u8; 32] = bytes
                .try_into()
                .map_err(|_| format!("key {position} has {length} bytes instead of 32; make one with `openssl rand -base64 32`"))?;
            Ok(SecretBox::new(Box::new(bytes)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables(|name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(value.into())
        })
    }

    #[test]
    fn how_connections_are_served_can_be_set_within_reason() {
        let told = config(&[("MAX_CONNECTIONS", "64"), ("SHUTDOWN_GRACE_SECONDS", "0")]);
        let serve = told.map(|config| config.serve).ok();
        assert_eq!(serve.map(|serve| serve.connections), Some(64));
        assert_eq!(serve.map(|serve| serve.grace), Some(Duration::ZERO));
        for (name, value) in [
            ("MAX_CONNECTIONS", "0"),
            ("MAX_CONNECTIONS", "many"),
            ("SHUTDOWN_GRACE_SECONDS", "6"),
            ("SHUTDOWN_GRACE_SECONDS", "-1"),
            ("HISTORY_DAYS", "0"),
        ] {
            let error = config(&[(name, value)]).err().map(|e| e.to_string());
            assert!(
                error.is_some_and(|text| text.starts_with(&format!("{name}: "))),
                "{name}={value}"
            );
        }
    }
}
