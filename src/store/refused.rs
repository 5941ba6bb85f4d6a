//! The calls of publishers that were refused, so that whoever connects SkyCMS sees why nothing
//! arrives. Bounded on the way in, by short queues in memory that are written once a second, and in
//! the database, by how many are kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{DATABASE_LIMIT, Result, SiteId, Store, column, integer, within};

/// How many are kept for each site, counted separately for calls that proved it and calls that did
/// not, so that strangers do not push out what its own publisher did wrong. No more of them need to
/// wait to be written.
const KEPT: usize = 100;
/// The most that wait, of all sites and strangers together.
const MAX_WAITING: usize = 1_000;
const WRITE_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, EnumString)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum PublishApi {
    Hook,
    Cloudfront,
}

#[derive(Clone, Debug)]
pub struct RefusedCall {
    pub id: Uuid,
    pub at: OffsetDateTime,
    /// The site that was proved or, failing that, named.
    pub site: Option<SiteId>,
    pub proved: bool,
    pub endpoint: PublishApi,
    pub status: i16,
    pub reason: String,
    /// What is wrong with the first bad item.
    pub item: Option<String>,
    pub address: String,
}

/// Notes refused calls. Clones share the list.
#[derive(Clone)]
pub struct RefusedCalls {
    store: Store,
    tasks: TaskTracker,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// By the site that they proved; those of strangers together.
    calls: BTreeMap<Option<SiteId>, VecDeque<RefusedCall>>,
    is_writing: bool,
}

impl Waiting {
    /// Adds a call. If there are too many, the oldest gives way: of its own queue, or of the longest
    /// one.
    fn add(&mut self, call: RefusedCall) {
        let own = self.calls.entry(call.site.filter(|_| call.proved));
        let own = own.or_default();
        if own.len() == KEPT {
            own.pop_front();
        }
        own.push_back(call);
        let all: usize = self.calls.values().map(VecDeque::len).sum();
        let longest = self.calls.values_mut().max_by_key(|calls| calls.len());
        if all > MAX_WAITING
            && let Some(longest) = longest
        {
            longest.pop_front();
        }
    }
}

impl RefusedCalls {
    /// Writes into `store` from tasks of `tasks`.
    pub fn new(store: Store, tasks: TaskTracker) -> Self {
        Self {
            store,
            tasks,
            waiting: Arc::default(),
        }
    }

    /// Notes a call, without waiting for it to be written.
    pub fn note(&self, call: RefusedCall) {
        let mut waiting = self.waiting.lock();
        waiting.add(call);
        if !std::mem::replace(&mut waiting.is_writing, true) {
            self.tasks.spawn(self.clone().write());
        }
    }

    async fn write(self) {
        loop {
            let calls: Vec<RefusedCall> = {
                let mut waiting = self.waiting.lock();
                let calls = std::mem::take(&mut waiting.calls).into_values();
                let calls: Vec<_> = calls.flatten().collect();
                waiting.is_writing = !calls.is_empty();
                calls
            };
            if calls.is_empty() {
                return;
            }
            let added = within(DATABASE_LIMIT, self.store.add_refused(&calls)).await;
            if let Err(error) = added {
                tracing::warn!(%error, "could not record refused calls");
            }
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }
}

impl Store {
    async fn add_refused(&self, calls: &[RefusedCall]) -> Result<()> {
        let sites = column(calls, |call| call.site);
        let mut tx = self.begin().await?;
        sqlx::query!(
            "INSERT INTO refused_call (id, at, site_id, proved, endpoint, status, reason, item, address)
             SELECT c.id, c.at, s.id, c.proved, c.endpoint, c.status, c.reason, c.item, c.address
             FROM unnest($1::uuid[], $2::timestamptz[], $3::int[], $4::bool[], $5::text[], $6::smallint[], $7::text[],
                         $8::text[], $9::text[])
               AS c (id, at, site_id, proved, endpoint, status, reason, item, address)
             LEFT JOIN site s ON s.id = c.site_id",
            &column(calls, |call| call.id),
            &column(calls, |call| call.at),
            &sites as &[Option<SiteId>],
            &column(calls, |call| call.proved),
            &column(calls, |call| call.endpoint.into_str()) as &[&str],
            &column(calls, |call| call.status),
            &column(calls, |call| call.reason.as_str()) as &[&str],
            &column(calls, |call| call.item.as_deref()) as &[Option<&str>],
            &column(calls, |call| call.address.as_str()) as &[&str],
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "DELETE FROM refused_call WHERE id IN (
               SELECT id FROM (
                 SELECT id, row_number() OVER (PARTITION BY site_id, proved ORDER BY id DESC) AS place
                 FROM refused_call WHERE site_id = ANY($1) OR site_id IS NULL) ranked
               WHERE place > $2)",
            &sites as &[Option<SiteId>],
            i64::from(integer(KEPT)),
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The latest calls that were refused for a site, newest first; with `unnamed` also those that
    /// named no site that exists.
    pub async fn refused_calls(&self, site: SiteId, unnamed: bool) -> Result<Vec<RefusedCall>> {
        Ok(sqlx::query_as!(
            RefusedCall,
            r#"SELECT id, at, site_id as "site: SiteId", proved, endpoint as "endpoint: PublishApi",
                      status, reason, item, address
               FROM refused_call
               WHERE site_id = $1 OR $2 AND site_id IS NULL ORDER BY id DESC LIMIT 200"#,
            site.0,
            unnamed,
        )
        .fetch_all(&self.pool)
        .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_pushes_out_its_own_kind() {
        let mut waiting = Waiting::default();
        let mut add = |count: usize, site: i32, proved: bool| {
            for _ in 0..count {
                waiting.add(RefusedCall {
                    id: Uuid::nil(),
                    at: OffsetDateTime::UNIX_EPOCH,
                    site: Some(SiteId(site)),
                    proved,
                    endpoint: PublishApi::Hook,
                    status: 422,
                    reason: String::new(),
                    item: None,
                    address: String::new(),
                });
            }
            let waits = |site| waiting.calls.get(&site).map_or(0, VecDeque::len);
            (waits(None), waits(Some(SiteId(1))), waits(Some(SiteId(2))))
        };
        assert_eq!(add(1, 1, true), (0, 1, 0));
        assert_eq!(add(2 * KEPT, 1, false), (KEPT, 1, 0), "strangers");
        assert_eq!(add(2 * KEPT, 2, true), (KEPT, 1, KEPT), "a neighbour");
        for site in 3..2_000 {
            add(1, site, true);
        }
        let (strangers, first, neighbour) = add(1, 2_000, true);
        assert_eq!(first, 1);
        assert!(strangers + neighbour < 10, "the longest give way");
        let all: usize = waiting.calls.values().map(VecDeque::len).sum();
        assert_eq!(all, MAX_WAITING);
    }
}
