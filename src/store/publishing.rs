//! What a site's owner decided about its publishes.

use std::fmt;
use std::str::FromStr;

use super::edge::move_public_address;
use super::listen::announce_settings;
use super::{Result, SiteId, Store};
use crate::domain::edge::PublicAddress;
use crate::domain::{PublisherHost, Publishing};

/// The rules of a site's publishes as the database has them.
pub(super) struct StoredRules {
    pub(super) publisher_hosts: Vec<String>,
    pub(super) related: Vec<String>,
    pub(super) directory_variants: bool,
    pub(super) public_address: Option<String>,
    pub(super) origin_path: String,
}

impl StoredRules {
    /// What this version understands of the rules of the site of that name.
    pub(super) fn read(&self, site: &str) -> Publishing {
        let address = self.public_address.as_deref();
        Publishing {
            public_address: address.and_then(|text| PublicAddress::parse(text, true).ok()),
            origin_path: self.origin_path.parse().unwrap_or_default(),
            hosts: self.hosts(site),
            related: understood(site, &self.related),
            directory_variants: self.directory_variants,
        }
    }

    /// An empty list accepts any host, which nobody has chosen where there are entries.
    fn hosts(&self, site: &str) -> Vec<PublisherHost> {
        let mut hosts = understood(site, &self.publisher_hosts);
        if hosts.is_empty() && !self.publisher_hosts.is_empty() {
            hosts.push(PublisherHost::unreadable());
        }
        hosts
    }
}

impl Store {
    /// The rules of a site's publishes as they are saved now, and their version. The directory may
    /// have older ones: what another replica has saved takes a moment to come here.
    pub async fn publishing(&self, site: SiteId) -> Result<(Publishing, i32)> {
        let row = sqlx::query!(
            "SELECT name, publisher_hosts, related, directory_variants, public_address, origin_path,
                    publishing_version
             FROM site WHERE id = $1",
            site.0,
        )
        .fetch_one(&self.pool)
        .await?;
        let rules = StoredRules {
            publisher_hosts: row.publisher_hosts,
            related: row.related,
            directory_variants: row.directory_variants,
            public_address: row.public_address,
            origin_path: row.origin_path,
        };
        Ok((rules.read(&row.name), row.publishing_version))
    }

    /// Changes the rules of a site's publishes. They hold for calls that arrive from now on. For
    /// `version`, see [`Store::save_spending`].
    pub async fn save_publishing(
        &self,
        site: SiteId,
        version: Option<i32>,
        rules: &Publishing,
    ) -> Result<bool> {
        let hosts: Vec<&str> = rules.hosts.iter().map(PublisherHost::as_str).collect();
        let related: Vec<String> = rules.related.iter().map(ToString::to_string).collect();
        let mut tx = self.begin().await?;
        let saved = sqlx::query!(
            "UPDATE site SET publisher_hosts = $2, related = $3, directory_variants = $4, origin_path = $5,
                             publishing_version = publishing_version + 1
             WHERE id = $1 AND publishing_version = coalesce($6, publishing_version)",
            site.0,
            &hosts as &[&str],
            &related,
            rules.directory_variants,
            rules.origin_path.to_string(),
            version,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        if saved {
            move_public_address(&mut tx, site, rules.public_address.as_ref()).await?;
            announce_settings(&mut tx, site).await?;
            tx.commit().await?;
        }
        Ok(saved)
    }
}

/// What this version understands of a list that a newer one may have written: a single entry must
/// not keep every site from being served.
fn understood<T: FromStr<Err: fmt::Display>>(site: &str, stored: &[String]) -> Vec<T> {
    stored
        .iter()
        .filter_map(|text| {
            T::from_str(text)
                .inspect_err(|error| {
                    tracing::error!(site, %error, "a stored entry is left out");
                })
                .ok()
        })
        .collect()
}
