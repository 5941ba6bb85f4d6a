//! The `skycms-cdn` binary: configuration → database → server and dispatcher → signals.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use skycms_cdn::app::{self, App};
use skycms_cdn::clock::Clock;
use skycms_cdn::config::{Config, LogFormat};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// A publish takes some seventy small allocations, a third cheaper here than in glibc (docs/PERFORMANCE.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// SkyCMS's CDN settings backend. It is configured by environment variables.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT; what happens without a command
    Serve,
    /// Seal every stored secret anew with the first key of ENCRYPTION_KEY
    RotateEncryptionKey {
        /// Remove secrets that none of the keys opens
        #[arg(long)]
        remove_unreadable: bool,
    },
    /// Print a link that sets a new password of `admin`, once, within an hour
    SetUpLink,
    /// Ask the service that listens on LISTEN_ADDR of this machine whether it is ready
    Health,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = skycms_cdn::config::read_dotenv() {
        return refuse(&error);
    }
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    let command = arguments.command.unwrap_or(Command::Serve);
    if let Err(error) = start_logging(&config, &command) {
        return refuse(&error);
    }
    raise_file_limit();
    match run(&config, &command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(error.as_ref()),
    }
}

#[tokio::main]
async fn run(config: &Config, command: &Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Serve => serve(config).await,
        Command::RotateEncryptionKey { remove_unreadable } => {
            let done = app::reseal(config, *remove_unreadable).await?;
            say(&format!(
                "{} secrets are sealed with the first key now, {} unreadable ones were removed.",
                done.sealed, done.removed
            ));
            Ok(())
        }
        Command::SetUpLink => {
            say(&app::set_up_link(config, &Clock::system()).await?);
            Ok(())
        }
        Command::Health => Ok(app::health(config)?),
    }
}

async fn serve(config: &Config) -> Result<(), Box<dyn std::error::Error>> {
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

fn start_logging(config: &Config, command: &Command) -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_new(&config.log_filter).map_err(|e| format!("RUST_LOG: {e}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(match command {
            Command::Serve => BoxMakeWriter::new(std::io::stdout),
            // Standard output is for the answer.
            _ => BoxMakeWriter::new(std::io::stderr),
        })
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

/// The answer to a command.
#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn say(answer: &str) {
    println!("{answer}");
}

/// One line that says what is wrong.
#[expect(clippy::print_stderr, reason = "there may be no log yet")]
fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("skycms-cdn: {error}");
    ExitCode::FAILURE
}
