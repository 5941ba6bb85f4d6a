//! The alert rules and the dashboard, on what the service really tells: the sandbox, PostgreSQL and
//! the service are brought into each state, `/metrics` is scraped while time passes, and
//! Prometheus' own promtool evaluates the files as they are shipped.

mod dashboard;
mod promtool;
mod rules;
mod watch;
