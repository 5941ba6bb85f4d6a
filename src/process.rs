//! The process: its limit on open files, and the signals that stop it.

use futures_util::future::select_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Every connection needs a file. The usual soft limit of 1,024 is a historical default; the hard
/// limit is what the administrator meant.
pub fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "could not raise the limit on open files");
    }
}

/// Completes when the service is to stop: on SIGTERM or SIGINT, or when its terminal has closed.
/// Listens from the moment it is called, not only once polled.
pub fn asked_to_stop() -> Result<impl Future<Output = ()>, String> {
    first_of([
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ])
}

/// The same for another command. SIGINT ends it at once, with all that it has started.
pub fn asked_to_end() -> Result<impl Future<Output = ()>, String> {
    first_of([SignalKind::terminate(), SignalKind::hangup()])
}

fn first_of(
    kinds: impl IntoIterator<Item = SignalKind>,
) -> Result<impl Future<Output = ()>, String> {
    let mut signals = Vec::new();
    for kind in kinds {
        // To listen would undo what nohup has done.
        if kind != SignalKind::hangup() || !outlives_terminal() {
            let listening = signal(kind);
            signals.push(listening.map_err(|error| format!("cannot listen for signals: {error}"))?);
        }
    }
    Ok(async move {
        let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        let _ = select_all(received).await;
    })
}

/// Whether SIGHUP is ignored, as under nohup. Where nobody can tell, it is left as it is too.
pub fn outlives_terminal() -> bool {
    std::fs::read_to_string("/proc/self/status").map_or(true, |status| ignores_hangup(&status))
}

/// What the kernel's account of a process says of signal 1.
fn ignores_hangup(status: &str) -> bool {
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn nohup_is_noticed() {
        let status = |mask| format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(ignores_hangup("nothing of it"));
    }
}
