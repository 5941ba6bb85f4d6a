//! News from other replicas, through PostgreSQL's NOTIFY, sent in the transaction that makes the
//! change. Losing news of work is harmless: work is also looked for now and then.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::{PgListener, PgPoolOptions};
use uuid::Uuid;

use super::{DatabaseTimeouts, Result, SiteId, Store, within};

/// There may be something to send. The payload is the site's number, and the replica it comes from.
const WORK: &str = "skycms_cdn_work";
/// A publish or an invalidation changed its state. The payload is the site's number.
const CHANGE: &str = "skycms_cdn_change";
/// A site, its settings or its tokens changed.
const SITES: &str = "skycms_cdn_sites";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Something was published at this site, so there may be something to send.
    Work(SiteId),
    /// Something that this site's pages show has changed.
    State(SiteId),
    Sites,
    /// The connection is new: anything may have changed unnoticed.
    Anything,
}

/// Listens until the connection is lost, which is an error; `heard` is called with every change,
/// except for work that `replica` itself announces.
pub async fn listen(store: &Store, replica: Uuid, heard: impl Fn(Changes)) -> Result<()> {
    let own = replica.to_string();
    let DatabaseTimeouts {
        connection: limit,
        quiet,
        ..
    } = store.timeouts;
    // A connection of its own: to give one back, sqlx waits for its answer without a time limit,
    // and one that has fallen silent would keep its place in the pool until then.
    let alone = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(limit)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with((*store.pool.connect_options()).clone());
    let mut listener = PgListener::connect_with(&alone).await?;
    // Only listening from the start makes up for what was missed meanwhile.
    listener.eager_reconnect(false);
    answered(limit, listener.listen_all([WORK, CHANGE, SITES])).await?;
    heard(Changes::Anything);
    loop {
        let Ok(news) = tokio::time::timeout(quiet, listener.try_recv()).await else {
            answered(limit, sqlx::query("SELECT 1").execute(&mut listener)).await?;
            continue;
        };
        let Some(news) = news? else {
            return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()).into());
        };
        let (site, by) = news
            .payload()
            .split_once(' ')
            .unwrap_or((news.payload(), ""));
        if by == own {
            continue;
        }
        let site = site.parse().map(SiteId);
        heard(match news.channel() {
            WORK => site.map_or(Changes::Anything, Changes::Work),
            CHANGE => site.map_or(Changes::Anything, Changes::State),
            _ => Changes::Sites,
        });
    }
}

/// What the database answers, if it does so in time.
async fn answered<T>(limit: Duration, asked: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    within(limit, async { Ok(asked.await?) }).await
}

impl Store {
    /// Announces to every other replica that something was published at these sites.
    pub(super) async fn announce_work(
        &self,
        sites: &BTreeSet<SiteId>,
        replica: Uuid,
    ) -> Result<()> {
        let sites: Vec<i32> = sites.iter().map(|site| site.0).collect();
        // Notifications do not outlive a crash anyway.
        let mut tx = self.begin_unflushed().await?;
        sqlx::query("SELECT pg_notify($1, site || ' ' || $2) FROM unnest($3::int[]) AS site")
            .bind(WORK)
            .bind(replica.to_string())
            .bind(sites)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }
}

/// Makes every replica read the sites again.
pub(super) async fn announce_sites(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("SELECT pg_notify($1, '')")
        .bind(SITES)
        .execute(connection)
        .await?;
    Ok(())
}

/// Announces to every replica that something that pages show has changed.
pub(super) async fn announce_change(connection: &mut PgConnection, site: SiteId) -> Result<()> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANGE)
        .bind(site.0.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Announces that what decides about a site's publishes has changed: every replica reads the sites
/// again, looks for work and updates its pages.
pub(super) async fn announce_settings(connection: &mut PgConnection, site: SiteId) -> Result<()> {
    sqlx::query("SELECT pg_notify($1, ''), pg_notify($2, $4), pg_notify($3, $4)")
        .bind(SITES)
        .bind(WORK)
        .bind(CHANGE)
        .bind(site.0.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
