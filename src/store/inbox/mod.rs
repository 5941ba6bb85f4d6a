//! Accepting publishes: those that wait together are written in one transaction, and each is
//! answered when it is durable. A lone publish is written at once; a storm gathers by itself while
//! the last write is under way. Sites take turns, and huge publishes have a writer of their own.

mod insert;
mod queue;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::insert::{earlier, insert};
use self::queue::Queue;
use super::{IdempotencyKey, Result, SiteId, Store, code_of};
use crate::domain::{Item, Publisher, TraceParent, Widened};

/// A publish with more bytes than this goes to a separate writer, so that small ones never wait for
/// it.
const HEAVY: usize = 32 << 10;
/// How long after its arrival a publish may wait to become durable.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the database may take to answer one try. After that the connection is taken for dead: a
/// server that froze, or fell off the network, closes none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// Pause before the database is tried again.
const RETRY: Duration = Duration::from_millis(200);

#[derive(Clone, Debug)]
pub struct NewPublish {
    pub site: SiteId,
    pub id: Uuid,
    pub received_at: OffsetDateTime,
    pub items: Vec<Item>,
    /// Which of them stand for something narrower.
    pub widened: Vec<Widened>,
    /// What makes a repeat safe.
    pub idempotency_key: Option<IdempotencyKey>,
    pub traceparent: Option<TraceParent>,
    pub publisher: Publisher,
}

/// A publish as it was accepted, which later calls may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedPublish {
    pub id: Uuid,
    pub received_at: OffsetDateTime,
    pub items: Vec<String>,
    /// Which of them stand for something narrower.
    pub widened: Vec<Widened>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    Stored,
    /// The same key and body were accepted before.
    Repeat(AcceptedPublish),
    /// The key was used before with another body.
    KeyReused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// Too many publishes wait to be written. It was not stored.
    #[error("too many publishes are waiting to be stored")]
    Full,
    /// Too many publishes of its site or its token wait to be written. It was not stored.
    #[error("too many publishes of the site or the token are waiting to be stored")]
    ShareFull,
    /// The database did not answer in time. If a commit's answer was lost, it may be stored all the
    /// same: the same key then returns that publish.
    #[error("the database did not confirm that it is stored")]
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

impl Entry {
    /// In bytes.
    fn weight(&self) -> usize {
        let items = &self.publish.items;
        items.iter().map(|item| item.as_str().len()).sum()
    }
}

/// Accepts publishes. Clones share the writers.
#[derive(Clone, Debug)]
pub struct Inbox {
    light: WriterHandle,
    heavy: WriterHandle,
}

/// Where publishes are left for one writer.
#[derive(Clone, Debug)]
struct WriterHandle {
    waiting: Arc<Queue>,
    /// Tells the writer that something waits; closed when nothing can come any more.
    news: mpsc::Sender<()>,
}

impl WriterHandle {
    fn start<F: Future<Output = ()> + Send>(
        store: Store,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        stored: Arc<impl Fn(BTreeSet<SiteId>) -> F + Send + Sync + 'static>,
    ) -> Self {
        let (news, heard) = mpsc::channel(1);
        let waiting = Arc::new(Queue::default());
        let writer = Writer {
            store,
            connection: None,
            repeats_come: false,
            waiting: Arc::clone(&waiting),
        };
        let stops_all = stop.clone().drop_guard();
        tasks.spawn(async move {
            let _stops_all = stops_all;
            writer.run(heard, &*stored).await;
        });
        Self { waiting, news }
    }
}

impl Inbox {
    /// Starts the writers on `tasks`. After each transaction they call `stored` with the sites at
    /// which something was published, and end when the last [`Inbox`] is gone. One that panics
    /// stops the service, which could accept nothing of its weight any more.
    pub fn start<F: Future<Output = ()> + Send>(
        store: Store,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        stored: impl Fn(BTreeSet<SiteId>) -> F + Send + Sync + 'static,
    ) -> Self {
        let stored = Arc::new(stored);
        Self {
            light: WriterHandle::start(store.clone(), tasks, stop, Arc::clone(&stored)),
            heavy: WriterHandle::start(store, tasks, stop, stored),
        }
    }

    /// Leaves a publish for its writer, at once, and returns when it is durable.
    pub fn accept(
        &self,
        publish: NewPublish,
    ) -> impl Future<Output = Result<Acceptance, InboxError>> + use<> {
        let (answer, answered) = oneshot::channel();
        let entry = Entry { publish, answer };
        let writer = match entry.weight() {
            ..=HEAVY => &self.light,
            _ => &self.heavy,
        };
        let added = writer.waiting.add(entry);
        // If it is full, the writer has not yet heard of an earlier one, and will find this one
        // too.
        let _ = writer.news.try_send(());
        async move {
            added?;
            match tokio::time::timeout(ACCEPT_TIMEOUT, answered).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Err(InboxError::Unavailable),
            }
        }
    }
}

impl Store {
    /// The publish that came with this key and this body before, if one did.
    pub async fn first_publish(
        &self,
        site: SiteId,
        key: &IdempotencyKey,
    ) -> Result<Option<AcceptedPublish>> {
        let mut connection = self.pool.acquire().await?;
        match earlier(&mut connection, site, Uuid::nil(), Some(key)).await {
            Ok(Acceptance::Repeat(first)) => Ok(Some(first)),
            Ok(Acceptance::Stored | Acceptance::KeyReused) | Err(sqlx::Error::RowNotFound) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

struct Writer {
    store: Store,
    /// Kept while publishes keep coming: the pool checks with a round trip that each one it gets
    /// back still works.
    connection: Option<PoolConnection<Postgres>>,
    /// Whether some of those that were last written together repeated others.
    repeats_come: bool,
    waiting: Arc<Queue>,
}

impl Writer {
    async fn run<F: Future<Output = ()>>(
        mut self,
        mut news: mpsc::Receiver<()>,
        stored: impl Fn(BTreeSet<SiteId>) -> F,
    ) {
        loop {
            let batch = self.waiting.take();
            if batch.is_empty() {
                let fresh = self.store.timeouts.fresh;
                let heard = match tokio::time::timeout(fresh, news.recv()).await {
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
            stored(sites).await;
        }
    }

    /// Writes a batch, trying again while the database is away. Every publish brings its
    /// identifier, so a batch whose commit was lost with the connection is not stored twice.
    async fn write(&mut self, mut batch: Vec<Entry>) {
        loop {
            // Whoever stopped waiting got a 503 or has gone: storing their publish now would only
            // surprise them.
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
                        tracing::error!(%error, "the database refused a publish");
                        let _ = batch.remove(0).answer.send(Err(InboxError::Refused));
                        return;
                    }
                    // One of them is at fault: it is searched for by halves, so that the others get
                    // through.
                    let rest = batch.split_off(batch.len() / 2);
                    Box::pin(self.write(batch)).await;
                    Box::pin(self.write(rest)).await;
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, publishes = batch.len(), "could not store publishes yet");
                    if let Some(mut connection) = self.connection.take() {
                        connection.close_on_drop();
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn insert(&mut self, publishes: &[&NewPublish]) -> sqlx::Result<Vec<Acceptance>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.store.pool.acquire().await?),
        };
        insert(connection, publishes, &mut self.repeats_come).await
    }
}

/// Whether the database understood and refused for good, rather than being away.
fn is_refusal(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}
