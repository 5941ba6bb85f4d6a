//! The `skycms-cdn` binary: configuration → database → server and dispatcher → signals.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use skycms_cdn::app::App;
use skycms_cdn::clock::Clock;
use skycms_cdn::config::{Config, LogFormat};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    if let Err(error) = skycms_cdn::config::read_dotenv() {
        return refuse(&error);
    }
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    if let Err(error) = start_logging(&config) {
        return refuse(&error);
    }
    raise_file_limit();
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(error.as_ref()),
    }
}

#[tokio::main]
async fn run(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
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

fn start_logging(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_new(&config.log_filter).map_err(|e| format!("RUST_LOG: {e}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stdout().is_terminal());
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panicked: {message}");
    }));
    Ok(())
}

/// A service has a file for each connection; the usual limit of 1,024 is a default, and the hard one is meant.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

/// One line that says what is wrong.
#[expect(clippy::print_stderr, reason = "there may be no log yet")]
fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("skycms-cdn: {error}");
    ExitCode::FAILURE
}
