//! What a message says: written once, and the same at each attempt from then on.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::AwsError;
use crate::domain::notification::{Event, Notification};
use crate::store::{Result, SiteId};

/// Gathers whatever else is waiting to say the same of other publishes into one message.
pub(super) async fn gather(
    connection: &mut PgConnection,
    endpoint: Uuid,
    delivery: Uuid,
    notification: &mut Notification,
) -> Result<()> {
    if notification.publishes == 0 {
        return Ok(());
    }
    let others = sqlx::query!(
        r#"WITH other AS (
             DELETE FROM delivery d
             WHERE d.endpoint_id = $1 AND d.id <> $2 AND d.event = $3 AND d.body IS NULL AND d.next_at IS NOT NULL
               AND (d.event <> 'publish.stale' OR NOT EXISTS (
                 SELECT FROM delivery o WHERE o.endpoint_id = $1 AND o.next_at IS NOT NULL AND o.seq < d.seq
                   AND o.event LIKE 'publish.%' AND o.event <> 'publish.stale'))
             RETURNING d.publishes, d.happened_at)
           SELECT coalesce(sum(publishes), 0) as "publishes!", max(happened_at) as at FROM other"#,
        endpoint,
        delivery,
        notification.event.into_str(),
    )
    .fetch_one(connection)
    .await?;
    let Some(at) = others.at else {
        return Ok(());
    };
    let others = u32::try_from(others.publishes).unwrap_or(u32::MAX);
    notification.publishes = notification.publishes.saturating_add(others);
    notification.at = notification.at.max(at);
    notification.publish = None;
    notification.reason = None;
    Ok(())
}

/// Why a publish did not complete, in AWS's words and ours. What was given up when the settings
/// moved is not the reason: its items were sent again elsewhere.
pub(super) async fn reason(
    connection: &mut PgConnection,
    site: SiteId,
    notification: &Notification,
) -> Result<Option<String>> {
    let has_reason = matches!(
        notification.event,
        Event::PublishFailed | Event::PublishUnconfirmed
    );
    let Some(publish) = notification.publish.filter(|_| has_reason) else {
        return Ok(None);
    };
    let row = sqlx::query!(
        r#"SELECT i.error as "error: AwsError", i.fix FROM coverage c JOIN invalidation i ON i.id = c.invalidation_id
           WHERE c.site_id = $1 AND c.publish_id = $2 AND i.status IN ('Failed', 'Unconfirmed') AND NOT i.set_aside
           ORDER BY i.status, i.id LIMIT 1"#,
        site.0,
        publish,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let error = row.error.as_ref().map(ToString::to_string);
    let words: Vec<String> = error.into_iter().chain(row.fix).collect();
    Ok((!words.is_empty()).then(|| words.join(" ")))
}
