//! News from other replicas, by PostgreSQL's NOTIFY. Losing some is harmless: everything is also looked for now and then.

use sqlx::postgres::PgListener;

use super::{Store, StoreError};

/// There may be something to send. The payload is the site's number.
const WORK: &str = "skycms_cdn_work";
/// A publish or an invalidation changed its state. The payload is the site's number.
const CHANGE: &str = "skycms_cdn_change";
/// A site, its settings or its tokens changed.
const SITES: &str = "skycms_cdn_sites";

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Something was published at this site, so there may be something to send.
    Work(i32),
    /// Something that pages show moved on, at this site.
    State(i32),
    /// Sites, settings or tokens.
    Sites,
    /// The connection was new: anything may have changed unheard.
    Anything,
}

/// Listens for ever, and listens again whenever the connection is lost; `heard` is told of every change.
///
/// # Errors
/// If the database cannot be reached; the caller decides when to try again.
pub async fn listen(store: &Store, heard: impl Fn(Changes)) -> Result<(), StoreError> {
    let mut listener = PgListener::connect_with(&store.pool).await?;
    listener.listen_all([WORK, CHANGE, SITES]).await?;
    heard(Changes::Anything);
    loop {
        match listener.try_recv().await? {
            Some(news) => {
                let site = news.payload().parse();
                heard(match news.channel() {
                    WORK => site.map_or(Changes::Anything, Changes::Work),
                    CHANGE => site.map_or(Changes::Anything, Changes::State),
                    _ => Changes::Sites,
                });
            }
            None => heard(Changes::Anything),
        }
    }
}

impl Store {
    /// Tells every replica to read the sites again.
    pub(super) async fn announce_sites(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT pg_notify($1, '')")
            .bind(SITES)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
