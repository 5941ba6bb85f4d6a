//! `set-up-link`: for whoever has forgotten the admin's password.

use clap::Args;

use super::CliError;
use super::output::say;
use crate::app;
use crate::clock::Clock;
use crate::config::Config;

const EXAMPLES: &str = "\
Example:
  skycms-cdn set-up-link     # prints https://editor.example.com/cdn/set-up?token=…";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct SetUpLink {}

impl SetUpLink {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        say(app::set_up_link(config, &Clock::system()).await?);
        Ok(())
    }
}
