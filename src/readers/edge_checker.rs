//! Checks a publish's pages where readers get them, and notes what it finds.

use std::time::Duration;

use reqwest::header;
use time::OffsetDateTime;
use tokio::task::JoinSet;

use super::public_client::{Bounds, PublicClient};
use super::runner::Worker;
use crate::clock::Clock;
use crate::domain::NoAnswer;
use crate::domain::edge::{EdgeAnswer, EdgeCheck, EdgeState, look_again};
use crate::metrics::Metrics;
use crate::store::{EdgeClaim, Store, StoreError};

/// How much of a page is read: reading the beginning of a longer one has warmed it, or a reader
/// will.
const BOUNDS: Bounds = Bounds {
    within: Duration::from_secs(5),
    read: 1 << 20,
    kept: 0,
};
const USER_AGENT: &str = concat!("skycms-cdn/", env!("CARGO_PKG_VERSION"), " (edge check)");
/// The pause between two requests to a site: five a second.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(200);

/// Checks pages, of one publish of a site at a time.
#[derive(Clone)]
pub struct EdgeChecker {
    pub store: Store,
    pub public_client: PublicClient,
    pub clock: Clock,
    pub metrics: Metrics,
}

impl Worker for EdgeChecker {
    type Claim = EdgeClaim;
    const TROUBLE: &str = "could not check pages yet";

    async fn claim(&self, most: usize) -> Result<Vec<EdgeClaim>, StoreError> {
        let (token, now) = (self.clock.id(), self.clock.now());
        self.store.claim_edge(most, token, now).await
    }

    async fn work(self, claim: EdgeClaim) {
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
            Err(error) => tracing::warn!(%error, "could not store what was found at the edge"),
        }
    }
}

impl EdgeChecker {
    /// Fetches what is stale or has not been fetched yet. Requests begin one after the other but do
    /// not wait for each other to end, so that a slow page does not hold up the next.
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
            let (client, clock) = (self.public_client.clone(), self.clock.clone());
            let path = path.to_owned();
            tasks.spawn(async move {
                let answer = fetch_page(&client, &url).await;
                // Its age is as of now, and not of when the slowest page has come.
                (index, path, answer, clock.now())
            });
        }
        for (index, path, answer, at) in tasks.join_all().await {
            let check = publish.judge(&path, answer.as_ref(), at);
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
            tracing::info!(site = %claim.site, publish = %claim.id, worst, "checked the edge");
        }
    }
}

/// Fetches one page as a reader would, and gives what the answer says about where it came from. The
/// page is read, so that the copy at the edge is warm for the next reader.
pub async fn fetch_page(client: &PublicClient, url: &str) -> Result<EdgeAnswer, NoAnswer> {
    let request = client
        .get(url)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "text/html,*/*")
        // As browsers do, since CloudFront keeps a copy for each encoding.
        .header(header::ACCEPT_ENCODING, "gzip, br");
    let answer = client.call(request, BOUNDS).await?;
    Ok(EdgeAnswer::read(answer.status, |name| {
        answer.headers.get(name)?.to_str().ok()
    }))
}
