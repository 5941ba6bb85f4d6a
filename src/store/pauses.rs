//! Pausing sites whose settings AWS rejects, and letting them go on.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::listen::announce_sites;
use super::{Result, SendClaim, SiteId, Store, outbox};
use crate::domain::notification::Event;
use crate::domain::{AfterCreate, AwsError, Verdict, WaitReason};

/// How a site stands whose settings this replica cannot read.
#[derive(Debug)]
pub struct UnreadSite {
    /// The version of its settings, which grows with each change of those in force and of what its
    /// owner allows.
    pub version: i32,
    /// The code of the error that it is paused for.
    pub paused_for: Option<String>,
    /// Since when nobody has served it, as a replica that can read them would have.
    pub unserved_since: Option<OffsetDateTime>,
}

impl Store {
    /// How a site stands whose settings cannot be read; `None` if there is no such site.
    pub async fn unread_site(&self, site: SiteId) -> Result<Option<UnreadSite>> {
        Ok(sqlx::query_as!(
            UnreadSite,
            r#"SELECT s.settings_version as "version!", s.pause_error->>'code' as paused_for,
                      greatest(s.resume_at, s.waits_until, i.sent_at, least(i.due_at, p.received_at)) as unserved_since
               FROM site s
               CROSS JOIN LATERAL (
                 SELECT max(greatest(created_at, submitted_at)) AS sent_at,
                        min(next_at) FILTER (WHERE status = 'Queued') AS due_at
                 FROM invalidation WHERE site_id = s.id AND ended_at IS NULL) i
               LEFT JOIN LATERAL (
                 SELECT received_at FROM publish WHERE site_id = s.id AND NOT planned AND ended_at IS NULL
                 ORDER BY id LIMIT 1) p ON true
               WHERE s.id = $1"#,
            site.0,
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Pauses a site whose settings, of this version, cannot even be read.
    pub async fn pause(
        &self,
        site: SiteId,
        error: &AwsError,
        until: OffsetDateTime,
        version: i32,
        now: OffsetDateTime,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        pause(&mut tx, site, error, until, version, now).await?;
        Ok(tx.commit().await?)
    }
}

/// The first clear refusal pauses the site; whatever shows that the settings work ends the pause,
/// and any answer ends a wait for one. A refusal of settings that were replaced while the call was
/// under way says nothing; this then returns when to try again, which is now.
pub(super) async fn pause_or_resume(
    connection: &mut PgConnection,
    claim: &SendClaim,
    verdict: &Verdict,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>> {
    let site = claim.inputs.site;
    let is_answered = verdict.beliefs.answered_at > claim.inputs.beliefs.answered_at;
    match &verdict.after {
        AfterCreate::Queued {
            why: WaitReason::Settings,
            until,
            error,
            ..
        } => {
            let paused = pause(
                connection,
                site,
                error,
                *until,
                claim.inputs.settings_version,
                now,
            )
            .await?;
            return Ok((!paused).then_some(now));
        }
        after if claim.inputs.paused_since.is_some() && after.shows_working_settings() => {
            // New settings may have let it go on while the call was under way.
            let resumed = sqlx::query!(
                "UPDATE site SET paused_at = NULL, pause_error = NULL, resume_at = NULL,
                                 waits_for = NULL, waits_since = NULL, waits_until = NULL
                 WHERE id = $1 AND paused_at IS NOT NULL",
                site.0,
            )
            .execute(&mut *connection)
            .await?;
            if resumed.rows_affected() > 0 {
                outbox::notify(connection, site, Event::SiteResumed, None, None, now).await?;
                announce_sites(connection).await?;
            }
        }
        _ if is_answered && claim.inputs.retrying > 0 => {
            // What is new has gathered until there was an answer.
            sqlx::query!(
                "UPDATE site SET waits_for = NULL, waits_since = NULL, waits_until = NULL
                 WHERE id = $1 AND waits_for = 'retry'",
                site.0,
            )
            .execute(connection)
            .await?;
        }
        _ => {}
    }
    Ok(None)
}

/// Pauses the site, unless its settings are of another version by now. Returns whether it did.
async fn pause(
    connection: &mut PgConnection,
    site: SiteId,
    error: &AwsError,
    until: OffsetDateTime,
    version: i32,
    now: OffsetDateTime,
) -> Result<bool> {
    let was_paused = sqlx::query_scalar!(
        r#"UPDATE site s SET paused_at = coalesce(s.paused_at, $2), pause_error = $3, resume_at = $4
           FROM (SELECT paused_at FROM site WHERE id = $1 FOR NO KEY UPDATE) before
           WHERE s.id = $1 AND s.settings_version = $5
           RETURNING before.paused_at IS NOT NULL as "was_paused!""#,
        site.0,
        now,
        serde_json::json!(error),
        until,
        version,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(was_paused) = was_paused else {
        return Ok(false);
    };
    if !was_paused {
        let reason = Some(error.to_string());
        outbox::notify(connection, site, Event::SitePaused, None, reason, now).await?;
    }
    announce_sites(connection).await?;
    Ok(true)
}
