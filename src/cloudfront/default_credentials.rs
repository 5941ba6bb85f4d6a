//! AWS default credentials, found only when a site asks for them.

use std::sync::Arc;

use aws_config::{
    default_provider::credentials::DefaultCredentialsChain,
    environment::EnvironmentVariableRegionProvider, meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider,
};
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_cloudfront::config::Region;
use tokio::sync::OnceCell;

use crate::domain::Partition;

/// aws-config's default chain, built at its first use, since that reads the environment and the profile files.
///
/// The SDK client's identity cache keeps what it gives, and asks again before it expires.
#[derive(Debug, Clone, Default)]
pub(super) struct DefaultCredentials(Arc<OnceCell<DefaultCredentialsChain>>);

impl DefaultCredentials {
    async fn chain(&self) -> &DefaultCredentialsChain {
        self.0
            .get_or_init(|| async {
                // The region is for STS. aws-config's own chain would also wait for the instance metadata service.
                let region =
                    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                        .or_else(ProfileFileRegionProvider::new())
                        .or_else(Region::new(Partition::Aws.signing_region()));
                DefaultCredentialsChain::builder()
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
        future::ProvideCredentials::new(async { self.chain().await.provide_credentials().await })
    }
}
