//! `completions`: what shells need to complete commands and options.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::CliError;
use super::output::say;

const EXAMPLES: &str = "\
Examples:
  skycms-cdn completions bash > /etc/bash_completion.d/skycms-cdn
  skycms-cdn completions zsh > \"${fpath[1]}/_skycms-cdn\"
  skycms-cdn completions fish > ~/.config/fish/completions/skycms-cdn.fish";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), CliError> {
        let mut script = Vec::new();
        let mut command = <super::Arguments as CommandFactory>::command();
        generate(self.shell, &mut command, "skycms-cdn", &mut script);
        say(String::from_utf8_lossy(&script).trim_end())
    }
}
