//! What is remembered, in PostgreSQL. No HTTP, no AWS, no policy: what to do is decided in
//! `domain`, and done here in one transaction each. Every UPDATE of a state restates the state it
//! expects.

mod accounts;
mod activity;
mod alive;
mod audit;
mod batches;
mod claim;
mod connection;
mod covered;
mod default_grants;
mod deliveries;
mod due;
mod edge;
mod endpoints;
mod form_answers;
mod hash;
mod history;
mod hook_secrets;
mod idempotency_key;
mod inbox;
mod invalidations;
mod items;
mod key_pairs;
mod known_paths;
mod listen;
mod live_changes;
mod outbox;
mod overview;
mod page;
mod pauses;
mod plan_inputs;
mod polls;
mod proofs;
mod publish;
mod publish_notifier;
mod publish_waiters;
mod publishes;
mod publishing;
mod quotas;
mod rates;
mod record;
mod refused;
mod reseal;
mod schema;
mod seal;
mod sessions;
mod settings;
mod sign_in_attempts;
mod site_changes;
mod site_id;
mod sites;
mod spending;
mod standing;
mod stored;
mod text;
mod tokens;
mod transitions;
mod waiting;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool, Postgres, Transaction};

pub use accounts::{ADMIN, PasswordProof, PasswordShown};
use alive::Alive;
pub use alive::DatabaseTimeouts;
pub use audit::{AuditFilter, AuditRecord};
pub use claim::{SendClaim, Taking};
pub use connection::Connection;
pub use covered::{Covered, CoveredPublish, Publishes};
pub use deliveries::{DeliveryClaim, DeliveryState, DeliveryView};
pub use due::Due;
pub use edge::EdgeClaim;
pub use endpoints::{EndpointView, MAX_ENDPOINTS, NewEndpoint};
pub use form_answers::{Answered, FormHash, ShownTo};
pub use hash::{TokenHash, hash, sha256};
pub use history::Prunable;
pub use hook_secrets::HookSecretView;
pub use idempotency_key::IdempotencyKey;
pub use inbox::{Acceptance, AcceptedPublish, Inbox, InboxError, NewPublish};
pub use invalidations::{Invalidation, InvalidationFilter, Items};
pub use items::parse_items;
pub use key_pairs::{KeyPairView, Sender};
pub use listen::{Changes, listen};
pub use live_changes::{ChangeReader, LiveChanges};
pub use overview::{Day, Pace, Underway, Workload};
pub use page::Page;
pub use pauses::UnreadSite;
pub use plan_inputs::PlanInputs;
pub use polls::{Places, PollClaim, PollRecorded};
pub use proofs::{LastUsed, Proof};
pub use publish::Publish;
pub use publish_notifier::PublishNotifier;
pub use publish_waiters::PublishWaiters;
pub use publishes::{Burst, ListedPublish, PublishFilter, PublishSummary};
pub use record::{Recorded, SendRecord};
pub use refused::{PublishApi, RefusedCall, RefusedCalls};
pub use reseal::Resealed;
pub use schema::{DatabaseProblem, Schema};
pub use seal::{SealError, Sealer};
pub use sessions::{Beginning, ListedSession, Session, Theme};
pub use settings::{SavedSettings, SettingsVersion, Slot, TestRun};
pub use sign_in_attempts::SignInClient;
pub use site_changes::FirstProofs;
pub use site_id::SiteId;
pub use sites::{Directory, Pause, Site};
pub use standing::{SiteStanding, Standing};
pub use stored::{Hold, QueuedInvalidation};
pub use tokens::TokenView;
pub use waiting::Wait;

use crate::domain::AwsError;

/// The schema, applied at start. Migrations only add, so that an old replica and a new one can
/// share the database: one that starts after a newer one has applied its own takes no notice of
/// them.
static MIGRATIONS: Migrator = Migrator {
    ignore_missing: true,
    ..KNOWN_MIGRATIONS
};
const KNOWN_MIGRATIONS: Migrator = sqlx::migrate!();

/// Connections of one replica: the writer, the dispatcher and the pages seldom need more at once.
const CONNECTIONS: u32 = 12;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
    #[error("the operator has not allowed AWS default credentials for this distribution")]
    NotGranted,
    /// The site was removed, so that nothing more is stored for it.
    #[error("the site was removed")]
    SiteGone,
    /// A text that somebody gave holds a NUL, which PostgreSQL cannot store or look for.
    #[error("the text holds a NUL character")]
    Nul,
    #[error("the database's schema could not be brought up to date: {0}")]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A row holds what this version does not understand.
    #[error("the database holds an unknown item: {0}")]
    UnknownItem(String),
}

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// PostgreSQL's `character_not_in_repertoire` and, within JSON, `untranslatable_character`.
const NUL_CODES: [&str; 2] = ["22021", "22P05"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if code_of(&error).is_some_and(|code| NUL_CODES.contains(&&*code)) {
            Self::Nul
        } else {
            Self::Database(error)
        }
    }
}

impl StoreError {
    pub fn no_answer() -> Self {
        Self::Database(no_answer())
    }

    /// Whether what was to be stored is there already, as after a commit whose answer was lost.
    pub fn is_stored_already(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// Whether a stored row is at fault, so that everything else can still be read.
    pub fn is_about_a_row(&self) -> bool {
        match self {
            Self::Seal(_)
            | Self::UnknownItem(_)
            | Self::NotGranted
            | Self::Database(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => true,
            Self::Database(_) | Self::Migrate(_) | Self::Nul | Self::SiteGone => false,
        }
    }

    /// What is said in place of AWS, which cannot be called for a site because of this.
    pub fn in_place_of_aws(&self) -> AwsError {
        match self {
            Self::NotGranted => AwsError::not_granted(),
            error => AwsError::new(AwsError::UNREADABLE_SECRET, error.to_string()),
        }
    }
}

/// How long the database may take over what is read or announced for everybody at once.
const DATABASE_LIMIT: Duration = Duration::from_secs(10);

/// Limits how long the database may take: a server that froze or left the network closes no
/// connection.
pub async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_elapsed| Err(StoreError::no_answer()))
}

/// A column of rows that are stored together.
fn column<'a, R, T>(rows: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// A count as a column holds it.
fn integer(count: impl TryInto<i32>) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}

/// PostgreSQL's code of an error, where it is PostgreSQL's.
fn code_of(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// The error of a connection that timed out.
fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// The database and the keys that open its secrets. Clones share both.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    sealer: Arc<Sealer>,
    timeouts: DatabaseTimeouts,
}

impl Store {
    /// A store that connects when it is first used.
    pub fn new(options: PgConnectOptions, sealer: Sealer, timeouts: DatabaseTimeouts) -> Self {
        let alive = Alive::new(timeouts);
        let still_alive = alive.clone();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(timeouts.connection)
            // Testing each time costs a round trip; never testing hands out connections that a
            // restart of the server has cut.
            .test_before_acquire(false)
            .before_acquire(move |connection, used| {
                let alive = alive.clone();
                Box::pin(async move { Ok(alive.is_usable(connection, used.idle_for).await) })
            })
            .after_release(move |connection, _| {
                let alive = still_alive.clone();
                Box::pin(async move {
                    match alive.is_returnable(connection).await {
                        true => Ok(true),
                        // An error makes sqlx drop it, rather than close it gracefully.
                        false => Err(no_answer()),
                    }
                })
            })
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // Set here, since poolers such as RDS Proxy refuse options of the connection.
                    //
                    // A replica that is stopped in the middle of a transaction must not hold its
                    // locks forever. Nor may what waits for a lock: it keeps its connection and its
                    // own locks even after whoever began it has given up, and all that is tried
                    // again would soon take every connection. Whoever waits for a turn to read
                    // gives up after five seconds, before this does.
                    //
                    // Each statement is planned once for a connection, since planning the longest
                    // takes longer than running them (docs/PERFORMANCE.md). A plan that is made
                    // while a table is small would read all of it forever after: every query here
                    // has an index to use. What it looks up there is in memory: by PostgreSQL's
                    // price for a disk's turn, whoever moves ten publishes on would read the index
                    // of all (after a storm of 20,000, that took 3 to 20 ms instead of 0.3).
                    sqlx::raw_sql(
                        "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '6s';
                         SET enable_seqscan = off; SET random_page_cost = 1.1; SET jit = off;
                         SET plan_cache_mode = force_generic_plan",
                    )
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .connect_lazy_with(
                options
                    .application_name("skycms-cdn")
                    // PgBouncer refuses it, and floats come in binary anyway.
                    .extra_float_digits(None),
            );
        Self {
            pool,
            sealer: Arc::new(sealer),
            timeouts,
        }
    }

    /// Brings the schema up to date. Replicas that start together take turns.
    pub async fn migrate(&self) -> Result<()> {
        // Closed afterwards: after an error it may still hold the lock by which they take turns.
        let mut connection = self.pool.acquire().await?.detach();
        for migration in MIGRATIONS.iter() {
            // While a change waits for a table that somebody reads for minutes, everybody else
            // waits behind it, publishes too. So it stands back after a moment, and tries again.
            // What runs outside a transaction builds its indexes without such a lock, and cannot be
            // repeated.
            let timeout = if migration.no_tx { "0" } else { "2s" };
            sqlx::query("SELECT set_config('lock_timeout', $1, false)")
                .bind(timeout)
                .execute(&mut connection)
                .await?;
            loop {
                match MIGRATIONS.run_to(migration.version, &mut connection).await {
                    Err(error) if is_lock_timeout(&error) => {
                        tracing::warn!(%error, "a migration waits for a lock");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    migrated => break migrated?,
                }
            }
        }
        connection.close().await?;
        Ok(())
    }

    /// Begins a transaction, in a task of its own: if the caller were dropped meanwhile, like a
    /// request whose client has gone, sqlx would give back a connection that is in the middle of a
    /// transaction.
    async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.begin_with("BEGIN").await
    }

    /// Begins one whose commit does not wait for the disk, for what CloudFront would only be asked
    /// again, or nobody misses: if PostgreSQL crashes in the next moment, it has not happened.
    /// Nothing stored can be based on it and last longer, since a commit that waits for the disk
    /// waits for all before it.
    async fn begin_unflushed(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.begin_with("BEGIN; SET LOCAL synchronous_commit = off")
            .await
    }

    #[expect(clippy::disallowed_methods, reason = "this is the way to begin")]
    async fn begin_with(
        &self,
        statement: &'static str,
    ) -> sqlx::Result<Transaction<'static, Postgres>> {
        let pool = self.pool.clone();
        tokio::spawn(async move { pool.begin_with(statement).await })
            .await
            .unwrap_or(Err(sqlx::Error::PoolClosed))
    }

    /// Begins one that waits for locks for as long as they are held.
    async fn begin_patiently(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        let mut tx = self.begin().await?;
        sqlx::query("SET LOCAL lock_timeout = 0")
            .execute(&mut *tx)
            .await?;
        Ok(tx)
    }

    /// Whether the database answers, and can be written to: after a failover, a connection may lead
    /// to a standby.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1 WHERE NOT pg_is_in_recovery()")
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    // lock_not_available
    code_of(error).as_deref() == Some("55P03")
}
