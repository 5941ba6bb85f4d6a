//! Deletes what is no longer needed: history that is older than the operator wants to keep, what
//! removed sites left behind, and expired sessions, links and failed sign-ins.

use std::time::Duration;

use crate::clock::Clock;
use crate::store::{ChangeReader, Store, StoreError, within};

/// The pause before the first run, so that the start is not slowed down.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const NEXT_PAUSE: Duration = Duration::from_secs(6 * 3_600);
/// The pause before the database is tried again.
const DATABASE_PAUSE: Duration = Duration::from_secs(60);
/// The pause between steps: many times longer than a step takes, so that publishes hardly notice.
const STEP_PAUSE: Duration = Duration::from_millis(100);
/// How long a step may take: a database host that vanishes does not end its connections.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// Prunes the history every few hours, forever. Trouble with the database never ends it.
pub async fn run(store: Store, clock: Clock, history_days: u16) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let pruned = async {
            within(STEP_LIMIT, store.forget_expired(clock.now())).await?;
            delete_removed_sites(&store, &clock, history_days).await?;
            prune_history(&store, &clock, history_days).await
        };
        pause = match pruned.await {
            Ok(deleted) => {
                if deleted > 0 {
                    tracing::info!(deleted, history_days, "pruned the history");
                }
                NEXT_PAUSE
            }
            Err(error) => {
                tracing::warn!(%error, "could not prune the history yet");
                DATABASE_PAUSE
            }
        };
    }
}

/// Sweeps up after sites as soon as they are removed, forever. What fails here, [`run`] makes up
/// for.
pub async fn follow(store: Store, clock: Clock, history_days: u16, mut changes: ChangeReader) {
    loop {
        changes.sites_changed().await;
        if let Err(error) = delete_removed_sites(&store, &clock, history_days).await {
            tracing::warn!(%error, "could not yet delete what removed sites left behind");
        }
    }
}

/// Deletes what removed sites left behind, and the sites themselves after `history_days`. Returns
/// the number of rows.
pub async fn delete_removed_sites(
    store: &Store,
    clock: &Clock,
    history_days: u16,
) -> Result<u64, StoreError> {
    let before = clock.now() - time::Duration::days(history_days.into());
    in_steps(|| store.sweep_step(clock.now(), before)).await
}

/// Deletes what ended more than `history_days` ago, and returns the number of rows.
pub async fn prune_history(
    store: &Store,
    clock: &Clock,
    history_days: u16,
) -> Result<u64, StoreError> {
    let before = clock.now() - time::Duration::days(history_days.into());
    in_steps(|| store.prune_step(before)).await
}

/// Takes steps until one deletes nothing: all is done, or another replica is doing it.
async fn in_steps<S>(step: impl Fn() -> S) -> Result<u64, StoreError>
where
    S: Future<Output = Result<u64, StoreError>>,
{
    let mut total = 0;
    loop {
        match within(STEP_LIMIT, step()).await? {
            0 => return Ok(total),
            deleted => total += deleted,
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
}
