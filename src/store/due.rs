//! What is due, where and when, and bringing forward what a wrong clock had put off.

use time::{Duration, OffsetDateTime};

use super::stored::LEASE;
use super::{Places, Result, SiteId, Store, deliveries, edge};
use crate::domain::limits::SKEW;

/// The longest that a correct clock puts off a question or a look at a site, and a try of settings.
const FAR: Duration = Duration::MINUTE;
const FAR_PAUSE: Duration = Duration::minutes(10);

/// What there is to do.
#[derive(Debug)]
pub struct Due {
    /// Sites that have something to send and that nothing known holds back, the longest unserved
    /// first.
    pub sites: Vec<SiteId>,
    /// The distribution of each of them, and the row of `access_key` that it goes by.
    pub distributions: Vec<String>,
    pub rate_keys: Vec<String>,
    /// How many questions are due that there are places for.
    pub questions: i64,
    /// When anything else is due: in the past if there are more sites than are named.
    pub next: Option<OffsetDateTime>,
}

impl Due {
    pub const fn is_now(&self) -> bool {
        !self.sites.is_empty() || self.questions > 0
    }
}

impl Store {
    /// What sites other than `served` have to send, and what is to be asked about, as far as there
    /// are places for questions.
    pub async fn due(&self, served: &[SiteId], places: Places, now: OffsetDateTime) -> Result<Due> {
        let (answered, unanswered) = places.limits();
        Ok(sqlx::query_as!(
            Due,
            r#"WITH pending AS (SELECT * FROM due_site WHERE site_id <> ALL($1)),
                 -- Sites that share a distribution have that in common: chance decides which are named.
                 due AS (SELECT * FROM pending WHERE at <= $3
                         ORDER BY sent_at NULLS FIRST, random() LIMIT 64)
               SELECT ARRAY(SELECT site_id FROM due ORDER BY sent_at NULLS FIRST, site_id) as "sites!: Vec<SiteId>",
                      ARRAY(SELECT distribution_id FROM due ORDER BY sent_at NULLS FIRST, site_id) as "distributions!",
                      ARRAY(SELECT rate_key FROM due ORDER BY sent_at NULLS FIRST, site_id) as "rate_keys!",
                      (SELECT count(*) FROM (
                         (SELECT FROM invalidation
                          WHERE ended_at IS NULL AND status = 'InProgress' AND next_at <= $3
                            AND unanswered_since IS NULL LIMIT $2)
                         UNION ALL
                         (SELECT FROM invalidation
                          WHERE ended_at IS NULL AND status = 'InProgress' AND next_at <= $3
                            AND unanswered_since IS NOT NULL LIMIT $4)) AS asked) as "questions!",
                      least((SELECT min(at) FROM pending WHERE site_id NOT IN (SELECT site_id FROM due)),
                            (SELECT min(next_at) FROM invalidation
                             WHERE ended_at IS NULL AND status = 'InProgress' AND next_at > $3
                               AND unanswered_since IS NULL AND $2 > 0),
                            (SELECT min(next_at) FROM invalidation
                             WHERE ended_at IS NULL AND status = 'InProgress' AND next_at > $3
                               AND unanswered_since IS NOT NULL AND $4 > 0)) as next"#,
            served as &[SiteId],
            answered,
            now,
            unanswered,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Brings forward what was put far into the future by a clock that has been set back since.
    pub async fn heal_clock(&self, now: OffsetDateTime) -> Result<()> {
        let skewed = now + SKEW;
        let mut tx = self.begin().await?;
        sqlx::query!(
            "UPDATE distribution SET lease_token = NULL, lease_until = NULL WHERE lease_until > $1",
            skewed + LEASE,
        )
        .execute(&mut *tx)
        .await?;
        // What somebody is changing is left for the next time: they may wait for what this has
        // locked.
        sqlx::query!(
            "UPDATE site SET waits_until = $2
             WHERE id = ANY(ARRAY(
               SELECT id FROM site WHERE waits_until > $1 FOR NO KEY UPDATE SKIP LOCKED))",
            skewed + FAR,
            now,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE site SET resume_at = $3
             WHERE id = ANY(ARRAY(
               SELECT id FROM site WHERE resume_at > $1 OR paused_at > $2 AND resume_at > $3
               FOR NO KEY UPDATE SKIP LOCKED))",
            skewed + FAR_PAUSE,
            skewed,
            now,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "UPDATE invalidation SET next_at = $3
             WHERE id = ANY(ARRAY(
               SELECT id FROM invalidation
               WHERE ended_at IS NULL AND next_at > CASE status WHEN 'Queued' THEN $1::timestamptz ELSE $2 END
               FOR UPDATE SKIP LOCKED))",
            skewed + LEASE,
            skewed + FAR,
            now,
        )
        .execute(&mut *tx)
        .await?;
        // What counts against a quota, or may have been accepted, does so from when it was, which no
        // clock can put in the future.
        sqlx::query!(
            "UPDATE invalidation SET submitted_at = CASE WHEN submitted_at > $2 THEN $2 ELSE submitted_at END,
                                     unknown_since = CASE WHEN unknown_since > $2 THEN $2 ELSE unknown_since END,
                                     unanswered_since = CASE WHEN unanswered_since > $2 THEN $2 ELSE unanswered_since END
             WHERE id = ANY(ARRAY(
               SELECT id FROM invalidation WHERE id = ANY(ARRAY(
                 SELECT id FROM invalidation
                 WHERE ended_at IS NULL AND greatest(submitted_at, unknown_since, unanswered_since) > $1
                 UNION ALL
                 -- A step through the index for each distribution, whatever PostgreSQL expects of the history.
                 SELECT u.id FROM distribution d, LATERAL (
                   SELECT id FROM invalidation i
                   WHERE i.distribution_id = d.id AND i.status = 'Unconfirmed'
                     AND least(i.unanswered_since, i.submitted_at) > $1
                   OFFSET 0) u))
               FOR UPDATE SKIP LOCKED))",
            skewed,
            now,
        )
        .execute(&mut *tx)
        .await?;
        edge::heal(&mut tx, skewed, now).await?;
        deliveries::heal(&mut tx, skewed, now).await?;
        Ok(tx.commit().await?)
    }
}
