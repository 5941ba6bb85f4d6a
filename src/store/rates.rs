//! The rates that all replicas share: calls of each access key, and paths of each distribution.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::lane::Lane;
use super::{Store, StoreError};
use crate::domain::{Bucket, Flow, Limits, Settings, Usage};

impl Lane {
    /// Takes one call from the access key's rate.
    ///
    /// # Errors
    /// If the database does not answer. Inside: when the next call may be made.
    pub async fn take_call(
        &mut self,
        now: OffsetDateTime,
    ) -> Result<Result<(), OffsetDateTime>, StoreError> {
        let key = self.settings.access_key_name();
        let bucket = lock_bucket(&mut self.tx, key, &self.limits, now).await?;
        match bucket.take(&self.limits) {
            Ok(taken) => {
                store_bucket(&mut self.tx, key, taken).await?;
                Ok(Ok(()))
            }
            Err(next) => Ok(Err(next)),
        }
    }
}

impl Store {
    /// Counts a call of `CreateInvalidation` with one file that is made without asking, as a test
    /// of settings is.
    pub async fn count_forced_call(
        &self,
        settings: &Settings,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        // A distribution that was never in force has no row yet, and nothing to share.
        let row = sqlx::query!(
            "SELECT file_tokens, wildcard_tokens, refilled_at FROM distribution WHERE id = $1 FOR UPDATE",
            settings.distribution_id.as_str(),
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = row {
            let one_file = Usage {
                files: 1,
                wildcards: 0,
            };
            let flow = flow(
                row.file_tokens,
                row.wildcard_tokens,
                row.refilled_at,
                limits,
                now,
            )
            .spent(one_file, limits);
            sqlx::query!(
                "UPDATE distribution SET file_tokens = $2, wildcard_tokens = $3, refilled_at = $4 WHERE id = $1",
                settings.distribution_id.as_str(),
                flow.file_tokens,
                flow.wildcard_tokens,
                flow.refilled_at,
            )
            .execute(&mut *tx)
            .await?;
        }
        let key = settings.access_key_name();
        let bucket = lock_bucket(&mut tx, key, limits, now).await?;
        store_bucket(&mut tx, key, bucket.forced(limits)).await?;
        Ok(tx.commit().await?)
    }
}

/// The buckets of a distribution, refilled.
pub(super) fn flow(
    file_tokens: Option<f64>,
    wildcard_tokens: Option<f64>,
    refilled_at: Option<OffsetDateTime>,
    limits: &Limits,
    now: OffsetDateTime,
) -> Flow {
    match (file_tokens, wildcard_tokens, refilled_at) {
        (Some(file_tokens), Some(wildcard_tokens), Some(refilled_at)) => Flow {
            file_tokens,
            wildcard_tokens,
            refilled_at,
        }
        .refilled(limits, now),
        _ => Flow::full(limits, now),
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
