//! SkyCMS's publisher URL: of which host it publishes addresses, and where readers find them.

use std::str::FromStr;

use url::Url;

use crate::cli::output::say;
use crate::cli::{CliError, audit};
use crate::clock::Clock;
use crate::domain::edge::PublicAddress;
use crate::domain::{AuditAction, PublisherHost, SiteName};
use crate::store::{Directory, Store};

/// A URL; only its scheme and host matter.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    host: PublisherHost,
    /// None where readers would not use HTTPS.
    address: Option<PublicAddress>,
}

#[derive(Debug, thiserror::Error)]
#[error("is not an address such as https://www.example.com")]
pub(super) struct NotAPublisherUrl;

impl FromStr for Publisher {
    type Err = NotAPublisherUrl;

    fn from_str(text: &str) -> Result<Self, NotAPublisherUrl> {
        let url: Url = text.trim().parse().map_err(|_| NotAPublisherUrl)?;
        let host = url.host_str().and_then(|host| host.parse().ok());
        let origin = url.origin().ascii_serialization();
        Ok(Self {
            host: host.ok_or(NotAPublisherUrl)?,
            address: PublicAddress::parse(&origin, false).ok(),
        })
    }
}

impl Publisher {
    /// Fills in what the site does not have yet.
    pub(super) async fn save(
        &self,
        store: &Store,
        clock: &Clock,
        name: &SiteName,
    ) -> Result<(), CliError> {
        let Some(site) = Directory::load(store).await?.site(name.as_str()) else {
            return Ok(());
        };
        let mut done = Vec::new();
        let mut rules = site.publishing.clone();
        if rules.hosts.is_empty() {
            rules.hosts.push(self.host.clone());
            done.push(format!("{} is its publisher host now", self.host));
        }
        if let (None, Some(address)) = (&rules.public_address, &self.address) {
            done.push(format!("{address} is its public address now"));
        }
        if done.is_empty() {
            return Ok(());
        }
        rules.public_address = rules.public_address.or_else(|| self.address.clone());
        store.save_publishing(site.id, None, &rules).await?;
        let (action, detail) = (AuditAction::ChangedPublishing, "imported from SkyCMS");
        audit(store, clock, action, site.id, detail).await;
        for done in done {
            say(format_args!("{done}."))?;
        }
        Ok(())
    }
}
