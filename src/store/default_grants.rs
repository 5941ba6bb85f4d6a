//! Who may use the AWS default credentials of the process, and for which distributions.

use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;

use super::settings::take_effect;
use super::{Result, SiteId, Store};
use crate::domain::DistributionId;

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
        let mut tx = self.begin_change(site).await?;
        let done = sqlx::query!(
            "INSERT INTO default_grant (site_id, distribution_id, origin) VALUES ($1, $2, 'operator')
             ON CONFLICT DO NOTHING",
            site.0,
            distribution.as_str(),
        )
        .execute(&mut *tx)
        .await?;
        end_change(tx, site, distribution, done.rows_affected() > 0, now).await
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
    /// Returns the names of sites that do not exist.
    pub async fn set_environment_grants(
        &self,
        grants: &[(String, DistributionId)],
    ) -> Result<Vec<String>> {
        let sites: Vec<&str> = grants.iter().map(|(site, _)| site.as_str()).collect();
        let distributions: Vec<&str> = grants.iter().map(|(_, id)| id.as_str()).collect();
        let mut tx = self.begin().await?;
        sqlx::query!("DELETE FROM default_grant WHERE origin = 'environment'")
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "INSERT INTO default_grant (site_id, distribution_id, origin)
             SELECT s.id, g.distribution_id, 'environment'
             FROM unnest($1::text[], $2::text[]) AS g (site, distribution_id) JOIN site s ON s.name = g.site
             ON CONFLICT DO NOTHING",
            &sites as &[&str],
            &distributions as &[&str],
        )
        .execute(&mut *tx)
        .await?;
        let unknown = sqlx::query_scalar!(
            r#"SELECT DISTINCT name as "name!" FROM unnest($1::text[]) AS g (name)
               WHERE NOT EXISTS (SELECT FROM site s WHERE s.name = g.name)"#,
            &sites as &[&str],
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(unknown)
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
