//! One PostgreSQL for all tests of a process, and a database of its own for each.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::str::FromStr as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use embedded_postgres::Embedded;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, FromRow, PgConnection, Postgres};
use tokio::runtime::Runtime;

use super::eventually;

/// A server to use instead of one of our own: `postgres://user@host` of a superuser.
const VARIABLE: &str = "TEST_DATABASE_URL";

/// Migrated and empty, on a server of our own.
const TEMPLATE: &str = "migrated";

static SERVER: OnceLock<Server> = OnceLock::new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database of a test's own.
pub(crate) struct Database {
    /// As for `DATABASE_URL`.
    pub(crate) url: String,
    name: Option<String>,
}

impl Database {
    /// A migrated one without rows.
    pub(crate) async fn fresh() -> Self {
        Self::new(true).await
    }

    /// One without a schema.
    pub(crate) async fn empty() -> Self {
        Self::new(false).await
    }

    async fn new(migrated: bool) -> Self {
        // Not on this runtime, which ends with its test.
        let server = SERVER.get_or_init(|| std::thread::spawn(Server::start).join().unwrap());
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        if !migrated {
            server.execute(&format!("CREATE DATABASE {name}")).await;
        } else if server.reaper.is_some() {
            let create = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}");
            server.execute(&create).await;
        } else {
            server.make(&name).await; // a template would stay behind
        }
        Self {
            url: server.url(&name),
            name: Some(name),
        }
    }

    /// One on a server that the test runs itself.
    pub(crate) fn at(url: String) -> Self {
        Self { url, name: None }
    }

    /// For a look at what is stored.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnectOptions::from_str(&self.url)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// The number that a query gives.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        let (count,): (i64,) = self.row(query).await;
        count
    }

    /// The one row that a query gives.
    pub(crate) async fn row<T>(&self, query: &str) -> T
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        sqlx::query_as::<Postgres, T>(AssertSqlSafe(query))
            .fetch_one(&mut self.connect().await)
            .await
            .unwrap()
    }

    /// What a query gives that has one column.
    pub(crate) async fn column<T>(&self, query: &str) -> Vec<T>
    where
        T: Send + Unpin,
        (T,): for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_scalar::<Postgres, T>(AssertSqlSafe(query))
            .fetch_all(&mut self.connect().await)
            .await
            .unwrap()
    }

    /// Changes what is stored, behind the service's back.
    pub(crate) async fn change(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut self.connect().await)
            .await
            .unwrap();
    }

    /// Does the same in a transaction that stays open and holds its locks.
    pub(crate) async fn hold(&self, statements: &'static str) -> Held {
        let mut connection = self.connect().await;
        for sql in ["BEGIN", statements] {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        Held(connection)
    }

    /// Everything that is stored, as text; bytes in hexadecimal.
    pub(crate) async fn dump(&self) -> String {
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
        let mut dump = String::new();
        for table in self.column::<String>(tables).await {
            let query = format!("SELECT row_to_json(t)::text FROM {table} t");
            let rows: Vec<String> = self.column(&query).await;
            dump += &format!("{table}:\n{}\n", rows.join("\n"));
        }
        dump
    }

    /// Waits until so many connections to it wait for a lock.
    pub(crate) async fn wait_for_locks(&self, count: i64) {
        eventually("connections that wait for a lock", || async {
            (self.waiting_for_locks().await >= count).then_some(())
        })
        .await;
    }

    /// How many connections to it wait for a lock. `pg_locks` would tell of other tests' too.
    pub(crate) async fn waiting_for_locks(&self) -> i64 {
        self.count(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await
    }
}

impl Drop for Database {
    /// A server of our own goes away with everything in it.
    fn drop(&mut self) {
        let lent = SERVER.get().filter(|server| server.reaper.is_none());
        let (Some(server), Some(name)) = (lent, &self.name) else {
            return;
        };
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        let _ = std::thread::spawn(move || server.runtime.block_on(server.execute(&drop))).join();
    }
}

/// Somebody's open transaction. What it did is undone if it is dropped.
pub(crate) struct Held(PgConnection);

impl Held {
    /// Commits it.
    pub(crate) async fn release(mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
    }

    /// Commits it after these statements.
    pub(crate) async fn end_with(mut self, statements: &'static str) {
        sqlx::raw_sql(statements)
            .execute(&mut self.0)
            .await
            .unwrap();
        self.release().await;
    }
}

/// The address of a database of an embedded PostgreSQL.
pub(super) fn url_of(options: &PgConnectOptions, database: &str) -> String {
    let socket = options.get_socket().unwrap().display();
    let (user, port) = (options.get_username(), options.get_port());
    format!("postgres://{user}@localhost/{database}?host={socket}&port={port}&sslmode=disable")
}

struct Server {
    /// A database's address, with `{}` for its name.
    pattern: String,
    runtime: Runtime,
    /// Stops a server of our own when this process ends, however it ends.
    reaper: Option<ChildStdin>,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (pattern, reaper) = match std::env::var(VARIABLE) {
            Ok(url) => {
                let mut url = url::Url::parse(&url).expect(VARIABLE);
                url.set_path("/{}");
                (url.to_string().replace("%7B%7D", "{}"), None)
            }
            Err(_) => {
                let dir = tempfile::tempdir().unwrap().keep();
                let embedded = runtime
                    .block_on(Embedded::start(&dir, "skycms_cdn"))
                    .unwrap();
                let pattern = url_of(&embedded.connect_options(), "{}");
                let reaper = reaper(&dir);
                // Its supervisor runs on; the reaper ends the server.
                std::mem::forget(embedded);
                (pattern, Some(reaper))
            }
        };
        let server = Self {
            pattern,
            runtime,
            reaper,
        };
        if server.reaper.is_some() {
            server.runtime.block_on(server.make(TEMPLATE));
        }
        server
    }

    /// Makes a database with the schema in it.
    async fn make(&self, name: &str) {
        self.execute(&format!("CREATE DATABASE {name}")).await;
        let options = PgConnectOptions::from_str(&self.url(name)).unwrap();
        let pool = sqlx::PgPool::connect_with(options).await.unwrap();
        sqlx::migrate!().run(&pool).await.unwrap();
        pool.close().await;
    }

    fn url(&self, database: &str) -> String {
        self.pattern.replace("{}", database)
    }

    async fn execute(&self, statement: &str) {
        let mut connection = PgConnectOptions::from_str(&self.url("postgres"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
}

/// Waits for the end of the pipe that only this process holds, then ends the server and removes its
/// directory.
#[expect(clippy::zombie_processes, reason = "it outlives this process")]
fn reaper(dir: &Path) -> ChildStdin {
    let script = r#"cat >/dev/null
        pid=$(head -n 1 "$1/postgres/postmaster.pid")
        kill -QUIT "$pid"
        while kill -0 "$pid"; do sleep 0.05; done
        rm -rf "$1""#;
    let mut child = Command::new("/bin/sh")
        .args(["-c", script, "reaper"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.flush().unwrap();
    pipe
}
