//! Pausing sites whose settings AWS rejects, and letting them go on.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::listen::announce_sites;
use super::{PlanInputs, Result, SendClaim, SiteId, Store, outbox};
use crate::domain::notification::{Event, in_words};
use crate::domain::{AfterCreate, AwsError, WaitReason};

impl Store {
    /// Pauses a site whose settings cannot even be read.
    pub async fn pause(
        &self,
        site: SiteId,
        error: &AwsError,
        until: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        pause(&mut tx, site, error, until, None, now).await?;
        Ok(tx.commit().await?)
    }
}

/// The first clear refusal pauses the site; whatever shows that the settings work ends the pause. A
/// refusal of settings that were replaced while the call was under way says nothing; this then
/// returns when to try again, which is now.
pub(super) async fn pause_or_resume(
    connection: &mut PgConnection,
    claim: &SendClaim,
    after: &AfterCreate,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>> {
    let site = claim.inputs.site;
    match after {
        AfterCreate::Hold {
            why: WaitReason::Settings,
            until,
            error,
            ..
        } => {
            let paused = pause(connection, site, error, *until, Some(&claim.inputs), now).await?;
            return Ok((!paused).then_some(now));
        }
        after if claim.inputs.paused_since.is_some() && after.shows_working_settings() => {
            // New settings may have let it go on while the call was under way.
            let resumed = sqlx::query!(
                "UPDATE site SET paused_at = NULL, pause_error = NULL, resume_at = NULL
                 WHERE id = $1 AND paused_at IS NOT NULL",
                site.0,
            )
            .execute(&mut *connection)
            .await?;
            if resumed.rows_affected() > 0 {
                outbox::notify(connection, site, Event::SiteResumed, None, now).await?;
                announce_sites(connection).await?;
            }
        }
        _ => {}
    }
    Ok(None)
}

/// Pauses the site, unless its settings are others by now than those that were `tried`. Returns
/// whether it did.
async fn pause(
    connection: &mut PgConnection,
    site: SiteId,
    error: &AwsError,
    until: OffsetDateTime,
    tried: Option<&PlanInputs>,
    now: OffsetDateTime,
) -> Result<bool> {
    let was_paused = sqlx::query_scalar!(
        r#"UPDATE site s SET paused_at = coalesce(s.paused_at, $2), pause_error = $3, resume_at = $4
           FROM (SELECT paused_at FROM site WHERE id = $1 FOR NO KEY UPDATE) before
           WHERE s.id = $1 AND s.settings_version = coalesce($5, s.settings_version)
           RETURNING before.paused_at IS NOT NULL as "was_paused!""#,
        site.0,
        now,
        serde_json::json!(error),
        until,
        tried.map(|inputs| inputs.settings_version),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(was_paused) = was_paused else {
        return Ok(false);
    };
    if !was_paused {
        let reason = Some(in_words(error));
        outbox::notify(connection, site, Event::SitePaused, reason, now).await?;
    }
    announce_sites(connection).await?;
    Ok(true)
}
