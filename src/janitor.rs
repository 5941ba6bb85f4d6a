//! Deletes the history that is older than the operator wants, what removed sites leave, and
//! sessions, links and failed sign-ins whose time is over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::store::{ChangeReader, PruneStep, Store, StoreError};

/// The pause before the first look, so that a start is not slowed down.
const FIRST_LOOK: Duration = Duration::from_secs(60);
/// The pause between two looks.
const NEXT_LOOK: Duration = Duration::from_secs(6 * 3_600);
/// The pause before the database is tried again.
const DATABASE_PAUSE: Duration = Duration::from_secs(60);
/// The pause between two steps, many times as long as one takes, so that publishes hardly notice.
const STEP_PAUSE: Duration = Duration::from_millis(100);

/// Prunes the history now and then until `stop`. Trouble with the database never ends it.
pub async fn run(store: Store, clock: Clock, history_days: u16, stop: CancellationToken) {
    let mut pause = FIRST_LOOK;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let pruned = tokio::select! {
            () = stop.cancelled() => return,
            pruned = async {
                store.forget_expired(clock.now()).await?;
                sweep(&store, &clock, history_days).await?;
                prune(&store, &clock, history_days).await
            } => pruned,
        };
        pause = match pruned {
            Ok(deleted) => {
                if deleted > 0 {
                    tracing::info!(deleted, history_days, "pruned the history");
                }
                NEXT_LOOK
            }
            Err(error) => {
                tracing::warn!(%error, "the history cannot be pruned yet");
                DATABASE_PAUSE
            }
        };
    }
}

/// Sweeps up after sites as soon as they are removed, until `stop`. What an error leaves over,
/// [`run`] finds.
pub async fn follow(
    store: Store,
    clock: Clock,
    history_days: u16,
    mut changes: ChangeReader,
    stop: CancellationToken,
) {
    let following = async {
        loop {
            changes.sites_changed().await;
            if let Err(error) = sweep(&store, &clock, history_days).await {
                tracing::warn!(%error, "what removed sites leave cannot be deleted yet");
            }
        }
    };
    stop.run_until_cancelled(following).await;
}

/// Deletes what removed sites leave, and the sites themselves after `history_days`. Ends early if
/// another replica is doing so.
pub async fn sweep(store: &Store, clock: &Clock, history_days: u16) -> Result<(), StoreError> {
    let before = clock.now() - time::Duration::days(history_days.into());
    while store.sweep_step(clock.now(), before).await? > 0 {
        tokio::time::sleep(STEP_PAUSE).await;
    }
    Ok(())
}

/// Deletes what ended more than `history_days` ago, and returns how many rows that was. Ends early
/// if another replica is doing so.
pub async fn prune(store: &Store, clock: &Clock, history_days: u16) -> Result<u64, StoreError> {
    let before = clock.now() - time::Duration::days(history_days.into());
    let mut total = 0;
    loop {
        match store.prune_step(before).await? {
            PruneStep::Deleted(0) | PruneStep::Busy => return Ok(total),
            PruneStep::Deleted(deleted) => total += deleted,
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
}
