//! What a site's owner allows, and what has been used this month.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::listen::announce_settings;
use super::{Result, SiteId, Store, integer};
use crate::domain::spending::month_of;
use crate::domain::{MonthUsage, MonthlyLimit, PastLimit, Policy, Spending};

impl Store {
    /// What the site's owner allows, and the version of that.
    pub async fn spending(&self, site: SiteId) -> Result<(Spending, i32)> {
        let row = sqlx::query!(
            r#"SELECT policy as "policy: Policy", fold_threshold, monthly_limit,
                      past_limit as "past_limit: PastLimit", spending_version
               FROM site WHERE id = $1"#,
            site.0,
        )
        .fetch_one(&self.pool)
        .await?;
        let (above, limit) = (row.fold_threshold, row.monthly_limit);
        let spending = stored_spending(row.policy, above, limit, row.past_limit);
        Ok((spending, row.spending_version))
    }

    /// Changes what the site's owner allows. It holds from the next call on; what a monthly limit
    /// held back is looked at again. If `version` is given and is no longer the current one,
    /// nothing is saved and `false` is returned.
    pub async fn save_spending(
        &self,
        site: SiteId,
        version: Option<i32>,
        spending: &Spending,
    ) -> Result<bool> {
        let limit = spending.monthly_limit;
        // What is being planned by what was allowed before is read again: a claim restates the
        // version of the settings.
        let mut tx = self.begin().await?;
        let saved = sqlx::query!(
            "UPDATE site SET policy = $2, fold_threshold = $3, monthly_limit = $4, past_limit = $5, limited_until = NULL,
                             waits_for = NULL, waits_since = NULL, waits_until = NULL,
                             spending_version = spending_version + 1, settings_version = settings_version + 1
             WHERE id = $1 AND spending_version = coalesce($6, spending_version)",
            site.0,
            spending.policy.into_str(),
            integer(spending.fold_above.max(1)),
            limit.map(|limit| i64::try_from(limit.paths).unwrap_or(i64::MAX)),
            limit.map(|limit| limit.then).unwrap_or_default().into_str(),
            version,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected()
            == 1;
        if saved {
            announce_settings(&mut tx, site).await?;
            tx.commit().await?;
        }
        Ok(saved)
    }

    /// What has been used this month. Before AWS has accepted a signature with the site's access
    /// key, `key_paths` is the site's own.
    pub async fn month_usage(&self, site: SiteId, now: OffsetDateTime) -> Result<MonthUsage> {
        let mut connection = self.pool.acquire().await?;
        let key = sqlx::query_scalar!(
            r#"SELECT rate_key as "rate_key!" FROM settings_in_force
               WHERE site_id = $1 AND rate_key = coalesce(access_key_id, 'default')"#,
            site.0,
        )
        .fetch_optional(&mut *connection)
        .await?;
        month_usage(&mut connection, site, key.as_deref(), now).await
    }
}

/// What the columns of a site say.
pub(super) fn stored_spending(
    policy: Policy,
    fold_threshold: i32,
    monthly_limit: Option<i64>,
    then: PastLimit,
) -> Spending {
    Spending {
        policy,
        fold_above: fold_threshold.unsigned_abs(),
        monthly_limit: monthly_limit.map(|paths| MonthlyLimit {
            paths: paths.unsigned_abs(),
            then,
        }),
    }
}

pub(super) async fn month_usage(
    connection: &mut PgConnection,
    site: SiteId,
    access_key: Option<&str>,
    now: OffsetDateTime,
) -> Result<MonthUsage> {
    let row = sqlx::query!(
        r#"WITH keys_sites AS (
             SELECT $2::int AS id
             UNION
             SELECT site_id FROM settings_in_force WHERE rate_key = $3)
           SELECT coalesce(sum(paths) FILTER (WHERE site_id = $2), 0)::bigint as "site_paths!",
                  coalesce(sum(asked) FILTER (WHERE site_id = $2), 0)::bigint as "site_asked!",
                  coalesce(sum(paths), 0)::bigint as "key_paths!"
           FROM usage
           WHERE month = $1 AND (access_key_id = $3 OR site_id IN (SELECT id FROM keys_sites))"#,
        month_of(now),
        site.0,
        access_key,
    )
    .fetch_one(connection)
    .await?;
    Ok(MonthUsage {
        site_paths: row.site_paths.unsigned_abs(),
        site_asked: row.site_asked.unsigned_abs(),
        key_paths: row.key_paths.unsigned_abs(),
    })
}
