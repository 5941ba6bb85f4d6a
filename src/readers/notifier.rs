//! Sends what is in the outbox: one message at a time to each endpoint, so that a dead one holds up
//! no other.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{self, HeaderMap};

use super::public_client::{Bounds, PublicClient};
use super::runner::Worker;
use crate::clock::Clock;
use crate::domain::NoAnswer;
use crate::domain::notification::{
    EndpointAfter, Reply, SIGNED_HEADERS, Tried, after_delivery, sign,
};
use crate::metrics::Metrics;
use crate::store::{DeliveryClaim, Store, StoreError};

/// How far an attempt may go. What is kept of the answer is for the page of deliveries.
const BOUNDS: Bounds = Bounds {
    within: Duration::from_secs(10),
    read: 64 << 10,
    kept: 1 << 10,
};
/// An attempt takes this long only where the machine slept meanwhile.
const ASLEEP: time::Duration = time::Duration::MINUTE;
const USER_AGENT: &str = concat!("skycms-cdn/", env!("CARGO_PKG_VERSION"), " (notifications)");

#[derive(Clone)]
pub struct Notifier {
    pub store: Store,
    pub public_client: PublicClient,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Where links in messages lead.
    pub base: Arc<str>,
}

impl Worker for Notifier {
    type Claim = DeliveryClaim;
    const TROUBLE: &str = "could not send notifications yet";

    async fn claim(&self, most: usize) -> Result<Vec<DeliveryClaim>, StoreError> {
        let (token, now) = (self.clock.id(), self.clock.now());
        self.store
            .claim_deliveries(most, &self.base, token, now)
            .await
    }

    async fn work(self, claim: DeliveryClaim) {
        let began = self.clock.now();
        let answer = self.post(&claim).await;
        let now = self.clock.now();
        let health = if now - began > ASLEEP {
            claim.health.after_sleep(now)
        } else {
            claim.health
        };
        let after = after_delivery(claim.attempt, health, &answer, now);
        let tried = Tried::new(&answer, began, now);
        match self
            .store
            .record_delivery(&claim, &tried, &after, now)
            .await
        {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "could not store the outcome of a notification");
                return;
            }
        }
        self.metrics.delivery(after.next);
        if after.endpoint == EndpointAfter::SwitchedOff {
            self.metrics.endpoint_switched_off();
            tracing::warn!(
                site = %claim.site,
                endpoint = %claim.endpoint,
                status = tried.status,
                trouble = tried.trouble,
                "switched off a notification endpoint"
            );
        }
    }
}

impl Notifier {
    async fn post(&self, claim: &DeliveryClaim) -> Result<Reply, NoAnswer> {
        let mut request = self
            .public_client
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
        let answer = self.public_client.call(request, BOUNDS).await?;
        Ok(Reply {
            status: answer.status,
            retry_after: retry_after(&answer.headers),
            // PostgreSQL stores no NUL.
            body: String::from_utf8_lossy(&answer.body).replace('\0', "\u{fffd}"),
        })
    }
}

/// Only seconds: the other form, a date, would need the two clocks to agree.
fn retry_after(headers: &HeaderMap) -> Option<time::Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.trim().parse::<u32>().ok()?;
    Some(time::Duration::seconds(seconds.into()))
}
