//! Notifications for a site's endpoints, stored in the transaction of the change that causes them.
//! Those of publishes that ended are stored where publishes move on ([`super::transitions`]).

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, SiteId};
use crate::domain::notification::{Event, used_of};
use crate::domain::spending::month_of;

/// Something happened to the site as a whole, or to a publish.
pub(super) async fn notify(
    connection: &mut PgConnection,
    site: SiteId,
    event: Event,
    publish: Option<Uuid>,
    reason: Option<String>,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO delivery (endpoint_id, event, happened_at, publish_id, publishes, reason, next_at)
         SELECT id, $2, $5, $3::uuid, ($3::uuid IS NOT NULL)::int, $4, $5
         FROM endpoint WHERE site_id = $1 AND off_at IS NULL AND $2 = ANY(events)",
        site.0,
        event.into_str(),
        publish,
        reason,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How much of the monthly limit is used, where that is worth a message: once for each month and
/// limit.
pub(super) async fn notify_month(
    connection: &mut PgConnection,
    site: SiteId,
    now: OffsetDateTime,
) -> Result<()> {
    notify_once(connection, site, Event::of_month, now).await
}

/// Publishes wait because the monthly limit leaves no room for them; once, like [`notify_month`].
pub(super) async fn notify_limited(
    connection: &mut PgConnection,
    site: SiteId,
    now: OffsetDateTime,
) -> Result<()> {
    notify_once(connection, site, |_, _| Some(Event::MonthReached), now).await
}

/// Stores what `event` makes of the site's monthly limit and of how many paths of it are used:
/// once, and only if there is a limit and anybody would hear of it.
///
/// No index makes it unique: whoever records a call of the site, or lets it wait, does so one after
/// the other, by their locks on its distribution, its publishes and its row, and sees what the one
/// before has stored. An index would make them wait for each other out of the order of those locks.
async fn notify_once(
    connection: &mut PgConnection,
    site: SiteId,
    event: impl FnOnce(u64, u64) -> Option<Event>,
    now: OffsetDateTime,
) -> Result<()> {
    let month = month_of(now);
    let row = sqlx::query!(
        r#"SELECT s.monthly_limit as "limit!",
                  (SELECT coalesce(sum(u.paths), 0)::bigint FROM usage u
                   WHERE u.site_id = s.id AND u.month = $2) as "used!"
           FROM site s
           WHERE s.id = $1 AND s.monthly_limit IS NOT NULL
             AND EXISTS (SELECT FROM endpoint e WHERE e.site_id = s.id AND e.off_at IS NULL)"#,
        site.0,
        month,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let (used, limit) = (row.used.unsigned_abs(), row.limit.unsigned_abs());
    let Some(event) = event(used, limit) else {
        return Ok(());
    };
    let event = event.into_str();
    sqlx::query!(
        "INSERT INTO delivery (endpoint_id, event, happened_at, reason, once, next_at)
         SELECT e.id, $2, $5, $3, $4, $5 FROM endpoint e
         WHERE e.site_id = $1 AND e.off_at IS NULL AND $2 = ANY(e.events)
           AND NOT EXISTS (SELECT FROM delivery d WHERE d.endpoint_id = e.id AND d.once = $4)",
        site.0,
        event,
        used_of(used, limit),
        format!("{event} {month} {limit}"),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
