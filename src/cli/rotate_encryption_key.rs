//! `rotate-encryption-key`: seals every stored secret again.

use clap::Args;

use super::CliError;
use super::output::say;
use crate::app;
use crate::clock::Clock;
use crate::config::Config;

const EXAMPLES: &str = "\
Example, in four steps; with one replica the first may be left out:
  ENCRYPTION_KEY=\"$old,$new\"           on every replica, and restart them: all can open it
  ENCRYPTION_KEY=\"$new,$old\"           on every replica, and restart them: all seal with it
  skycms-cdn rotate-encryption-key     once, with the same variables
  ENCRYPTION_KEY=\"$new\"                on every replica, and restart them";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct RotateEncryptionKey {
    /// Remove secrets that none of the keys opens
    #[arg(long)]
    remove_unreadable: bool,
}

impl RotateEncryptionKey {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let done = app::reseal(config, &Clock::system(), self.remove_unreadable).await?;
        say(format_args!(
            "Secrets sealed with the first key now: {}. Unreadable ones removed: {}.",
            done.sealed, done.removed
        ))
    }
}
