//! A connection that is kept for several statements.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};

use super::{Result, Store};

/// One connection for statements that belong together: the pool hands out the one that has been
/// idle longest, whose server process has to be woken, and checks with a round trip that each one
/// it gets back still works. docs/PERFORMANCE.md says what that is worth.
pub struct Connection {
    lent: PoolConnection<Postgres>,
    is_beginning: bool,
}

impl Store {
    pub async fn connect(&self) -> Result<Connection> {
        Ok(Connection {
            lent: self.pool.acquire().await?,
            is_beginning: false,
        })
    }
}

impl Connection {
    pub(super) fn sql(&mut self) -> &mut PgConnection {
        &mut self.lent
    }

    pub(super) async fn begin(&mut self) -> sqlx::Result<Transaction<'_, Postgres>> {
        self.is_beginning = true;
        let begun = Transaction::begin(&mut *self.lent, None).await;
        self.is_beginning = false;
        begun
    }
}

impl Drop for Connection {
    /// sqlx does not know of a `BEGIN` that is still under way: the connection would be given back
    /// in the middle of a transaction.
    fn drop(&mut self) {
        if self.is_beginning {
            self.lent.close_on_drop();
        }
    }
}
