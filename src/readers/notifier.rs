//! Sends what is in the outbox: one message at a time to each endpoint, so that a dead one holds up
//! no other.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::outside::{Answer, Bounds, Outside};
use crate::clock::Clock;
use crate::domain::NoAnswer;
use crate::domain::notification::{
    EndpointAfter, Next, Reply, SIGNED_HEADERS, Tried, after_delivery, sign,
};
use crate::metrics::Metrics;
use crate::store::{DeliveryClaim, Store, StoreError};

/// From one look for due messages to the next, and so from one message to an endpoint to the next.
const TICK: Duration = Duration::from_secs(1);
/// Endpoints that are called at once: those that hang must leave places to the others.
const AT_ONCE: usize = 128;
/// How far an attempt may go. What is kept of the answer is for the page of deliveries.
const BOUNDS: Bounds = Bounds {
    within: Duration::from_secs(10),
    read: 64 << 10,
    kept: 1 << 10,
};
const USER_AGENT: &str = concat!("skycms-cdn/", env!("CARGO_PKG_VERSION"), " (notifications)");

/// Sends notifications. Clones share the places.
#[derive(Clone)]
pub struct Notifier {
    store: Store,
    outside: Outside,
    clock: Clock,
    metrics: Metrics,
    base: Arc<str>,
    places: Arc<Semaphore>,
}

impl Notifier {
    /// One that has not begun. Links in messages lead to `base`.
    pub fn new(store: Store, outside: Outside, clock: Clock, metrics: Metrics, base: &str) -> Self {
        Self {
            store,
            outside,
            clock,
            metrics,
            base: base.into(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Looks for what is due now and then until `stop`, and gives up what is under way: its lease
    /// runs out, and it is sent again under the same `webhook-id`.
    pub async fn run(self, stop: CancellationToken) {
        let working = async {
            let mut tasks = JoinSet::new();
            loop {
                while tasks.try_join_next().is_some() {}
                if let Err(error) = self.begin_due(&mut tasks).await {
                    tracing::warn!(%error, "notifications cannot be sent yet");
                }
                tokio::time::sleep(TICK).await;
            }
        };
        stop.run_until_cancelled(working).await;
    }

    /// Sends all that is due now, and waits for it: what a test steps through.
    pub async fn notify_due(&self) -> Result<(), StoreError> {
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
        let claims = self
            .store
            .claim_deliveries(free, &self.base, token, now)
            .await?;
        let begun = claims.len();
        for claim in claims {
            let (notifier, places) = (self.clone(), Arc::clone(&self.places));
            tasks.spawn(async move {
                let _place = places.acquire_owned().await;
                notifier.deliver(claim).await;
            });
        }
        Ok(begun)
    }

    async fn deliver(&self, claim: DeliveryClaim) {
        let began = self.clock.now();
        let answer = self.post(&claim).await;
        let now = self.clock.now();
        let after = after_delivery(claim.attempt, claim.health, &answer, now);
        let tried = Tried::new(&answer, began, now);
        match self
            .store
            .record_delivery(&claim, &tried, &after, now)
            .await
        {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "how a notification ended is not stored");
                return;
            }
        }
        self.metrics.delivery(match after.next {
            Next::Delivered => "delivered",
            Next::Again(_) => "failed",
            Next::GivenUp => "given_up",
        });
        if after.endpoint == EndpointAfter::SwitchedOff {
            self.metrics.endpoint_switched_off();
            tracing::warn!(
                site = %claim.site,
                endpoint = %claim.endpoint,
                status = tried.status,
                trouble = tried.trouble,
                "switched off an endpoint of notifications"
            );
        }
    }

    async fn post(&self, claim: &DeliveryClaim) -> Result<Reply, NoAnswer> {
        let mut request = self
            .outside
            .post(claim.url.expose())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(secret) = &claim.secret {
            let values = sign(secret, &claim.webhook_id(), &claim.body, self.clock.now());
            for (name, value) in SIGNED_HEADERS.into_iter().zip(values) {
                request = request.header(name, value);
            }
        }
        let request = request.body(claim.body.clone());
        let answer = self.outside.call(request, BOUNDS).await?;
        Ok(reply(&answer))
    }
}

fn reply(answer: &Answer) -> Reply {
    // PostgreSQL stores no NUL.
    let body = String::from_utf8_lossy(&answer.body).replace('\0', "\u{fffd}");
    Reply {
        status: answer.status,
        retry_after: retry_after(&answer.headers),
        body,
    }
}

/// Seconds alone: the other form, a date, would need the two clocks to agree.
fn retry_after(headers: &HeaderMap) -> Option<time::Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.trim().parse::<u32>().ok()?;
    Some(time::Duration::seconds(seconds.into()))
}
