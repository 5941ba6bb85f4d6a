//! Accepting publishes: those that wait together are written in one transaction, and each is
//! answered when it is durable. A lone publish is written at once; a storm gathers by itself while
//! the last write is under way. Sites take turns, and huge publishes have a writer of their own.

mod queue;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::queue::{Queue, Weighed};
use super::{FRESH, SiteId, Store};
use crate::domain::{Item, Publisher, TraceParent, Widened};

/// A publish of more bytes is written by a writer of its own, so that small ones never wait for it.
const HEAVY: usize = 32 << 10;
/// How long a publish may wait to become durable, from when it came.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the database may take to answer one try. Past it the connection is taken for dead: a
/// server that froze, or fell off the network, closes none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// Pause before the database is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// A publish that is about to be stored.
#[derive(Clone, Debug)]
pub struct NewPublish {
    pub site: SiteId,
    /// Its identifier.
    pub id: Uuid,
    /// When it arrived.
    pub received_at: OffsetDateTime,
    /// Canonical items.
    pub items: Vec<Item>,
    /// Which of them stand for something narrower.
    pub widened: Vec<Widened>,
    /// What makes a repeat safe.
    pub repeat_key: Option<RepeatKey>,
    /// The publisher's trace.
    pub traceparent: Option<TraceParent>,
    /// Who or what published it.
    pub publisher: Publisher,
}

/// An `Idempotency-Key` or `webhook-id`, with the hash of the request it came with.
#[derive(Clone, Debug)]
pub struct RepeatKey {
    /// The caller's key.
    pub key: String,
    /// SHA-256 of the request's body.
    pub body_hash: [u8; 32],
}

/// The publish that a later call repeats, as it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPublish {
    /// Its identifier.
    pub id: Uuid,
    /// When it arrived.
    pub received_at: OffsetDateTime,
    /// Its canonical items.
    pub items: Vec<String>,
    /// Which of them stand for something narrower.
    pub widened: Vec<Widened>,
}

/// How storing a publish ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is durable.
    Stored,
    /// The same key and body were accepted before.
    Repeat(FirstPublish),
    /// The key was used before with another body.
    KeyReused,
}

/// Why a publish was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// Too many publishes wait to be written. It was not stored.
    #[error("too many publishes are waiting to be stored")]
    Full,
    /// Too many publishes of its site or its token wait to be written. It was not stored.
    #[error("too many publishes of the site or the token are waiting to be stored")]
    ShareFull,
    /// The database did not answer in time. Where a commit's answer was lost it may be stored all
    /// the same: the same key then answers with that publish.
    #[error("the database cannot store it right now")]
    Unavailable,
    /// The database will never store it.
    #[error("the database refuses it")]
    Refused,
}

#[derive(Debug)]
struct Entry {
    publish: NewPublish,
    answer: oneshot::Sender<Result<Acceptance, InboxError>>,
}

impl Weighed for Entry {
    fn publish(&self) -> &NewPublish {
        &self.publish
    }
}

/// The way in. Clones lead to the same writers.
#[derive(Clone, Debug)]
pub struct Inbox {
    light: Lane,
    heavy: Lane,
}

/// What leads to one writer.
#[derive(Clone, Debug)]
struct Lane {
    waiting: Arc<Queue<Entry>>,
    /// Tells the writer that something waits; closed when nothing can come any more.
    news: mpsc::Sender<()>,
}

impl Lane {
    fn start(
        store: Store,
        tasks: &TaskTracker,
        stored: Arc<impl Fn(BTreeSet<SiteId>) + Send + Sync + 'static>,
    ) -> Self {
        let (news, heard) = mpsc::channel(1);
        let waiting = Arc::new(Queue::default());
        let writer = Writer {
            store,
            connection: None,
            waiting: Arc::clone(&waiting),
        };
        tasks.spawn(async move { writer.run(heard, &*stored).await });
        Self { waiting, news }
    }
}

impl Inbox {
    /// Starts the writers on `tasks`. After each transaction they call `stored` with the sites at
    /// which something was published, and end when the last [`Inbox`] is gone.
    pub fn start(
        store: Store,
        tasks: &TaskTracker,
        stored: impl Fn(BTreeSet<SiteId>) + Send + Sync + 'static,
    ) -> Self {
        let stored = Arc::new(stored);
        Self {
            light: Lane::start(store.clone(), tasks, Arc::clone(&stored)),
            heavy: Lane::start(store, tasks, stored),
        }
    }

    /// Stores a publish and returns when it is durable.
    pub async fn accept(&self, publish: NewPublish) -> Result<Acceptance, InboxError> {
        let (answer, answered) = oneshot::channel();
        let entry = Entry { publish, answer };
        let lane = match entry.weight() {
            ..=HEAVY => &self.light,
            _ => &self.heavy,
        };
        lane.waiting.add(entry)?;
        // Full: the writer has not yet heard of an earlier one, and finds this one too.
        let _ = lane.news.try_send(());
        match tokio::time::timeout(ACCEPT_TIMEOUT, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(InboxError::Unavailable),
        }
    }
}

struct Writer {
    store: Store,
    /// Kept while publishes keep coming: each time the pool gets one back, it makes sure by a round
    /// trip that it works.
    connection: Option<PoolConnection<Postgres>>,
    waiting: Arc<Queue<Entry>>,
}

impl Writer {
    async fn run(mut self, mut news: mpsc::Receiver<()>, stored: impl Fn(BTreeSet<SiteId>)) {
        loop {
            let batch = self.waiting.take();
            if batch.is_empty() {
                let heard = match tokio::time::timeout(FRESH, news.recv()).await {
                    Ok(heard) => heard,
                    Err(_) => {
                        self.connection = None;
                        news.recv().await
                    }
                };
                match heard {
                    Some(()) => continue,
                    None => return,
                }
            }
            let sites = batch.iter().map(|entry| entry.publish.site).collect();
            self.write(batch).await;
            stored(sites);
        }
    }

    /// Writes a batch, trying again while the database is away. Every publish brings its
    /// identifier, so a batch whose commit was lost with the connection is not stored twice.
    async fn write(&mut self, mut batch: Vec<Entry>) {
        loop {
            // Whoever stopped waiting got a 503 or has gone: storing it now would only
            // surprise.
            batch.retain(|entry| !entry.answer.is_closed());
            if batch.is_empty() {
                return;
            }
            let publishes: Vec<&NewPublish> = batch.iter().map(|entry| &entry.publish).collect();
            let stored = tokio::time::timeout(ANSWER_TIMEOUT, self.insert(&publishes))
                .await
                .unwrap_or_else(|_| Err(super::no_answer()));
            match stored {
                Ok(outcomes) => {
                    for (entry, outcome) in batch.into_iter().zip(outcomes) {
                        // The caller may have gone; its publish is stored all the same.
                        let _ = entry.answer.send(Ok(outcome));
                    }
                    return;
                }
                Err(error) if is_refusal(&error) => {
                    if batch.len() == 1 {
                        tracing::error!(%error, "a publish was refused by the database");
                        let _ = batch.remove(0).answer.send(Err(InboxError::Refused));
                        return;
                    }
                    // One of them is at fault: each on its own, so that the others get through.
                    for entry in batch {
                        Box::pin(self.write(vec![entry])).await;
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, publishes = batch.len(), "publishes could not be stored yet");
                    if let Some(mut connection) = self.connection.take() {
                        connection.close_on_drop();
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Stores publishes, in one transaction if none of them repeats an earlier one.
    async fn insert(&mut self, publishes: &[&NewPublish]) -> Result<Vec<Acceptance>, sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.store.pool.acquire().await?),
        };
        let stored = match publishes {
            [publish] => insert_one(connection, publish).await,
            _ => insert_new(connection, &Rows::of(publishes)).await,
        };
        match stored {
            Ok(()) => return Ok(vec![Acceptance::Stored; publishes.len()]),
            Err(error) if !is_repeat(&error) => return Err(error),
            Err(_) => {}
        }
        let stored = insert_unknown(connection, &Rows::of(publishes)).await?;
        let mut outcomes = Vec::with_capacity(publishes.len());
        for publish in publishes {
            outcomes.push(if stored.contains(&publish.id) {
                Acceptance::Stored
            } else {
                earlier(connection, publish).await?
            });
        }
        Ok(outcomes)
    }
}

/// Whether something like it is stored already.
fn is_repeat(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Whether the database understood and refused for good, rather than being away.
fn is_refusal(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

impl NewPublish {
    fn widened_json(&self) -> Option<serde_json::Value> {
        (!self.widened.is_empty()).then(|| serde_json::json!(self.widened))
    }
}

/// Stores a lone publish, which is most of them, without what [`insert_new`] prepares for many.
async fn insert_one(
    connection: &mut PgConnection,
    publish: &NewPublish,
) -> Result<(), sqlx::Error> {
    let items: Vec<&str> = publish.items.iter().map(Item::as_str).collect();
    let key = publish.repeat_key.as_ref();
    sqlx::query!(
        "INSERT INTO publish (site_id, id, received_at, items, widened, idempotency_key, body_hash, traceparent,
                              published_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        publish.site.0,
        publish.id,
        publish.received_at,
        &items as &[&str],
        publish.widened_json(),
        key.map(|key| key.key.as_str()),
        key.map(|key| &key.body_hash[..]),
        publish.traceparent.as_ref().map(ToString::to_string),
        publish.publisher.to_string(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores all or, if one is stored already, none: without looking for conflicts each row costs
/// less.
async fn insert_new(connection: &mut PgConnection, rows: &Rows) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r"INSERT INTO publish (site_id, id, received_at, items, widened, idempotency_key, body_hash, traceparent,
                               published_by)
          SELECT site_id, id, received_at, string_to_array(items, E'\n'), widened, key, hash, trace, publisher
          FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::text[], $5::jsonb[], $6::text[],
                      $7::bytea[], $8::text[], $9::text[])
            AS given (site_id, id, received_at, items, widened, key, hash, trace, publisher)",
        &rows.sites,
        &rows.ids,
        &rows.received,
        &rows.items,
        &rows.widened as &[Option<serde_json::Value>],
        &rows.keys as &[Option<String>],
        &rows.hashes as &[Option<Vec<u8>>],
        &rows.traces as &[Option<String>],
        &rows.publishers,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores those that are new, and returns their identifiers.
async fn insert_unknown(
    connection: &mut PgConnection,
    rows: &Rows,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let stored = sqlx::query_scalar!(
        r"INSERT INTO publish (site_id, id, received_at, items, widened, idempotency_key, body_hash, traceparent,
                               published_by)
          SELECT site_id, id, received_at, string_to_array(items, E'\n'), widened, key, hash, trace, publisher
          FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::text[], $5::jsonb[], $6::text[],
                      $7::bytea[], $8::text[], $9::text[])
            AS given (site_id, id, received_at, items, widened, key, hash, trace, publisher)
          ON CONFLICT DO NOTHING RETURNING id",
        &rows.sites,
        &rows.ids,
        &rows.received,
        &rows.items,
        &rows.widened as &[Option<serde_json::Value>],
        &rows.keys as &[Option<String>],
        &rows.hashes as &[Option<Vec<u8>>],
        &rows.traces as &[Option<String>],
        &rows.publishers,
    )
    .fetch_all(connection)
    .await?;
    Ok(stored.into_iter().collect())
}

/// What a publish that was not stored repeats: itself, where the first commit's answer was lost, or
/// an earlier one with the same key.
async fn earlier(
    connection: &mut PgConnection,
    publish: &NewPublish,
) -> Result<Acceptance, sqlx::Error> {
    let key = publish.repeat_key.as_ref();
    // Should history have been pruned of it this moment, the publish is tried again.
    let first = sqlx::query!(
        r#"SELECT id, received_at, body_hash, items, widened as "widened: Json<Vec<Widened>>" FROM publish
           WHERE site_id = $1 AND (id = $2 OR idempotency_key = $3)"#,
        publish.site.0,
        publish.id,
        key.map(|key| key.key.as_str()),
    )
    .fetch_one(connection)
    .await?;
    if first.id == publish.id {
        return Ok(Acceptance::Stored);
    }
    let same = key.is_some_and(|key| first.body_hash.as_deref() == Some(&key.body_hash[..]));
    Ok(if same {
        Acceptance::Repeat(FirstPublish {
            id: first.id,
            received_at: first.received_at,
            items: first.items,
            widened: first.widened.map(|widened| widened.0).unwrap_or_default(),
        })
    } else {
        Acceptance::KeyReused
    })
}

/// The columns of the rows to insert.
#[derive(Default)]
struct Rows {
    sites: Vec<i32>,
    ids: Vec<Uuid>,
    received: Vec<OffsetDateTime>,
    items: Vec<String>,
    widened: Vec<Option<serde_json::Value>>,
    keys: Vec<Option<String>>,
    hashes: Vec<Option<Vec<u8>>>,
    traces: Vec<Option<String>>,
    publishers: Vec<String>,
}

impl Rows {
    fn of(publishes: &[&NewPublish]) -> Self {
        let mut rows = Self::default();
        for publish in publishes {
            rows.push(publish);
        }
        rows
    }

    fn push(&mut self, publish: &NewPublish) {
        self.sites.push(publish.site.0);
        self.ids.push(publish.id);
        self.received.push(publish.received_at);
        // Items have no line breaks: `domain` encodes or refuses control characters.
        let items: Vec<&str> = publish.items.iter().map(Item::as_str).collect();
        self.items.push(items.join("\n"));
        self.widened.push(publish.widened_json());
        let key = publish.repeat_key.as_ref();
        self.keys.push(key.map(|key| key.key.clone()));
        self.hashes.push(key.map(|key| key.body_hash.to_vec()));
        let trace = publish.traceparent.as_ref();
        self.traces.push(trace.map(ToString::to_string));
        self.publishers.push(publish.publisher.to_string());
    }
}
