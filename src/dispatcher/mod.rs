//! Wake or tick → claim → one call to CloudFront → one recorded transition. Signal and scan share this one path, on
//! every replica; what keeps replicas apart is in the database.

mod observe;
mod poll;
mod send;
mod wake;

use std::pin::Pin;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::domain::Limits;
use crate::metrics::Metrics;
use crate::store::{SendClaim, SiteId, Store, StoreError};

use self::wake::News;
pub use self::wake::Wake;

/// The longest the dispatcher goes without looking at everything: what a lost notification costs at most.
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
        let mut alarm = Alarm::far();
        let mut news = Some(News::Anything);
        while !stop.is_cancelled() {
            // Even when there is always something to look at, calls that ended must not count as under way.
            while let Some(done) = calls.try_join_next() {
                log_panic(done);
            }
            // Armed before looking, so that what comes meanwhile is not missed.
            let woken = self.wake.news_come();
            let look = async {
                match news {
                    Some(News::Anything) => self.look(&mut alarm, &mut calls).await,
                    Some(News::Published(sites)) => {
                        self.look_at(sites, &mut alarm, &mut calls).await
                    }
                    None => Ok(()),
                }
            };
            let looked = tokio::time::timeout(LOOK_PATIENCE, look).await;
            if let Err(error) = looked.unwrap_or_else(|_| Err(StoreError::no_answer())) {
                tracing::warn!(%error, "the dispatcher waits for the database");
                self.wake.nobody_waits();
                alarm = Alarm::far();
                alarm.at_latest_in(DATABASE_PAUSE);
            }
            news = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = &mut alarm.0 => Some(News::Anything),
                () = woken => self.wake.take(),
                Some(done) = calls.join_next() => {
                    log_panic(done);
                    None
                }
            };
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

    /// Looks at everything, and starts a call for whatever is due.
    async fn look(&self, alarm: &mut Alarm, calls: &mut JoinSet<()>) -> Result<(), StoreError> {
        self.wake.nobody_waits();
        *alarm = Alarm::far();
        let next = self.claim_due(calls).await?;
        alarm.at_latest_in(self.until(next));
        Ok(())
    }

    /// Looks at sites where something was published.
    async fn look_at(
        &self,
        sites: impl IntoIterator<Item = SiteId>,
        alarm: &mut Alarm,
        calls: &mut JoinSet<()>,
    ) -> Result<(), StoreError> {
        let mut waits = false;
        for site in sites {
            if calls.len() >= CALLS {
                break;
            }
            match self.claim_send(site).await? {
                Turn::Nothing => {}
                Turn::Claimed(claim) => {
                    // The end of the call is followed by a look at everything.
                    self.wake.site_waits(site);
                    self.start_send(*claim, calls);
                }
                Turn::Waits => {
                    self.wake.site_waits(site);
                    waits = true;
                }
            }
        }
        if waits {
            alarm.at_latest_in(self.until(self.store.next_due().await?));
        }
        Ok(())
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

/// When everything is to be looked at again.
struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// After the longest sleep.
    fn far() -> Self {
        Self(Box::pin(tokio::time::sleep(LONGEST_SLEEP)))
    }

    /// Moves it forward; never back, however often it is asked.
    fn at_latest_in(&mut self, sleep: Duration) {
        let earlier = tokio::time::sleep(sleep);
        if earlier.deadline() < self.0.deadline() {
            self.0.set(earlier);
        }
    }
}

/// What came of looking whether a site may send.
enum Turn {
    /// A call is claimed.
    Claimed(Box<SendClaim>),
    /// It has nothing to send.
    Nothing,
    /// It may not send now.
    Waits,
}

impl Turn {
    fn claimed(claim: SendClaim) -> Self {
        Self::Claimed(Box::new(claim))
    }
}

fn log_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done {
        tracing::error!(%error, "a call to CloudFront ended unexpectedly; its lease runs out, and it is tried again");
    }
}
