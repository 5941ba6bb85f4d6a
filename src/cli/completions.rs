//! `completions`: what shells need to complete commands and options.

use clap::{Args, ValueEnum};
use clap_complete::{Shell, generate};

use super::output::say;

const EXAMPLES: &str = "\
Examples:
  skycms-cdn completions bash > /etc/bash_completion.d/skycms-cdn
  skycms-cdn completions zsh > \"${fpath[1]}/_skycms-cdn\"
  skycms-cdn completions fish > ~/.config/fish/completions/skycms-cdn.fish";

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// Which shell
    shell: KnownShell,
}

#[derive(Clone, Copy, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(self) {
        let shell = match self.shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(
            shell,
            &mut <super::Arguments as clap::CommandFactory>::command(),
            "skycms-cdn",
            &mut script,
        );
        say(String::from_utf8_lossy(&script).trim_end());
    }
}
