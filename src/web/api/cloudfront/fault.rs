//! CloudFront's errors, in its envelope.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answers;
use crate::clock::Clock;
use crate::domain::{ItemError, PublishRequest};
use crate::store::{InboxError, StoreError};
use crate::web::http::error::Error;

/// How much of a bad path is repeated.
const EXCERPT: usize = 200;

#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Fault {
    status: StatusCode,
    pub(super) code: &'static str,
    message: String,
}

impl Fault {
    /// The fault of an answer that [`finish`] has not written yet.
    pub(crate) fn of(response: &Response) -> Option<&Self> {
        response.extensions().get::<Arc<Self>>().map(AsRef::as_ref)
    }

    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::bad_request("InvalidArgument", message)
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailure",
            "Something went wrong here; the log says more. It is safe to try again",
        )
    }

    pub(super) fn unavailable(message: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            message,
        )
    }

    pub(super) fn no_such_invalidation(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NoSuchInvalidation",
            format!(
                "There is no invalidation {:?} here; those that ended are kept for a limited time",
                excerpt(id)
            ),
        )
    }

    pub(super) fn not_served() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            "This service answers CreateInvalidation, GetInvalidation, ListInvalidations and, as far as it knows the \
             distribution, GetDistribution; for everything else, call CloudFront itself",
        )
    }

    /// The first path that cannot be invalidated, and why.
    pub(super) fn invalid_paths(request: &PublishRequest, errors: Vec<ItemError>) -> Self {
        let Some(error) = errors.into_iter().next() else {
            return Self::internal();
        };
        let given = [("/paths/", &request.paths), ("/tags/", &request.tags)]
            .into_iter()
            .find_map(|(prefix, given)| {
                let index: usize = error.pointer.strip_prefix(prefix)?.parse().ok()?;
                Some(excerpt(given.get(index)?))
            });
        Self::invalid(match given {
            Some(given) => format!(
                "Your request contains one or more invalid invalidation paths. {given:?}: {}",
                error.detail
            ),
            None => error.detail,
        })
    }

    /// An error of the service, as CloudFront would say it.
    pub(crate) fn of_error(error: &Error) -> Self {
        let message = error.to_string();
        match error {
            Error::NotFound | Error::MethodNotAllowed => Self::not_served(),
            Error::Store(StoreError::SiteGone) => Self::new(
                StatusCode::NOT_FOUND,
                "NoSuchDistribution",
                "The site of this key pair has just been removed",
            ),
            Error::BadRequest(_) => Self::bad_request("MalformedInput", message),
            Error::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BatchTooLarge", message),
            Error::BodyTooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", message),
            Error::TookTooLong | Error::Inbox(InboxError::Unavailable) => Self::unavailable(
                "The answer was not ready in time. The same request can be sent again safely",
            ),
            error if error.retry_after().is_some() => Self::unavailable(&message),
            error => {
                tracing::error!(%error, "a CloudFront call failed");
                Self::internal()
            }
        }
    }

    /// The kind of proof that was refused, as it is counted, and why; `None` if no proof was.
    pub(crate) fn refused_proof(&self) -> Option<(&'static str, &'static str)> {
        let proof = match self.code {
            "MissingAuthenticationToken" => "none",
            "IncompleteSignature" | "RequestExpired" => "signature_headers",
            "SignatureDoesNotMatch" => "signature",
            "InvalidClientTokenId" => "key_pair",
            "AccessDenied" => "foreign_token",
            _ => return None,
        };
        Some((proof, self.code))
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

impl IntoResponse for Fault {
    /// Without a body: [`finish`] writes it, with the request's number.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Gives the answer the request's number, which SDKs pass on to their callers, and writes the
/// envelope of a fault, for which the log has the number too.
pub(crate) fn finish(mut response: Response, clock: &Clock) -> Response {
    let request_id = clock.id().to_string();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    let Some(fault) = response.extensions_mut().remove::<Arc<Fault>>() else {
        return response;
    };
    let Fault {
        status,
        code,
        message,
    } = &*fault;
    tracing::info!(code, request_id, "a CloudFront call was refused: {message}");
    let kind = if status.is_server_error() {
        "Receiver"
    } else {
        "Sender"
    };
    let document = answers::error(kind, code, message, &request_id);
    let (mut parts, _) = response.into_parts();
    // The router has set that of the empty body.
    parts.headers.remove(header::CONTENT_LENGTH);
    let (of_document, body) = document.into_parts();
    parts.headers.extend(of_document.headers);
    Response::from_parts(parts, body)
}

/// Anything that converts to an error of the service converts to a fault.
impl<E: Into<Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::of_error(&error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_that_goes_during_a_call_is_no_mistake_of_ours() {
        let fault = Fault::from(StoreError::SiteGone);
        assert_eq!(
            (fault.status, fault.code),
            (StatusCode::NOT_FOUND, "NoSuchDistribution")
        );
    }
}
