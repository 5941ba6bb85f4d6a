//! The `skycms-cdn` binary: configuration → database → server and dispatcher → signals.

use std::io::IsTerminal as _;
use std::process::ExitCode;

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
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(error.as_ref()),
    }
}

#[tokio::main]
async fn run(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let app = App::start(config, Clock::system()).await?;
    app.run(async {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
    .await?;
    Ok(())
}

fn start_logging(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_new(&config.log_filter).map_err(|e| format!("RUST_LOG: {e}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stdout().is_terminal());
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// One line that says what is wrong.
#[expect(clippy::print_stderr, reason = "there may be no log yet")]
fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("skycms-cdn: {error}");
    ExitCode::FAILURE
}
