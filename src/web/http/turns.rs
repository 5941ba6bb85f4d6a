//! Taking turns: work that takes a core or a database connection for a while is done one after the
//! other for each site, so that others find theirs free.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::resume_unwind;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::{Proof, SiteId};

/// A body with more bytes than this is large.
pub(crate) const LARGE_BYTES: usize = 64 << 10;
/// So is an answer with more items than this.
pub(crate) const LARGE_ITEMS: usize = 1_000;
/// Large bodies of one token, secret or key pair that may be in memory at once.
const BODIES: usize = 4;
/// Answers for one site that are read from the database at once.
const READS: usize = 2;
/// How long a turn may be waited for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// There is no permit, or none came free in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoTurn;

/// The queues in which large work waits.
#[derive(Debug)]
pub struct Turns {
    /// To have a large body in memory, by the token, secret or key pair that it came with.
    pub(crate) bodies: KeyedSemaphore<Proof>,
    /// To work on something large of a site.
    pub(crate) sites: KeyedSemaphore<SiteId>,
    /// To read what a site has published.
    pub(crate) reads: KeyedSemaphore<SiteId>,
    /// To compute something large: on one core, which leaves the others to what is small.
    core: Arc<Semaphore>,
    /// To find out who sends a large body: until that is known, it holds up nobody else's.
    strangers: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            bodies: KeyedSemaphore::new(BODIES),
            sites: KeyedSemaphore::new(1),
            reads: KeyedSemaphore::new(READS),
            core: Arc::new(Semaphore::new(1)),
            strangers: Arc::new(Semaphore::new(1)),
        }
    }
}

/// A turn, until it is dropped.
pub(crate) type Permit = OwnedSemaphorePermit;

impl Turns {
    /// Does the work: here and now unless it is large, else on a blocking thread, one at a time.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        is_large: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        one_at_a_time(&self.core, is_large, work).await
    }

    /// The same for whoever is not authenticated yet: strangers wait only for other strangers.
    pub(crate) async fn compute_for_stranger<T: Send + 'static>(
        &self,
        is_large: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        one_at_a_time(&self.strangers, is_large, work).await
    }
}

async fn one_at_a_time<T: Send + 'static>(
    core: &Arc<Semaphore>,
    is_large: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if !is_large {
        return work();
    }
    on_a_thread(Arc::clone(core).acquire_owned().await, work).await
}

/// Does the work on a blocking thread. The turn ends with the work, which goes on when the client
/// hangs up and nobody waits for it any more.
pub(super) fn on_a_thread<T: Send + 'static>(
    turn: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> {
    let work = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    async move {
        let done = work.await;
        done.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }
}

/// A semaphore for each key.
#[derive(Debug)]
pub(crate) struct KeyedSemaphore<K> {
    permits: usize,
    semaphores: Mutex<HashMap<K, Weak<Semaphore>>>,
}

impl<K: Eq + Hash> KeyedSemaphore<K> {
    pub(super) fn new(permits: usize) -> Self {
        Self {
            permits,
            semaphores: Mutex::default(),
        }
    }

    pub(crate) async fn acquire(&self, key: K) -> Result<Permit, NoTurn> {
        let semaphore = self.semaphore(key);
        match tokio::time::timeout(TIMEOUT, semaphore.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(NoTurn),
        }
    }

    /// The same for whoever does not wait.
    pub(super) fn try_acquire(&self, key: K) -> Result<Permit, NoTurn> {
        self.semaphore(key).try_acquire_owned().map_err(|_| NoTurn)
    }

    /// The semaphore of a key, which exists as long as anybody holds one of its permits or waits
    /// for one.
    fn semaphore(&self, key: K) -> Arc<Semaphore> {
        let mut semaphores = self.semaphores.lock();
        if let Some(semaphore) = semaphores.get(&key).and_then(Weak::upgrade) {
            return semaphore;
        }
        if semaphores.len() >= 1_024 {
            semaphores.retain(|_, semaphore| semaphore.strong_count() > 0);
        }
        let semaphore = Arc::new(Semaphore::new(self.permits));
        semaphores.insert(key, Arc::downgrade(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_for_each_and_nobody_waits_for_another() {
        let turns = Turns::default();
        let turn = async |site| {
            let turn = turns.sites.acquire(SiteId(site));
            tokio::time::timeout(Duration::ZERO, turn).await.ok()?.ok()
        };
        let first = turn(1).await;
        assert!(first.is_some());
        assert!(turn(1).await.is_none(), "it is being used");
        assert!(turn(2).await.is_some());
        drop(first);
        assert!(turn(1).await.is_some());
    }

    #[tokio::test]
    async fn strangers_hold_up_nobody_who_is_authenticated() {
        let turns = Turns::default();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let stranger = turns.compute_for_stranger(true, move || ended.recv().is_err());
        let authenticated = async {
            let work = turns.compute(true, || ());
            let is_done = tokio::time::timeout(TIMEOUT, work).await.is_ok();
            drop(end);
            is_done
        };
        let (is_ended, is_done) = tokio::join!(stranger, authenticated);
        assert!(is_ended && is_done);
    }

    /// A client that hangs up ends the wait for the work, and not the work.
    #[tokio::test]
    async fn what_nobody_waits_for_any_more_keeps_its_turn() {
        let turns = Turns::default();
        let (begin, begun) = tokio::sync::oneshot::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let work = turns.compute(true, move || {
            let _ = begin.send(());
            ended.recv().is_err()
        });
        let has_begun = tokio::select! {
            _ = work => false,
            begun = begun => begun.is_ok(),
        };
        assert!(has_begun);
        let next = turns.compute(true, || ());
        tokio::pin!(next);
        let early = tokio::time::timeout(Duration::from_millis(50), &mut next).await;
        assert!(early.is_err(), "two at once");
        drop(end);
        next.await;
    }
}
