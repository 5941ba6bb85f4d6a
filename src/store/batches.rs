//! Storing batches as invalidations, and replacing one that cannot be sent as a whole with its
//! pieces.

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::stored::{LEASE, QueuedInvalidation};
use super::transitions::{lock_publishes, lock_settings};
use super::{PlanInputs, Result, Store, column, integer, parse_items};
use crate::domain::coverage::Cover;
use crate::domain::{CallerReference, Item, KindCounts, Search, TraceParent};

pub(super) struct Batch<'a> {
    id: Uuid,
    items: &'a [Item],
    publishes: Vec<Uuid>,
    /// Items its publishes asked for.
    pub(super) asked: u64,
    /// How many more items it would have had unfolded.
    pub(super) folded: u64,
    /// The refused batch that it is a piece of.
    pub(super) search: Option<Uuid>,
    /// When what it is made from was planned; `None` for now.
    planned_at: Option<OffsetDateTime>,
    /// The claim's token, if its call is claimed at once.
    pub(super) claim: Option<Uuid>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(id: Uuid, items: &'a [Item], publishes: &[Uuid]) -> Self {
        Self {
            id,
            items,
            publishes: publishes.to_vec(),
            asked: items.len() as u64,
            folded: 0,
            search: None,
            planned_at: None,
            claim: None,
        }
    }
}

/// Stores batches with the publishes that they cover, of which `taken` have been waiting; both
/// oldest first. Returns whether all of `taken` still waited, and the trace of the first batch's
/// first publish that has one.
pub(super) async fn store_batches(
    connection: &mut PgConnection,
    inputs: &PlanInputs,
    batches: &[Batch<'_>],
    taken: &[Uuid],
    now: OffsetDateTime,
) -> Result<(bool, Option<TraceParent>)> {
    let covered = batches
        .iter()
        .flat_map(|batch| batch.publishes.iter().map(|publish| (batch.id, *publish)));
    let (covering, covered): (Vec<Uuid>, Vec<Uuid>) = covered.unzip();
    let row = sqlx::query!(
        // Bounds and joins rather than `= ANY`: while the tables are new, PostgreSQL would compare
        // each of a site's publishes with each of these.
        r#"WITH taken AS (
             UPDATE publish p SET planned = true FROM unnest($2::uuid[]) AS taken (id)
             WHERE p.site_id = $1 AND p.id = taken.id AND NOT p.planned AND p.ended_at IS NULL
               AND p.id BETWEEN ($2::uuid[])[1] AND ($2::uuid[])[cardinality($2)]
             RETURNING p.id),
           stored AS (
             INSERT INTO invalidation (id, site_id, distribution_id, caller_reference, items, files, wildcards, asked,
                                       folded, search, created_at, next_at, attempts, unknown_since,
                                       unanswered_since, lease_token, lease_until)
             SELECT id, $1, $3, reference, string_to_array(items, E'\n'), files, wildcards, asked, folded, search,
                    coalesce(planned_at, $4),
                    CASE WHEN claim IS NULL THEN $4 ELSE $5::timestamptz END,
                    num_nonnulls(claim), CASE WHEN claim IS NOT NULL THEN $4 END,
                    CASE WHEN claim IS NOT NULL THEN $4 END, claim, CASE WHEN claim IS NOT NULL THEN $5 END
             FROM unnest($6::uuid[], $7::text[], $8::text[], $9::int[], $10::int[], $11::int[], $12::int[], $13::uuid[],
                         $14::uuid[], $18::timestamptz[])
               AS batch (id, reference, items, files, wildcards, asked, folded, search, claim, planned_at)),
           covered AS (
             INSERT INTO coverage (invalidation_id, site_id, publish_id)
             SELECT invalidation, $1, publish FROM unnest($15::uuid[], $16::uuid[]) AS pair (invalidation, publish))
           SELECT (SELECT count(*) FROM taken) as "taken!",
                  (SELECT p.traceparent FROM publish p JOIN unnest($17::uuid[]) AS first (id) ON first.id = p.id
                   WHERE p.site_id = $1 AND p.traceparent IS NOT NULL
                     AND p.id BETWEEN ($17::uuid[])[1] AND ($17::uuid[])[cardinality($17)]
                   ORDER BY p.id LIMIT 1) as traceparent"#,
        inputs.site.0,
        taken,
        inputs.settings.distribution_id.as_str(),
        now,
        now + LEASE,
        &column(batches, |batch| batch.id),
        &column(batches, |batch| CallerReference::of(batch.id).to_string()),
        // Items have no line breaks: `domain` encodes or refuses control characters.
        &column(batches, |batch| {
            let items: Vec<&str> = batch.items.iter().map(Item::as_str).collect();
            items.join("\n")
        }),
        &column(batches, |batch| integer(KindCounts::of(batch.items).files)),
        &column(batches, |batch| {
            integer(KindCounts::of(batch.items).wildcards)
        }),
        &column(batches, |batch| integer(batch.asked)),
        &column(batches, |batch| integer(batch.folded)),
        &column(batches, |batch| batch.search) as &[Option<Uuid>],
        &column(batches, |batch| batch.claim) as &[Option<Uuid>],
        &covering,
        &covered,
        batches.first().map_or(&[][..], |batch| &batch.publishes),
        &column(batches, |batch| batch.planned_at) as &[Option<OffsetDateTime>],
    )
    .fetch_one(connection)
    .await?;
    Ok((
        row.taken.unsigned_abs() == taken.len() as u64,
        row.traceparent.as_deref().and_then(TraceParent::parse),
    ))
}

/// Stores the pieces of an invalidation, each under a reference of its own, and moves each publish
/// to the pieces that cover its items. What becomes of the whole is up to the caller.
pub(super) async fn store_pieces(
    connection: &mut PgConnection,
    inputs: &PlanInputs,
    whole: Uuid,
    pieces: &[Vec<Item>],
    ids: &[Uuid],
    search: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<()> {
    lock_publishes(connection, inputs.site).await?;
    let rows = sqlx::query!(
        "SELECT p.id, p.items, i.asked, i.folded, i.created_at FROM invalidation i
         JOIN coverage c ON c.invalidation_id = i.id
         JOIN publish p ON p.site_id = c.site_id AND p.id = c.publish_id
         WHERE i.id = $1 ORDER BY p.id",
        whole,
    )
    .fetch_all(&mut *connection)
    .await?;
    let sent: Cover<'_> = pieces.iter().flatten().collect();
    let piece_of: HashMap<&Item, usize> = pieces
        .iter()
        .enumerate()
        .flat_map(|(piece, items)| items.iter().map(move |item| (item, piece)))
        .collect();
    let mut batches: Vec<Batch<'_>> = pieces
        .iter()
        .zip(ids)
        .map(|(items, id)| Batch {
            asked: 0,
            search,
            planned_at: rows.first().map(|row| row.created_at),
            ..Batch::new(*id, items, &[])
        })
        .collect();
    // Together they asked for what the whole did, and take the place of as much; what it saved may
    // belong to batches planned with it.
    let (mut asked_left, folded) = rows.first().map_or((0, 0), |row| {
        (
            u64::from(row.asked.unsigned_abs()),
            u64::from(row.folded.unsigned_abs()),
        )
    });
    for row in rows {
        for item in parse_items(row.items)? {
            let piece = sent.covering(&item).and_then(|by| piece_of.get(by));
            let Some(batch) = piece.and_then(|piece| batches.get_mut(*piece)) else {
                continue;
            };
            batch.asked += 1;
            if batch.publishes.last() != Some(&row.id) {
                batch.publishes.push(row.id);
            }
        }
    }
    if let Some((last, others)) = batches.split_last_mut() {
        for batch in others {
            asked_left -= asked_left.min(batch.asked);
        }
        last.asked = asked_left;
        last.folded = folded;
    }
    sqlx::query!("DELETE FROM coverage WHERE invalidation_id = $1", whole)
        .execute(&mut *connection)
        .await?;
    store_batches(connection, inputs, &batches, &[], now).await?;
    Ok(())
}

impl Store {
    /// Replaces a stored invalidation, known not to have been accepted, with pieces that one call
    /// may hold, and returns the first; `None` if it is no longer as it was read.
    pub async fn cut(
        &self,
        inputs: &PlanInputs,
        stored: &QueuedInvalidation,
        pieces: Vec<Vec<Item>>,
        ids: &[Uuid],
        now: OffsetDateTime,
    ) -> Result<Option<QueuedInvalidation>> {
        let mut tx = self.begin().await?;
        lock_settings(&mut tx, inputs.site).await?;
        let ours = sqlx::query!(
            "SELECT FROM invalidation
             WHERE id = $1 AND status = 'Queued' AND unknown_since IS NULL AND lease_token IS NULL FOR UPDATE",
            stored.id,
        )
        .fetch_optional(&mut *tx)
        .await?;
        if ours.is_none() {
            return Ok(None);
        }
        let search = stored.search;
        store_pieces(&mut tx, inputs, stored.id, &pieces, ids, search, now).await?;
        sqlx::query!("DELETE FROM invalidation WHERE id = $1", stored.id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        let first = ids.iter().copied().zip(pieces).next();
        Ok(first.map(|(id, items)| stored.resized(id, items)))
    }

    /// Replaces stored invalidations, known not to have been accepted, with a single one, and
    /// returns it; `None` if one of them is no longer as it was read.
    pub async fn join(
        &self,
        inputs: &PlanInputs,
        stored: &[&QueuedInvalidation],
        id: Uuid,
        now: OffsetDateTime,
    ) -> Result<Option<QueuedInvalidation>> {
        let ids: Vec<Uuid> = stored.iter().map(|stored| stored.id).collect();
        let cover: Cover<'_> = stored
            .iter()
            .flat_map(|stored| &stored.batch.items)
            .collect();
        let items: Vec<Item> = cover.items().into_iter().cloned().collect();
        let mut tx = self.begin().await?;
        lock_settings(&mut tx, inputs.site).await?;
        let parts = sqlx::query!(
            r#"WITH gone AS (
                 DELETE FROM invalidation WHERE id = ANY(ARRAY(
                   SELECT id FROM invalidation
                   WHERE id = ANY($1) AND status = 'Queued' AND unknown_since IS NULL AND lease_token IS NULL
                   ORDER BY id FOR UPDATE))
                 RETURNING asked, folded, created_at)
               SELECT min(created_at) AS planned_at, count(*) as "count!", coalesce(sum(asked), 0) as "asked!",
                      coalesce(sum(folded), 0) as "folded!"
               FROM gone"#,
            &ids,
        )
        .fetch_one(&mut *tx)
        .await?;
        if parts.count.unsigned_abs() != ids.len() as u64 {
            return Ok(None);
        }
        lock_publishes(&mut tx, inputs.site).await?;
        let publishes = sqlx::query_scalar!(
            r#"WITH gone AS (DELETE FROM coverage WHERE invalidation_id = ANY($1) RETURNING publish_id)
               SELECT DISTINCT publish_id as "id!" FROM gone ORDER BY publish_id"#,
            &ids,
        )
        .fetch_all(&mut *tx)
        .await?;
        let batch = Batch {
            asked: parts.asked.unsigned_abs(),
            folded: parts.folded.unsigned_abs(),
            planned_at: parts.planned_at,
            ..Batch::new(id, &items, &publishes)
        };
        store_batches(&mut tx, inputs, &[batch], &[], now).await?;
        tx.commit().await?;
        Ok(stored.first().map(|first| first.resized(id, items)))
    }

    /// The results of a search so far.
    pub(super) async fn search(&self, search: Uuid) -> Result<Search> {
        let row = sqlx::query!(
            r#"SELECT count(*) FILTER (WHERE status = 'Failed') as "refused!",
                      count(*) FILTER (WHERE status = 'Failed' AND item_count = 1) as "alone!",
                      count(*) FILTER (WHERE status NOT IN ('Queued', 'Failed')) as "accepted!"
               FROM invalidation WHERE search = $1"#,
            search,
        )
        .fetch_one(&self.pool)
        .await?;
        let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Search {
            refused: count(row.refused),
            refused_alone: count(row.alone),
            accepted: count(row.accepted),
        })
    }
}
