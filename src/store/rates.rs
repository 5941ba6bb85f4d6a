//! The rate of calls of each access key, which all replicas share.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Store, StoreError};
use crate::domain::{Bucket, Limits, Settings};

impl Store {
    /// Counts a call of `CreateInvalidation` that is made without asking, as a test of settings is.
    pub async fn count_forced_call(
        &self,
        settings: &Settings,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let key = settings.access_key_name();
        let bucket = lock_bucket(&mut tx, key, limits, now).await?;
        store_bucket(&mut tx, key, bucket.forced(limits)).await?;
        Ok(tx.commit().await?)
    }
}

/// The access key's bucket, refilled, with its row locked until the transaction ends.
pub(super) async fn lock_bucket(
    connection: &mut PgConnection,
    key: &str,
    limits: &Limits,
    now: OffsetDateTime,
) -> Result<Bucket, StoreError> {
    let full = Bucket::full(limits, now);
    sqlx::query!(
        "INSERT INTO access_key (id, tokens, rate, refilled_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        key,
        full.tokens,
        full.rate,
        full.refilled_at,
    )
    .execute(&mut *connection)
    .await?;
    let bucket = sqlx::query_as!(
        Bucket,
        "SELECT tokens, rate, refilled_at FROM access_key WHERE id = $1 FOR UPDATE",
        key,
    )
    .fetch_one(connection)
    .await?;
    Ok(bucket.refilled(limits, now))
}

/// Stores a bucket that [`lock_bucket`] gave.
pub(super) async fn store_bucket(
    connection: &mut PgConnection,
    key: &str,
    bucket: Bucket,
) -> Result<(), StoreError> {
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
