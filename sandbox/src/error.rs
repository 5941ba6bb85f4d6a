//! CloudFront's errors: a code, an HTTP status and AWS's wording.

use std::borrow::Cow;

/// An error that the API answers in its XML envelope.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

impl ApiError {
    /// An error with the HTTP status that CloudFront gives this code.
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let code = code.into();
        Self {
            status: usual_status(&code),
            code,
            message: message.into(),
        }
    }

    pub(crate) fn invalid_paths() -> Self {
        Self::new(
            "InvalidArgument",
            "Your request contains one or more invalid invalidation paths.",
        )
    }

    pub(crate) fn throttled() -> Self {
        Self::new("Throttling", "Rate exceeded")
    }

    pub(crate) fn invalid_token() -> Self {
        Self::new(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
    }
}

/// The HTTP status that goes with a code, 400 for one that is not known.
fn usual_status(code: &str) -> u16 {
    match code {
        "AccessDenied"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "SignatureDoesNotMatch" => 403,
        "EntityNotFound"
        | "NoSuchDistribution"
        | "NoSuchInvalidation"
        | "UnknownOperationException" => 404,
        "BatchTooLarge" => 413,
        "InternalError" | "InternalFailure" => 500,
        "ServiceUnavailable" => 503,
        _ => 400,
    }
}
