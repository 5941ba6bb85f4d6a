//! Stored invalidations that wait to be sent.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Connection, PlanInputs, Result, Store, column, parse_items};
use crate::domain::limits::is_in_progress;
use crate::domain::{CallerReference, InvalidationBatch, Item, KindCounts, WaitReason};

/// How long a claim holds. A call begins in its first half and ends within the second; after it
/// anyone may send the same reference again.
pub(super) const LEASE: Duration = Duration::seconds(30);
/// A try is only this late when nobody could make it, for instance because the machine slept. The
/// time that passed then says nothing about earlier tries that had no answer. So at least an hour
/// of the day that a batch may go without an answer is spent asking.
const ASLEEP: Duration = Duration::hours(23);
/// Stored invalidations that are looked at for one that may go, or for as many as may go together:
/// of each kind, of those with trouble and of the others.
const STORED_PAGE: i64 = 64;
/// The items after which such a page ends: as many as go in one call.
const STORED_PAGE_ITEMS: i64 = 3_000;

/// A stored invalidation for which there is no room.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    pub id: Uuid,
    pub why: WaitReason,
    pub until: OffsetDateTime,
}

/// A stored invalidation that may be sent.
#[derive(Clone, Debug)]
pub struct QueuedInvalidation {
    pub id: Uuid,
    pub batch: InvalidationBatch,
    pub counts: KindCounts,
    pub planned_at: OffsetDateTime,
    /// When the latest attempt that CloudFront may have accepted began, if any.
    pub unknown_since: Option<OffsetDateTime>,
    /// How often it has been throttled in a row.
    pub throttled: u32,
    pub(super) unanswered_since: Option<OffsetDateTime>,
    /// The refused batch that it is a piece of.
    pub(super) search: Option<Uuid>,
    /// Whether it takes turns with what is new: it had no answer, an attempt at it may have been
    /// accepted, or it is a piece of a search.
    pub is_trouble: bool,
}

impl QueuedInvalidation {
    /// One that has never been sent, under a fresh reference.
    pub(super) fn new(id: Uuid, items: Vec<Item>, planned_at: OffsetDateTime) -> Self {
        Self {
            id,
            counts: KindCounts::of(&items),
            batch: InvalidationBatch {
                caller_reference: CallerReference::of(id),
                items,
            },
            planned_at,
            unknown_since: None,
            throttled: 0,
            unanswered_since: None,
            search: None,
            is_trouble: false,
        }
    }

    /// What was stored in its place: a piece of it, or it with others.
    pub(super) fn resized(&self, id: Uuid, items: Vec<Item>) -> Self {
        Self {
            unknown_since: self.unknown_since,
            unanswered_since: self.unanswered_since,
            search: self.search,
            is_trouble: self.is_trouble,
            ..Self::new(id, items, self.planned_at)
        }
    }

    /// Whether it may be sent together with others: CloudFront does not have it, and none of its
    /// items is suspected.
    pub const fn may_join(&self) -> bool {
        self.unknown_since.is_none() && self.search.is_none()
    }

    /// The room that it takes beyond what is counted already. Once an attempt without an answer no
    /// longer counts, others may have taken its place.
    pub fn needs(&self, now: OffsetDateTime) -> KindCounts {
        let recent = |since| is_in_progress(since, now);
        let is_counted = self.unknown_since.is_some() && self.unanswered_since.is_some_and(recent);
        match is_counted {
            true => KindCounts::default(),
            false => self.counts,
        }
    }
}

impl Store {
    /// Stored invalidations of the site that are due: the first of each kind, of those with trouble
    /// and of the others.
    pub async fn stored(
        &self,
        connection: &mut Connection,
        inputs: &PlanInputs,
        now: OffsetDateTime,
    ) -> Result<Vec<QueuedInvalidation>> {
        let rows = sqlx::query!(
            r#"SELECT id, caller_reference as "caller_reference: CallerReference", items, files, wildcards, created_at,
                      unknown_since, CASE WHEN next_at > $5 THEN unanswered_since END AS unanswered_since, throttled,
                      search, is_trouble as "is_trouble!"
               FROM (
                 SELECT *, row_number() OVER of_kind AS nth, sum(item_count) OVER of_kind - item_count AS items_before
                 FROM (SELECT *, search IS NOT NULL OR unknown_since IS NOT NULL
                              OR waiting_for IS NOT DISTINCT FROM 'retry' AS is_trouble
                       FROM invalidation
                       WHERE site_id = $1 AND distribution_id = $2 AND status = 'Queued' AND next_at <= $3) due
                 WINDOW of_kind AS (PARTITION BY is_trouble, wildcards > 0 ORDER BY created_at, id)) first
               WHERE nth <= $4 AND items_before < $6 ORDER BY created_at, id"#,
            inputs.site.0,
            inputs.settings.distribution_id.as_str(),
            now,
            STORED_PAGE,
            now - ASLEEP,
            STORED_PAGE_ITEMS,
        )
        .fetch_all(connection.sql())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(QueuedInvalidation {
                    id: row.id,
                    batch: InvalidationBatch {
                        caller_reference: row.caller_reference,
                        items: parse_items(row.items)?,
                    },
                    counts: KindCounts::counted(row.files, row.wildcards),
                    planned_at: row.created_at,
                    unknown_since: row.unknown_since,
                    throttled: row.throttled.unsigned_abs(),
                    unanswered_since: row.unanswered_since,
                    search: row.search,
                    is_trouble: row.is_trouble,
                })
            })
            .collect()
    }

    /// Lets stored invalidations wait, since there is no room for them. Returns `false`, with nothing
    /// noted, if something has ended at the distribution meanwhile, or somebody else has one of
    /// them.
    pub async fn hold_stored(
        &self,
        connection: &mut Connection,
        inputs: &PlanInputs,
        holds: &[Hold],
        now: OffsetDateTime,
    ) -> Result<bool> {
        let mut tx = connection.begin().await?;
        let held = sqlx::query!(
            "WITH same AS (
               SELECT FROM distribution WHERE id = $4 AND completed_at IS NOT DISTINCT FROM $5 FOR SHARE),
             free AS (
               SELECT i.id FROM same, invalidation i
               WHERE i.id = ANY($1) AND i.status = 'Queued' AND i.next_at <= $6
               ORDER BY i.id FOR UPDATE OF i)
             UPDATE invalidation i SET waiting_for = held.why, next_at = held.until
             FROM free JOIN unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS held (id, why, until) USING (id)
             WHERE i.id = free.id",
            &column(holds, |hold| hold.id),
            &column(holds, |hold| hold.why.into_str()) as &[&str],
            &column(holds, |hold| hold.until),
            inputs.settings.distribution_id.as_str(),
            inputs.completed_at,
            now,
        )
        .execute(&mut *tx)
        .await?;
        if held.rows_affected() != holds.len() as u64 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }
}
