//! The one SDK client, and its two calls.

use std::time::Duration;

use aws_sdk_cloudfront::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_cloudfront::config::retry::RetryConfig;
use aws_sdk_cloudfront::config::timeout::TimeoutConfig;
use aws_sdk_cloudfront::config::{
    AppName, BehaviorVersion, Builder, Config, ConfigBag, Credentials as SdkCredentials, Intercept,
    Region, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_sdk_cloudfront::error::{BoxError, BuildError};
use aws_sdk_cloudfront::operation::RequestId;
use aws_sdk_cloudfront::{Client, types};
use url::Url;

use super::classify::{Answer, Failure};
use super::default_credentials::DefaultCredentials;
use super::http::BoundedClient;
use crate::domain::{
    CreateOutcome, Credentials, DistributionId, GetOutcome, InvalidationBatch, InvalidationId,
    Settings, TraceParent,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a whole call may take, connection and credentials included.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// CloudFront, for all sites: credentials and signing region come with each call.
#[derive(Clone, Debug)]
pub struct CloudFront {
    client: Client,
}

/// Makes a call. A macro, since each call has its own types of output and error.
macro_rules! answer {
    ($call:expr) => {
        $call
            .send()
            .await
            .map(|output| Answer::new(output.request_id(), output.invalidation()))
            .map_err(|error| Failure::of(&error))
    };
}

impl CloudFront {
    /// Does not connect yet. `endpoint` is in place of AWS's own (`AWS_ENDPOINT_URL_CLOUDFRONT`).
    pub fn at(endpoint: Option<Url>) -> Self {
        Self::within(CALL_TIMEOUT, endpoint)
    }

    /// The same with another limit for a whole call.
    pub fn within(limit: Duration, endpoint: Option<Url>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(limit)
            .operation_attempt_timeout(limit)
            .operation_timeout(limit)
            .build();
        let http = BoundedClient::default();
        let credentials = DefaultCredentials::new(http.clone(), limit / 2);
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .credentials_provider(credentials)
            // The database owns the retry.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_app_name(AppName::new(env!("CARGO_PKG_NAME")).ok());
        config.set_endpoint_url(endpoint.map(String::from));
        Self {
            client: Client::from_conf(config.build()),
        }
    }

    /// Asks CloudFront once to invalidate the batch, as part of a trace if there is one.
    pub async fn create_invalidation(
        &self,
        settings: &Settings,
        batch: &InvalidationBatch,
        trace: Option<&TraceParent>,
    ) -> CreateOutcome {
        let batch = match sdk_batch(batch) {
            Ok(batch) => batch,
            Err(error) => return Failure::not_built(&error).created(),
        };
        let distribution = &settings.distribution_id;
        let config = signing(settings);
        let traced = Traced(trace.cloned());
        let answer = if distribution.is_tenant() {
            let call = self
                .client
                .create_invalidation_for_distribution_tenant()
                .id(distribution.as_str())
                .invalidation_batch(batch);
            answer!(call.customize().config_override(config).interceptor(traced))
        } else {
            let call = self
                .client
                .create_invalidation()
                .distribution_id(distribution.as_str())
                .invalidation_batch(batch);
            answer!(call.customize().config_override(config).interceptor(traced))
        };
        answer.map_or_else(Failure::created, Answer::created)
    }

    /// Asks CloudFront once how far an invalidation is.
    pub async fn get_invalidation(
        &self,
        settings: &Settings,
        distribution: &DistributionId,
        id: &InvalidationId,
    ) -> GetOutcome {
        let config = signing(settings);
        let answer = if distribution.is_tenant() {
            let call = self
                .client
                .get_invalidation_for_distribution_tenant()
                .distribution_tenant_id(distribution.as_str())
                .id(id.as_str());
            answer!(call.customize().config_override(config))
        } else {
            let call = self
                .client
                .get_invalidation()
                .distribution_id(distribution.as_str())
                .id(id.as_str());
            answer!(call.customize().config_override(config))
        };
        answer.map_or_else(Failure::got, Answer::got)
    }
}

/// Adds `traceparent` to a call after it was signed, since proxies may replace it with their own.
#[derive(Debug)]
struct Traced(Option<TraceParent>);

impl Intercept for Traced {
    fn name(&self) -> &'static str {
        "Traced"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(trace) = &self.0 {
            let headers = context.request_mut().headers_mut();
            headers.insert("traceparent", trace.to_string());
        }
        Ok(())
    }
}

/// The site's key, and the region that calls of CloudFront are signed for in its partition. The SDK
/// would not find that region where the endpoint is overridden.
///
/// Without a key the client's own provider stays, and with it its cache.
fn signing(settings: &Settings) -> Builder {
    let region = settings.region.partition.signing_region();
    let config = Config::builder().region(Region::from_static(region));
    match &settings.credentials {
        Credentials::AccessKey { id, secret } => config.credentials_provider(SdkCredentials::new(
            id.as_str(),
            secret.expose(),
            None,
            None,
            "settings",
        )),
        Credentials::AwsDefault => config,
    }
}

fn sdk_batch(batch: &InvalidationBatch) -> Result<types::InvalidationBatch, BuildError> {
    let items: Vec<String> = batch
        .items
        .iter()
        .map(|item| item.as_str().to_owned())
        .collect();
    let paths = types::Paths::builder()
        .quantity(i32::try_from(items.len()).unwrap_or(i32::MAX))
        .set_items(Some(items))
        .build()?;
    types::InvalidationBatch::builder()
        .paths(paths)
        .caller_reference(batch.caller_reference.as_str())
        .build()
}
