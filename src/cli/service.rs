//! The running service, as its publishers see it: its HTTP API, called with a publish token.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;

use super::CliError;
use crate::config::ClientConfig;
use crate::domain::SiteName;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take beyond the time that it was asked to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// One site of the service.
pub(super) struct Service {
    /// The site's publishes.
    publishes: String,
    authorization: HeaderValue,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Trying again may help; after so long, if the service said so.
    #[error("{words}")]
    ForNow {
        words: String,
        again_after: Option<Duration>,
    },
    /// Trying again cannot help: what was asked for is not right.
    #[error("{0}")]
    Refused(String),
    /// Trying again cannot help until somebody has fixed something.
    #[error("{0}")]
    Failed(String),
}

impl From<Trouble> for CliError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(words) => Self::WrongUse(words),
            Trouble::ForNow { words, .. } | Trouble::Failed(words) => Self::Failed(words),
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

impl Service {
    /// Reads who to call, and with which token. Connects to nothing yet.
    pub(super) fn from_environment(site: &SiteName) -> Result<Self, CliError> {
        let config = ClientConfig::from_environment()
            .map_err(|error| CliError::WrongUse(error.to_string()))?;
        let authorization = format!("Bearer {}", config.token.expose_secret());
        let mut authorization = HeaderValue::try_from(authorization).map_err(|_| {
            CliError::WrongUse("PUBLISH_TOKEN: holds characters that no token has".into())
        })?;
        authorization.set_sensitive(true);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        // The certificates of this machine, or where it has none, Mozilla's.
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .unwrap_or_else(|_| HttpsConnectorBuilder::new().with_webpki_roots())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self {
            publishes: format!("{}/api/sites/{site}/publishes", config.url),
            authorization,
            http: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// Publishes, once.
    pub(super) async fn publish(&self, key: &str, body: &Value) -> Result<Value, Trouble> {
        let key = HeaderValue::try_from(key).map_err(|_| {
            Trouble::Refused("--idempotency-key: must be visible ASCII characters".into())
        })?;
        let headers = [(HeaderName::from_static("idempotency-key"), key)];
        let uri = self.publishes.clone();
        self.ask(Method::POST, uri, headers, body.to_string(), Duration::ZERO)
            .await
    }

    /// What would be sent.
    pub(super) async fn dry_run(&self, body: &Value) -> Result<Value, Trouble> {
        let uri = format!("{}?dry_run=true", self.publishes);
        self.ask(Method::POST, uri, [], body.to_string(), Duration::ZERO)
            .await
    }

    /// A publish as soon as it has ended, or as it is after `wait`.
    pub(super) async fn show(&self, id: &str, wait: Duration) -> Result<Value, Trouble> {
        let prefer = HeaderValue::try_from(format!("wait={}", wait.as_secs()))
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        let headers = [(HeaderName::from_static("prefer"), prefer)];
        let uri = format!("{}/{id}", self.publishes);
        self.ask(Method::GET, uri, headers, String::new(), wait)
            .await
    }

    async fn ask(
        &self,
        method: Method,
        uri: String,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        body: String,
        wait: Duration,
    ) -> Result<Value, Trouble> {
        let mut request = Request::builder()
            .method(method)
            .uri(&uri)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(Full::from(body))
            .map_err(|error| Trouble::Refused(format!("SKYCMS_CDN_URL: {uri}: {error}")))?;
        request.headers_mut().extend(headers);
        let no_answer = |why: String| Trouble::ForNow {
            words: format!("no answer from {uri}: {why}"),
            again_after: None,
        };
        let asking = async {
            let answer = self
                .http
                .request(request)
                .await
                .map_err(|e| no_answer(causes(&e)))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER)
                .collect()
                .await
                .map_err(|e| no_answer(causes(e.as_ref())))?
                .to_bytes();
            read(&uri, parts.status, &parts.headers, &body)
        };
        tokio::time::timeout(wait + ANSWER_TIMEOUT, asking)
            .await
            .unwrap_or_else(|_| {
                Err(no_answer(format!(
                    "not within {} s",
                    (wait + ANSWER_TIMEOUT).as_secs()
                )))
            })
    }
}

/// The JSON of a good answer, or what a bad one means.
fn read(
    uri: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Value, Trouble> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if status.is_success() {
        return serde_json::from_slice(body).map_err(|_| {
            Trouble::Failed(format!("{uri} answered {status} without JSON: is SKYCMS_CDN_URL the address of the service?"))
        });
    }
    let words = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) if !problem.detail.is_empty() => {
            let items = problem
                .errors
                .iter()
                .map(|item| format!("\n  {}: {}", item.pointer, item.detail));
            problem.detail + &items.collect::<String>()
        }
        _ if status.is_redirection() => format!(
            "{uri} leads to {}; set SKYCMS_CDN_URL to where it ends",
            text(header::LOCATION).unwrap_or("another address")
        ),
        _ => format!("{uri} answered {status}: is SKYCMS_CDN_URL the address of the service?"),
    };
    Err(match status {
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Trouble::ForNow {
            words,
            again_after: text(header::RETRY_AFTER)
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
        },
        // Somebody has to enter settings first; what was asked for is right.
        StatusCode::CONFLICT => Trouble::Failed(words),
        status if status.is_client_error() => Trouble::Refused(words),
        _ => Trouble::Failed(words),
    })
}

/// An error with what it comes from: “client error (Connect)” alone helps nobody.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_words = cause.to_string();
        if !words.ends_with(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        next = cause.source();
    }
    words
}
