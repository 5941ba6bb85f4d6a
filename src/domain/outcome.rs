//! What can come of a call to CloudFront.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use time::OffsetDateTime;

use super::{DistributionId, InvalidationId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr)]
#[strum(const_into_str)]
pub enum Operation {
    /// `CreateInvalidation`, or `CreateInvalidationForDistributionTenant`.
    CreateInvalidation,
    /// `GetInvalidation`, or `GetInvalidationForDistributionTenant`.
    GetInvalidation,
}

impl Operation {
    /// The action that a policy must allow for this call on this distribution (Service
    /// Authorization Reference).
    pub fn iam_action(self, distribution: &DistributionId) -> String {
        let tenant = if distribution.is_tenant() {
            "ForDistributionTenant"
        } else {
            ""
        };
        format!("cloudfront:{}{tenant}", self.into_str())
    }
}

/// An error in AWS's words, or in ours where there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// AWS's code, such as `AccessDenied`. Ours: [`AwsError::TIMEOUT`] and the others here.
    pub code: String,
    /// AWS's message, or what the transport said.
    pub message: String,
    /// AWS's id of the request, which its support asks for.
    pub request_id: Option<String>,
    pub http_status: Option<u16>,
}

impl AwsError {
    pub const TIMEOUT: &'static str = "Timeout";
    /// The connection ended before the answer was complete.
    pub const CONNECTION_CLOSED: &'static str = "ConnectionClosed";
    /// No connection was made: refused, or no route.
    pub const UNREACHABLE: &'static str = "Unreachable";
    /// No connection was made: the host name has no address.
    pub const NO_ADDRESS: &'static str = "NoAddress";
    /// No connection was made: the proxy did not let it through.
    pub const PROXY_REFUSED: &'static str = "ProxyRefused";
    /// No connection was made: the TLS handshake failed.
    pub const TLS_FAILED: &'static str = "TlsFailed";
    /// The answer was not CloudFront's, or lacked what it must have.
    pub const UNREADABLE_ANSWER: &'static str = "UnreadableAnswer";
    pub const NO_CREDENTIALS: &'static str = "NoCredentials";
    /// The request could not be made.
    pub const NOT_BUILT: &'static str = "RequestNotBuilt";

    /// The service stopped while it waited for the answer.
    pub const STOPPED: &'static str = "Stopped";
    pub const NO_SETTINGS: &'static str = "NoSettings";

    /// The site may not use the AWS default credentials for its distribution.
    pub const NOT_GRANTED: &'static str = "DefaultCredentialsNotAllowed";
    pub const UNREADABLE_SECRET: &'static str = "UnreadableSecret";
    /// The service was held up for so long that it was too late to make the call.
    pub const TOO_LATE: &'static str = "TooLate";

    /// What stands in for AWS's code where an answer has none: this and the HTTP status, as in
    /// `Http502`.
    pub const HTTP: &'static str = "Http";

    /// Whether the code is AWS's own, so that CloudFront answered and not something in between.
    pub fn has_aws_code(&self) -> bool {
        !self.code.starts_with(Self::HTTP)
            && !matches!(
                self.code.as_str(),
                Self::TIMEOUT
                    | Self::CONNECTION_CLOSED
                    | Self::UNREACHABLE
                    | Self::NO_ADDRESS
                    | Self::PROXY_REFUSED
                    | Self::TLS_FAILED
                    | Self::UNREADABLE_ANSWER
                    | Self::NO_CREDENTIALS
                    | Self::NOT_BUILT
                    | Self::STOPPED
                    | Self::TOO_LATE
                    | Self::NO_SETTINGS
                    | Self::UNREADABLE_SECRET
                    | Self::NOT_GRANTED
            )
    }

    pub fn stopped() -> Self {
        Self::new(Self::STOPPED, "the service stopped before the answer came")
    }

    pub fn too_late() -> Self {
        Self::new(
            Self::TOO_LATE,
            "the service was held up before it could call CloudFront",
        )
    }

    pub fn no_settings() -> Self {
        Self::new(Self::NO_SETTINGS, "the site's CDN settings were removed")
    }

    pub fn not_granted() -> Self {
        Self::new(
            Self::NOT_GRANTED,
            "the operator has not allowed AWS default credentials for this distribution",
        )
    }

    /// Where nothing was answered.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            request_id: None,
            http_status: None,
        }
    }

    /// Whether it is about who signs, which CloudFront checks before anything else.
    pub fn is_about_credentials(&self) -> bool {
        matches!(
            self.code.as_str(),
            "InvalidClientTokenId"
                | "UnrecognizedClientException"
                | "SignatureDoesNotMatch"
                | "InvalidSignatureException"
                | "IncompleteSignature"
                | "RequestExpired"
                | "RequestTimeTooSkewed"
                | "ExpiredToken"
                | "ExpiredTokenException"
                | "InvalidToken"
                | "MissingAuthenticationToken"
                | "MissingAuthenticationTokenException"
                | "OptInRequired"
                | Self::NO_CREDENTIALS
        )
    }

    /// Whether AWS knows the key, but the policy does not allow the action.
    pub fn denies_action(&self) -> bool {
        self.http_status == Some(403) && self.has_aws_code() && !self.is_about_credentials()
    }

    /// Whether AWS said that requests come too fast: its codes for that, or status 429.
    pub fn is_throttling(&self) -> bool {
        let code = self.code.as_str();
        self.http_status == Some(429)
            || code.starts_with("Throttling")
            || code.starts_with("RequestThrottled")
            || matches!(
                code,
                "TooManyRequestsException"
                    | "RequestLimitExceeded"
                    | "SlowDown"
                    | "ThrottledException"
            )
    }

    /// Whether AWS said that a quota is used up. Besides CloudFront's own code for that, any that
    /// its other services use, should it ever change: a quota empties, and the batch is not at
    /// fault.
    pub fn says_quota_is_full(&self) -> bool {
        let code = self.code.as_str();
        code.starts_with("TooMany")
            || code.contains("LimitExceeded")
            || code.contains("QuotaExceeded")
    }

    /// Whether AWS said that the caller reference was used before: by its code, or as users report,
    /// in an `InvalidArgument`.
    pub fn says_reference_was_used(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        self.code == "InvalidationBatchAlreadyExists"
            || self.code == "InvalidArgument"
                && (message.contains("caller reference") || message.contains("callerreference"))
                && ["already", "previous", "was used", "been used"]
                    .iter()
                    .any(|words| message.contains(words))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum CreateOutcome {
    /// CloudFront accepted the batch, now or under the same caller reference before.
    Accepted {
        id: InvalidationId,
        /// Whether CloudFront already says `Completed`.
        completed: bool,
        /// When it accepted it, by its own clock.
        created_at: Option<OffsetDateTime>,
        request_id: Option<String>,
    },
    /// The caller reference was used before: an earlier attempt was accepted, but its id is not
    /// known.
    AlreadyUsed(AwsError),
    /// Certainly not accepted: too many invalidations are in progress. Wait.
    QuotaFull(AwsError),
    /// Certainly not accepted: too many requests. Wait.
    Throttled(AwsError),
    /// Certainly not accepted, and nothing will be until the settings are fixed.
    SettingsRejected(AwsError),
    /// Certainly not accepted: this batch can never succeed as it is.
    BatchRefused(AwsError),
    /// Certainly not accepted: split the batch.
    BatchTooLarge(AwsError),
    /// It certainly never reached CloudFront.
    NotSent(AwsError),
    /// It may or may not have been accepted: repeat it under the same caller reference.
    Unknown(AwsError),
}

impl CreateOutcome {
    pub const fn error(&self) -> Option<&AwsError> {
        match self {
            Self::Accepted { .. } => None,
            Self::AlreadyUsed(error)
            | Self::QuotaFull(error)
            | Self::Throttled(error)
            | Self::SettingsRejected(error)
            | Self::BatchRefused(error)
            | Self::BatchTooLarge(error)
            | Self::NotSent(error)
            | Self::Unknown(error) => Some(error),
        }
    }

    /// Whether CloudFront certainly did not take the batch.
    pub const fn is_refused(&self) -> bool {
        match self {
            Self::QuotaFull(_)
            | Self::Throttled(_)
            | Self::SettingsRejected(_)
            | Self::BatchRefused(_)
            | Self::BatchTooLarge(_)
            | Self::NotSent(_) => true,
            Self::Accepted { .. } | Self::AlreadyUsed(_) | Self::Unknown(_) => false,
        }
    }

    /// When CloudFront accepted the batch, if it did: now, or at an earlier attempt, if any may have
    /// been accepted since `may_be_since`. Which one it was, CloudFront's own time tells.
    pub fn accepted_at(
        &self,
        may_be_since: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> OffsetDateTime {
        match (self, may_be_since) {
            (
                Self::Accepted {
                    created_at: Some(at),
                    ..
                },
                Some(since),
            ) => (*at).clamp(since.min(now), now),
            _ => now,
        }
    }

    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Accepted { request_id, .. } => request_id.as_deref(),
            other => other.error().and_then(|error| error.request_id.as_deref()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum GetOutcome {
    /// CloudFront knows it and did not say `Completed`.
    InProgress { request_id: Option<String> },
    /// CloudFront said `Completed`.
    Completed { request_id: Option<String> },
    /// CloudFront does not know this invalidation (any more).
    Gone(AwsError),
    /// Nothing will be answered until the settings are fixed.
    SettingsRejected(AwsError),
    /// No answer this time.
    TryLater(AwsError),
}

impl GetOutcome {
    pub const fn error(&self) -> Option<&AwsError> {
        match self {
            Self::InProgress { .. } | Self::Completed { .. } => None,
            Self::Gone(error) | Self::SettingsRejected(error) | Self::TryLater(error) => {
                Some(error)
            }
        }
    }

    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::InProgress { request_id } | Self::Completed { request_id } => {
                request_id.as_deref()
            }
            other => other.error().and_then(|error| error.request_id.as_deref()),
        }
    }
}
