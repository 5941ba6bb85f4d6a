//! Keeps the history as long as the operator wants, and sessions, links and failed sign-ins until their time is over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::store::{PruneStep, Store, StoreError};

/// From the start to the first look, so that a start is not slowed down.
const FIRST_LOOK: Duration = Duration::from_secs(60);
/// From one look to the next.
const NEXT_LOOK: Duration = Duration::from_secs(6 * 3_600);
/// Before the database is tried again.
const DATABASE_PAUSE: Duration = Duration::from_secs(60);
/// Between steps, many times as long as one takes, so that publishes hardly notice.
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

/// Deletes what ended more than `history_days` ago, and tells how many rows that were. Ends early when another replica
/// is at it.
///
/// # Errors
/// If the database does not answer.
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
