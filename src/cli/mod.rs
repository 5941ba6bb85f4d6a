//! The command line: one file per command. Without one, the service serves.
//!
//! `publish` and `status` call a running service; the others work on the database themselves, as
//! the service would.

mod check;
mod completions;
mod follow;
mod health;
mod import_skycms;
mod key;
mod man;
mod output;
mod prune;
mod publish;
mod rotate_encryption_key;
mod service;
mod site;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::admin::Tester;
use crate::admin::audit::{Actor, record};
use crate::app::{self, AppError};
use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::config::{Config, ConfigError};
use crate::domain::AuditAction;
use crate::logging::Output;
use crate::metrics::Metrics;
use crate::readers::PublicClient;
use crate::store::{SiteId, Store, StoreError};

const SITE_HELP: &str = "The site";

const EXAMPLES: &str = "\
Examples:
  skycms-cdn                            serve, with an embedded PostgreSQL
  skycms-cdn check                      what is wrong here, and how to fix it
  skycms-cdn publish --wait /about      publish through a running service, and wait for CloudFront
  skycms-cdn help publish               examples for a command

The service is configured by environment variables; .env.example lists them.";

const SERVE_EXAMPLES: &str = "\
Examples:
  skycms-cdn serve
  LISTEN_ADDR=127.0.0.1:9000 LOG_FORMAT=json skycms-cdn serve
  DATABASE_URL=postgres://skycms_cdn@db.example.com/skycms_cdn ENCRYPTION_KEY_FILE=/run/secrets/key skycms-cdn serve

Without DATABASE_URL it runs the machine's own PostgreSQL in DATA_DIR. Without ADMIN_PASSWORD its log prints a link that
sets the password of `admin`.";

const HEALTH_EXAMPLES: &str = "\
Example:
  skycms-cdn health || systemctl restart skycms-cdn

Exit status: 0 ready, 1 not ready or not there.";

const SET_UP_LINK_EXAMPLES: &str = "\
Example:
  skycms-cdn set-up-link     # prints https://editor.example.com/cdn/set-up?token=…";

/// SkyCMS's CDN settings backend: tells Amazon CloudFront what to invalidate after a publish.
#[derive(Parser)]
#[command(name = "skycms-cdn", version = crate::VERSION, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

impl Arguments {
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve)
    }
}

/// What the binary can do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or SIGINT; what happens without a command
    #[command(after_help = SERVE_EXAMPLES)]
    Serve,
    /// Ask the service that listens on LISTEN_ADDR of this machine whether it is ready
    #[command(after_help = HEALTH_EXAMPLES)]
    Health,
    /// Check configuration, database, keys and AWS, and say how to fix what is wrong
    Check(check::Check),
    /// Publish paths, tags or everything through a running service
    Publish(publish::Publish),
    /// Show a publish's status
    Status(status::Status),
    /// Import the CloudFront settings of SkyCMS
    ImportSkycms(import_skycms::ImportSkycms),
    /// Seal every stored secret again with the first key of ENCRYPTION_KEY
    RotateEncryptionKey(rotate_encryption_key::RotateEncryptionKey),
    /// Print a link that sets a new password of `admin`, once, within an hour
    #[command(after_help = SET_UP_LINK_EXAMPLES)]
    SetUpLink,
    /// Delete publishes and invalidations that ended long ago
    Prune(prune::Prune),
    /// List, create, rename and remove sites
    #[command(subcommand)]
    Site(site::SiteCommand),
    /// List, create, rotate and revoke key pairs of the CloudFront-compatible endpoint
    Key(key::Keys),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    #[command(hide = true)]
    Man(man::Man),
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// It was asked for in a way that cannot succeed.
    #[error("{0}")]
    WrongUse(String),
    /// It did not succeed.
    #[error("{0}")]
    Failed(String),
    /// What is wrong has been said.
    #[error("")]
    Said,
    /// The configuration of the service is not right.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The service's parts did not come together.
    #[error(transparent)]
    App(#[from] AppError),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CliError {
    /// Says why, and gives the exit status for scripts.
    pub fn report(&self) -> ExitCode {
        if !matches!(self, Self::Said) {
            output::note(self);
        }
        match self {
            Self::WrongUse(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// What tests settings, as their page does.
fn tester(store: &Store, config: &Config, clock: &Clock) -> Result<Tester, AppError> {
    Ok(Tester {
        store: store.clone(),
        cloudfront: CloudFront::at(config.cloudfront_endpoint.clone()),
        public_client: PublicClient::new(config.allow_private_targets)?,
        clock: clock.clone(),
        limits: config.limits,
        metrics: Metrics::default(),
    })
}

/// Writes down what a command did, like what a page did.
async fn audit(
    store: &Store,
    clock: &Clock,
    action: AuditAction,
    site: SiteId,
    detail: impl Into<String>,
) {
    let actor = Actor {
        name: "command line",
        source: None,
        from: "this machine",
    };
    record(store, clock, actor, action, Some(site), Some(detail.into())).await;
}

impl Command {
    pub const fn log_output(&self) -> Output {
        match self {
            Self::Serve => Output::Service,
            _ => Output::Command,
        }
    }

    /// Whether it ignores the service's configuration. `RUST_LOG` is read by other programs too, in
    /// a form of their own.
    pub const fn ignores_service_config(&self) -> bool {
        matches!(
            self,
            Self::Publish(_) | Self::Status(_) | Self::Man(_) | Self::Completions(_)
        )
    }

    /// Does everything but serving. The configuration is the service's; commands that call a
    /// running one have their own.
    pub async fn run(self, config: Result<Config, ConfigError>) -> Result<(), CliError> {
        self.act(config).await.map_err(|error| match error {
            CliError::App(AppError::Postgres(embedded_postgres::Error::InUse(directory))) => {
                CliError::Failed(format!(
                    "{} is in use by a service that is starting or stopping: try again in a moment",
                    directory.display()
                ))
            }
            error => error,
        })
    }

    async fn act(self, config: Result<Config, ConfigError>) -> Result<(), CliError> {
        match self {
            Self::Serve => Ok(()),
            Self::Health => health::run(&config?).await,
            Self::Check(command) => command.run(config).await,
            Self::Publish(command) => command.run().await,
            Self::Status(command) => command.run().await,
            Self::ImportSkycms(command) => command.run(&config?).await,
            Self::RotateEncryptionKey(command) => command.run(&config?).await,
            Self::SetUpLink => output::say(app::set_up_link(&config?, &Clock::system()).await?),
            Self::Prune(command) => command.run(&config?).await,
            Self::Site(command) => command.run(&config?).await,
            Self::Key(command) => command.run(&config?).await,
            Self::Man(command) => command.run(),
            Self::Completions(command) => command.run(),
        }
    }
}
