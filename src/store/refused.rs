//! The calls of publishers that were refused, so that whoever connects SkyCMS sees why nothing
//! arrives. Bounded on the way in, by a short list in memory that is written at most once a second,
//! and in the database, by how many are kept.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{DATABASE_LIMIT, Result, SiteId, Store, column, within};

/// How many are kept for each site, counted separately for calls that proved it and calls that did
/// not, so that strangers do not push out what its own publisher did wrong.
const KEPT: i64 = 100;
/// The most that wait to be written. In a flood some are dropped: see [`Waiting::add`].
const MAX_WAITING: usize = 100;
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
    calls: VecDeque<RefusedCall>,
    is_writing: bool,
}

impl Waiting {
    /// Adds a call. If there are too many, the oldest of those that proved nothing gives way, or
    /// else the oldest of the site that has most; none that proved something gives way to one that
    /// proved nothing.
    fn add(&mut self, call: RefusedCall) {
        if self.calls.len() == MAX_WAITING {
            let of = |site| self.calls.iter().filter(|other| other.site == site).count();
            let stranger = self.calls.iter().position(|other| !other.proved);
            let publisher =
                || (0..MAX_WAITING).max_by_key(|at| (of(self.calls[*at].site), Reverse(*at)));
            let gives_way = match call.proved {
                true => stranger.or_else(publisher),
                false => stranger,
            };
            let Some(gives_way) = gives_way else { return };
            self.calls.remove(gives_way);
        }
        self.calls.push_back(call);
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
                let calls = waiting.calls.drain(..).collect::<Vec<_>>();
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
            KEPT,
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
            let of = |site| {
                let calls = waiting.calls.iter().filter(|call| call.proved);
                calls.filter(|call| call.site == Some(SiteId(site))).count()
            };
            (waiting.calls.len(), of(1), of(2))
        };
        assert_eq!(add(1, 1, true), (1, 1, 0));
        assert_eq!(
            add(2 * MAX_WAITING, 1, false),
            (MAX_WAITING, 1, 0),
            "strangers"
        );
        assert_eq!(
            add(2 * MAX_WAITING, 2, true),
            (MAX_WAITING, 1, MAX_WAITING - 1),
            "a neighbour"
        );
        assert_eq!(add(10, 1, true), (MAX_WAITING, 11, MAX_WAITING - 11));
        assert_eq!(add(10, 1, false), (MAX_WAITING, 11, MAX_WAITING - 11));
    }
}
