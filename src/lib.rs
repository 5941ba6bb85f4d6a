//! SkyCMS's CDN settings backend: tells Amazon CloudFront what to invalidate after a publish.
//!
//! Data moves one way: in at [`web`], down into [`store`], out through [`dispatcher`] to
//! [`cloudfront`], and back into the store, where the web reads it. What it all means is decided in
//! [`domain`], which knows none of them.

mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod cloudfront;
pub mod config;
pub mod dispatcher;
pub mod domain;
pub mod janitor;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod readers;
pub mod skycms;
pub mod store;
pub mod web;

/// Release builds name their commit: .github/workflows/release.yml sets it.
const VERSION: &str = match option_env!("SKYCMS_CDN_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};
