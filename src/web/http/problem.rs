//! Errors of the API, as RFC 9457 `application/problem+json`.

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ItemError;
use crate::store::{InboxError, StoreError};

/// How a problem is declared.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// What the types of problems begin with.
const TYPES: &str = "urn:skycms-cdn:problem:";

/// Everything the API may answer instead of what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// Not JSON, or not this shape.
    #[error("{0}")]
    BadRequest(String),
    /// No token, or a wrong one.
    #[error(
        "Send `Authorization: Bearer` with a publish token of the site, or a Standard Webhooks signature; the settings \
         page makes new tokens and secrets."
    )]
    Unauthorized,
    /// No metrics token, or a wrong one.
    #[error("Send `Authorization: Bearer` with the token of METRICS_TOKEN.")]
    NoMetricsToken,
    /// Metrics without a token, asked for from elsewhere.
    #[error(
        "Without METRICS_TOKEN, metrics are for this machine alone. Set it, and send it as `Authorization: Bearer`."
    )]
    NotLocal,
    /// A signature that cannot be right, whatever the secret.
    #[error("{0}")]
    BadSignature(&'static str),
    /// Nobody is signed in.
    #[error("Sign in first.")]
    NotSignedIn,
    /// A form that another site sent.
    #[error("This form came from another site. Open the page here and send it again.")]
    CrossSite,
    /// No such site, or none that this token belongs to.
    #[error("There is no site `{0}` that this token may publish to.")]
    NoSuchSite(String),
    /// No such publish.
    #[error("There is no publish `{0}` at this site; ended ones are kept for a limited time.")]
    NoSuchPublish(String),
    /// No such address.
    #[error("There is nothing at this address.")]
    NoSuchRoute,
    /// The address does not take this method.
    #[error("This address does not take this method.")]
    MethodNotAllowed,
    /// The site has no CDN settings.
    #[error(
        "The site has no CDN settings. Enter the distribution, the access key and the region under Settings → CDN, and save."
    )]
    NoSettings,
    /// The body is larger than 1 MiB.
    #[error("The body is larger than 1 MiB. Send the paths in several publishes.")]
    TooLarge,
    /// The body did not arrive in time.
    #[error("The body did not arrive in time; nothing was queued. Send it again.")]
    BodyTooSlow,
    /// The body is not declared as JSON.
    #[error("Send the body as JSON, with the header `Content-Type: application/json`.")]
    NotJson,
    /// Items that cannot be sent to CloudFront.
    #[error("{}", bad_items(.0))]
    BadItems(Vec<ItemError>),
    /// The repeat key was used with another body.
    #[error(
        "This Idempotency-Key or webhook-id was used before with another body. Use a new key for each publish, and the same one only to repeat it."
    )]
    KeyReused,
    /// It could not be made durable.
    #[error("{0}")]
    NotDurable(String),
    /// The answer was not ready in time. Unlike 503, it does not say that nothing was accepted.
    #[error(
        "The answer was not ready in time, and what was asked for may still happen. A publish with an Idempotency-Key can be sent again safely."
    )]
    TookTooLong,
    /// Something went wrong here.
    #[error("Something went wrong here; the log tells more. It is safe to try again.")]
    Internal,
}

fn bad_items(errors: &[ItemError]) -> String {
    let count = errors.len();
    if count == 1 {
        "One item cannot be purged; nothing was queued. It is named under `errors`.".into()
    } else {
        format!(
            "{count} items cannot be purged; nothing was queued. They are named under `errors`."
        )
    }
}

impl Problem {
    /// Its status, the name of its type, and its title.
    const fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-request", "Bad request"),
            Self::Unauthorized
            | Self::NoMetricsToken
            | Self::BadSignature(_)
            | Self::NotSignedIn => (StatusCode::UNAUTHORIZED, "unauthorized", "Not authorised"),
            Self::NotLocal => (StatusCode::FORBIDDEN, "not-local", "Refused"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross-site", "Refused"),
            Self::NoSuchSite(_) => (StatusCode::NOT_FOUND, "no-such-site", "No such site"),
            Self::NoSuchPublish(_) => (StatusCode::NOT_FOUND, "no-such-publish", "No such publish"),
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
            ),
            Self::NoSettings => (StatusCode::CONFLICT, "no-settings", "No CDN settings"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large"),
            Self::BodyTooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "body-too-slow",
                "Body too slow",
            ),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "Not declared as JSON",
            ),
            Self::BadItems(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad-items", "Bad items"),
            Self::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-reused",
                "Idempotency key reused",
            ),
            Self::NotDurable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-durable",
                "Cannot be stored right now",
            ),
            Self::TookTooLong => (
                StatusCode::GATEWAY_TIMEOUT,
                "took-too-long",
                "Took too long",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
            ),
        }
    }
}

/// Why something was not done, by RFC 9457.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// What it is, for programs: one word behind `urn:skycms-cdn:problem:`.
    #[schema(value_type = String, format = "uri")]
    r#type: String,
    /// What it is, for people.
    pub(crate) title: &'static str,
    /// The answer's status.
    pub(crate) status: u16,
    /// What is wrong here, and how to mend it.
    detail: String,
    /// The items at fault, where items are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FaultBody>,
}

/// One thing at fault.
#[derive(Serialize, ToSchema)]
#[schema(as = Fault)]
struct FaultBody {
    /// Where it stands in the body, as a JSON Pointer (RFC 6901); empty for the body as a whole.
    pointer: String,
    /// What is wrong with it, and how to mend it.
    detail: String,
}

impl ProblemBody {
    /// The word of its type.
    pub(crate) fn name(&self) -> &str {
        self.r#type.trim_start_matches(TYPES)
    }
}

impl Problem {
    /// A body that is JSON, but not what is expected.
    pub(crate) fn not_this_shape(error: &serde_json::Error) -> Self {
        Self::BadRequest(format!(
            "The body is not the JSON that is expected here: {error}. An example: {{\"paths\": [\"/about\"]}}"
        ))
    }

    /// The database does not answer; nothing was asked of it that lasts.
    pub(crate) fn database_away() -> Self {
        Self::NotDurable("The database does not answer right now. Try again.".into())
    }

    /// What is told.
    pub(crate) fn body(&self) -> ProblemBody {
        let (status, name, title) = self.kind();
        let errors = match self {
            Self::BadItems(items) => items.as_slice(),
            _ => &[],
        };
        ProblemBody {
            r#type: format!("{TYPES}{name}"),
            title,
            status: status.as_u16(),
            detail: self.to_string(),
            errors: errors
                .iter()
                .map(|item| FaultBody {
                    pointer: item.pointer.clone(),
                    detail: item.detail.clone(),
                })
                .collect(),
        }
    }

    /// What is told in a header.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.kind().0 {
            StatusCode::UNAUTHORIZED => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.kind().0, Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.extend(self.header());
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        match error {
            StoreError::Database(_) => Self::database_away(),
            _ => Self::Internal,
        }
    }
}

impl From<InboxError> for Problem {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Full => Self::NotDurable(
                "Too many publishes are waiting to be stored; nothing was queued. Try again."
                    .into(),
            ),
            InboxError::Unavailable => Self::NotDurable(
                "The database cannot store it right now; nothing was queued. Try again.".into(),
            ),
            InboxError::Refused => Self::Internal,
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::TooLarge
        } else {
            Self::BadRequest("The body could not be read to its end.".into())
        }
    }
}
