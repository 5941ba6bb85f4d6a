//! What a site's owner decided about its publishes.

use super::edge::drop_checks;
use super::listen::announce_settings;
use super::{Result, SiteId, Store, StoreError};
use crate::domain::{PublisherHost, Publishing};

impl Store {
    /// The rules of a site's publishes as they are saved now, and their version. The directory may
    /// have older ones: what another replica has saved takes a moment to get here.
    ///
    /// # Errors
    /// [`StoreError::SiteGone`] if the site was removed.
    pub async fn publishing(&self, site: SiteId) -> Result<(Publishing, i32)> {
        let site = self.read_sites(Some(site)).await?.pop();
        let site = site.ok_or(StoreError::SiteGone)?;
        Ok((site.publishing, site.publishing_version))
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
        let has_moved = sqlx::query_scalar!(
            r#"UPDATE site s SET publisher_hosts = $2, related = $3, directory_variants = $4, origin_path = $5,
                                 public_address = $7, publishing_version = s.publishing_version + 1
               FROM (SELECT public_address FROM site WHERE id = $1 FOR NO KEY UPDATE) before
               WHERE s.id = $1 AND s.publishing_version = coalesce($6, s.publishing_version)
               RETURNING before.public_address IS DISTINCT FROM s.public_address as "has_moved!""#,
            site.0,
            &hosts as &[&str],
            &related,
            rules.directory_variants,
            rules.origin_path.to_string(),
            version,
            rules.public_address.as_ref().map(ToString::to_string),
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(has_moved) = has_moved else {
            return Ok(false);
        };
        if has_moved {
            drop_checks(&mut tx, site).await?;
        }
        announce_settings(&mut tx, site).await?;
        tx.commit().await?;
        Ok(true)
    }
}
