//! What a command says: its answer on standard output, everything else on standard error.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use super::CliError;

/// The answer to a command. Whoever reads it may have stopped reading.
///
/// # Errors
/// If it is lost otherwise, as on a full disk: a script must not go on as if it had it.
pub(super) fn say(answer: impl std::fmt::Display) -> Result<(), CliError> {
    match writeln!(std::io::stdout(), "{answer}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::Failed(format!(
            "the answer could not be written to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn note(words: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "skycms-cdn: {words}");
}

/// A line that shows progress on a terminal, and nowhere else. It is gone when this is dropped.
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
        }
    }

    pub(super) const fn is_seen(&self) -> bool {
        self.shown
    }

    pub(super) fn tell(&self, words: impl std::fmt::Display) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K{words}");
            let _ = std::io::stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.tell("");
    }
}
