//! What handlers share.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use time::{Duration, OffsetDateTime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::http::bodies::Bodies;
use super::http::client::ClientAddress;
use super::http::hasher::Hasher;
use super::http::open_answers::OpenAnswers;
use super::http::turns::Turns;
use crate::admin::Tester;
use crate::clock::Clock;
use crate::config::{AccessConfig, PublicUrl, ServeOptions};
use crate::dispatcher::Wake;
use crate::domain::Limits;
use crate::metrics::Metrics;
use crate::skycms::SkyCms;
use crate::store::{
    Day, Directory, Inbox, LastUsed, LiveChanges, PublishWaiters, RefusedCalls, Site, SiteId,
    Store, TokenHash, Workload, hash,
};

/// What handlers share, in one piece: it is cloned several times a request.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

impl AppState {
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// A hash of the secret that SkyCMS's tokens are signed with: sessions end with it.
    pub fn issuer(&self) -> Option<TokenHash> {
        let secret = self.access.embed_secret.as_ref()?;
        Some(hash(&format!(
            "issuer of sessions: {}",
            secret.expose_secret()
        )))
    }

    /// Where a request comes from.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> ClientAddress {
        let trusted = &self.access.trusted_proxies;
        ClientAddress::of(extensions, headers, trusted, &self.unbelieved_proxy)
    }

    /// The address that a site's publishers call.
    pub(crate) fn hook_url(&self, site: &Site) -> String {
        format!("{}/api/sites/{}/publishes", self.public, site.name)
    }

    /// Lets this replica see a change of sites at once; the others are notified.
    pub(crate) async fn refresh_sites(&self) {
        if let Err(error) = self.directory.refresh(&self.store).await {
            tracing::warn!(%error, "could not reload the sites yet");
        }
        self.wake.wake();
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRequestParts<AppState> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        Ok(state.client(&parts.extensions, &parts.headers))
    }
}

/// All that [`AppState`] gives handlers.
pub struct Shared {
    pub store: Store,
    pub directory: Directory,
    /// The way in for publishes.
    pub inbox: Inbox,
    pub clock: Clock,
    /// The only way from here to CloudFront: testing settings.
    pub(crate) tester: Tester,
    pub limits: Limits,
    /// What changed, here or on another replica.
    pub changes: LiveChanges,
    pub publish_waiters: PublishWaiters,
    pub wake: Wake,
    /// The last day of each site, kept for a few seconds.
    pub days: Recent<Arc<Day>>,
    /// The same of what is being worked off, where that is more than can be counted.
    pub endless: Recent<Workload>,
    pub access: AccessConfig,
    /// SkyCMS, whose own session signs people in; `None` if it does not.
    pub skycms: Option<SkyCms>,
    pub hasher: Hasher,
    pub last_used: LastUsed,
    /// A proxy whose `X-Forwarded-For` is not believed, once one was seen.
    pub unbelieved_proxy: OnceLock<IpAddr>,
    pub refused: RefusedCalls,
    /// Whether a public address may be plain http and private, for trials.
    pub allow_private_targets: bool,
    pub public: PublicUrl,
    pub bodies: Bodies,
    pub turns: Turns,
    pub open_answers: OpenAnswers,
    pub metrics: Metrics,
    /// For reading the metrics; `None` where only loopback may.
    pub metrics_token: Option<SecretString>,
    pub serve: ServeOptions,
    /// What outlives its request, and is waited for when the service stops.
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

/// How long what was read is shown before it is read again.
const FRESH: Duration = Duration::seconds(10);

/// What was last read of each site, where that is costly to read and changes slowly.
#[derive(Debug)]
pub struct Recent<T>(Mutex<HashMap<SiteId, (OffsetDateTime, T)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Recent<T> {
    pub(crate) fn kept(&self, site: SiteId, now: OffsetDateTime) -> Option<T> {
        let recent = self.0.lock();
        let (at, read) = recent.get(&site)?;
        ((now - *at).abs() < FRESH).then(|| read.clone())
    }

    pub(crate) fn keep(&self, site: SiteId, now: OffsetDateTime, read: T) {
        self.0.lock().insert(site, (now, read));
    }
}
