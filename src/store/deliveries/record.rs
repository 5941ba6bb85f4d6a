//! Recording how an attempt to deliver ended.

use sqlx::types::Json;
use time::OffsetDateTime;

use super::DeliveryClaim;
use crate::domain::notification::{AfterDelivery, EndpointAfter, Health, Next, Tried};
use crate::store::listen::announce_change;
use crate::store::{Result, Store, integer};

/// How many attempts of a message are remembered.
const REMEMBERED: i32 = 20;

impl Store {
    /// Records how an attempt ended. Returns `false`, with nothing changed, if the claim was no
    /// longer ours.
    pub async fn record_delivery(
        &self,
        claim: &DeliveryClaim,
        tried: &Tried,
        after: &AfterDelivery,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let (health, endpoint_next_at, off_at) = match after.endpoint {
            EndpointAfter::Works { .. } => (Health::default(), now, None),
            EndpointAfter::Failing { health, until } => (health, until, None),
            EndpointAfter::SwitchedOff => (claim.health, now, Some(now)),
        };
        let mut tx = self.begin().await?;
        let ours = sqlx::query!(
            "UPDATE endpoint SET failures = $3, failing_since = $4, next_at = $5, off_at = $6,
                                 lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2",
            claim.endpoint,
            claim.token,
            integer(health.failures),
            health.failing_since,
            endpoint_next_at,
            off_at,
        )
        .execute(&mut *tx)
        .await?;
        if ours.rows_affected() == 0 {
            return Ok(false);
        }
        let (state, next_at) = match after.next {
            Next::Delivered => ("delivered", None),
            Next::Again(at) => ("waiting", Some(at)),
            Next::GivenUp => ("given_up", None),
        };
        sqlx::query!(
            "UPDATE delivery SET state = $2, next_at = $3, ended_at = CASE WHEN $3::timestamptz IS NULL THEN $4::timestamptz END,
                                 tries = CASE WHEN jsonb_array_length(tries) >= $6 THEN tries - 0 ELSE tries END || $5
             WHERE id = $1",
            claim.id,
            state,
            next_at,
            now,
            Json(tried) as _,
            REMEMBERED,
        )
        .execute(&mut *tx)
        .await?;
        match after.endpoint {
            EndpointAfter::Works { recovered: true } => {
                sqlx::query!(
                    "UPDATE delivery SET next_at = $2 WHERE endpoint_id = $1 AND next_at > $2",
                    claim.endpoint,
                    now,
                )
                .execute(&mut *tx)
                .await?;
            }
            EndpointAfter::SwitchedOff => {
                sqlx::query!(
                    "UPDATE delivery SET state = 'given_up', next_at = NULL, ended_at = $2
                     WHERE endpoint_id = $1 AND next_at IS NOT NULL",
                    claim.endpoint,
                    now,
                )
                .execute(&mut *tx)
                .await?;
            }
            EndpointAfter::Works { .. } | EndpointAfter::Failing { .. } => {}
        }
        announce_change(&mut tx, claim.site).await?;
        tx.commit().await?;
        Ok(true)
    }
}
