//! What operators watch: what this replica did, in OpenMetrics text.
//!
//! Each replica counts what it did itself; how things stand is read for the whole service when the
//! metrics are asked for.

mod standing;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};
use strum::{VariantArray as _, VariantNames as _};
use time::Duration;

use crate::domain::edge::EdgeState;
use crate::domain::notification::Next;
use crate::domain::{CreateOutcome, GetOutcome, InvalidationStatus, Operation};
use crate::store::Standing;

/// What [`Metrics::encode`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "skycms_cdn";

/// A commit takes a millisecond or so; a database that is away makes the hook wait for seconds.
const ACCEPT_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// One call of CloudFront when nothing waits; minutes behind a quota; hours while settings are
/// rejected.
const SUBMIT_BUCKETS: [f64; 14] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0,
];
/// CloudFront takes from some seconds to a quarter of an hour.
const COMPLETE_BUCKETS: [f64; 12] = [
    1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0,
];

/// The statuses that the API refuses with. Others appear once they are counted.
const REFUSALS: [u16; 12] = [400, 401, 404, 408, 409, 413, 415, 422, 429, 500, 503, 504];

/// The kinds of proof that may be refused.
const PROOFS: [&str; 9] = [
    "none",
    "token",
    "foreign_token",
    "signature",
    "signature_headers",
    "key_pair",
    "metrics_token",
    "set_up_link",
    "skycms_token",
];

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Counters and histograms. Clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    publishes: Counter,
    accept: Histogram,
    refusals: Family<[(&'static str, u16); 1], Counter>,
    unproved: Family<Labels<1>, Counter>,
    invalidations: Family<Labels<1>, Counter>,
    submit: Histogram,
    complete: Histogram,
    requests: Family<Labels<2>, Counter>,
    billed: Counter,
    edge: Family<Labels<1>, Counter>,
    fresh: Histogram,
    deliveries: Family<Labels<1>, Counter>,
    switched_off: Counter,
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let to = &mut registry;
        let mut inner = Inner {
            publishes: counter(to, "publishes", "Publishes accepted, without repeats"),
            accept: histogram(
                to,
                "publish_accept",
                "From a publish's arrival to its being durable",
                ACCEPT_BUCKETS,
            ),
            refusals: counter(
                to,
                "api_refusals",
                "Calls of the API that were refused, by HTTP status",
            ),
            unproved: counter(
                to,
                "refused_proofs",
                "Tokens, signatures and links that were refused, by kind",
            ),
            invalidations: counter(to, "invalidations", "Invalidations that came to a status"),
            submit: histogram(
                to,
                "invalidation_submit",
                "From a publish's arrival until CloudFront had accepted all of it",
                SUBMIT_BUCKETS,
            ),
            complete: histogram(
                to,
                "invalidation_complete",
                "From CloudFront's accepting an invalidation until it said Completed",
                COMPLETE_BUCKETS,
            ),
            requests: counter(
                to,
                "cloudfront_requests",
                "Calls to CloudFront, by what they came to",
            ),
            billed: counter(
                to,
                "billed_paths",
                "Paths and tags that CloudFront accepted, which AWS bills beyond each month's free ones",
            ),
            edge: counter(
                to,
                "edge_checks",
                "Pages that were fetched after a purge, by what readers get",
            ),
            fresh: histogram(
                to,
                "publish_fresh",
                "From a publish's arrival until its pages were seen to be fresh",
                COMPLETE_BUCKETS,
            ),
            deliveries: counter(
                to,
                "notification_deliveries",
                "Attempts to deliver a notification, by what they came to",
            ),
            switched_off: counter(
                to,
                "notification_endpoints_switched_off",
                "Endpoints that were switched off, having failed for a day",
            ),
            registry,
        };
        inner.registry.register(
            "build",
            "The version of the service that runs here",
            Info::new([("version", crate::VERSION)]),
        );
        inner.begin_at_zero();
        Self(Arc::new(inner))
    }
}

/// The encoder adds `_total` to counters, the unit's name, and a full stop to each help text.
fn counter<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn histogram<const N: usize>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    buckets: [f64; N],
) -> Histogram {
    let metric = Histogram::new(buckets);
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

impl Inner {
    /// Makes every series exist at zero, so that its first event is seen as an increase.
    fn begin_at_zero(&self) {
        for status in InvalidationStatus::VARIANTS {
            if *status != InvalidationStatus::Queued.into_str() {
                let _ = self.invalidations.get_or_create(&[("status", *status)]);
            }
        }
        for state in EdgeState::VARIANTS {
            let _ = self.edge.get_or_create(&[("state", state.into_str())]);
        }
        for outcome in Next::VARIANTS {
            let _ = self.deliveries.get_or_create(&[("outcome", *outcome)]);
        }
        for status in REFUSALS {
            let _ = self.refusals.get_or_create(&[("status", status)]);
        }
        for proof in PROOFS {
            let _ = self.unproved.get_or_create(&[("proof", proof)]);
        }
        for (operation, outcomes) in [
            (Operation::CreateInvalidation, CreateOutcome::VARIANTS),
            (Operation::GetInvalidation, GetOutcome::VARIANTS),
        ] {
            for outcome in outcomes {
                let labels = [("operation", operation.into_str()), ("outcome", *outcome)];
                let _ = self.requests.get_or_create(&labels);
            }
        }
    }
}

impl Metrics {
    /// A publish became durable this long after it arrived.
    pub fn publish_accepted(&self, after: Duration) {
        self.0.publishes.inc();
        self.0.accept.observe(seconds(after));
    }

    pub fn api_refused(&self, status: u16) {
        self.0.refusals.get_or_create(&[("status", status)]).inc();
    }

    pub fn proof_refused(&self, proof: &'static str) {
        self.0.unproved.get_or_create(&[("proof", proof)]).inc();
    }

    pub fn cloudfront_request(&self, operation: Operation, outcome: &'static str) {
        let labels = [("operation", operation.into_str()), ("outcome", outcome)];
        self.0.requests.get_or_create(&labels).inc();
    }

    pub fn invalidation(&self, status: InvalidationStatus) {
        let label = [("status", status.into_str())];
        self.0.invalidations.get_or_create(&label).inc();
    }

    pub fn billed_paths(&self, items: usize) {
        self.0
            .billed
            .inc_by(u64::try_from(items).unwrap_or(u64::MAX));
    }

    /// CloudFront had accepted all of a publish this long after it arrived.
    pub fn publish_submitted(&self, after: Duration) {
        self.0.submit.observe(seconds(after));
    }

    /// CloudFront said `Completed` this long after it had accepted.
    pub fn invalidation_completed(&self, after: Duration) {
        self.0.complete.observe(seconds(after));
    }

    pub fn edge_checked(&self, state: EdgeState) {
        let label = [("state", state.into_str())];
        self.0.edge.get_or_create(&label).inc();
    }

    /// All pages of a publish were fresh this long after it arrived.
    pub fn seen_fresh(&self, after: Duration) {
        self.0.fresh.observe(seconds(after));
    }

    pub fn delivery(&self, next: Next) {
        let label = [("outcome", next.into_str())];
        self.0.deliveries.get_or_create(&label).inc();
    }

    pub fn endpoint_switched_off(&self) {
        self.0.switched_off.inc();
    }

    /// Everything, in [`CONTENT_TYPE`]; `standing` is `None` if the database does not answer.
    pub fn encode(&self, standing: Option<&Standing>) -> String {
        let mut text = String::new();
        self.write(&mut text, standing)
            .expect("a String takes all that is written");
        text
    }

    fn write(&self, text: &mut String, standing: Option<&Standing>) -> fmt::Result {
        encode_registry(text, &self.0.registry)?;
        standing::write(text, standing)?;
        encode_eof(text)
    }
}

/// Clocks may be set back, but no metric is negative.
fn seconds(duration: Duration) -> f64 {
    duration.as_seconds_f64().max(0.0)
}

#[cfg(test)]
mod tests;
