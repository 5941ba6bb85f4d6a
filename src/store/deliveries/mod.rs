//! Messages to endpoints: claiming, recording how an attempt ended, and their history.

mod message;
mod record;

use secrecy::ExposeSecret as _;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::endpoints::known_events;
use super::listen::announce_change;
use super::seal::SecretOf;
use super::{FormHash, Result, SealError, SiteId, Store, integer};
use crate::domain::HookSecret;
use crate::domain::notification::{
    EndpointKind, EndpointUrl, Event, Health, MAX_ENDPOINT_PAUSE, MAX_MESSAGE_PAUSE, Notification,
    Tried,
};

/// How long an attempt may take.
const LEASE: Duration = Duration::seconds(30);
/// A message is only this late when nobody could send it, for instance because the machine slept.
/// The time that passed then says nothing about an endpoint that had failed before.
const ASLEEP: Duration = Duration::HOUR;
/// Publishes that complete within this share one message.
const STORM: Duration = Duration::MINUTE;
/// How many messages of an endpoint are listed.
const LISTED: i64 = 50;

/// The right to send one message to its endpoint, and to record how that ended.
#[derive(Debug)]
pub struct DeliveryClaim {
    pub id: Uuid,
    pub site: SiteId,
    pub endpoint: Uuid,
    pub event: Event,
    pub url: EndpointUrl,
    /// Signs the message; `None` if it is not signed.
    pub secret: Option<HookSecret>,
    pub body: String,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    pub health: Health,
    token: Uuid,
}

impl DeliveryClaim {
    /// The same at each attempt.
    pub fn webhook_id(&self) -> String {
        webhook_id(self.id)
    }
}

fn webhook_id(id: Uuid) -> String {
    format!("msg_{}", id.simple())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryState {
    Waiting,
    Delivered,
    GivenUp,
}

/// A message as the page shows it.
#[derive(Clone, Debug)]
pub struct DeliveryView {
    pub id: Uuid,
    pub endpoint: Uuid,
    pub webhook_id: String,
    pub event: Event,
    pub happened_at: OffsetDateTime,
    pub state: DeliveryState,
    /// `None` if it has not been written yet, since more may still be added to it.
    pub body: Option<String>,
    pub tries: Vec<Tried>,
    pub next_at: Option<OffsetDateTime>,
}

impl Store {
    /// Claims at most `most` messages that are due, one per endpoint. Their links lead to `base`.
    pub async fn claim_deliveries(
        &self,
        most: usize,
        base: &str,
        token: Uuid,
        now: OffsetDateTime,
    ) -> Result<Vec<DeliveryClaim>> {
        let known = known_events();
        // Tests, and how publishes ended, are sent in any order; what happens to a publish later is
        // sent after that.
        let due = sqlx::query!(
            r#"WITH due AS (
                 SELECT e.id, next.id AS delivery FROM endpoint e CROSS JOIN LATERAL (
                   SELECT d.id FROM delivery d
                   WHERE d.endpoint_id = e.id AND d.next_at <= $1 AND d.event = ANY($5)
                     AND (d.event <> 'publish.completed' OR d.body IS NOT NULL OR e.storm_until IS NULL
                          OR e.storm_until <= $1)
                     AND NOT EXISTS (
                       SELECT FROM delivery o
                       WHERE o.endpoint_id = d.endpoint_id AND o.next_at IS NOT NULL AND o.seq < d.seq
                         AND o.event = ANY($5)
                         AND CASE WHEN d.event = 'publish.stale'
                                  THEN o.event LIKE 'publish.%' AND (o.publish_id IS NULL OR o.publish_id = d.publish_id)
                                  WHEN d.event LIKE 'publish.%' OR d.event = 'test' THEN false
                                  ELSE split_part(o.event, '.', 1) = split_part(d.event, '.', 1) END)
                   ORDER BY d.seq LIMIT 1) next
                 WHERE e.off_at IS NULL AND e.next_at <= $1 AND (e.lease_until IS NULL OR e.lease_until <= $1)
                 ORDER BY e.next_at LIMIT $4 FOR UPDATE OF e SKIP LOCKED)
               UPDATE endpoint e SET lease_token = $2, lease_until = $3 FROM due
               WHERE e.id = due.id RETURNING e.id, due.delivery"#,
            now,
            token,
            now + LEASE,
            i64::try_from(most).unwrap_or(i64::MAX),
            &known as &[&str],
        )
        .fetch_all(&self.pool)
        .await?;
        let mut claims = Vec::with_capacity(due.len());
        for due in due {
            match self.claim(due.id, due.delivery, base, token, now).await {
                Ok(claim) => claims.extend(claim),
                // Tried again when the lease ends; other endpoints are not held up.
                Err(error) if error.is_about_a_row() => {
                    tracing::error!(endpoint = %due.id, %error, "could not notify an endpoint");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(claims)
    }

    /// Claims a message to an endpoint that is leased. From then on, what it says is fixed. The
    /// endpoint is locked first, as by whoever removes it or sends a message again.
    async fn claim(
        &self,
        endpoint: Uuid,
        delivery: Uuid,
        base: &str,
        token: Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<DeliveryClaim>> {
        let mut tx = self.begin().await?;
        let row = sqlx::query!(
            r#"SELECT e.site_id, e.kind as "kind: EndpointKind", e.url, e.secret, e.failures, e.failing_since,
                      e.next_at, d.event as "event: Event", d.happened_at, d.publish_id, d.publishes, d.reason, d.body,
                      d.attempts, d.next_at as "due_at!", s.name
               FROM endpoint e JOIN delivery d ON d.endpoint_id = e.id JOIN site s ON s.id = e.site_id
               WHERE e.id = $1 AND d.id = $2 AND e.lease_token = $3 AND d.next_at IS NOT NULL
               FOR NO KEY UPDATE OF e FOR UPDATE OF d"#,
            endpoint,
            delivery,
            token,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let site = SiteId(row.site_id);
        let mut notification = Notification {
            event: row.event,
            site: row.name,
            at: row.happened_at,
            publish: row.publish_id,
            publishes: row.publishes.unsigned_abs(),
            reason: row.reason,
        };
        let body = match row.body {
            Some(body) => body,
            None => {
                message::gather(&mut tx, endpoint, delivery, &mut notification).await?;
                if notification.reason.is_none() {
                    notification.reason = message::reason(&mut tx, site, &notification).await?;
                }
                notification.body(row.kind, base)
            }
        };
        sqlx::query!(
            "UPDATE delivery SET body = $2, happened_at = $3, publish_id = $4, publishes = $5, reason = $6,
                                 attempts = attempts + 1
             WHERE id = $1",
            delivery,
            body,
            notification.at,
            notification.publish,
            integer(notification.publishes),
            notification.reason,
        )
        .execute(&mut *tx)
        .await?;
        if row.event == Event::PublishCompleted {
            sqlx::query!(
                "UPDATE endpoint SET storm_until = $2 WHERE id = $1",
                endpoint,
                now + STORM,
            )
            .execute(&mut *tx)
            .await?;
        }
        let health = Health {
            failures: row.failures.unsigned_abs(),
            failing_since: row.failing_since,
        };
        let is_late = now - row.next_at.max(row.due_at) > ASLEEP;
        let url = self.open(SecretOf::EndpointUrl(site, endpoint), &row.url)?;
        let secret = row.secret.map(|sealed| {
            let text = self.open(SecretOf::EndpointSecret(site, endpoint), &sealed)?;
            HookSecret::parse(endpoint, &text).map_err(|_| SealError::Unreadable)
        });
        let claim = DeliveryClaim {
            id: delivery,
            site,
            endpoint,
            event: row.event,
            url: EndpointUrl::parse(url.expose_secret(), true)
                .map_err(|_| SealError::Unreadable)?,
            secret: secret.transpose()?,
            body,
            attempt: row.attempts.unsigned_abs() + 1,
            health: if is_late {
                health.after_sleep(now)
            } else {
                health
            },
            token,
        };
        tx.commit().await?;
        Ok(Some(claim))
    }

    /// Queues a message that says that notifications arrive, once for each form. Returns whether
    /// this is the first time; `None` if there is no such endpoint, or it is switched off.
    pub async fn send_test(
        &self,
        site: SiteId,
        endpoint: Uuid,
        form: &FormHash,
        now: OffsetDateTime,
    ) -> Result<Option<bool>> {
        let mut answer = self.begin_answer(Some(form), "sent".into(), now).await?;
        if !answer.is_first {
            return Ok(Some(false));
        }
        // Somebody is waiting for it: it does not matter that the endpoint has failed before.
        let done = sqlx::query!(
            "WITH target AS (
               UPDATE endpoint SET next_at = $3 WHERE site_id = $1 AND id = $2 AND off_at IS NULL RETURNING id)
             INSERT INTO delivery (endpoint_id, event, happened_at, next_at) SELECT id, $4, $3, $3 FROM target",
            site.0,
            endpoint,
            now,
            Event::Test.into_str(),
        )
        .execute(&mut *answer.tx)
        .await?;
        announce_change(&mut answer.tx, site).await?;
        let sent = answer.end(done.rows_affected() > 0).await?;
        Ok(sent.map(|(_, is_first)| is_first))
    }

    /// Queues a message again, as it was and under the same `webhook-id`, once for each form. One
    /// that was never sent is written now, with what else waits to say the same.
    /// Returns whether this is the first time; `None` if no such message has been sent or given up,
    /// or its endpoint is switched off.
    pub async fn send_again(
        &self,
        site: SiteId,
        delivery: Uuid,
        form: &FormHash,
        now: OffsetDateTime,
    ) -> Result<Option<bool>> {
        let mut answer = self.begin_answer(Some(form), "sent".into(), now).await?;
        if !answer.is_first {
            return Ok(Some(false));
        }
        let done = sqlx::query!(
            "WITH target AS (
               UPDATE endpoint SET next_at = $3 WHERE site_id = $1 AND off_at IS NULL
                 AND id = (SELECT endpoint_id FROM delivery WHERE id = $2) RETURNING id)
             UPDATE delivery SET state = 'waiting', attempts = 0, next_at = $3, ended_at = NULL
             FROM target WHERE delivery.id = $2 AND endpoint_id = target.id
               AND (body IS NOT NULL OR state = 'given_up')",
            site.0,
            delivery,
            now,
        )
        .execute(&mut *answer.tx)
        .await?;
        announce_change(&mut answer.tx, site).await?;
        let sent = answer.end(done.rows_affected() > 0).await?;
        Ok(sent.map(|(_, is_first)| is_first))
    }

    /// The latest messages to a site's endpoints, and older ones that wait for another try, newest
    /// first.
    pub async fn deliveries(&self, site: SiteId) -> Result<Vec<DeliveryView>> {
        let rows = sqlx::query!(
            r#"SELECT d.id, d.endpoint_id, d.event as "event: Event", d.happened_at, d.body,
                      d.state as "state: DeliveryState", d.tries as "tries: Json<Vec<Tried>>", d.next_at
               FROM endpoint e CROSS JOIN LATERAL (
                 (SELECT id FROM delivery WHERE endpoint_id = e.id ORDER BY seq DESC LIMIT $2)
                 UNION
                 (SELECT id FROM delivery WHERE endpoint_id = e.id AND next_at IS NOT NULL AND attempts > 0
                  ORDER BY seq DESC LIMIT $2)) shown
               JOIN delivery d ON d.id = shown.id
               WHERE e.site_id = $1 AND d.event = ANY($3) ORDER BY d.seq DESC"#,
            site.0,
            LISTED,
            &known_events() as &[&str],
        )
        .fetch_all(&self.pool)
        .await?;
        let view = rows.into_iter().map(|row| DeliveryView {
            webhook_id: webhook_id(row.id),
            id: row.id,
            endpoint: row.endpoint_id,
            event: row.event,
            happened_at: row.happened_at,
            state: row.state,
            body: row.body,
            tries: row.tries.0,
            next_at: row.next_at,
        });
        Ok(view.collect())
    }
}

/// Brings forward what was put far into the future by a clock that has been set back since.
pub(super) async fn heal(
    connection: &mut PgConnection,
    skewed: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE endpoint SET storm_until = NULL, next_at = least(next_at, $4), lease_token = NULL, lease_until = NULL
         WHERE storm_until > $1 OR next_at > $2 OR lease_until > $3",
        skewed + STORM,
        skewed + MAX_ENDPOINT_PAUSE,
        skewed + LEASE,
        now,
    )
    .execute(&mut *connection)
    .await?;
    // A message that was never tried has no pause to wait for.
    sqlx::query!(
        "UPDATE delivery SET next_at = $3
         WHERE next_at IS NOT NULL AND next_at > CASE WHEN body IS NULL THEN $1::timestamptz ELSE $2 END",
        skewed,
        skewed + MAX_MESSAGE_PAUSE,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
