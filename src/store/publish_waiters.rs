//! Answers that are held until a publish has ended. However many there are, a single query at a
//! time asks the database about all of them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::{ChangeReader, DATABASE_LIMIT, Result, SiteId, Store, within};

/// The shortest time between two queries.
const PACE: Duration = Duration::from_millis(100);
/// The longest: what a lost notification costs.
const FALLBACK: Duration = Duration::from_secs(2);

/// Those who wait for the end of a publish. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct PublishWaiters(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiters: Mutex<Vec<Waiter>>,
    added: Notify,
}

#[derive(Debug)]
struct Waiter {
    site: SiteId,
    publish: Uuid,
    ended: oneshot::Sender<()>,
}

impl PublishWaiters {
    /// Resolves when the publish has ended or is gone. The caller has to check, after this, whether
    /// it had ended before.
    pub fn add(&self, site: SiteId, publish: Uuid) -> oneshot::Receiver<()> {
        let (sender, ended) = oneshot::channel();
        self.0.waiters.lock().push(Waiter {
            site,
            publish,
            ended: sender,
        });
        self.0.added.notify_one();
        ended
    }

    /// Follows the publishes that somebody waits for, forever.
    pub async fn follow(self, store: Store, mut changes: ChangeReader) {
        loop {
            if self.awaited().is_empty() {
                self.0.added.notified().await;
            }
            // What changed until now is found by looking.
            changes.catch_up();
            if let Err(error) = within(DATABASE_LIMIT, self.look(&store)).await {
                tracing::debug!(%error, "held answers wait for the database");
            }
            tokio::time::sleep(PACE).await;
            let _ = tokio::time::timeout(FALLBACK, changes.any_state()).await;
        }
    }

    async fn look(&self, store: &Store) -> Result<()> {
        let (sites, publishes): (Vec<i32>, Vec<Uuid>) = self.awaited().into_iter().unzip();
        let ended = sqlx::query_scalar!(
            r#"SELECT w.publish as "publish!" FROM unnest($1::int[], $2::uuid[]) AS w (site, publish)
               LEFT JOIN publish p ON p.site_id = w.site AND p.id = w.publish
               WHERE p.id IS NULL OR p.ended_at IS NOT NULL"#,
            &sites,
            &publishes,
        )
        .fetch_all(&store.pool)
        .await?;
        let mut waiters = self.0.waiters.lock();
        let (done, waiting): (Vec<_>, Vec<_>) = waiters
            .drain(..)
            .partition(|waiter| ended.contains(&waiter.publish));
        *waiters = waiting;
        for waiter in done {
            // The caller may have given up meanwhile.
            let _: Result<(), ()> = waiter.ended.send(());
        }
        Ok(())
    }

    /// The publishes that somebody still waits for. Drops the waiters that have given up.
    fn awaited(&self) -> Vec<(i32, Uuid)> {
        let mut waiters = self.0.waiters.lock();
        waiters.retain(|waiter| !waiter.ended.is_closed());
        waiters.iter().map(|w| (w.site.0, w.publish)).collect()
    }
}
