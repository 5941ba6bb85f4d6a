//! Everything that is answered instead of what was asked for.
//!
//! Handlers return an [`Error`] with `?`. It becomes a bare status that carries the error along,
//! and `web::render` gives it words: a page for people, a problem for programs.

use std::error::Error as _;
use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, FormRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use time::Duration;
use tower_http::timeout::TimeoutError;

use super::bodies::NoRoom;
use super::hasher::Busy;
use super::turns::NoTurn;
use crate::domain::ItemError;
use crate::store::{InboxError, StoreError};

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no answer. What it displays is told to programs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A body, a query or a form that cannot be read.
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    Unauthorized(Unauthenticated),
    #[error("Send `Authorization: Bearer` with the token of METRICS_TOKEN.")]
    NoMetricsToken,
    #[error(
        "Without METRICS_TOKEN, metrics are for this machine alone. Set it, and send it as `Authorization: Bearer`."
    )]
    NotLocal,
    /// A signature that cannot be right, whatever the secret.
    #[error("{0}")]
    BadSignature(&'static str),
    #[error("Sign in first.")]
    NotSignedIn,
    #[error("This form came from another site. Open the page here and submit it again.")]
    CrossSite,
    /// No such site, or none that this token belongs to.
    #[error("There is no site `{0}` that this token may publish to.")]
    NoSuchSite(String),
    #[error("There is no publish `{0}` at this site; finished ones are kept for a limited time.")]
    NoSuchPublish(String),
    #[error(
        "There is no invalidation `{0}` at this site; finished ones are kept for a limited time."
    )]
    NoSuchInvalidation(String),
    #[error("There is nothing at this address.")]
    NotFound,
    #[error("This address does not take this method.")]
    MethodNotAllowed,
    #[error(
        "The site has no CDN settings. Enter the distribution, the access key and the region under Settings → CDN, and save."
    )]
    NoSettings,
    #[error("The body is larger than 1 MiB. Send the paths in several publishes.")]
    TooLarge,
    #[error("Too many bodies are under way; nothing was queued. Try again.")]
    Crowded,
    #[error("The body did not arrive in time; nothing was queued. Send it again.")]
    BodyTooSlow,
    #[error("Send the body as JSON, with the header `Content-Type: application/json`.")]
    NotJson,
    /// The body is compressed, or in another character set.
    #[error("Send the body as plain UTF-8: {0} is not understood here.")]
    Encoded(String),
    #[error("{}", bad_items(.0))]
    BadItems(Vec<ItemError>),
    #[error(
        "This Idempotency-Key or webhook-id was used before with another body. Use a new key for each publish, and the same one only to repeat it."
    )]
    KeyReused,
    /// More than one site, session or address may have, and how long to wait.
    #[error("{0}")]
    TooMany(&'static str, Duration),
    /// Not ready in time. Unlike 503, it does not say that nothing was accepted.
    #[error(
        "The answer was not ready in time, and what was asked for may still happen. A publish with an Idempotency-Key can be sent again safely."
    )]
    TookTooLong,
    #[error("Only administrators may do this.")]
    Forbidden,
    /// The one-time link was used, or is older than an hour.
    #[error("This link has expired.")]
    LinkExpired,
    /// A form that waited too long for its sender to sign in.
    #[error("The form was kept for half an hour, and that time has passed.")]
    FormExpired,
    /// SkyCMS's token is not right; the reason is for the log alone.
    #[error("The token of SkyCMS was refused.")]
    TicketRefused(&'static str),
    /// The session of a frame is over.
    #[error("The session has ended.")]
    FrameEnded,
    #[error("Too many passwords are being checked. Try again.")]
    Busy(#[from] Busy),
    #[error("{}", store_detail(.0))]
    Store(#[from] StoreError),
    #[error("{}", inbox_detail(.0))]
    Inbox(#[from] InboxError),
    #[error("{OURS}")]
    Template(#[from] askama::Error),
    /// A panic, or something that never said how it ended.
    #[error("{OURS}")]
    Internal,
}

/// What an answer says of an error besides its detail.
pub(crate) struct Kind {
    pub(crate) status: StatusCode,
    /// For programs: the last word of a problem's `type`.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
}

/// What is wrong with the proof that a caller of the API brought.
///
/// Its words are the same whether or not the site exists: without authentication, nobody learns
/// that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unauthenticated {
    #[error(
        "This call is not authenticated: send `Authorization: Bearer` with a publish token from the settings page, or a Standard \
         Webhooks signature."
    )]
    Nothing,
    #[error(
        "This publish token is not known: it was revoked, or is not copied whole. The settings page lists the tokens in \
         force by their last four characters, and makes new ones."
    )]
    Token,
    #[error(
        "No signing secret in force made this signature. Sign `webhook-id.webhook-timestamp.body` with the bytes of the body \
         exactly as they are sent, by a secret of the site that the address names."
    )]
    Signature,
}

const OURS: &str = "Something went wrong here; the log has the details. It is safe to try again.";

fn bad_items(errors: &[ItemError]) -> String {
    let count = errors.len();
    if count == 1 {
        "One item cannot be purged; nothing was queued. It is listed under `errors`.".into()
    } else {
        format!(
            "{count} items cannot be purged; nothing was queued. They are listed under `errors`."
        )
    }
}

const fn store_detail(error: &StoreError) -> &'static str {
    match error {
        StoreError::Database(_) => "The database is not responding right now. Try again.",
        StoreError::SiteGone => "There is nothing at this address.",
        StoreError::Nul => "The text holds a NUL character, which cannot be stored. Take it out.",
        _ => OURS,
    }
}

const fn inbox_detail(error: &InboxError) -> &'static str {
    match error {
        InboxError::Full => {
            "Too many publishes are waiting to be stored; nothing was queued. Try again."
        }
        InboxError::ShareFull => {
            "Too many publishes of this site or token are waiting to be stored; nothing was queued. Try again, and send fewer at a time."
        }
        InboxError::Unavailable => {
            "The database did not confirm in time that the publish is stored. It may be stored all the same: a repeat with the same Idempotency-Key or webhook-id is safe, and purges nothing twice."
        }
        InboxError::Refused => OURS,
    }
}

impl Error {
    /// A body that is JSON, but not what is expected.
    pub(crate) fn not_this_shape(error: &serde_json::Error) -> Self {
        Self::BadRequest(format!(
            "The body is not the JSON expected here: {error}. An example: {{\"paths\": [\"/about\"]}}"
        ))
    }

    pub(crate) const fn kind(&self) -> Kind {
        use StatusCode as S;
        let (status, name, title) = match self {
            Self::BadRequest(_) | Self::FormExpired => {
                (S::BAD_REQUEST, "bad-request", "Bad request")
            }
            Self::Unauthorized(_)
            | Self::NoMetricsToken
            | Self::BadSignature(_)
            | Self::NotSignedIn
            | Self::TicketRefused(_)
            | Self::FrameEnded => (S::UNAUTHORIZED, "unauthorized", "Not authorised"),
            Self::NotLocal => (S::FORBIDDEN, "not-local", "Refused"),
            Self::CrossSite => (S::FORBIDDEN, "cross-site", "Refused"),
            Self::Forbidden => (S::FORBIDDEN, "forbidden", "Refused"),
            Self::NoSuchSite(_) => (S::NOT_FOUND, "no-such-site", "No such site"),
            Self::NoSuchPublish(_) => (S::NOT_FOUND, "no-such-publish", "No such publish"),
            Self::NoSuchInvalidation(_) => {
                (S::NOT_FOUND, "no-such-invalidation", "No such invalidation")
            }
            Self::NotFound | Self::Store(StoreError::SiteGone) => {
                (S::NOT_FOUND, "not-found", "Not found")
            }
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
            ),
            Self::NoSettings => (S::CONFLICT, "no-settings", "No CDN settings"),
            Self::LinkExpired => (S::GONE, "link-expired", "Link expired"),
            Self::TooLarge => (S::PAYLOAD_TOO_LARGE, "too-large", "Body too large"),
            Self::BodyTooSlow => (S::REQUEST_TIMEOUT, "body-too-slow", "Body too slow"),
            Self::NotJson => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "Not declared as JSON",
            ),
            Self::Encoded(_) => (S::UNSUPPORTED_MEDIA_TYPE, "encoded", "Encoded body"),
            Self::BadItems(_) => (S::UNPROCESSABLE_ENTITY, "bad-items", "Bad items"),
            Self::Store(StoreError::Nul) => (S::UNPROCESSABLE_ENTITY, "bad-text", "Bad text"),
            Self::KeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "key-reused",
                "Idempotency key reused",
            ),
            Self::TooMany(..) | Self::Inbox(InboxError::ShareFull) => {
                (S::TOO_MANY_REQUESTS, "too-many", "Too many")
            }
            Self::TookTooLong => (S::GATEWAY_TIMEOUT, "took-too-long", "Took too long"),
            Self::Crowded => (S::SERVICE_UNAVAILABLE, "crowded", "Too much at once"),
            Self::Busy(_) => (S::SERVICE_UNAVAILABLE, "busy", "Too busy"),
            Self::Store(StoreError::Database(_))
            | Self::Inbox(InboxError::Full | InboxError::Unavailable) => (
                S::SERVICE_UNAVAILABLE,
                "not-durable",
                "Database not responding",
            ),
            Self::Store(_)
            | Self::Inbox(InboxError::Refused)
            | Self::Template(_)
            | Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        };
        Kind {
            status,
            name,
            title,
        }
    }

    /// How many seconds to wait before it is tried again, where that is known.
    pub(crate) fn retry_after(&self) -> Option<i64> {
        match self {
            Self::TooMany(_, wait) => Some(wait.whole_seconds().max(0) + 1),
            Self::Inbox(InboxError::ShareFull) => Some(1),
            error if error.kind().status == StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        }
    }

    /// The kind of proof that was refused, as it is counted, and why, for the log; `None` if no
    /// proof was.
    pub(crate) const fn refused_proof(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Unauthorized(Unauthenticated::Nothing) => ("none", "there is none"),
            Self::Unauthorized(Unauthenticated::Token) => ("token", "no site has it"),
            Self::Unauthorized(Unauthenticated::Signature) => {
                ("signature", "no secret of the site made it")
            }
            Self::BadSignature(why) => ("signature_headers", why),
            Self::NoSuchSite(_) => ("foreign_token", "the token is of another site"),
            Self::NoMetricsToken => ("metrics_token", "it is not METRICS_TOKEN"),
            Self::LinkExpired => ("set_up_link", "it has expired, was used, or never existed"),
            Self::TicketRefused(why) => ("skycms_token", why),
            _ => return None,
        })
    }

    /// A body that did not arrive as it should.
    pub(crate) fn of_body(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = || std::iter::successors(Some(error), |&cause| cause.source());
        if causes().any(<dyn std::error::Error>::is::<NoRoom>) {
            Self::Crowded
        } else if causes().any(<dyn std::error::Error>::is::<LengthLimitError>) {
            Self::TooLarge
        } else if causes().any(<dyn std::error::Error>::is::<TimeoutError>) {
            Self::BodyTooSlow
        } else {
            Self::BadRequest("The body could not be read to its end.".into())
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Kind { status, title, .. } = self.kind();
        if status.is_server_error() && !matches!(self, Self::Inbox(_)) {
            let cause = self.source().map(tracing::field::display);
            tracing::error!(cause, "{title}");
        }
        let mut response = status.into_response();
        if let Some(seconds) = self.retry_after() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<NoTurn> for Error {
    fn from(_: NoTurn) -> Self {
        Self::TooMany(
            "Too much is under way for this site or token; nothing was queued. Try again.",
            Duration::ZERO,
        )
    }
}

impl From<BytesRejection> for Error {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            _ => Self::of_body(&rejection),
        }
    }
}

impl From<FormRejection> for Error {
    fn from(rejection: FormRejection) -> Self {
        match rejection {
            FormRejection::BytesRejection(rejection) => rejection.into(),
            rejection => Self::BadRequest(rejection.body_text()),
        }
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let (_, what) = text.split_once("query string: ").unwrap_or(("", &text));
        Self::BadRequest(format!("The query cannot be read: {what}"))
    }
}

impl From<PathRejection> for Error {
    fn from(_: PathRejection) -> Self {
        Self::NotFound
    }
}
