//! Parameters that several calls take.
#![expect(dead_code, reason = "most are described, not read")]

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::examples::{PUBLISH, REFERENCE};

/// The longest that `Prefer: wait` may delay an answer, in seconds. The words below say so too.
pub(crate) const LONGEST_WAIT: u64 = 60;

/// Of every address under `/api/sites/`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SitePath {
    /// The site; a fresh install has one, `default`.
    #[param(example = "default")]
    pub(crate) site: String,
}

/// Of one publish.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct PublishPath {
    /// The publish's `id`.
    #[param(example = json!(PUBLISH))]
    id: Uuid,
}

/// Of one invalidation.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct InvalidationPath {
    /// The invalidation's `caller_reference`.
    #[param(example = json!(REFERENCE))]
    caller_reference: String,
}

/// Of calls that may be answered later.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct PreferWait {
    /// RFC 7240: `wait=N` holds the answer until the publish has ended, for at most N seconds, and 60 at most. The
    /// answer says what was kept to in `Preference-Applied`.
    #[param(rename = "Prefer", nullable = false, example = "wait=30")]
    prefer: Option<String>,
}

/// Of calls that may be repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKeyHeader {
    /// Makes a repeat safe: the same key and body are answered as the first time, and purge nothing again. Of a signed
    /// call, `webhook-id` does the same, and this header is not looked at.
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]([ -~]*[!-~])?$",
        example = "deploy-4711"
    )]
    idempotency_key: Option<String>,
}

/// Of calls that begin something.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct TraceHeader {
    /// W3C trace context: the trace that the publish belongs to. The log names it at each step, and the call to CloudFront
    /// carries it on. What makes no sense is ignored.
    #[param(
        nullable = false,
        example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    )]
    traceparent: Option<String>,
}
