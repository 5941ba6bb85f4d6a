//! Claiming and recording calls of `GetInvalidation`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::listen::{announce_change, announce_sites};
use super::stored::LEASE;
use super::transitions::{lock_publishes, move_publishes};
use super::{Result, SiteId, Store};
use crate::domain::{
    AfterGet, AwsError, DistributionId, InvalidationId, InvalidationStatus as Status, Settings,
    WaitReason,
};

/// A question is only this late when nobody could ask, for instance because the machine slept. The
/// time that passed then says nothing about earlier questions that had no usable answer.
const ASLEEP: Duration = Duration::HOUR;

/// The right to ask about one invalidation and to record the answer.
#[derive(Clone, Debug)]
pub struct PollClaim {
    pub invalidation: Uuid,
    pub site: SiteId,
    pub distribution: DistributionId,
    pub cloudfront_id: InvalidationId,
    pub submitted_at: OffsetDateTime,
    unanswered_since: Option<OffsetDateTime>,
    /// Whether AWS rejects the site's settings.
    pub is_paused: bool,
    /// The site's settings in force, `None` if they were removed; or why AWS cannot be called with
    /// them.
    pub settings: Result<Option<Settings>, AwsError>,
    /// The version of the site's settings that was read before them: they may be newer.
    settings_version: Option<i32>,
    claimed_at: OffsetDateTime,
    token: Uuid,
}

impl PollClaim {
    /// Whether the last question about it had no usable answer.
    pub const fn is_unanswered(&self) -> bool {
        self.unanswered_since.is_some()
    }

    /// When questions about it began to have no usable answer. Where this one ended long after any
    /// does, the machine slept, and the time that passed counts for nothing.
    pub fn unanswered_since(&self, ended_at: OffsetDateTime) -> Option<OffsetDateTime> {
        let slept = ended_at - self.claimed_at > LEASE;
        self.unanswered_since.filter(|_| !slept)
    }

    /// The site's settings in force, if it has any and AWS can be called with them.
    pub fn usable_settings(&self) -> Option<&Settings> {
        self.settings.as_ref().ok().and_then(Option::as_ref)
    }

    /// Whether the settings in force are for its distribution, so that the answer says something
    /// about them.
    pub fn is_of_settings_in_force(&self) -> bool {
        self.usable_settings()
            .is_some_and(|settings| settings.distribution_id == self.distribution)
    }
}

/// For how many questions there are places.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// Where the last question about the invalidation was answered, or there was none.
    pub answered: usize,
    /// Where it was not.
    pub unanswered: usize,
}

impl Places {
    /// As PostgreSQL's limits.
    pub(super) fn limits(self) -> (i64, i64) {
        let limit = |places: usize| i64::try_from(places).unwrap_or(i64::MAX);
        (limit(self.answered), limit(self.unanswered))
    }
}

/// What came of recording an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollRecorded {
    /// Ours, and nothing waited for its end.
    Ours,
    /// Ours, and something waited for its end.
    MadeRoom,
    /// The claim was no longer ours, and nothing changed.
    TakenOver,
}

impl Store {
    /// Claims invalidations that are due to be asked about, as many as there are places for.
    pub async fn claim_polls(
        &self,
        places: Places,
        token: Uuid,
        now: OffsetDateTime,
    ) -> Result<Vec<PollClaim>> {
        let (answered, unanswered) = places.limits();
        // If the settings of one cannot be read, none is claimed.
        let mut tx = self.begin_unflushed().await?;
        let rows = sqlx::query!(
            r#"UPDATE invalidation SET lease_token = $1, lease_until = $3, next_at = $3,
                                       unanswered_since = CASE WHEN next_at > $5 THEN unanswered_since END
               WHERE id = ANY(
                 ARRAY(SELECT id FROM invalidation
                       WHERE ended_at IS NULL AND status = 'InProgress' AND next_at <= $2 AND unanswered_since IS NULL
                       ORDER BY next_at LIMIT $4 FOR UPDATE SKIP LOCKED)
                 || ARRAY(SELECT id FROM invalidation
                          WHERE ended_at IS NULL AND status = 'InProgress' AND next_at <= $2
                            AND unanswered_since IS NOT NULL
                          ORDER BY next_at LIMIT $6 FOR UPDATE SKIP LOCKED))
               RETURNING id, site_id, distribution_id, cloudfront_id as "cloudfront_id!",
                         submitted_at as "submitted_at!", unanswered_since,
                         (SELECT s.paused_at IS NOT NULL FROM site s WHERE s.id = site_id) as "is_paused?",
                         (SELECT s.settings_version FROM site s WHERE s.id = site_id) as "settings_version?"
               "#,
            token,
            now,
            now + LEASE,
            answered,
            now - ASLEEP,
            unanswered,
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut known: HashMap<i32, Result<Option<Settings>, AwsError>> = HashMap::new();
        let mut claims = Vec::with_capacity(rows.len());
        for row in rows {
            let site = SiteId(row.site_id);
            let names = (row.distribution_id.parse(), row.cloudfront_id.parse());
            let (Ok(distribution), Ok(cloudfront_id)) = names else {
                // Replicas of the version that wrote it can ask.
                tracing::error!(%site, invalidation = %row.id, row.distribution_id, row.cloudfront_id,
                    "unknown form of ID; not asking CloudFront about this invalidation");
                continue;
            };
            let settings = match known.entry(row.site_id) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let settings = self.settings_in_force(&mut tx, site).await;
                    entry.insert(match settings {
                        Ok(settings) => Ok(settings),
                        // Only its own invalidations cannot be asked about; others are not held up.
                        Err(error) if error.is_about_a_row() => {
                            tracing::warn!(%site, %error, "could not read the settings of a site to ask about its invalidations");
                            Err(error.in_place_of_aws())
                        }
                        Err(error) => return Err(error),
                    })
                }
            };
            claims.push(PollClaim {
                invalidation: row.id,
                site,
                distribution,
                cloudfront_id,
                submitted_at: row.submitted_at,
                unanswered_since: row.unanswered_since,
                is_paused: row.is_paused.unwrap_or_default(),
                settings: settings.clone(),
                settings_version: row.settings_version,
                claimed_at: now,
                token,
            });
        }
        tx.commit().await?;
        Ok(claims)
    }

    /// Records CloudFront's answer.
    pub async fn record_poll(
        &self,
        claim: &PollClaim,
        after: &AfterGet,
        fix: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<PollRecorded> {
        let (status, next_at, error, waiting_for) = match after {
            AfterGet::Again {
                at,
                error,
                settings_rejected,
            } => (
                Status::InProgress,
                Some(*at),
                error.as_ref(),
                settings_rejected.then_some(WaitReason::Settings.into_str()),
            ),
            AfterGet::Completed => (Status::Completed, None, None, None),
            AfterGet::Unconfirmed(error) => (Status::Unconfirmed, None, Some(error), None),
            AfterGet::Failed(error) => (Status::Failed, None, Some(error), None),
        };
        let ended = next_at.is_none();
        let mut tx = self.begin_unflushed().await?;
        let mut woken = 0;
        if ended {
            woken += wake_sites(&mut tx, &claim.distribution, now).await?;
        }
        if let Some(denied) = denies(after)
            && claim.is_of_settings_in_force()
        {
            note_denied(&mut tx, claim, denied.then_some(now)).await?;
        }
        let done = sqlx::query!(
            "UPDATE invalidation SET status = $3, next_at = $4, error = $5, fix = $6, waiting_for = $7,
                                     unanswered_since = CASE WHEN $5::jsonb IS NOT NULL THEN coalesce($9::timestamptz, $8) END,
                                     ended_at = CASE WHEN $4::timestamptz IS NULL THEN $8::timestamptz END,
                                     lease_token = NULL, lease_until = NULL
             WHERE id = $1 AND lease_token = $2 AND status = 'InProgress'",
            claim.invalidation,
            claim.token,
            status.into_str(),
            next_at,
            error.map(|e| serde_json::json!(e)),
            error.and(fix),
            waiting_for,
            now,
            claim.unanswered_since(now),
        )
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(PollRecorded::TakenOver);
        }
        if ended {
            woken += wake_batches(&mut tx, &claim.distribution, now).await?;
            lock_publishes(&mut tx, claim.site).await?;
            move_publishes(&mut tx, claim.site, &[claim.invalidation]).await?;
        }
        if ended || error.is_some() {
            announce_change(&mut tx, claim.site).await?;
        }
        tx.commit().await?;
        Ok(match woken {
            0 => PollRecorded::Ours,
            _ => PollRecorded::MadeRoom,
        })
    }
}

/// Notes that something has ended, so that there may be room, and lets the sites that wait for it
/// be looked at. Returns how many do.
async fn wake_sites(
    connection: &mut PgConnection,
    distribution: &DistributionId,
    now: OffsetDateTime,
) -> Result<u64> {
    sqlx::query!(
        "UPDATE distribution SET completed_at = $2 WHERE id = $1",
        distribution.as_str(),
        now,
    )
    .execute(&mut *connection)
    .await?;
    let woken = sqlx::query!(
        "UPDATE site SET waits_for = NULL, waits_since = NULL, waits_until = NULL
         WHERE waits_for = 'quota' AND id IN (SELECT site_id FROM settings_in_force WHERE distribution_id = $1)",
        distribution.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(woken.rows_affected())
}

/// The same for stored invalidations that wait for it, unless they are due already. They are locked
/// after those that ended, oldest first, in the order that moving a site's settings uses as well.
async fn wake_batches(
    connection: &mut PgConnection,
    distribution: &DistributionId,
    now: OffsetDateTime,
) -> Result<u64> {
    let woken = sqlx::query!(
        "UPDATE invalidation SET next_at = $2
         WHERE id = ANY(ARRAY(
           SELECT id FROM invalidation
           WHERE distribution_id = $1 AND status = 'Queued' AND ended_at IS NULL AND waiting_for = 'quota'
             AND next_at > $2
           ORDER BY id FOR UPDATE))",
        distribution.as_str(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(woken.rows_affected())
}

/// Whether the answer shows that the key may not ask, or that it may; `None` if neither.
fn denies(after: &AfterGet) -> Option<bool> {
    match after {
        AfterGet::Completed | AfterGet::Again { error: None, .. } => Some(false),
        AfterGet::Again {
            error: Some(error), ..
        }
        | AfterGet::Unconfirmed(error) => error.denies_action().then_some(true),
        AfterGet::Failed(_) => None,
    }
}

/// Notes, for the site's pages, whether its key may ask, unless the settings were replaced since.
/// Writes nothing while that does not change.
async fn note_denied(
    connection: &mut PgConnection,
    claim: &PollClaim,
    denied_at: Option<OffsetDateTime>,
) -> Result<()> {
    let changed = sqlx::query!(
        "UPDATE site SET poll_denied_at = $2
         WHERE id = $1 AND settings_version = $3 AND (poll_denied_at IS NULL) <> ($2::timestamptz IS NULL)",
        claim.site.0,
        denied_at,
        claim.settings_version,
    )
    .execute(&mut *connection)
    .await?;
    if changed.rows_affected() == 1 {
        announce_sites(connection).await?;
    }
    Ok(())
}
