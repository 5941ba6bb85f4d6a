//! The `skycms-cdn` binary: configuration → database → server and dispatcher → signals; and the
//! other commands.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use skycms_cdn::app::App;
use skycms_cdn::cli::{Arguments, CliError, Command};
use skycms_cdn::clock::Clock;
use skycms_cdn::config::{self, Config, ConfigError, DEFAULT_LOG_FILTER, LogFormat};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    let command = Arguments::parse().command();
    if let Err(error) = config::read_dotenv() {
        return CliError::from(error).report();
    }
    let config = Config::from_environment();
    if let Ok(config) = &config
        && let Err(error) = start_logging(config, &command)
    {
        return CliError::Failed(error).report();
    }
    match run(command, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

#[tokio::main]
async fn run(command: Command, config: Result<Config, ConfigError>) -> Result<(), CliError> {
    match command {
        Command::Serve => serve(&config?).await,
        command => command.run(config).await,
    }
}

async fn serve(config: &Config) -> Result<(), CliError> {
    raise_file_limit();
    let deaf =
        |error: std::io::Error| CliError::Failed(format!("cannot listen to signals: {error}"));
    let mut terminated = signal(SignalKind::terminate()).map_err(deaf)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(deaf)?;
    let shutdown = async {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    tokio::pin!(shutdown);
    let app = tokio::select! {
        app = App::start(config, Clock::system()) => app?,
        () = &mut shutdown => return Ok(()),
    };
    app.run(shutdown).await?;
    Ok(())
}

fn start_logging(config: &Config, command: &Command) -> Result<(), String> {
    // Standard output is for a command's answer, and its log for trouble.
    let (writer, usual) = match command {
        Command::Serve => (BoxMakeWriter::new(std::io::stdout), DEFAULT_LOG_FILTER),
        _ => (BoxMakeWriter::new(std::io::stderr), "warn"),
    };
    let filter = log_filter(config.log_filter.as_deref().unwrap_or(usual))
        .map_err(|error| format!("RUST_LOG: {error}"))?;
    let filtered = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(std::io::stdout().is_terminal());
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

/// Levels of targets. What cannot be a target would be taken for one that nothing has, and the log
/// stay empty.
fn log_filter(text: &str) -> Result<Targets, String> {
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

/// A service has a file for each connection; the usual limit of 1,024 is a default, and the hard
/// one is meant.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}
