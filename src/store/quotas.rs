//! What is believed about distributions' quotas, for pages, programs and metrics.

use time::OffsetDateTime;

use super::{Result, Store};
use crate::domain::limits::{IN_PROGRESS, SKEW};
use crate::domain::{DistributionId, KindCounts, Limits, QuotaUse, Quotas};

impl Store {
    /// What is believed about a distribution's quotas; `None` if nobody has settings for it.
    pub async fn quotas(
        &self,
        distribution: &DistributionId,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Option<Quotas>> {
        let mut found = self
            .believed(Some(distribution.as_str()), limits, now)
            .await?;
        Ok(found.pop().map(|(_, quotas)| quotas))
    }

    /// What is believed about the quotas of one distribution, or of all that sites have settings
    /// for.
    pub(super) async fn believed(
        &self,
        only: Option<&str>,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Vec<(String, Quotas)>> {
        let rows = sqlx::query!(
            r#"SELECT d.id, d.beliefs, d.completed_at,
                      coalesce(c.files, 0) as "files!", coalesce(c.wildcards, 0) as "wildcards!",
                      coalesce(c.unconfirmed_files, 0) as "unconfirmed_files!",
                      coalesce(c.unconfirmed_wildcards, 0) as "unconfirmed_wildcards!"
               FROM distribution d
               CROSS JOIN LATERAL (
                 SELECT sum(c.files) AS files, sum(c.wildcards) AS wildcards,
                        sum(c.files) FILTER (WHERE c.since IS NOT NULL) AS unconfirmed_files,
                        sum(c.wildcards) FILTER (WHERE c.since IS NOT NULL) AS unconfirmed_wildcards
                 FROM counted c
                 WHERE c.distribution_id = d.id AND (c.since IS NULL OR c.since > $2 AND c.since < $3)) c
               WHERE d.id IN (SELECT $1 WHERE $1::text IS NOT NULL
                              UNION ALL
                              SELECT distribution_id FROM settings_in_force WHERE $1::text IS NULL)"#,
            only,
            now - IN_PROGRESS,
            now + SKEW,
        )
        .fetch_all(&self.pool)
        .await?;
        let quotas = rows.into_iter().map(|row| {
            let in_use = QuotaUse {
                used: KindCounts::counted(row.files, row.wildcards),
                unconfirmed: KindCounts::counted(row.unconfirmed_files, row.unconfirmed_wildcards),
                completed_at: row.completed_at,
            };
            // Perhaps another version wrote them: then nothing is believed yet.
            let beliefs = serde_json::from_value(row.beliefs).unwrap_or_default();
            (row.id, Quotas::new(&beliefs, limits, &in_use, now))
        });
        Ok(quotas.collect())
    }
}
