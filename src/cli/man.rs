//! `man`: the manual pages, for packages.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::{Arguments, CliError};

/// Write a manual page for each command into a directory
#[derive(Args)]
pub struct Man {
    /// The directory, which has to exist
    directory: PathBuf,
}

impl Man {
    pub(super) fn run(self) -> Result<(), CliError> {
        clap_mangen::generate_to(<Arguments as CommandFactory>::command(), &self.directory)
            .map_err(|error| CliError::Failed(format!("{}: {error}", self.directory.display())))
    }
}
