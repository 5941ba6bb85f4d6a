//! What the SDK's answers mean: by AWS's code first, then by the HTTP status.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudfront::config::http::HttpResponse;
use aws_sdk_cloudfront::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudfront::operation::RequestId;
use aws_sdk_cloudfront::types;
use time::OffsetDateTime;

use crate::domain::{AwsError, CreateOutcome, GetOutcome, InvalidationId};

/// A 2xx answer.
pub(super) struct Answer {
    request_id: Option<String>,
    invalidation: Option<(InvalidationId, bool)>,
    created_at: Option<OffsetDateTime>,
}

impl Answer {
    pub(super) fn new(
        request_id: Option<&str>,
        invalidation: Option<&types::Invalidation>,
    ) -> Self {
        Self {
            request_id: request_id.map(clean),
            invalidation: invalidation.and_then(|invalidation| {
                let id = invalidation.id().parse().ok()?;
                Some((id, invalidation.status() == "Completed"))
            }),
            created_at: invalidation.and_then(|invalidation| {
                let nanos = invalidation.create_time().as_nanos();
                OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
            }),
        }
    }

    pub(super) fn created(self) -> CreateOutcome {
        match self.invalidation {
            Some((id, completed)) => CreateOutcome::Accepted {
                id,
                completed,
                created_at: self.created_at,
                request_id: self.request_id,
            },
            None => CreateOutcome::Unknown(self.without_invalidation()),
        }
    }

    pub(super) fn got(self) -> GetOutcome {
        match self.invalidation {
            Some((_, true)) => GetOutcome::Completed {
                request_id: self.request_id,
            },
            Some((_, false)) => GetOutcome::InProgress {
                request_id: self.request_id,
            },
            None => GetOutcome::TryLater(self.without_invalidation()),
        }
    }

    fn without_invalidation(self) -> AwsError {
        let message = "The answer holds no invalidation.";
        AwsError {
            request_id: self.request_id,
            ..AwsError::new(AwsError::UNREADABLE_ANSWER, message)
        }
    }
}

/// Anything but a 2xx answer, by how far the request got.
pub(super) enum Failure {
    /// Whatever answered refused it, with this code or status.
    Refused(AwsError),
    /// It never left this machine.
    NotSent(AwsError),
    /// There is nothing to sign with.
    NoCredentials(AwsError),
    /// It may have reached CloudFront.
    Unknown(AwsError),
}

impl Failure {
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let with_code = |code: &str| AwsError {
            code: code.to_owned(),
            message: full_message(error),
            request_id: error.request_id().map(clean),
            http_status: error.raw_response().map(|raw| raw.status().as_u16()),
        };
        match error {
            SdkError::ServiceError(service) => Self::answered(&with_code, service.err()),
            SdkError::ResponseError(_) => Self::Unknown(with_code(AwsError::CONNECTION_CLOSED)),
            SdkError::TimeoutError(_) => Self::Unknown(with_code(AwsError::TIMEOUT)),
            _ if in_chain::<CredentialsError>(error).is_some() => {
                Self::NoCredentials(with_code(AwsError::NO_CREDENTIALS))
            }
            SdkError::DispatchFailure(dispatch) => match connecting_failed(error) {
                Some(_) if dispatch.is_timeout() => Self::NotSent(with_code(AwsError::TIMEOUT)),
                Some(why) => Self::NotSent(AwsError {
                    message: full_message(why),
                    ..with_code(failed_stage(why))
                }),
                None if dispatch.is_timeout() => Self::Unknown(with_code(AwsError::TIMEOUT)),
                None => Self::Unknown(with_code(AwsError::CONNECTION_CLOSED)),
            },
            _ => Self::NotSent(with_code(AwsError::NOT_BUILT)),
        }
    }

    pub(super) fn not_built(error: &(dyn Error + 'static)) -> Self {
        Self::Refused(AwsError::new(AwsError::NOT_BUILT, full_message(error)))
    }

    fn answered(with_code: &impl Fn(&str) -> AwsError, meta: &impl ProvideErrorMetadata) -> Self {
        let bare = with_code(AwsError::UNREADABLE_ANSWER);
        let status = bare.http_status.unwrap_or_default();
        let Some(code) = meta.code() else {
            return match status {
                200..=299 => Self::Unknown(bare),
                _ => Self::Refused(AwsError {
                    code: format!("{}{status}", AwsError::HTTP),
                    message: "The answer has no error code of AWS's.".to_owned(),
                    ..bare
                }),
            };
        };
        Self::Refused(AwsError {
            code: clean(code),
            message: clean(meta.message().unwrap_or_default()),
            ..bare
        })
    }

    pub(super) fn created(self) -> CreateOutcome {
        let error = match self {
            Self::Refused(error) => error,
            Self::NotSent(error) => return CreateOutcome::NotSent(error),
            Self::NoCredentials(error) => return CreateOutcome::SettingsRejected(error),
            Self::Unknown(error) => return CreateOutcome::Unknown(error),
        };
        match error.code.as_str() {
            _ if error.says_reference_was_used() => CreateOutcome::AlreadyUsed(error),
            _ if error.is_throttling() => CreateOutcome::Throttled(error),
            _ if rejects_settings(&error) => CreateOutcome::SettingsRejected(error),
            _ if error.says_quota_is_full() => CreateOutcome::QuotaFull(error),
            "BatchTooLarge" | "Http413" => CreateOutcome::BatchTooLarge(error),
            "RequestTimeout" | "RequestTimeoutException" => CreateOutcome::Unknown(error),
            // CloudFront always gives a code: whatever answered without one knows nothing about the
            // batch.
            code if code.starts_with(AwsError::HTTP) => CreateOutcome::Unknown(error),
            _ if error.http_status.is_some_and(|status| status >= 500) => {
                CreateOutcome::Unknown(error)
            }
            _ => CreateOutcome::BatchRefused(error),
        }
    }

    pub(super) fn got(self) -> GetOutcome {
        match self {
            Self::NoCredentials(error) => GetOutcome::SettingsRejected(error),
            Self::Refused(error) if error.code == "NoSuchInvalidation" => GetOutcome::Gone(error),
            Self::Refused(error) if !error.is_throttling() && rejects_settings(&error) => {
                GetOutcome::SettingsRejected(error)
            }
            Self::Refused(error) | Self::NotSent(error) | Self::Unknown(error) => {
                GetOutcome::TryLater(error)
            }
        }
    }
}

/// Whether nothing can succeed until the settings, the policy or the clock are fixed.
fn rejects_settings(error: &AwsError) -> bool {
    error.is_about_credentials()
        || matches!(error.code.as_str(), "NoSuchDistribution" | "EntityNotFound")
        || error.has_aws_code() && matches!(error.http_status, Some(401 | 403))
}

/// Why the connection was never made, in which case nothing of the request can have left.
fn connecting_failed<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    in_chain::<hyper_util::client::legacy::Error>(error)
        .filter(|error| error.is_connect())
        .map(|error| error.source().unwrap_or(error))
}

/// The stage at which connecting failed, told by the beginning of its message: the types of these
/// errors are private.
fn failed_stage(why: &(dyn Error + 'static)) -> &'static str {
    let message = why.to_string();
    [
        ("tunnel error", AwsError::PROXY_REFUSED),
        ("dns error", AwsError::NO_ADDRESS),
        ("TLS handshake failed", AwsError::TLS_FAILED),
    ]
    .into_iter()
    .find(|(stage, _)| message.starts_with(stage))
    .map_or(AwsError::UNREACHABLE, |(_, code)| code)
}

fn in_chain<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}

/// All that the error and its sources say, each once. The SDK's errors alone display next to
/// nothing.
fn full_message(error: &(dyn Error + 'static)) -> String {
    let mut all = String::new();
    for error in std::iter::successors(Some(error), |&error| error.source()) {
        let message = error.to_string();
        if !all.contains(&message) {
            if !all.is_empty() {
                all.push_str(": ");
            }
            all.push_str(&message);
        }
    }
    clean(&all)
}

/// The longest text from outside that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 1_024;

/// One line of at most [`MAX_TEXT_BYTES`], fit for a page, a log and the database.
fn clean(text: &str) -> String {
    let text = text
        .get(..text.floor_char_boundary(4 * MAX_TEXT_BYTES))
        .unwrap_or_default();
    let mut line = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    line.truncate(line.floor_char_boundary(MAX_TEXT_BYTES));
    line
}
