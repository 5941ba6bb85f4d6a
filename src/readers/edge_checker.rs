//! Looks at a publish's pages where readers get them, and notes what it finds.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header;
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::outside::{Bounds, Outside};
use crate::clock::Clock;
use crate::domain::NoAnswer;
use crate::domain::edge::{EdgeAnswer, EdgeCheck, EdgeState, look_again};
use crate::metrics::Metrics;
use crate::store::{EdgeClaim, Store, StoreError};

/// How far one page is read: what is longer has been warmed by its beginning, or will be by a reader.
const BOUNDS: Bounds = Bounds {
    within: Duration::from_secs(5),
    read: 1 << 20,
    kept: 0,
};
const USER_AGENT: &str = concat!("skycms-cdn/", env!("CARGO_PKG_VERSION"), " (edge check)");
/// From one look for due work to the next.
const TICK: Duration = Duration::from_secs(1);
/// Publishes that are looked at at once, one per site: those whose edge hangs for all of its pages
/// take some seconds each, and others must not wait for them.
const AT_ONCE: usize = 128;
/// From one request to a site to the next: five a second.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(200);

/// Looks at pages. Clones share the places.
#[derive(Clone)]
pub struct EdgeChecker {
    store: Store,
    outside: Outside,
    clock: Clock,
    metrics: Metrics,
    places: Arc<Semaphore>,
}

impl EdgeChecker {
    /// One that has not begun.
    pub fn new(store: Store, outside: Outside, clock: Clock, metrics: Metrics) -> Self {
        Self {
            store,
            outside,
            clock,
            metrics,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Looks for what is due now and then until `stop`, and gives up what is under way: its lease
    /// runs out, and to fetch a page again harms nothing.
    pub async fn run(self, stop: CancellationToken) {
        let working = async {
            let mut tasks = JoinSet::new();
            loop {
                while tasks.try_join_next().is_some() {}
                if let Err(error) = self.begin_due(&mut tasks).await {
                    tracing::warn!(%error, "pages cannot be looked at yet");
                }
                tokio::time::sleep(TICK).await;
            }
        };
        stop.run_until_cancelled(working).await;
    }

    /// Looks at all that is due now, and waits for it: what a test steps through.
    pub async fn check_due(&self) -> Result<(), StoreError> {
        loop {
            let mut tasks = JoinSet::new();
            if self.begin_due(&mut tasks).await? == 0 {
                return Ok(());
            }
            tasks.join_all().await;
        }
    }

    async fn begin_due(&self, tasks: &mut JoinSet<()>) -> Result<usize, StoreError> {
        let free = self.places.available_permits();
        if free == 0 {
            return Ok(0);
        }
        let (token, now) = (self.clock.id(), self.clock.now());
        let claims = self.store.claim_edge(free, token, now).await?;
        let begun = claims.len();
        for claim in claims {
            let (checker, places) = (self.clone(), Arc::clone(&self.places));
            tasks.spawn(async move {
                let _place = places.acquire_owned().await;
                checker.check(claim).await;
            });
        }
        Ok(begun)
    }

    async fn check(&self, claim: EdgeClaim) {
        let checks = self.look(&claim).await;
        let now = self.clock.now();
        let is_stale = checks.iter().any(|check| check.state == EdgeState::Stale);
        let again = look_again(claim.attempt).filter(|_| is_stale);
        let recorded = self
            .store
            .record_edge(&claim, &checks, again.map(|pause| now + pause), now)
            .await;
        match recorded {
            Ok(true) => self.count(&claim, &checks, again.is_none(), now),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "what was found at the edge is not stored"),
        }
    }

    /// Fetches what has not been found fresh. Requests begin one after the other and do not wait
    /// for each other's ends, so that a slow page does not hold up the next.
    async fn look(&self, claim: &EdgeClaim) -> Vec<EdgeCheck> {
        let publish = &claim.publish;
        let mut tasks = JoinSet::new();
        let mut checks: Vec<(usize, EdgeCheck)> = Vec::new();
        for (index, path) in publish.pages().enumerate() {
            let url = publish.address.url(path);
            let before = claim.checks.iter().find(|check| check.url == url);
            if let Some(check) = before.filter(|check| check.state != EdgeState::Stale) {
                checks.push((index, check.clone()));
                continue;
            }
            if !tasks.is_empty() {
                tokio::time::sleep(BETWEEN_REQUESTS).await;
            }
            let (outside, path) = (self.outside.clone(), path.to_owned());
            tasks.spawn(async move {
                let answer = fetch_page(&outside, &url).await;
                (index, path, answer)
            });
        }
        for (index, path, answer) in tasks.join_all().await {
            let check = publish.judge(&path, answer.as_ref(), self.clock.now());
            checks.push((index, check));
        }
        checks.sort_unstable_by_key(|(index, _)| *index);
        checks.into_iter().map(|(_, check)| check).collect()
    }

    fn count(&self, claim: &EdgeClaim, checks: &[EdgeCheck], is_last: bool, now: OffsetDateTime) {
        for check in checks
            .iter()
            .filter(|check| check.checked_at >= claim.claimed_at)
        {
            self.metrics.edge_checked(check.state);
        }
        let worst = checks.iter().map(|check| check.state).max();
        if worst == Some(EdgeState::Fresh) {
            self.metrics.seen_fresh(now - claim.publish.received_at);
        }
        if is_last {
            let worst = worst.map(|state| state.into_str());
            tracing::info!(site = %claim.site, publish = %claim.id, worst, "looked at the edge");
        }
    }
}

/// Fetches one page as a reader would, and gives what the answer says about where it came from. The
/// page is read, so that the copy at the edge is warm for the next reader.
pub async fn fetch_page(outside: &Outside, url: &str) -> Result<EdgeAnswer, NoAnswer> {
    let request = outside
        .get(url)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "text/html,*/*")
        // As browsers ask, since CloudFront keeps a copy for each encoding.
        .header(header::ACCEPT_ENCODING, "gzip, br");
    let answer = outside.call(request, BOUNDS).await?;
    Ok(EdgeAnswer::read(answer.status, |name| {
        answer.headers.get(name)?.to_str().ok()
    }))
}
