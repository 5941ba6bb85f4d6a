//! The `skycms-cdn` binary: configuration → database → server and dispatcher → signals; and the
//! other commands.

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use skycms_cdn::app::App;
use skycms_cdn::cli::{Arguments, CliError, Command};
use skycms_cdn::clock::Clock;
use skycms_cdn::config::{self, Config};
use skycms_cdn::{logging, process};
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Runtime;

/// A publish makes many small allocations. docs/PERFORMANCE.md says what this allocator gains.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How long the process waits, at its end, for what cannot be stopped, such as the system's look-up
/// of a name.
const LEFTOVER_LIMIT: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let command = Arguments::parse().command();
    // `.env` changes the environment, which is sound only before the runtime starts its threads.
    let done = config::read_dotenv().map_err(CliError::from);
    match done.and_then(|()| run(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(command: Command) -> Result<(), CliError> {
    let runtime = Runtime::new()
        .map_err(|error| CliError::Failed(format!("cannot start threads: {error}")))?;
    let done = runtime.block_on(execute(command));
    runtime.shutdown_timeout(LEFTOVER_LIMIT);
    done
}

async fn execute(command: Command) -> Result<(), CliError> {
    let config = Config::from_environment();
    if let Ok(config) = &config {
        let started = logging::start(config, command.log_output());
        if !command.ignores_service_config() {
            started.map_err(CliError::Failed)?;
        }
    }
    match command {
        Command::Serve => serve(&config?).await,
        command => {
            let ended = process::asked_to_end().map_err(CliError::Failed)?;
            tokio::select! {
                done = command.run(config) => done,
                // What it has begun is dropped, which stops an embedded PostgreSQL.
                () = ended => Err(CliError::Failed("ended by a signal before it was done".into())),
            }
        }
    }
}

async fn serve(config: &Config) -> Result<(), CliError> {
    process::raise_file_limit();
    let mut shutdown = pin!(process::asked_to_stop().map_err(CliError::Failed)?);
    let app = tokio::select! {
        app = App::start(config, Clock::system()) => app?,
        () = &mut shutdown => return Ok(()),
    };
    app.run(shutdown).await?;
    Ok(())
}
