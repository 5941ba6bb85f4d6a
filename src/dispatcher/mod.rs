//! Wake or tick → claim → one call to CloudFront → one recorded transition. Signal and scan share this one path, on
//! every replica; what keeps replicas apart is in the database.

mod observe;
mod poll;
mod send;

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::domain::Limits;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};

/// The longest the dispatcher sleeps without looking: what a lost notification costs at most.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// The shortest it sleeps after it found nothing, so that rows it may not touch yet do not make it spin.
const SHORTEST_SLEEP: Duration = Duration::from_millis(20);
/// Pause after the database did not answer.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);
/// How long the database may take to answer before its connection is taken for dead: to look at all that is due, and
/// to record one outcome. A server that froze, or fell off the network, closes no connection.
const LOOK_PATIENCE: Duration = Duration::from_secs(30);
const RECORD_PATIENCE: Duration = Duration::from_secs(5);
/// Calls to CloudFront under way at once.
const CALLS: usize = 64;
/// How long calls may go on after a stop was asked for.
const STOP_PATIENCE: Duration = Duration::from_secs(6);

/// Tells the dispatcher of this replica to look now. Clones wake the same one.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// There may be something to do.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Sends what was published and follows it to its end.
#[derive(Clone)]
pub struct Dispatcher {
    store: Store,
    cloudfront: CloudFront,
    clock: Clock,
    limits: Limits,
    wake: Wake,
    metrics: Metrics,
    /// Cancelled when calls under way are to be given up.
    give_up: CancellationToken,
}

impl Dispatcher {
    /// A dispatcher that has not begun.
    #[must_use]
    pub fn new(
        store: Store,
        cloudfront: CloudFront,
        clock: Clock,
        limits: Limits,
        wake: Wake,
    ) -> Self {
        Self {
            store,
            cloudfront,
            clock,
            limits,
            wake,
            metrics: Metrics::default(),
            give_up: CancellationToken::new(),
        }
    }

    /// Counts what it does with others.
    #[must_use]
    pub fn counting(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Works until `stop`, then lets calls under way finish for some seconds. Trouble with the database or CloudFront
    /// never ends it.
    pub async fn run(self, stop: CancellationToken) {
        let mut calls = JoinSet::new();
        while !stop.is_cancelled() {
            // Armed before looking, so that what comes meanwhile is not missed.
            let woken = self.wake.0.notified();
            let looked = tokio::time::timeout(LOOK_PATIENCE, self.claim_due(&mut calls)).await;
            let sleep = match looked.unwrap_or_else(|_| Err(StoreError::no_answer())) {
                Ok(next) => self.until(next),
                Err(error) => {
                    tracing::warn!(%error, "the dispatcher waits for the database");
                    DATABASE_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = woken => {}
                () = tokio::time::sleep(sleep) => {}
                Some(done) = calls.join_next() => log_panic(done),
            }
        }
        let rest = async {
            while let Some(done) = calls.join_next().await {
                log_panic(done);
            }
        };
        tokio::pin!(rest);
        if tokio::time::timeout(STOP_PATIENCE, &mut rest)
            .await
            .is_err()
        {
            self.give_up.cancel();
            rest.await;
        }
    }

    /// Does everything that is due now, and waits until it is done: for tests, which hand time in.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn run_pending(&self) -> Result<(), StoreError> {
        loop {
            let mut calls = JoinSet::new();
            self.claim_due(&mut calls).await?;
            if calls.is_empty() {
                return Ok(());
            }
            while let Some(done) = calls.join_next().await {
                log_panic(done);
            }
        }
    }

    /// Claims what is due and starts a call for each claim. Tells when something is due next.
    async fn claim_due(
        &self,
        calls: &mut JoinSet<()>,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        loop {
            let sends = self.claim_sends(calls).await?;
            let polls = self.claim_polls(calls).await?;
            if sends + polls == 0 || calls.len() >= CALLS {
                return self.store.next_due().await;
            }
        }
    }

    fn until(&self, next: Option<OffsetDateTime>) -> Duration {
        next.map_or(LONGEST_SLEEP, |at| {
            Duration::try_from(at - self.clock.now()).unwrap_or_default()
        })
        .clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
    }

    /// Records an outcome, again and again while the database is away: it is all that is known of a call that cannot
    /// be taken back. `false`: the claim was not ours any more.
    async fn record<F>(&self, what: &'static str, attempt: impl Fn() -> F) -> bool
    where
        F: Future<Output = Result<bool, StoreError>>,
    {
        loop {
            let recorded = tokio::time::timeout(RECORD_PATIENCE, attempt()).await;
            match recorded.unwrap_or_else(|_| Err(StoreError::no_answer())) {
                Ok(ours) => return ours,
                Err(error) if self.give_up.is_cancelled() => {
                    tracing::error!(%error, what, "stopped before an outcome could be recorded");
                    return false;
                }
                Err(error) => {
                    tracing::warn!(%error, what, "an outcome could not be recorded yet");
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(200)) => {}
                        () = self.give_up.cancelled() => {}
                    }
                }
            }
        }
    }
}

fn log_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done {
        tracing::error!(%error, "a call to CloudFront ended unexpectedly; its lease runs out, and it is tried again");
    }
}
