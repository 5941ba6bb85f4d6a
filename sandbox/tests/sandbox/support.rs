//! A sandbox process, the SDK's client for it and its admin API.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_cloudfront::Client;
use aws_sdk_cloudfront::config::retry::RetryConfig;
use aws_sdk_cloudfront::config::timeout::TimeoutConfig;
use aws_sdk_cloudfront::config::{BehaviorVersion, Region};
use aws_sdk_cloudfront::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudfront::operation::create_invalidation::{
    CreateInvalidationError, CreateInvalidationOutput,
};
use aws_sdk_cloudfront::operation::get_invalidation::{
    GetInvalidationError, GetInvalidationOutput,
};
use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

pub(crate) const DISTRIBUTION: &str = "E2SANDBOX0CDN1";
pub(crate) const KEY: &str = "AKIASANDBOX000000001";
pub(crate) const SECRET: &str = "sandbox/demo/secret/of/cloudfront/000001";

pub(crate) type Created = Result<CreateInvalidationOutput, SdkError<CreateInvalidationError>>;
type Got = Result<GetInvalidationOutput, SdkError<GetInvalidationError>>;

/// A running sandbox, killed when dropped.
pub(crate) struct Sandbox {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Sandbox {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cloudfront-sandbox"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("cloudfront-sandbox listening on ")
            .and_then(|rest| rest.split(' ').next())
            .unwrap()
            .to_owned();
        Self { child, url }
    }

    /// The SDK as the service would set it up: one attempt a call, CloudFront's region.
    pub(crate) fn client(&self) -> Client {
        self.client_of(Credentials::from_keys(KEY, SECRET, None), "us-east-1")
    }

    pub(crate) fn client_of(&self, credentials: Credentials, region: &'static str) -> Client {
        Client::from_conf(
            aws_sdk_cloudfront::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .endpoint_url(&self.url)
                .region(Region::new(region))
                .credentials_provider(credentials)
                .retry_config(RetryConfig::disabled())
                .timeout_config(
                    TimeoutConfig::builder()
                        .operation_timeout(Duration::from_secs(1))
                        .build(),
                )
                .build(),
        )
    }

    /// Calls the admin API; the answer's status and JSON, null where it has none.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, text) = self.http(method, path, body).await;
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    pub(crate) async fn http(&self, method: &str, path: &str, body: String) -> (u16, String) {
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let answer = client.request(request).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// The admin API where it must succeed.
    pub(crate) async fn set(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.admin(method, path, body).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    pub(crate) async fn read(&self, path: &str) -> Value {
        self.set("GET", path, Value::Null).await
    }

    pub(crate) async fn state(&self) -> Value {
        self.read("/sandbox/state").await
    }

    pub(crate) async fn config(&self, fields: Value) {
        self.set("PATCH", "/sandbox/config", fields).await;
    }

    /// Changes the access key that [`Self::client`] uses.
    pub(crate) async fn key(&self, fields: Value) {
        let path = format!("/sandbox/keys/{KEY}");
        self.set("PUT", &path, fields).await;
    }

    pub(crate) async fn faults(&self, rules: Value) {
        let rules = json!({ "rules": rules });
        self.set("POST", "/sandbox/faults", rules).await;
    }

    /// The newest entry of the ledger.
    pub(crate) async fn last_call(&self) -> Value {
        self.state().await["ledger"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

pub(crate) fn batch(reference: &str, paths: &[&str]) -> InvalidationBatch {
    let quantity = i32::try_from(paths.len()).unwrap();
    let items = paths.iter().map(ToString::to_string).collect();
    InvalidationBatch::builder()
        .paths(
            Paths::builder()
                .quantity(quantity)
                .set_items(Some(items))
                .build()
                .unwrap(),
        )
        .caller_reference(reference)
        .build()
        .unwrap()
}

pub(crate) async fn create_on(
    client: &Client,
    distribution: &str,
    reference: &str,
    paths: &[&str],
) -> Created {
    client
        .create_invalidation()
        .distribution_id(distribution)
        .invalidation_batch(batch(reference, paths))
        .send()
        .await
}

pub(crate) async fn create(client: &Client, reference: &str, paths: &[&str]) -> Created {
    create_on(client, DISTRIBUTION, reference, paths).await
}

pub(crate) async fn get(client: &Client, id: &str) -> Got {
    client
        .get_invalidation()
        .distribution_id(DISTRIBUTION)
        .id(id)
        .send()
        .await
}

/// The HTTP status, code and message of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug, E>(
    result: &Result<T, SdkError<E>>,
) -> (u16, String, String)
where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    let error = result.as_ref().unwrap_err();
    let service_error = error
        .as_service_error()
        .unwrap_or_else(|| panic!("no answer: {error:?}"));
    (
        error.raw_response().unwrap().status().as_u16(),
        service_error.code().unwrap_or_default().to_owned(),
        service_error.message().unwrap_or_default().to_owned(),
    )
}

/// The HTTP status and code of a refusal.
pub(crate) fn code<T: std::fmt::Debug, E>(result: &Result<T, SdkError<E>>) -> (u16, String)
where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    let (status, code, _) = refusal(result);
    (status, code)
}
