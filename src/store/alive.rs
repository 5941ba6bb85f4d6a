//! Whether the server at the other end of a connection is still there, and still takes writes. One
//! that has frozen, or whose host has vanished, closes no connection, and TCP takes a quarter of an
//! hour to notice; and through a proxy a connection may outlive the failover that made its server a
//! standby.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::PgConnection;
use tokio::time::Instant;

/// How long the database may keep silent.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseTimeouts {
    /// How long it may take to give a connection, or to answer the one that listens.
    pub connection: Duration,
    /// A connection that was used this recently is taken to be alive.
    pub fresh: Duration,
    /// How long the server may take to answer on a connection that is about to be used. A fresh one
    /// is made in time when it does not.
    pub answer: Duration,
    /// The same for a connection that is given back: somebody may have gone in the middle of a
    /// query, which has to end first.
    pub last_answer: Duration,
    /// How long nothing may be heard by listening before that connection is tried: nobody else
    /// would notice that a host or a firewall had dropped it silently.
    pub quiet: Duration,
}

impl Default for DatabaseTimeouts {
    fn default() -> Self {
        Self {
            connection: Duration::from_secs(5),
            fresh: Duration::from_secs(1),
            answer: Duration::from_secs(2),
            last_answer: Duration::from_secs(10),
            quiet: Duration::from_secs(30),
        }
    }
}

/// When the server was last known to be there. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Alive {
    timeouts: DatabaseTimeouts,
    known: Arc<Mutex<Option<Instant>>>,
}

impl Alive {
    pub(super) fn new(timeouts: DatabaseTimeouts) -> Self {
        Self {
            timeouts,
            known: Arc::default(),
        }
    }

    /// Whether a connection can be used that has been idle for this long.
    pub(super) async fn is_usable(&self, connection: &mut PgConnection, idle: Duration) -> bool {
        idle < self.timeouts.fresh || self.answers(connection, self.timeouts.answer).await
    }

    /// Whether a connection may be given back. sqlx then waits without a limit until what was
    /// abandoned on it has ended; meanwhile it keeps its place in the pool. A server that has just
    /// answered is taken at its word, so that this costs a round trip a second at most.
    pub(super) async fn is_returnable(&self, connection: &mut PgConnection) -> bool {
        let DatabaseTimeouts {
            fresh, last_answer, ..
        } = self.timeouts;
        let known = *self.known.lock();
        known.is_some_and(|at| at.elapsed() < fresh) || self.answers(connection, last_answer).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "how long ago it answered is no time of day: setting a clock must not change it"
    )]
    async fn answers(&self, connection: &mut PgConnection, limit: Duration) -> bool {
        let ask = sqlx::raw_sql("SELECT 1 WHERE current_setting('transaction_read_only') = 'off'");
        let answered = tokio::time::timeout(limit, ask.fetch_one(connection)).await;
        let answers = matches!(answered, Ok(Ok(_)));
        if answers {
            *self.known.lock() = Some(Instant::now());
        }
        answers
    }
}
