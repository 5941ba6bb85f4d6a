//! CloudFront's quotas, rates and prices: every number has a default.

use time::Duration;

use super::{ConfigError, Variables};
use crate::domain::{Limits, MicroUsd, PerKind, Prices};

impl Variables<'_> {
    pub(super) fn limits(&self) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        Ok(Limits {
            in_progress: PerKind {
                files: self
                    .positive("CLOUDFRONT_FILES_IN_PROGRESS")?
                    .unwrap_or(default.in_progress.files),
                wildcards: self
                    .positive("CLOUDFRONT_WILDCARDS_IN_PROGRESS")?
                    .unwrap_or(default.in_progress.wildcards),
            },
            paths_per_request: self
                .positive("CLOUDFRONT_PATHS_PER_REQUEST")?
                .unwrap_or(default.paths_per_request),
            requests_per_second: self
                .rate("CLOUDFRONT_REQUESTS_PER_SECOND")?
                .unwrap_or(default.requests_per_second),
            request_burst: self
                .positive("CLOUDFRONT_REQUEST_BURST")?
                .unwrap_or(default.request_burst),
            per_second: PerKind {
                files: self.rate("CLOUDFRONT_PATHS_PER_SECOND")?,
                wildcards: self.rate("CLOUDFRONT_WILDCARDS_PER_SECOND")?,
            },
            known: PerKind {
                files: self.is_any_set(&[
                    "CLOUDFRONT_FILES_IN_PROGRESS",
                    "CLOUDFRONT_PATHS_PER_REQUEST",
                    "CLOUDFRONT_PATHS_PER_SECOND",
                ])?,
                wildcards: self.is_any_set(&[
                    "CLOUDFRONT_WILDCARDS_IN_PROGRESS",
                    "CLOUDFRONT_WILDCARDS_PER_SECOND",
                ])?,
            },
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
                    Duration::seconds(seconds.into())
                }),
        })
    }
}
