//! `prune`: deletes what ended long ago, as the service does every six hours.

use clap::Args;

use super::CliError;
use super::output::say;
use crate::app::Database;
use crate::clock::Clock;
use crate::config::Config;
use crate::janitor;
use crate::store::Store;

const EXAMPLES: &str = "\
Examples:
  skycms-cdn prune --dry-run
  skycms-cdn prune --older-than 30

It works in small steps, so that publishes hardly notice. What has not ended stays, however old.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Prune {
    /// Delete what ended longer ago than this [default: HISTORY_DAYS]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    older_than: Option<u16>,
    /// Only say how much would be deleted
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let days = self.older_than.unwrap_or(config.history_days);
        let prune = async |store: &Store| self.prune(store, days).await;
        say(Database::work(config, &Clock::system(), prune).await?)
    }

    async fn prune(&self, store: &Store, days: u16) -> Result<String, CliError> {
        let clock = Clock::system();
        let before = clock.now() - time::Duration::days(days.into());
        if self.dry_run {
            let old = store.prunable(before).await?;
            return Ok(format!(
                "Nothing was deleted. Ended more than {days} days ago: publishes {}, invalidations {}, notifications {}.",
                old.publishes, old.invalidations, old.notifications
            ));
        }
        let deleted = janitor::prune_history(store, &clock, days).await?;
        let left = match store.prunable(before).await?.total() {
            0 => String::new(),
            left => format!(
                " Left: {left}. A replica is pruning too, or they are in use; it goes on by itself."
            ),
        };
        Ok(format!(
            "Deleted publishes, invalidations and notifications that ended more than {days} days ago: {deleted}.{left}"
        ))
    }
}
