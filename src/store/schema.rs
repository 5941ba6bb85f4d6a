//! What the database is, and how far its schema is.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection, Row as _};

use super::{MIGRATIONS, Store, StoreError};

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// PostgreSQL 14, as the server counts.
const OLDEST: i32 = 140_000;

/// The server and the schema in it.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub server_version: String,
    number: i32,
    /// Takes no changes: a standby.
    pub is_standby: bool,
    /// How many migrations this version knows.
    pub known: usize,
    /// How many of them are not applied.
    pub pending: usize,
    /// Those that are applied and that this version does not know.
    pub unknown: Vec<i64>,
}

impl Schema {
    /// Whether the server is older than this service can use.
    pub const fn is_too_old(&self) -> bool {
        self.number < OLDEST
    }
}

impl Store {
    /// Looks at the server and the schema, on a connection of its own that is not tried again: so
    /// the reason is told.
    pub async fn schema(&self) -> Result<Schema, StoreError> {
        tokio::time::timeout(PATIENCE, async {
            let mut connection =
                PgConnection::connect_with(self.pool.connect_options().as_ref()).await?;
            let schema = look(&mut connection).await?;
            connection.close().await?;
            Ok(schema)
        })
        .await
        .unwrap_or_else(|_| Err(StoreError::no_answer()))
    }
}

async fn look(connection: &mut PgConnection) -> Result<Schema, StoreError> {
    let row = sqlx::query(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int,
                pg_is_in_recovery(), to_regclass('_sqlx_migrations') IS NOT NULL",
    )
    .fetch_one(&mut *connection)
    .await?;
    let applied: BTreeSet<i64> = if row.try_get(3)? {
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(connection)
            .await?
            .into_iter()
            .collect()
    } else {
        BTreeSet::new()
    };
    let known: BTreeSet<i64> = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .collect();
    Ok(Schema {
        server_version: row.try_get(0)?,
        number: row.try_get(1)?,
        is_standby: row.try_get(2)?,
        known: known.len(),
        pending: known.difference(&applied).count(),
        unknown: applied.difference(&known).copied().collect(),
    })
}
