//! AWS default credentials, found only when a site asks for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_cloudfront::config::Region;
use tokio::sync::OnceCell;

use super::http::BoundedClient;
use crate::domain::Partition;

/// aws-config's default chain, built at its first use, since that reads the environment and the
/// profile files.
///
/// The SDK client's identity cache keeps what it finds, and asks again before that expires.
#[derive(Clone, Debug)]
pub(super) struct DefaultCredentials {
    chain: Arc<OnceCell<DefaultCredentialsChain>>,
    http: BoundedClient,
    timeout: Duration,
    /// Whether the last search took too long, a short while ago.
    is_slow: Arc<AtomicBool>,
}

impl DefaultCredentials {
    /// Where there is no metadata service, the last link of the chain may be slow to find out. A
    /// `timeout` of its own, which must be shorter than the call's, keeps that from being mistaken
    /// for a call that CloudFront did not answer.
    pub(super) fn new(http: BoundedClient, timeout: Duration) -> Self {
        Self {
            chain: Arc::default(),
            http,
            timeout,
            is_slow: Arc::default(),
        }
    }

    async fn chain(&self) -> &DefaultCredentialsChain {
        self.chain
            .get_or_init(|| async {
                // The region is for STS. aws-config's own chain would also wait for the instance
                // metadata service.
                let region =
                    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                        .or_else(ProfileFileRegionProvider::new())
                        .or_else(Region::new(Partition::Aws.signing_region()));
                let config = ProviderConfig::default().with_http_client(self.http.clone());
                DefaultCredentialsChain::builder()
                    .configure(config)
                    .region(region)
                    .build()
                    .await
            })
            .await
    }
}

impl ProvideCredentials for DefaultCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let late = || Err(CredentialsError::provider_timed_out(self.timeout));
            // The cache lets those who wait for one search begin another when it has failed. By then
            // their calls have no time left for that.
            if self.is_slow.load(Ordering::Relaxed) {
                return late();
            }
            let found = async { self.chain().await.provide_credentials().await };
            match tokio::time::timeout(self.timeout, found).await {
                Ok(found) => found,
                Err(_) => {
                    self.is_slow.store(true, Ordering::Relaxed);
                    let (is_slow, timeout) = (Arc::clone(&self.is_slow), self.timeout);
                    tokio::spawn(async move {
                        tokio::time::sleep(timeout).await;
                        is_slow.store(false, Ordering::Relaxed);
                    });
                    late()
                }
            }
        })
    }
}
