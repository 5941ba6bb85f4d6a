//! What readers get of published pages: the checks that a completed publish calls for, and what
//! they found.

use sqlx::PgConnection;
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::listen::announce_change;
use super::{Result, SiteId, Store, outbox, parse_items};
use crate::domain::edge::{CheckedPublish, EdgeCheck, EdgeState, PublicAddress};
use crate::domain::notification::Event;

/// How long a check may take, with all its pages hanging.
const LEASE: Duration = Duration::seconds(30);

/// The longest wait for another check.
const MAX_PAUSE: Duration = Duration::MINUTE;

/// The right to check one publish's pages and to note what was found.
#[derive(Clone, Debug)]
pub struct EdgeClaim {
    pub site: SiteId,
    pub id: Uuid,
    pub publish: CheckedPublish,
    /// How many checks there were before.
    pub attempt: i16,
    /// What the last one found.
    pub checks: Vec<EdgeCheck>,
    pub claimed_at: OffsetDateTime,
    token: Uuid,
}

impl Store {
    /// Claims at most `most` publishes whose pages are due to be checked, one per site, so that all
    /// replicas together keep to a site's rate.
    pub async fn claim_edge(
        &self,
        most: usize,
        token: Uuid,
        now: OffsetDateTime,
    ) -> Result<Vec<EdgeClaim>> {
        let rows = sqlx::query!(
            r#"WITH due AS (
                 SELECT site_id, publish_id FROM (
                   SELECT DISTINCT ON (site_id) site_id, publish_id, next_at FROM edge_check e
                   WHERE next_at <= $2
                     AND NOT EXISTS (SELECT FROM edge_check o WHERE o.site_id = e.site_id AND o.next_at > $2
                                       AND o.lease_token IS NOT NULL)
                   ORDER BY site_id, next_at, publish_id) first_of_site
                 ORDER BY next_at LIMIT $4)
               UPDATE edge_check e SET lease_token = $1, next_at = $3
               FROM due d, publish p, site s
               WHERE e.site_id = d.site_id AND e.publish_id = d.publish_id AND e.next_at <= $2
                 AND p.site_id = e.site_id AND p.id = e.publish_id AND s.id = e.site_id
               RETURNING e.site_id, e.publish_id, e.attempt, e.checks as "checks: Json<serde_json::Value>",
                         p.items, p.received_at, p.submitted_at, s.public_address"#,
            token,
            now,
            now + LEASE,
            i64::try_from(most).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        let mut claims = Vec::with_capacity(rows.len());
        let mut unreadable = Vec::new();
        for row in rows {
            let address = row.public_address.unwrap_or_default();
            let (Ok(address), Ok(items)) =
                (PublicAddress::parse(&address, true), parse_items(row.items))
            else {
                tracing::error!(publish = %row.publish_id, "could not read the pages of a publish, so they are not checked");
                unreadable.push(row.publish_id);
                continue;
            };
            claims.push(EdgeClaim {
                site: SiteId(row.site_id),
                id: row.publish_id,
                publish: CheckedPublish {
                    address,
                    items,
                    received_at: row.received_at,
                    accepted_at: row.submitted_at.unwrap_or(row.received_at),
                },
                attempt: row.attempt,
                // A later version may know of more. What it found is found again.
                checks: serde_json::from_value(row.checks.0).unwrap_or_default(),
                claimed_at: now,
                token,
            });
        }
        if !unreadable.is_empty() {
            // Otherwise they would come up again forever, before others of their site.
            sqlx::query!(
                "UPDATE edge_check SET next_at = NULL, lease_token = NULL
                 WHERE lease_token = $1 AND publish_id = ANY($2)",
                token,
                &unreadable,
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(claims)
    }

    /// Notes what was found, and when to check again. Returns `false`, with nothing changed, if the
    /// claim was no longer ours.
    pub async fn record_edge(
        &self,
        claim: &EdgeClaim,
        checks: &[EdgeCheck],
        next_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let worst = checks.iter().map(|check| check.state).max();
        let mut tx = self.begin().await?;
        let done = sqlx::query!(
            "UPDATE edge_check SET attempt = attempt + 1, checks = $4, worst = $5, next_at = $6, checked_at = $7,
                                   lease_token = NULL
             WHERE site_id = $1 AND publish_id = $2 AND lease_token = $3",
            claim.site.0,
            claim.id,
            claim.token,
            Json(checks) as _,
            worst.map(|state| state.into_str()),
            next_at,
            now,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if done == 0 {
            return Ok(false);
        }
        let stale = checks.iter().find(|check| check.state == EdgeState::Stale);
        if let (Some(check), None) = (stale, next_at) {
            let detail = check.detail.as_deref().unwrap_or_default();
            let reason = Some(format!("{}: {detail}", check.url));
            let (site, event, publish) = (claim.site, Event::PublishStale, Some(claim.id));
            outbox::notify(&mut tx, site, event, publish, reason, now).await?;
        }
        announce_change(&mut tx, claim.site).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Drops the checks that were due at an address where readers no longer find the site.
pub(super) async fn drop_checks(connection: &mut PgConnection, site: SiteId) -> Result<()> {
    sqlx::query!(
        "UPDATE edge_check SET next_at = NULL, lease_token = NULL
         WHERE site_id = $1 AND next_at IS NOT NULL",
        site.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Brings forward what was put far into the future by a clock that has been set back since.
pub(super) async fn heal(
    connection: &mut PgConnection,
    skewed: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE edge_check SET next_at = $2 WHERE next_at > $1",
        skewed + MAX_PAUSE,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
