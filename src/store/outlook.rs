//! What would decide about a publish if it came now: for dry runs and previews. Nothing is locked
//! or changed.

use time::OffsetDateTime;

use super::lane::in_progress;
use super::rates::flow;
use super::spending::{month_usage, spending};
use super::{SiteId, Store, StoreError, known_paths};
use crate::domain::{
    Bucket, Flow, HeldNote, InFlight, KnownPaths, Limits, MonthUsage, Spending, Usage, WaitReason,
};

/// How things stand at a site and its distribution.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// What the site's owner allows.
    pub spending: Spending,
    /// What the month has taken.
    pub month: MonthUsage,
    /// What is on its way.
    pub in_flight: InFlight,
    /// What is in progress at the distribution.
    pub in_progress: Usage,
    /// What the distribution takes a second.
    pub flow: Flow,
    /// The access key's rate.
    pub bucket: Bucket,
    /// Since when each call has left publishes waiting for room.
    pub backlog_since: Option<OffsetDateTime>,
    /// Why publishes are held, if they are.
    pub held: Option<(WaitReason, Option<HeldNote>)>,
}

impl Store {
    /// How things stand; none: the site has no CDN settings.
    pub async fn outlook(
        &self,
        site: SiteId,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Option<Outlook>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let Some(settings) = self.settings_in_force(&mut connection, site).await? else {
            return Ok(None);
        };
        let key = settings.access_key_name();
        let bucket = sqlx::query_as!(
            Bucket,
            "SELECT tokens, rate, refilled_at FROM access_key WHERE id = $1",
            key,
        )
        .fetch_optional(&mut *connection)
        .await?;
        let distribution = sqlx::query!(
            r#"SELECT backlog_since, file_tokens, wildcard_tokens, refilled_at,
                      (SELECT coalesce(sum(cardinality(i.items)), 0) FROM invalidation i
                       WHERE i.distribution_id = d.id AND i.site_id = $2 AND i.status = 'Queued'
                         AND i.ended_at IS NULL) as "planned!"
               FROM distribution d WHERE id = $1"#,
            settings.distribution_id.as_str(),
            site.0,
        )
        .fetch_one(&mut *connection)
        .await?;
        let in_progress = in_progress(&mut connection, &settings.distribution_id, now).await?;
        let outlook = Outlook {
            spending: spending(&mut connection, site).await?,
            month: month_usage(&mut connection, site, Some(key), now).await?,
            in_flight: InFlight {
                planned: distribution.planned.unsigned_abs(),
                in_progress: in_progress.usage.total() + in_progress.folded,
            },
            in_progress: in_progress.usage,
            flow: flow(
                distribution.file_tokens,
                distribution.wildcard_tokens,
                distribution.refilled_at,
                limits,
                now,
            ),
            bucket: bucket.map_or_else(
                || Bucket::full(limits, now),
                |bucket| bucket.refilled(limits, now),
            ),
            backlog_since: distribution.backlog_since,
            held: None,
        };
        drop(connection);
        Ok(Some(Outlook {
            held: self.held(site, now).await?,
            ..outlook
        }))
    }

    /// What the site has published lately.
    pub async fn known_paths(&self, site: SiteId) -> Result<KnownPaths, StoreError> {
        let mut connection = self.pool.acquire().await?;
        known_paths::load(&mut connection, site).await
    }
}
