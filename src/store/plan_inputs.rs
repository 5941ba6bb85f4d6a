//! Everything that decides what becomes of a site's waiting publishes, for the dispatcher and for
//! dry runs. Nothing is locked or changed.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::settings::Slot;
use super::spending::{month_usage, stored_spending};
use super::{Connection, Result, SiteId, Store, StoreError};
use crate::domain::limits::{IN_PROGRESS, SKEW, is_within};
use crate::domain::{
    AccessKeyId, Beliefs, Bucket, DistributionId, InFlight, KindCounts, Limits, MAX_BELIEF_AGE,
    MonthUsage, PastLimit, PerKind, Policy, Region, Room, Settings, Shortage, Spending,
};

/// How things stand at a site, its distribution and its access key.
#[derive(Clone, Debug)]
pub struct PlanInputs {
    pub site: SiteId,
    pub settings: Settings,
    /// What the site's owner allows.
    pub spending: Spending,
    pub month: MonthUsage,
    /// What the site has on its way.
    pub in_flight: InFlight,
    /// What counts against the distribution's quotas.
    pub used: KindCounts,
    /// When the first of those that are counted although nobody can ask about them no longer
    /// counts.
    pub unconfirmed_until: Option<OffsetDateTime>,
    /// What the site has stored that has to wait for room: new publishes leave that room to it.
    pub reserved: KindCounts,
    /// The limits of the distribution: as configured, and as learned.
    pub limits: Limits,
    pub beliefs: Beliefs,
    /// What the rate in `bucket` belongs to: the access key or, until AWS has accepted a signature
    /// with it, the site itself.
    pub(super) rate_key: String,
    /// The rate, as it is now.
    pub bucket: Bucket,
    /// When something last ended at the distribution.
    pub completed_at: Option<OffsetDateTime>,
    /// When calls for the site began to leave publishes waiting for room, each of them since.
    pub backlog_since: Option<OffsetDateTime>,
    pub shortage: Shortage,
    /// When AWS began to reject the settings.
    pub paused_since: Option<OffsetDateTime>,
    /// When the settings are next tried, if it is paused.
    pub resume_at: Option<OffsetDateTime>,
    /// When any other call to the distribution will be over, for whichever of its sites.
    pub leased_until: Option<OffsetDateTime>,
    /// Invalidations of the site that are stored and not accepted.
    pub stored: i64,
    /// Those that are due.
    pub stored_due: i64,
    /// Those that had no answer and are tried again.
    pub retrying: i64,
    /// When the latest of those was planned.
    pub retrying_since: Option<OffsetDateTime>,
    /// Whether the site is marked as waiting, or as having a backlog.
    pub(super) is_marked: bool,
    /// What a claim restates: calls of the distribution, the settings' version and the bucket.
    pub(super) calls: i64,
    pub(super) settings_version: i32,
    pub(super) stored_bucket: Option<Bucket>,
}

impl PlanInputs {
    /// Whether AWS has accepted a signature with the access key from this site.
    pub(super) fn is_proven(&self) -> bool {
        self.rate_key == self.settings.access_key_name()
    }

    pub fn room(&self, now: OffsetDateTime) -> Room {
        self.beliefs.room(
            &self.limits,
            self.used,
            self.completed_at,
            &self.shortage,
            now,
        )
    }

    /// What one call may hold of what has waited since then, even if it has to be cut for that.
    pub fn one_call(&self, since: OffsetDateTime, now: OffsetDateTime) -> Room {
        let quota = self.limits.quota();
        if is_within(MAX_BELIEF_AGE, since, now) {
            return quota;
        }
        let flow = self.beliefs.flow(&self.limits, now);
        flow.beside_neighbours(quota, &self.limits)
    }

    /// When these kinds, which have no room now, are looked at again in any case.
    pub fn ask_again_at(&self, kinds: KindCounts, now: OffsetDateTime) -> OffsetDateTime {
        let asked = self.beliefs.ask_again_at(kinds, &self.shortage, now);
        self.unconfirmed_until.map_or(asked, |ends| asked.min(ends))
    }

    /// What is believed about the distribution once this has been sent.
    pub(super) fn spent(&self, needs: KindCounts, now: OffsetDateTime) -> Beliefs {
        let mut beliefs = self.beliefs;
        beliefs.asking(
            needs,
            &self.limits,
            self.used,
            self.completed_at,
            &self.shortage,
            now,
        );
        beliefs.flow = Some(self.beliefs.flow_after(needs, &self.limits, now));
        beliefs
    }
}

impl Store {
    /// How things stand; `None` if the site has no CDN settings, or is gone.
    pub async fn plan_inputs(
        &self,
        connection: &mut Connection,
        site: SiteId,
        limits: &Limits,
        now: OffsetDateTime,
    ) -> Result<Option<PlanInputs>> {
        let connection = connection.sql();
        let row = sqlx::query!(
            r#"SELECT f.slot as "slot!: Slot", f.distribution_id as "distribution_id!: DistributionId",
                      f.access_key_id as "access_key_id: AccessKeyId", f.secret_access_key,
                      f.region as "region!: Region", f.rate_key as "rate_key!", f.granted as "granted!",
                      s.policy as "policy: Policy", s.fold_threshold, s.monthly_limit,
                      s.past_limit as "past_limit: PastLimit", s.backlog_since, s.paused_at, s.settings_version,
                      s.waits_for IS NOT NULL OR s.limited_until IS NOT NULL OR s.backlog_since IS NOT NULL
                        as "is_marked!",
                      s.resume_at, d.lease_until, d.calls, d.completed_at, d.beliefs,
                      k.tokens as "tokens?", k.rate as "rate?", k.refilled_at as "refilled_at?",
                      coalesce(c.files, 0) as "files!", coalesce(c.wildcards, 0) as "wildcards!",
                      coalesce(c.own, 0) as "own!",
                      c.unconfirmed_since,
                      q.short_since, q.stored as "stored!", q.due as "stored_due!", q.retrying as "retrying!",
                      q.retrying_since,
                      coalesce(q.items, 0) as "planned!", coalesce(q.files, 0) as "reserved_files!",
                      coalesce(q.wildcards, 0) as "reserved_wildcards!"
               FROM site s
               JOIN settings_in_force f ON f.site_id = s.id
               JOIN distribution d ON d.id = f.distribution_id
               LEFT JOIN access_key k ON k.id = f.rate_key
               CROSS JOIN LATERAL (
                 SELECT sum(c.files) AS files, sum(c.wildcards) AS wildcards, min(c.since) AS unconfirmed_since,
                        sum(c.files + c.wildcards + c.folded) FILTER (WHERE c.site_id = s.id) AS own
                 FROM counted c
                 WHERE c.distribution_id = d.id AND (c.since IS NULL OR c.since > $3 AND c.since < $4)) c
               CROSS JOIN LATERAL (
                 SELECT count(*) AS stored, count(*) FILTER (WHERE i.next_at <= $2) AS due,
                        count(*) FILTER (WHERE i.waiting_for = 'retry') AS retrying,
                        max(i.created_at) FILTER (WHERE i.waiting_for = 'retry') AS retrying_since,
                        min(i.created_at) FILTER (WHERE i.waiting_for = 'quota') AS short_since,
                        sum(i.item_count) AS items,
                        sum(i.files) FILTER (WHERE i.reserves) AS files,
                        sum(i.wildcards) FILTER (WHERE i.reserves) AS wildcards
                 FROM (SELECT *, search IS NULL
                                 -- A repeat that is throttled may go on for an hour.
                                 AND CASE waiting_for WHEN 'retry' THEN false
                                                      WHEN 'rate' THEN unknown_since IS NULL OR throttled = 0
                                                      ELSE true END AS reserves
                       FROM invalidation) i
                 WHERE i.site_id = s.id AND i.distribution_id = d.id AND i.status = 'Queued') q
               WHERE s.id = $1 AND s.removed_at IS NULL"#,
            site.0,
            now,
            now - IN_PROGRESS,
            now + SKEW,
        )
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if !row.granted {
            return Err(StoreError::NotGranted);
        }
        let settings = Settings {
            credentials: self.credentials(
                site,
                row.slot,
                row.access_key_id,
                row.secret_access_key.as_deref(),
            )?,
            distribution_id: row.distribution_id,
            region: row.region,
        };
        let shared = Some(settings.access_key_name()).filter(|key| *key == row.rate_key);
        let month = month_usage(connection, site, shared, now).await?;
        // Perhaps another version wrote them: then nothing is believed yet.
        let beliefs: Beliefs = serde_json::from_value(row.beliefs).unwrap_or_default();
        let stored_bucket = match (row.tokens, row.rate, row.refilled_at) {
            (Some(tokens), Some(rate), Some(refilled_at)) => Some(Bucket {
                tokens,
                rate,
                refilled_at,
            }),
            _ => None,
        };
        let short_since = row.short_since.into_iter().chain(row.backlog_since).min();
        let shortage = shortage(connection, site, short_since, now).await?;
        let planned = row.planned.unsigned_abs();
        Ok(Some(PlanInputs {
            site,
            settings,
            spending: stored_spending(
                row.policy,
                row.fold_threshold,
                row.monthly_limit,
                row.past_limit,
            ),
            month,
            in_flight: InFlight {
                planned,
                in_progress: row.own.unsigned_abs(),
            },
            used: KindCounts::counted(row.files, row.wildcards),
            unconfirmed_until: row.unconfirmed_since.map(|since| since + IN_PROGRESS),
            reserved: KindCounts::counted(row.reserved_files, row.reserved_wildcards),
            rate_key: row.rate_key,
            limits: beliefs.narrow(limits),
            beliefs,
            bucket: stored_bucket.map_or_else(
                || Bucket::full(limits, now),
                |bucket| bucket.refilled(limits, now),
            ),
            completed_at: row.completed_at,
            backlog_since: row.backlog_since,
            shortage,
            paused_since: row.paused_at,
            resume_at: row.resume_at,
            leased_until: row.lease_until,
            stored: row.stored,
            stored_due: row.stored_due,
            retrying: row.retrying,
            retrying_since: row.retrying_since,
            is_marked: row.is_marked,
            calls: row.calls,
            settings_version: row.settings_version,
            stored_bucket,
        }))
    }
}

/// When a site that is short of room last had something sent. Only looked up if the shortage began
/// long ago.
async fn shortage(
    connection: &mut PgConnection,
    site: SiteId,
    began_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<Shortage> {
    let mut shortage = Shortage {
        began_at,
        ..Shortage::default()
    };
    if began_at.is_some_and(|at| !is_within(MAX_BELIEF_AGE, at, now)) {
        let row = sqlx::query!(
            "SELECT max(created_at) FILTER (WHERE files > 0) AS files_at,
                    max(created_at) FILTER (WHERE wildcards > 0) AS wildcards_at
             FROM (SELECT created_at, files, wildcards FROM invalidation
                   WHERE site_id = $1 ORDER BY id DESC LIMIT 100) latest",
            site.0,
        )
        .fetch_one(connection)
        .await?;
        shortage.went_at = PerKind {
            files: row.files_at,
            wildcards: row.wildcards_at,
        };
    }
    Ok(shortage)
}
