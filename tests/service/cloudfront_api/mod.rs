//! CloudFront's own API, through AWS's SDK and by requests signed by hand.

mod keys;
mod publishes;
mod refusals;
mod signatures;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_cloudfront::Client;
use aws_sdk_cloudfront::config::retry::RetryConfig;
use aws_sdk_cloudfront::config::{BehaviorVersion, Region};
use aws_sdk_cloudfront::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use axum::body::Body;
use http::{Method, Request};

use crate::support::{DISTRIBUTION, Stepped};

const ACCESS_KEY: &str = "SKYCTESTKEYPAIR00001";
const SECRET_KEY: &str = "a/secret/of/a/key/pair/of/this/service/1";
const REFERENCE: &str = "reference-1";
const CALL: &str = "/2020-05-31/distribution/E2SANDBOX0CDN1/invalidation";
const BODY: &str = "<InvalidationBatch><Paths><Quantity>1</Quantity><Items><Path>/a</Path></Items></Paths>\
                    <CallerReference>by hand</CallerReference></InvalidationBatch>";

async fn start(more: &[(&str, &str)]) -> Stepped {
    let pair = [
        ("PUBLISH_ACCESS_KEY_ID", ACCESS_KEY),
        ("PUBLISH_SECRET_ACCESS_KEY", SECRET_KEY),
    ];
    Stepped::start_with(&[&pair, more].concat()).await
}

fn client_with(service: &Stepped, access_key: &str, secret: &str) -> Client {
    client_at(&service.api.base, access_key, secret)
}

pub(crate) fn client_at(endpoint: &str, access_key: &str, secret: &str) -> Client {
    let config = aws_sdk_cloudfront::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new(access_key, secret, None, None, "test"))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn client(service: &Stepped) -> Client {
    client_with(service, ACCESS_KEY, SECRET_KEY)
}

pub(crate) fn batch(reference: &str, paths: &[&str]) -> InvalidationBatch {
    let count = i32::try_from(paths.len()).unwrap();
    let items = paths.iter().map(|path| (*path).to_owned()).collect();
    InvalidationBatch::builder()
        .caller_reference(reference)
        .paths(
            Paths::builder()
                .quantity(count)
                .set_items(Some(items))
                .build()
                .unwrap(),
        )
        .build()
        .unwrap()
}

/// The invalidation's id, or CloudFront's code and message.
pub(crate) async fn create(
    client: &Client,
    distribution: &str,
    batch: InvalidationBatch,
) -> Result<String, (u16, String, String)> {
    client
        .create_invalidation()
        .distribution_id(distribution)
        .invalidation_batch(batch)
        .send()
        .await
        .map(|answer| answer.invalidation.unwrap().id)
        .map_err(refusal)
}

fn refusal<E: ProvideErrorMetadata + std::fmt::Debug>(error: SdkError<E>) -> (u16, String, String) {
    let status = error.raw_response().unwrap().status().as_u16();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    (status, text(error.code()), text(error.message()))
}

async fn status(client: &Client, id: &str) -> Result<String, (u16, String, String)> {
    client
        .get_invalidation()
        .distribution_id(DISTRIBUTION)
        .id(id)
        .send()
        .await
        .map(|answer| answer.invalidation.unwrap().status)
        .map_err(refusal)
}

/// How a request is signed by hand.
#[derive(Clone, Copy)]
struct Signing {
    service: &'static str,
    /// In the query, good for so many seconds; none: in the headers.
    in_query: Option<u64>,
    /// Whether `x-amz-content-sha256` is sent.
    declares_hash: bool,
}

const USUAL: Signing = Signing {
    service: "cloudfront",
    in_query: None,
    declares_hash: false,
};

impl Signing {
    /// Signs `body` for the address that a client called, as a proxy may pass it on.
    fn apply(self, service: &Stepped, request: &mut Request<Body>, called: &str, body: &str) {
        let identity = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test").into();
        let mut settings = SigningSettings::default();
        if let Some(seconds) = self.in_query {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(seconds));
        }
        if self.declares_hash {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("anywhere")
            .name(self.service)
            .time(SystemTime::from(service.state.clock.now()))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let method = request.method().as_str();
        let bytes = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new(method, called, [].into_iter(), bytes).unwrap();
        let (signing, _) = sign(signable, &params).unwrap().into_parts();
        signing.apply_to_request_http1x(request);
    }
}

/// A call as it reaches the service when nothing stands in between.
fn signed(
    service: &Stepped,
    signing: Signing,
    method: &Method,
    path: &str,
    body: &str,
) -> Request<Body> {
    let url = format!("{}{path}", service.api.base);
    let mut request = Request::builder()
        .method(method)
        .uri(&url)
        .body(Body::from(body.to_owned()))
        .unwrap();
    signing.apply(service, &mut request, &url, body);
    request
}
