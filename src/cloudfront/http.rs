//! The HTTP client of all calls to AWS, credentials included. It bounds what it reads of an answer:
//! whatever answers in AWS's place decides how long that is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use parking_lot::Mutex;

/// The most that is read of an answer, in bytes. CloudFront's repeats the items of the call, of
/// which there may be 1 MiB, each between tags and with five bytes for each `&`.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Like the SDK's own, except that answers are bounded. Clones share their connections.
#[derive(Clone, Debug, Default)]
pub(super) struct BoundedClient(Arc<Mutex<HashMap<Timeouts, SharedHttpConnector>>>);

/// To connect, and to read.
type Timeouts = (Option<Duration>, Option<Duration>);

impl HttpClient for BoundedClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = self.0.lock();
        let connector = connectors
            .entry(timeouts)
            .or_insert_with(|| bounded(settings, components));
        connector.clone()
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "this machine has no certificate authorities to know CloudFront by: install them (on Debian the package \
     ca-certificates), or name a file of them in SSL_CERT_FILE"
)]
pub struct NoAuthorities;

/// Looks for the machine's certificate authorities where the SDK will, which panics without any.
pub fn authorities_are_known() -> Result<(), NoAuthorities> {
    if rustls_native_certs::load_native_certs().certs.is_empty() {
        return Err(NoAuthorities);
    }
    Ok(())
}

fn bounded(
    settings: &HttpConnectorSettings,
    components: &RuntimeComponents,
) -> SharedHttpConnector {
    let mut connector = Connector::builder()
        .connector_settings(settings.clone())
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    connector.set_sleep_impl(components.sleep_impl());
    SharedHttpConnector::new(Bounded(connector.build()))
}

#[derive(Debug)]
struct Bounded(Connector);

impl HttpConnector for Bounded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        let bounded = |body| SdkBody::from_body_1_x(Limited::new(body, MAX_ANSWER_BYTES));
        HttpConnectorFuture::new(async move { Ok(answer.await?.map(bounded)) })
    }
}
