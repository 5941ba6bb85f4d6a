//! The log: where it goes, what is logged, and in which format.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;

use crate::config::{Config, LogFormat};

#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// The service's log is its output. Only warnings from sqlx: it passes on PostgreSQL's notices.
    Service,
    /// A command's output is its answer, so its log is for trouble and goes to standard error.
    Command,
}

/// Starts logging, panics included. An error is one line that names `RUST_LOG`.
pub fn start(config: &Config, output: Output) -> Result<(), String> {
    let (writer, is_terminal, usual) = match output {
        Output::Service => (
            BoxMakeWriter::new(std::io::stdout),
            std::io::stdout().is_terminal(),
            "info,sqlx=warn",
        ),
        Output::Command => (
            BoxMakeWriter::new(std::io::stderr),
            std::io::stderr().is_terminal(),
            "warn",
        ),
    };
    let filter = filter(config.log_filter.as_deref().unwrap_or(usual))
        .map_err(|error| format!("RUST_LOG: {error}"))?;
    let filtered = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(is_terminal);
    match config.log_format {
        LogFormat::Text => filtered.with(lines).init(),
        LogFormat::Json => {
            let lines = lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            filtered.with(lines).init();
        }
    }
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panicked: {message}");
    }));
    Ok(())
}

/// A typo such as `skycms_cdn:debug` would be taken for a target that does not exist, and the log
/// would stay empty.
fn filter(text: &str) -> Result<Targets, String> {
    let filter: Targets = text.parse().map_err(|error| format!("{error}"))?;
    let is_target = |name: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_:-".contains(c);
        name.chars().all(allowed)
    };
    match filter.iter().find(|(name, _)| !is_target(name)) {
        Some((name, _)) => Err(format!(
            "`{name}` is not a target. Write levels, and targets with levels, such as `info,skycms_cdn=debug`"
        )),
        None => Ok(filter),
    }
}
