//! Who may use the AWS default credentials of the process, and for which distributions.

use std::collections::BTreeSet;

use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;

use super::settings::take_effect;
use super::{Result, SiteId, Store};
use crate::domain::{DistributionId, SiteName};

impl Store {
    pub async fn may_use_default(
        &self,
        site: SiteId,
        distribution: &DistributionId,
    ) -> Result<bool> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM default_grant
                              WHERE site_id = $1 AND distribution_id = $2) as "granted!""#,
            site.0,
            distribution.as_str(),
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Allows a site the AWS default credentials for a distribution, and returns whether that is
    /// new.
    pub async fn grant_default(
        &self,
        site: SiteId,
        distribution: &DistributionId,
        now: OffsetDateTime,
    ) -> Result<bool> {
        self.grant(site, distribution, "operator", now).await
    }

    /// Revokes such a grant, and returns whether there was one. What the environment grants comes
    /// back at the next start.
    pub async fn revoke_default(
        &self,
        site: SiteId,
        distribution: &DistributionId,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let mut tx = self.begin_change(site).await?;
        let done = sqlx::query!(
            "DELETE FROM default_grant WHERE site_id = $1 AND distribution_id = $2",
            site.0,
            distribution.as_str(),
        )
        .execute(&mut *tx)
        .await?;
        end_change(tx, site, distribution, done.rows_affected() > 0, now).await
    }

    /// Replaces the environment's grants with these: sites by name, each with a distribution.
    /// Returns the names of sites that do not exist. Each start of a replica says so again: what is
    /// as it was changes nothing, so that a pause goes on.
    pub async fn set_environment_grants(
        &self,
        grants: &[(String, DistributionId)],
        now: OffsetDateTime,
    ) -> Result<BTreeSet<String>> {
        let sites: Vec<&str> = grants.iter().map(|(site, _)| site.as_str()).collect();
        let distributions: Vec<&str> = grants.iter().map(|(_, id)| id.as_str()).collect();
        sqlx::query!(
            "DELETE FROM default_grant d
             WHERE d.origin = 'environment' AND NOT EXISTS (
               SELECT FROM unnest($1::text[], $2::text[]) AS g (site, distribution_id) JOIN site s ON s.name = g.site
               WHERE s.id = d.site_id AND g.distribution_id = d.distribution_id)",
            &sites as &[&str],
            &distributions as &[&str],
        )
        .execute(&self.pool)
        .await?;
        let mut unknown = BTreeSet::new();
        for (name, distribution) in grants {
            let site = match name.parse::<SiteName>() {
                Ok(name) => self.site_id(&name).await?,
                Err(_) => None,
            };
            if let Some(site) = site {
                self.grant(site, distribution, "environment", now).await?;
            } else {
                unknown.insert(name.clone());
            }
        }
        Ok(unknown)
    }

    async fn grant(
        &self,
        site: SiteId,
        distribution: &DistributionId,
        origin: &str,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let mut tx = self.begin_change(site).await?;
        let is_granted = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM default_grant WHERE site_id = $1 AND distribution_id = $2) as "is!""#,
            site.0,
            distribution.as_str(),
        )
        .fetch_one(&mut *tx)
        .await?;
        let done = sqlx::query!(
            "INSERT INTO default_grant (site_id, distribution_id, origin) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            site.0,
            distribution.as_str(),
            origin,
        )
        .execute(&mut *tx)
        .await?;
        let is_new = done.rows_affected() > 0;
        // What another grants already changes nothing for the site.
        end_change(tx, site, distribution, is_new && !is_granted, now).await?;
        Ok(is_new)
    }
}

/// Ends a change of a site's grants, and returns whether it changed any. What waited for one is
/// sent at once, if the settings in force go by it: they name its distribution, and no access key.
async fn end_change(
    mut tx: Transaction<'static, Postgres>,
    site: SiteId,
    distribution: &DistributionId,
    has_changed: bool,
    now: OffsetDateTime,
) -> Result<bool> {
    let goes_by_default = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM settings_in_force
                          WHERE site_id = $1 AND distribution_id = $2 AND access_key_id IS NULL) as "goes!""#,
        site.0,
        distribution.as_str(),
    )
    .fetch_one(&mut *tx)
    .await?;
    if has_changed && goes_by_default {
        take_effect(&mut tx, site, now).await?;
    }
    tx.commit().await?;
    Ok(has_changed)
}
