//! Who may use the AWS default credentials of the process, and for which distributions.

use sqlx::PgConnection;
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
        let is_new = done.rows_affected() > 0;
        if is_new && goes_by_default(&mut tx, site, distribution).await? {
            // What waited for it is sent at once.
            take_effect(&mut tx, site, now).await?;
        }
        tx.commit().await?;
        Ok(is_new)
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
        let is_gone = done.rows_affected() > 0;
        if is_gone && goes_by_default(&mut tx, site, distribution).await? {
            take_effect(&mut tx, site, now).await?;
        }
        tx.commit().await?;
        Ok(is_gone)
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

/// Whether a site's settings in force name this distribution, and no access key.
async fn goes_by_default(
    connection: &mut PgConnection,
    site: SiteId,
    distribution: &DistributionId,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM settings_in_force
                          WHERE site_id = $1 AND distribution_id = $2 AND access_key_id IS NULL) as "goes!""#,
        site.0,
        distribution.as_str(),
    )
    .fetch_one(connection)
    .await?)
}
