//! The running service, as its publishers see it: its HTTP API, called with a publish token.

use std::pin::pin;
use std::time::Duration;

use reqwest::header::{self, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;

use super::CliError;
use super::output::Progress;
use crate::config::ClientConfig;
use crate::domain::SiteName;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For an answer, beyond the time that the service was asked to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// From one try to the next, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Service {
    /// The address of the site's publishes.
    publishes: String,
    authorization: HeaderValue,
    http: Client,
}

/// Why the service did not give what it was asked for.
pub(super) enum Failure {
    /// Trying again may help; after so long, if the service said so.
    Temporary {
        words: String,
        again_after: Option<Duration>,
    },
    /// Trying again cannot help: what was asked for is not right.
    WrongUse(String),
    /// Trying again cannot help until somebody has fixed something.
    Permanent(String),
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::WrongUse(words) => Self::WrongUse(words),
            Failure::Temporary { words, .. } | Failure::Permanent(words) => Self::Failed(words),
        }
    }
}

/// What RFC 9457 says about an error.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<ItemProblem>,
}

#[derive(Deserialize)]
struct ItemProblem {
    pointer: String,
    detail: String,
}

impl Problem {
    fn words(self) -> String {
        let items = self
            .errors
            .iter()
            .map(|item| format!("\n  {}: {}", item.pointer, item.detail));
        self.detail + &items.collect::<String>()
    }
}

impl Service {
    /// Reads which service to call, and with which token. Connects to nothing yet.
    pub(super) fn from_environment(site: &SiteName) -> Result<Self, CliError> {
        let config = ClientConfig::from_environment()
            .map_err(|error| CliError::WrongUse(error.to_string()))?;
        let authorization = format!("Bearer {}", config.token.expose_secret());
        let mut authorization = HeaderValue::try_from(authorization).map_err(|_| {
            CliError::WrongUse("PUBLISH_TOKEN: holds characters that no token has".into())
        })?;
        authorization.set_sensitive(true);
        // A redirect would lose the body of a publish: it is reported instead.
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none());
        // The environment's proxy does not lead back here, and would be shown the token.
        let http = match config.is_here {
            true => http.no_proxy(),
            false => http,
        };
        let http = http
            .build()
            .map_err(|error| CliError::Failed(causes(&error)))?;
        Ok(Self {
            publishes: format!("{}/api/sites/{site}/publishes", config.url),
            authorization,
            http,
        })
    }

    pub(super) async fn publish(&self, key: &str, body: &Value) -> Result<Value, Failure> {
        let key = HeaderValue::try_from(key).map_err(|_| {
            Failure::WrongUse("--idempotency-key: must be visible ASCII characters".into())
        })?;
        let request = self.http.post(&self.publishes);
        let request = request.header("idempotency-key", key).json(body);
        self.ask(request, Duration::ZERO).await
    }

    pub(super) async fn dry_run(&self, body: &Value) -> Result<Value, Failure> {
        let request = self.http.post(format!("{}?dry_run=true", self.publishes));
        self.ask(request.json(body), Duration::ZERO).await
    }

    /// A publish as soon as it has ended, or as it is after `wait`.
    pub(super) async fn show(&self, id: &str, wait: Duration) -> Result<Value, Failure> {
        let request = self.http.get(format!("{}/{id}", self.publishes));
        let request = request.header("prefer", format!("wait={}", wait.as_secs()));
        self.ask(request, wait).await
    }

    async fn ask(&self, request: RequestBuilder, wait: Duration) -> Result<Value, Failure> {
        let limit = wait + ANSWER_TIMEOUT;
        let no_answer = |error: reqwest::Error| {
            let why = match error.is_timeout() && !error.is_connect() {
                true => format!("not within {} s", limit.as_secs()),
                false => causes(&error.without_url()),
            };
            Failure::Temporary {
                words: format!("no answer from {}: {why}", self.publishes),
                again_after: None,
            }
        };
        let answer = request
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/json")
            .timeout(limit)
            .send()
            .await
            .map_err(no_answer)?;
        let (uri, status) = (answer.url().to_string(), answer.status());
        let headers = answer.headers().clone();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let body = answer.bytes().await.map_err(no_answer)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| {
                Failure::Permanent(format!(
                    "{uri} answered {status} without JSON: is SKYCMS_CDN_URL the address of the service?"
                ))
            });
        }
        let words = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if !problem.detail.is_empty() => problem.words(),
            _ if status.is_redirection() => format!(
                "{uri} redirects to {}; set SKYCMS_CDN_URL to where that ends",
                text(header::LOCATION).unwrap_or("another address")
            ),
            _ => format!("{uri} answered {status}: is SKYCMS_CDN_URL the address of the service?"),
        };
        Err(match status {
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Failure::Temporary {
                words,
                again_after: text(header::RETRY_AFTER)
                    .and_then(|seconds| seconds.parse().ok())
                    .map(Duration::from_secs),
            },
            // The request is right: somebody has to enter settings first.
            StatusCode::CONFLICT => Failure::Permanent(words),
            status if status.is_client_error() => Failure::WrongUse(words),
            _ => Failure::Permanent(words),
        })
    }
}

/// Asks again for a while, as long as that may help.
pub(super) async fn retry(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<Value, Failure>,
) -> Result<Value, Failure> {
    let progress = Progress::new();
    let mut end = pin!(tokio::time::sleep(limit));
    let mut pause = FIRST_PAUSE;
    loop {
        let (words, again_after) = match ask().await {
            Err(Failure::Temporary { words, again_after }) => (words, again_after),
            answered => return answered,
        };
        progress.tell(format_args!("trying again: {words}"));
        tokio::select! {
            biased;
            () = &mut end => return Err(Failure::Temporary { words, again_after }),
            () = tokio::time::sleep(again_after.unwrap_or(pause).min(MAX_PAUSE)) => {}
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// An error with what it comes from: “client error (Connect)” alone helps nobody.
pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        if !words.ends_with(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}
