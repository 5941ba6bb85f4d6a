//! The alert rules and the dashboard, on what the service really tells: the sandbox, PostgreSQL and
//! the service are brought into each state, `/metrics` is scraped while time passes, and
//! Prometheus' own promtool evaluates the files as they are shipped.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../support/mod.rs"]
mod support;

mod dashboard;
mod promtool;
mod rules;
mod watch;
