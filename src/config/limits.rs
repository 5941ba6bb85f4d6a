//! CloudFront's quotas and prices, and how connections are served: every number has a default.

use std::time::Duration;

use super::variables::Variables;
use super::{ConfigError, ServeOptions, error};
use crate::domain::{Limits, MicroUsd, Prices};

impl Variables<'_> {
    pub(super) fn serve(&self) -> Result<ServeOptions, ConfigError> {
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

    pub(super) fn limits(&self) -> Result<Limits, ConfigError> {
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
            files_known: self.is_any_set(&[
                "CLOUDFRONT_FILES_IN_PROGRESS",
                "CLOUDFRONT_PATHS_PER_REQUEST",
                "CLOUDFRONT_PATHS_PER_SECOND",
            ]),
            wildcards_known: self.is_any_set(&[
                "CLOUDFRONT_WILDCARDS_IN_PROGRESS",
                "CLOUDFRONT_WILDCARDS_PER_SECOND",
            ]),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables(|name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(value.into())
        })
    }

    #[test]
    fn how_connections_are_served_can_be_set_within_reason() {
        let chosen = config(&[("MAX_CONNECTIONS", "64"), ("SHUTDOWN_GRACE_SECONDS", "0")]);
        let serve = chosen.map(|config| config.serve).ok();
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
