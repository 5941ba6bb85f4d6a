//! What operators watch: what this replica did, in OpenMetrics text.
//!
//! Each replica counts what it did itself; how things stand is the whole service's, read when the
//! metrics are asked for.

mod standing;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use strum::{VariantArray as _, VariantNames as _};
use time::Duration;

use crate::domain::edge::EdgeState;
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

/// What the API refuses with. Others are counted from the first time on.
const REFUSALS: [u16; 9] = [400, 401, 404, 408, 409, 413, 415, 422, 503];

/// What an attempt to deliver a notification comes to.
const DELIVERIES: [&str; 3] = ["delivered", "failed", "given_up"];

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
    registry: Registry,
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
}

impl Default for Metrics {
    fn default() -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix(PREFIX),
            publishes: Counter::default(),
            accept: Histogram::new(ACCEPT_BUCKETS),
            refusals: Family::default(),
            unproved: Family::default(),
            invalidations: Family::default(),
            submit: Histogram::new(SUBMIT_BUCKETS),
            complete: Histogram::new(COMPLETE_BUCKETS),
            requests: Family::default(),
            billed: Counter::default(),
            edge: Family::default(),
            fresh: Histogram::new(COMPLETE_BUCKETS),
            deliveries: Family::default(),
            switched_off: Counter::default(),
        };
        // Counters that begin at zero, so that the first event is seen as an increase.
        for status in InvalidationStatus::VARIANTS.iter().copied() {
            if status != InvalidationStatus::Queued {
                let _ = inner.invalidations.get_or_create(&status_label(status));
            }
        }
        for state in EdgeState::VARIANTS {
            let _ = inner.edge.get_or_create(&[("state", state.into_str())]);
        }
        for outcome in DELIVERIES {
            let _ = inner.deliveries.get_or_create(&[("outcome", outcome)]);
        }
        for status in REFUSALS {
            let _ = inner.refusals.get_or_create(&[("status", status)]);
        }
        for proof in PROOFS {
            let _ = inner.unproved.get_or_create(&[("proof", proof)]);
        }
        for (operation, outcomes) in [
            (Operation::CreateInvalidation, CreateOutcome::VARIANTS),
            (Operation::GetInvalidation, GetOutcome::VARIANTS),
        ] {
            for outcome in outcomes {
                let _ = inner
                    .requests
                    .get_or_create(&request_label(operation, outcome));
            }
        }
        // The encoder adds `_total` to counters, the unit's name, and a full stop to each help
        // text.
        let registry = &mut inner.registry;
        registry.register(
            "publishes",
            "Publishes accepted, without repeats",
            inner.publishes.clone(),
        );
        registry.register_with_unit(
            "publish_accept",
            "From a publish's arrival to its being durable",
            Unit::Seconds,
            inner.accept.clone(),
        );
        registry.register(
            "api_refusals",
            "Calls of the API that were refused, by HTTP status",
            inner.refusals.clone(),
        );
        registry.register(
            "refused_proofs",
            "Tokens, signatures and links that were refused, by kind",
            inner.unproved.clone(),
        );
        registry.register(
            "invalidations",
            "Invalidations that came to a status",
            inner.invalidations.clone(),
        );
        registry.register_with_unit(
            "invalidation_submit",
            "From a publish's arrival until CloudFront had accepted all of it",
            Unit::Seconds,
            inner.submit.clone(),
        );
        registry.register_with_unit(
            "invalidation_complete",
            "From CloudFront's accepting an invalidation until it said Completed",
            Unit::Seconds,
            inner.complete.clone(),
        );
        registry.register(
            "cloudfront_requests",
            "Calls to CloudFront, by what they came to",
            inner.requests.clone(),
        );
        registry.register(
            "billed_paths",
            "Paths and tags that CloudFront accepted, which AWS bills beyond each month's free ones",
            inner.billed.clone(),
        );
        registry.register(
            "edge_checks",
            "Pages that were fetched after a purge, by what readers get",
            inner.edge.clone(),
        );
        registry.register_with_unit(
            "publish_fresh",
            "From a publish's arrival until its pages were seen to be fresh",
            Unit::Seconds,
            inner.fresh.clone(),
        );
        registry.register(
            "notification_deliveries",
            "Attempts to deliver a notification, by what they came to",
            inner.deliveries.clone(),
        );
        registry.register(
            "notification_endpoints_switched_off",
            "Endpoints that were switched off, having failed for a day",
            inner.switched_off.clone(),
        );
        registry.register(
            "build",
            "The version of the service that runs here",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self(Arc::new(inner))
    }
}

impl Metrics {
    /// A publish became durable so long after it arrived.
    pub fn publish_accepted(&self, after: Duration) {
        self.0.publishes.inc();
        self.0.accept.observe(seconds(after));
    }

    /// A call of the API was refused with this HTTP status.
    pub fn api_refused(&self, status: u16) {
        self.0.refusals.get_or_create(&[("status", status)]).inc();
    }

    /// A proof of this kind was refused.
    pub fn proof_refused(&self, proof: &'static str) {
        self.0.unproved.get_or_create(&[("proof", proof)]).inc();
    }

    /// CloudFront was asked something.
    pub fn cloudfront_request(&self, operation: Operation, outcome: &'static str) {
        self.0
            .requests
            .get_or_create(&request_label(operation, outcome))
            .inc();
    }

    /// An invalidation came to a status.
    pub fn invalidation(&self, status: InvalidationStatus) {
        self.0
            .invalidations
            .get_or_create(&status_label(status))
            .inc();
    }

    /// CloudFront accepted so many items.
    pub fn billed_paths(&self, items: usize) {
        self.0
            .billed
            .inc_by(u64::try_from(items).unwrap_or(u64::MAX));
    }

    /// CloudFront had accepted all of a publish so long after it arrived.
    pub fn publish_submitted(&self, after: Duration) {
        self.0.submit.observe(seconds(after));
    }

    /// CloudFront said `Completed` so long after it had accepted.
    pub fn invalidation_completed(&self, after: Duration) {
        self.0.complete.observe(seconds(after));
    }

    /// A page was fetched after a purge.
    pub fn edge_checked(&self, state: EdgeState) {
        self.0
            .edge
            .get_or_create(&[("state", state.into_str())])
            .inc();
    }

    /// All pages of a publish were fresh so long after it arrived.
    pub fn seen_fresh(&self, after: Duration) {
        self.0.fresh.observe(seconds(after));
    }

    /// An attempt to deliver a notification came to an end.
    pub fn delivery(&self, outcome: &'static str) {
        self.0
            .deliveries
            .get_or_create(&[("outcome", outcome)])
            .inc();
    }

    /// An endpoint of notifications was given up.
    pub fn endpoint_switched_off(&self) {
        self.0.switched_off.inc();
    }

    /// Everything, in [`CONTENT_TYPE`]; without a standing if the database does not answer.
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

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

const fn status_label(status: InvalidationStatus) -> Labels<1> {
    [("status", status.into_str())]
}

const fn request_label(operation: Operation, outcome: &'static str) -> Labels<2> {
    [("operation", operation.into_str()), ("outcome", outcome)]
}

/// Times come from clocks that may be set back; none of these is negative.
fn seconds(duration: Duration) -> f64 {
    duration.as_seconds_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::domain::{Beliefs, Counts, Limits, Quotas, RefusedFor, Usage, WaitReason};
    use crate::store::{Queue, SiteStanding};

    fn value(text: &str, series: &str) -> f64 {
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
            .and_then(|value| value.parse().ok())
            .unwrap_or(f64::NAN)
    }

    #[test]
    fn every_name_of_the_contract_is_there_with_help_and_unit() {
        let metrics = Metrics::default();
        metrics.publish_accepted(Duration::milliseconds(3));
        metrics.cloudfront_request(Operation::CreateInvalidation, "accepted");
        metrics.invalidation(InvalidationStatus::InProgress);
        metrics.billed_paths(3);
        metrics.publish_submitted(Duration::milliseconds(300));
        metrics.invalidation_completed(Duration::seconds(-1));
        metrics.api_refused(503);
        metrics.edge_checked(EdgeState::Stale);
        metrics.seen_fresh(Duration::seconds(12));
        metrics.delivery("delivered");
        metrics.endpoint_switched_off();
        let site = |name: &str, paused, month_limit| SiteStanding {
            name: name.into(),
            paused,
            waits_for: Some(WaitReason::Rate),
            month_paths: 12,
            month_limit,
        };
        let (mut beliefs, now) = (Beliefs::default(), OffsetDateTime::UNIX_EPOCH);
        beliefs.files.lower(300, RefusedFor::Rate, now);
        let counts = Counts {
            used: Usage {
                files: 40,
                wildcards: 2,
            },
            unconfirmed: Usage {
                files: 7,
                wildcards: 0,
            },
            completed_at: None,
        };
        let quotas = Quotas::new(&beliefs, &Limits::default(), &counts, now);
        let text = metrics.encode(Some(&Standing {
            queue: Queue {
                items: 7,
                oldest: Duration::milliseconds(1_500),
            },
            sites: vec![site("blog", true, Some(50)), site("shop", false, None)],
            distributions: vec![("E1".into(), quotas)],
        }));
        let of = |name: &str, kind: &str| {
            format!("skycms_cdn_distribution_{name}{{distribution=\"E1\",kind=\"{kind}\"}}")
        };
        for (series, expected) in [
            ("skycms_cdn_publishes_total", 1.0),
            ("skycms_cdn_publish_accept_seconds_count", 1.0),
            (
                "skycms_cdn_publish_accept_seconds_bucket{le=\"0.0025\"}",
                0.0,
            ),
            (
                "skycms_cdn_publish_accept_seconds_bucket{le=\"0.005\"}",
                1.0,
            ),
            ("skycms_cdn_invalidations_total{status=\"InProgress\"}", 1.0),
            ("skycms_cdn_invalidations_total{status=\"Failed\"}", 0.0),
            ("skycms_cdn_invalidation_submit_seconds_sum", 0.3),
            ("skycms_cdn_invalidation_complete_seconds_sum", 0.0),
            (
                "skycms_cdn_cloudfront_requests_total{operation=\"CreateInvalidation\",outcome=\"accepted\"}",
                1.0,
            ),
            ("skycms_cdn_billed_paths_total", 3.0),
            ("skycms_cdn_queue_items", 7.0),
            (
                "skycms_cdn_cloudfront_requests_total{operation=\"GetInvalidation\",outcome=\"gone\"}",
                0.0,
            ),
            ("skycms_cdn_api_refusals_total{status=\"503\"}", 1.0),
            ("skycms_cdn_api_refusals_total{status=\"401\"}", 0.0),
            ("skycms_cdn_queue_oldest_seconds", 1.5),
            ("skycms_cdn_edge_checks_total{state=\"stale\"}", 1.0),
            ("skycms_cdn_edge_checks_total{state=\"fresh\"}", 0.0),
            ("skycms_cdn_publish_fresh_seconds_sum", 12.0),
            (
                "skycms_cdn_notification_deliveries_total{outcome=\"delivered\"}",
                1.0,
            ),
            (
                "skycms_cdn_notification_deliveries_total{outcome=\"given_up\"}",
                0.0,
            ),
            ("skycms_cdn_notification_endpoints_switched_off_total", 1.0),
            ("skycms_cdn_database_up", 1.0),
            ("skycms_cdn_site_paused{site=\"blog\"}", 1.0),
            ("skycms_cdn_site_paused{site=\"shop\"}", 0.0),
            ("skycms_cdn_site_month_paths{site=\"shop\"}", 12.0),
            ("skycms_cdn_site_month_limit_paths{site=\"blog\"}", 50.0),
            ("skycms_cdn_site_waits{site=\"blog\",for=\"rate\"}", 1.0),
            ("skycms_cdn_site_waits{site=\"blog\",for=\"quota\"}", 0.0),
            (&of("in_progress", "files"), 40.0),
            (&of("unconfirmed", "files"), 7.0),
            (&of("quota", "wildcards"), 15.0),
            (&of("call_items", "files"), 150.0),
            (&of("call_items", "wildcards"), 15.0),
            (&of("full", "files"), 0.0),
            (
                "skycms_cdn_distribution_learned_timestamp_seconds{distribution=\"E1\",kind=\"files\",\
                 refused_for=\"rate\"}",
                0.0,
            ),
        ] {
            let told = value(&text, series);
            assert!(
                (told - expected).abs() < 1e-9,
                "{series} is {told} in:\n{text}"
            );
        }
        assert!(text.contains("# UNIT skycms_cdn_queue_oldest_seconds seconds\n"));
        assert!(text.contains("# UNIT skycms_cdn_site_month_paths paths\n"));
        assert!(!text.contains("limit_paths{site=\"shop\"}"), "{text}");
        assert!(text.contains("skycms_cdn_build_info{version="));
        assert!(text.contains("# HELP skycms_cdn_publishes Publishes accepted"));
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn what_the_database_does_not_tell_is_left_out() {
        let text = Metrics::default().encode(None);
        assert!(text.contains("skycms_cdn_database_up 0\n"), "{text}");
        assert!(!text.contains("skycms_cdn_queue"), "{text}");
        assert!(!text.contains("skycms_cdn_site"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
