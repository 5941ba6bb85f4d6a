//! The server's first process.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::timeout;
use tracing::warn;

/// Our child, which ends with us: dropped, it is asked to stop.
#[derive(Debug)]
pub(super) struct Postmaster(pub(super) Child);

impl Postmaster {
    pub(super) fn pid(&self) -> Option<Pid> {
        self.0
            .id()
            .and_then(|id| id.try_into().ok())
            .map(Pid::from_raw)
    }

    /// Does nothing once the process has been waited for.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, signal);
        }
    }

    pub(super) async fn stop(mut self) {
        for (signal, seconds) in [
            (Signal::SIGINT, 4),  // disconnects clients, writes everything out
            (Signal::SIGQUIT, 2), // ends at once; the next start recovers
            (Signal::SIGKILL, 1),
        ] {
            self.signal(signal);
            if timeout(Duration::from_secs(seconds), self.0.wait())
                .await
                .is_ok()
            {
                return;
            }
            warn!(%signal, "the embedded PostgreSQL has not stopped");
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
    }
}
