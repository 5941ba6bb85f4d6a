//! Wake or tick → claim → one call to CloudFront → one recorded transition. Being woken and looking
//! around share this path, on every replica; what keeps replicas apart is in the database.

mod choose;
mod look;
mod plan;
mod poll;
mod queues;
mod send;
mod wake;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::cloudfront::CloudFront;
use crate::domain::Limits;
use crate::metrics::Metrics;
use crate::store::{Covered, Due, Publishes, SiteId, Store, StoreError, within};

use self::choose::Calls;
use self::queues::Queues;
use self::wake::News;
pub use self::wake::Wake;

/// The longest the dispatcher goes without looking at everything: the most that a lost notification
/// costs.
const MAX_SLEEP: Duration = Duration::from_secs(5);
/// The shortest it sleeps after it found nothing, so that it does not spin on rows it may not touch
/// yet.
const MIN_SLEEP: Duration = Duration::from_millis(20);
/// The pause after the database did not answer.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);
/// How long the database may take to answer before its connection is presumed dead: to look at all
/// that is due or to claim a call, and to record one outcome. A server that has frozen, or has
/// dropped off the network, closes no connection.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);
const RECORD_RETRY: Duration = Duration::from_millis(200);
/// The memory that calls of `CreateInvalidation` under way may take, in KiB: for 256 small ones and
/// one of any size. A small one that waits for its answer is an idle socket, and where an endpoint
/// hangs, hundreds may.
const SENDS: usize = 100 << 10;
/// Calls of `GetInvalidation` under way at once, of each sort.
const POLLS: usize = 64;
/// Calls being claimed at once. A claim may read and plan thousands of publishes: other sites must
/// not wait for it, and it must not take all connections.
const CLAIMS: usize = 4;
/// How long a site that may not send is left alone, whatever it publishes: a storm at a site that
/// waits for room must not cause as many looks.
const QUIET: Duration = Duration::from_millis(250);
/// How many times as long one is left alone whose settings cannot be read: after a key was lost, all
/// of hundreds of sites may be.
const UNREAD: u32 = 20;
/// How long a site's turn lasts at least, if it has a call. CloudFront takes longer to answer;
/// behind what answers at once, publishes gather into fewer calls.
const MIN_TURN: Duration = Duration::from_millis(20);
/// The longest that a site waits for the looks at others with which it shares something.
const MAX_LOOK_WAIT: Duration = Duration::from_secs(1);
/// How often to make sure that no clock has put something far into the future.
const HEAL_EVERY: time::Duration = time::Duration::MINUTE;
/// How long calls may go on after a stop was asked for.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);

/// Sends what was published and follows it to its end.
#[derive(Clone)]
pub struct Dispatcher {
    store: Store,
    cloudfront: CloudFront,
    clock: Clock,
    limits: Limits,
    wake: Wake,
    metrics: Metrics,
    /// A permit for each KiB that calls of `CreateInvalidation` under way take.
    sends: Arc<Semaphore>,
    /// A permit for each call of `GetInvalidation` under way, where the last question was answered,
    /// or there was none.
    polls: Arc<Semaphore>,
    /// The same where it was not: such a call may hang, and is not to keep others waiting.
    doubtful_polls: Arc<Semaphore>,
    /// How long a site that may not send is left alone.
    quiet: Duration,
    /// How long a turn with a call lasts at least.
    min_turn: Duration,
    clock_watch: Arc<Mutex<ClockWatch>>,
    /// The calls that each site has had, by which it takes turns with others, and its candidates
    /// with each other.
    calls: Calls,
    /// Where sites wait for the looks at those with which they share something.
    queues: Queues,
    /// A permit for each call that is being claimed. Closed when no new call is to begin.
    claims: Arc<Semaphore>,
    /// Cancelled when calls in progress must be abandoned.
    give_up: CancellationToken,
}

impl Dispatcher {
    pub fn new(
        store: Store,
        cloudfront: CloudFront,
        clock: Clock,
        limits: Limits,
        wake: Wake,
        metrics: Metrics,
    ) -> Self {
        Self {
            store,
            cloudfront,
            clock,
            limits,
            wake,
            metrics,
            sends: Arc::new(Semaphore::new(SENDS)),
            polls: Arc::new(Semaphore::new(POLLS)),
            doubtful_polls: Arc::new(Semaphore::new(POLLS)),
            quiet: Duration::ZERO,
            min_turn: Duration::ZERO,
            clock_watch: Arc::default(),
            calls: Calls::default(),
            queues: Queues::new(MAX_LOOK_WAIT),
            claims: Arc::new(Semaphore::new(CLAIMS)),
            give_up: CancellationToken::new(),
        }
    }

    /// Works until `stop`, then lets calls under way finish for some seconds. Trouble with the
    /// database or CloudFront never ends it.
    pub async fn run(mut self, stop: CancellationToken) {
        self.quiet = QUIET;
        self.min_turn = MIN_TURN;
        let mut tasks = JoinSet::new();
        let mut alarm = Alarm::far();
        let mut news = News::anything();
        // Whether something may be due at a moment that the alarm does not know of.
        let mut later = false;
        while !stop.is_cancelled() {
            // Even when there is always something to look at, ended tasks must not pile up.
            while let Some(ended) = tasks.try_join_next() {
                later |= settle(ended) == Ended::Later;
            }
            // Armed before looking, so that what comes meanwhile is not missed.
            let woken = self.wake.notified();
            let is_later = std::mem::take(&mut later);
            let look = async {
                for site in news.published {
                    self.start_send(site, None, &mut tasks);
                }
                if news.anything {
                    alarm = Alarm::far();
                    let due = self.start_due(&mut tasks).await?;
                    alarm.at_latest_in(self.until(due.next));
                } else if is_later {
                    let due = self.due().await?;
                    alarm.at_latest_in(match due.is_now() {
                        true => MIN_SLEEP,
                        false => self.until(due.next),
                    });
                }
                Ok(())
            };
            if let Err(error) = within(LOOK_TIMEOUT, look).await {
                tracing::warn!(%error, "the dispatcher waits for the database");
                alarm = Alarm::far();
                alarm.at_latest_in(DATABASE_PAUSE);
            }
            news = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = &mut alarm.0 => News::anything(),
                () = woken => self.wake.take(),
                Some(ended) = tasks.join_next() => {
                    later = settle(ended) == Ended::Later;
                    News::default()
                }
            };
        }
        self.claims.close();
        let rest = async {
            while let Some(ended) = tasks.join_next().await {
                settle(ended);
            }
        };
        tokio::pin!(rest);
        if tokio::time::timeout(STOP_TIMEOUT, &mut rest).await.is_err() {
            self.give_up.cancel();
            rest.await;
        }
    }

    /// Does what is due now, asking as many questions as there are places for, and waits until it
    /// is done. For tests, which set the time.
    pub async fn run_pending(&self) -> Result<(), StoreError> {
        loop {
            let mut tasks = JoinSet::new();
            self.start_due(&mut tasks).await?;
            let mut called = false;
            while let Some(ended) = tasks.join_next().await {
                called |= settle(ended) == Ended::Called;
            }
            if !called {
                return Ok(());
            }
        }
    }

    /// Starts a task for each site that has something to send, and for each invalidation that is to
    /// be asked about.
    async fn start_due(&self, tasks: &mut JoinSet<Ended>) -> Result<Due, StoreError> {
        self.heal_clock().await?;
        let mut due = self.due().await?;
        self.queues.tidy();
        for ((site, distribution), rate_key) in self.in_turn(&due) {
            let place = self.queues.place([distribution, rate_key]);
            self.start_send(site, Some(place), tasks);
        }
        if due.questions > 0 && self.start_polls(tasks).await? < due.questions {
            // Somebody is changing some of them, and may leave them as they were.
            due.next = Some(self.clock.now());
        }
        Ok(due)
    }

    /// What is due. Sites that are being served are looked at again when their turn ends; and
    /// everything is, when one of the questions that take all the places has ended.
    async fn due(&self) -> Result<Due, StoreError> {
        let served = self.wake.served();
        self.store
            .due(&served, self.places(), self.clock.now())
            .await
    }

    /// The sites that are due, first those whose last call is the longest ago, with their
    /// distributions and the rates that they go by.
    fn in_turn<'a>(&self, due: &'a Due) -> Vec<((SiteId, &'a str), &'a str)> {
        let distributions = due.distributions.iter().map(String::as_str);
        let rate_keys = due.rate_keys.iter().map(String::as_str);
        let sites = due.sites.iter().copied();
        let mut sites: Vec<_> = sites.zip(distributions).zip(rate_keys).collect();
        sites.sort_by_cached_key(|((site, _), _)| self.calls.last(*site));
        sites
    }

    /// A clock that was set back must not put off what was due by the old one.
    async fn heal_clock(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let is_due = self.clock_watch.lock().is_due(now);
        if is_due {
            self.store.heal_clock(now).await?;
            self.clock_watch.lock().healed_at = Some(now);
        }
        Ok(())
    }

    fn until(&self, next: Option<OffsetDateTime>) -> Duration {
        next.map_or(MAX_SLEEP, |at| {
            Duration::try_from(at - self.clock.now()).unwrap_or_default()
        })
        .clamp(MIN_SLEEP, MAX_SLEEP)
    }

    /// Records an outcome, trying again while the database is away: it is all that is known of a
    /// call that cannot be taken back. `None` if the service had to stop first.
    async fn record<F, T>(&self, what: &'static str, attempt: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        loop {
            match within(RECORD_TIMEOUT, attempt()).await {
                Ok(recorded) => return Some(recorded),
                Err(error) if self.give_up.is_cancelled() => {
                    tracing::error!(%error, what, "stopped before an outcome could be recorded");
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, what, "could not record an outcome yet; retrying");
                    tokio::select! {
                        () = tokio::time::sleep(RECORD_RETRY) => {}
                        () = self.give_up.cancelled() => {}
                    }
                }
            }
        }
    }

    /// What an invalidation covers, for logs and metrics: what was recorded of it stands, whether
    /// or not this can be read.
    async fn covered(&self, site: SiteId, invalidation: Uuid, publishes: Publishes) -> Covered {
        let covered = self.store.covered(invalidation, publishes);
        match within(RECORD_TIMEOUT, covered).await {
            Ok(Some(covered)) => covered,
            Ok(None) | Err(_) => Covered::unknown(site),
        }
    }
}

/// Notices when the clock was set back.
#[derive(Debug, Default)]
struct ClockWatch {
    seen_at: Option<OffsetDateTime>,
    /// When clocks were last healed; `None` if that is due.
    healed_at: Option<OffsetDateTime>,
}

impl ClockWatch {
    /// Whether to make sure that nothing is far in the future: after the clock was set back, and
    /// now and then, since another replica's may have been.
    fn is_due(&mut self, now: OffsetDateTime) -> bool {
        if self.seen_at.is_some_and(|seen| now < seen) {
            self.healed_at = None;
        }
        self.seen_at = Some(now);
        self.healed_at.is_none_or(|at| now - at >= HEAL_EVERY)
    }
}

/// When to look at everything again.
struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    fn far() -> Self {
        Self(Box::pin(tokio::time::sleep(MAX_SLEEP)))
    }

    /// Makes it ring earlier, never later.
    fn at_latest_in(&mut self, sleep: Duration) {
        let earlier = tokio::time::sleep(sleep);
        if earlier.deadline() < self.0.deadline() {
            self.0.set(earlier);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// CloudFront was called, and the dispatcher woken for what that may have changed.
    Called,
    /// It was not, or said nothing new: the database knows when something is due next.
    Later,
}

fn settle(ended: Result<Ended, JoinError>) -> Ended {
    ended.unwrap_or_else(|error| {
        tracing::error!(%error, "a call to CloudFront ended unexpectedly; its lease will expire, and it will be tried again");
        Ended::Later
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn clocks_are_healed_until_it_succeeds_and_again_when_one_is_set_back() {
        let now = datetime!(2026-11-23 12:00 UTC);
        let mut watch = ClockWatch::default();
        assert!(watch.is_due(now));
        assert!(watch.is_due(now), "it has failed");
        watch.healed_at = Some(now);
        assert!(!watch.is_due(now));
        assert!(watch.is_due(now - time::Duration::SECOND));
        assert!(watch.is_due(now), "it has failed");
    }
}
