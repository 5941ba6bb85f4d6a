//! The rate of calls of each access key, which all replicas share.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, SiteId, Store};
use crate::domain::{Bucket, Limits, Settings};

impl Store {
    /// Counts a call of `CreateInvalidation` that a test made without asking: against the access
    /// key's rate if AWS accepted the signature, otherwise against the site's own. Where no call was
    /// left, none is counted: tests must not keep publishes waiting.
    pub async fn count_forced_call(
        &self,
        site: SiteId,
        settings: &Settings,
        is_proven: bool,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<()> {
        let key = match is_proven {
            true => settings.access_key_name().to_owned(),
            // As the view `settings_in_force` names it.
            false => format!("site/{}/unproven", site.0),
        };
        let mut tx = self.begin().await?;
        let bucket = lock_bucket(&mut tx, &key, limits, now).await?;
        let bucket = bucket.take(limits).unwrap_or(bucket);
        store_bucket(&mut tx, &key, bucket).await?;
        Ok(tx.commit().await?)
    }

    /// Takes one of the tests of settings that a site may make. If none is left, returns when it may
    /// make the next.
    pub async fn take_test(
        &self,
        site: SiteId,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>> {
        let limits = &limits.of_tests();
        let key = format!("site/{}/tests", site.0);
        let mut tx = self.begin().await?;
        let bucket = lock_bucket(&mut tx, &key, limits, now).await?;
        let bucket = match bucket.take(limits) {
            Ok(bucket) => bucket,
            Err(next) => return Ok(Some(next)),
        };
        store_bucket(&mut tx, &key, bucket).await?;
        tx.commit().await?;
        Ok(None)
    }
}

/// The access key's bucket, refilled, with its row locked until the transaction ends.
pub(super) async fn lock_bucket(
    connection: &mut PgConnection,
    key: &str,
    limits: &Limits,
    now: OffsetDateTime,
) -> Result<Bucket> {
    let full = Bucket::full(limits, now);
    let bucket = sqlx::query_as!(
        Bucket,
        "INSERT INTO access_key (id, tokens, rate, refilled_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET tokens = access_key.tokens
         RETURNING tokens, rate, refilled_at",
        key,
        full.tokens,
        full.rate,
        full.refilled_at,
    )
    .fetch_one(connection)
    .await?;
    Ok(bucket.refilled(limits, now))
}

pub(super) async fn store_bucket(
    connection: &mut PgConnection,
    key: &str,
    bucket: Bucket,
) -> Result<()> {
    sqlx::query!(
        "UPDATE access_key SET tokens = $2, rate = $3, refilled_at = $4 WHERE id = $1",
        key,
        bucket.tokens,
        bucket.rate,
        bucket.refilled_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}
