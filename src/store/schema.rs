//! Whether the database can be used and, if not, why; and how far its schema has got.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, Row as _};

use super::{MIGRATIONS, Store};

/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// PostgreSQL 14, as the server counts.
const MIN_VERSION: i32 = 140_000;

const TLS_FIX: &str = "Check sslmode and sslrootcert in DATABASE_URL against the server's certificate: besides the \
                       authorities in the file that sslrootcert names, only public ones are known.";

/// The schema of a database that can be used.
#[derive(Clone, Debug)]
pub struct Schema {
    /// For example `15.18 (Debian 15.18-0+deb12u1)`.
    pub server_version: String,
    /// How many migrations this version knows.
    pub known: usize,
    /// How many of them are not applied.
    pub pending: usize,
    /// Those that are applied and that this version does not know.
    pub unknown: Vec<i64>,
    /// Whether the role may create tables. It only has to if migrations are pending.
    pub may_create: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DatabaseProblem {
    #[error("no connection to PostgreSQL at {address}: {cause}")]
    Unreachable {
        address: String,
        cause: String,
        fix: String,
        /// Whether it may pass in a moment, as while the server is starting.
        may_pass: bool,
    },
    #[error(
        "{0} is a connection pooler that gives each transaction another session: prepared \
         statements, LISTEN and advisory locks need one that stays"
    )]
    SharedSessions(String),
    #[error("PostgreSQL {0} is too old")]
    TooOld(String),
    #[error("PostgreSQL {0} is a standby, which takes no changes")]
    Standby(String),
    #[error("the role {role} lacks a privilege in the database")]
    NotGranted { role: String, grant: String },
}

impl DatabaseProblem {
    pub fn fix(&self) -> String {
        match self {
            Self::Unreachable { fix, .. } => fix.clone(),
            Self::SharedSessions(_) => "Set pool_mode = session for this database (PgBouncer), or \
                let DATABASE_URL name the server itself."
                .into(),
            Self::TooOld(_) => "Use PostgreSQL 14 or newer.".into(),
            Self::Standby(_) => "Let DATABASE_URL name the primary.".into(),
            Self::NotGranted { grant, .. } => {
                format!("Run this in it as its owner or a superuser: {grant};")
            }
        }
    }

    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { may_pass: true, .. })
    }

    fn unreachable(options: &PgConnectOptions, error: &sqlx::Error) -> Self {
        let database = options
            .get_database()
            .unwrap_or_else(|| options.get_username());
        let role = options.get_username();
        let (cause, fix, may_pass) = match error {
            sqlx::Error::Io(error) if is_about_tls(options, error) => {
                (format!("TLS: {error}"), TLS_FIX.into(), false)
            }
            sqlx::Error::Io(error) => (
                error.to_string(),
                "Check that the server runs, lets this machine in, and that DATABASE_URL names it."
                    .into(),
                true,
            ),
            sqlx::Error::Tls(error) => (format!("TLS: {error}"), TLS_FIX.into(), false),
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                let fix = match code.as_ref() {
                    "28P01" | "28000" => "Check the user and password in DATABASE_URL, and the \
                        server's pg_hba.conf."
                        .into(),
                    "3D000" => format!(
                        "Create it as a superuser: CREATE DATABASE \"{database}\" OWNER \"{role}\";"
                    ),
                    "42501" => format!(
                        "Run this as its owner or a superuser: GRANT CONNECT ON DATABASE \
                         \"{database}\" TO \"{role}\";"
                    ),
                    _ => "The server's log has the details.".into(),
                };
                // Too many connections, and starting up or shutting down.
                let may_pass = matches!(code.as_ref(), "53300" | "57P03");
                (error.message().to_owned(), fix, may_pass)
            }
            error => (
                error.to_string(),
                "Check that DATABASE_URL names a PostgreSQL server.".into(),
                false,
            ),
        };
        Self::Unreachable {
            address: address(options),
            cause,
            fix,
            may_pass,
        }
    }
}

/// Whether a handshake of TLS failed, or a file of certificates is missing, which sqlx reports as
/// I/O errors.
fn is_about_tls(options: &PgConnectOptions, error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::InvalidData => true,
        // With a socket, it is the server's own file that is missing.
        io::ErrorKind::NotFound => {
            error.raw_os_error().is_some()
                && options.get_socket().is_none()
                && !options.get_host().starts_with('/')
        }
        _ => false,
    }
}

fn address(options: &PgConnectOptions) -> String {
    let port = options.get_port();
    match options.get_socket() {
        Some(socket) => format!("{} (port {port})", socket.display()),
        None if options.get_host().contains(':') => format!("[{}]:{port}", options.get_host()),
        None => format!("{}:{port}", options.get_host()),
    }
}

impl Store {
    /// Looks at the server and the schema, on connections of its own: the pool tries again until
    /// its time is up, and then no longer knows the cause.
    pub async fn schema(&self) -> Result<Schema, DatabaseProblem> {
        let options = self.pool.connect_options();
        tokio::time::timeout(TIMEOUT, look(&options))
            .await
            .unwrap_or_else(|_| {
                let error = io::Error::other(format!("no answer within {TIMEOUT:?}"));
                Err(error.into())
            })
            .unwrap_or_else(|error| Err(DatabaseProblem::unreachable(&options, &error)))
    }
}

async fn look(options: &PgConnectOptions) -> sqlx::Result<Result<Schema, DatabaseProblem>> {
    let mut connection = PgConnection::connect_with(options).await?;
    let mut other = PgConnection::connect_with(options).await?;
    if share_sessions(&mut connection, &mut other).await? {
        return Ok(Err(DatabaseProblem::SharedSessions(address(options))));
    }
    let _ = other.close().await;
    let server = describe(&mut connection).await?;
    let applied = if server.is_migrated && server.grant_to_use().is_none() {
        applied(&mut connection).await?
    } else {
        BTreeSet::new()
    };
    let _ = connection.close().await;
    Ok(server.schema(&applied))
}

/// Whether a pooler gives each transaction whichever session is free. Each connection asks twice
/// which process of the server it has: its own, and always the same one, unless sessions are
/// shared.
///
/// Both first set a parameter, as the pool's connections do: RDS Proxy leaves a session to a client
/// that has done so. None of this is a prepared statement, which would already fail in a shared
/// session.
async fn share_sessions(a: &mut PgConnection, b: &mut PgConnection) -> sqlx::Result<bool> {
    let mut processes = Vec::new();
    for _ in 0..2 {
        for connection in [&mut *a, &mut *b] {
            sqlx::raw_sql("SET skycms_cdn.session = ''")
                .execute(&mut *connection)
                .await?;
            let row = sqlx::raw_sql("SELECT pg_backend_pid()")
                .fetch_one(connection)
                .await?;
            processes.push(row.try_get::<i32, _>(0)?);
        }
    }
    Ok(processes[..2] != processes[2..] || processes[0] == processes[1])
}

async fn describe(connection: &mut PgConnection) -> sqlx::Result<Server> {
    sqlx::query_as(
        "SELECT current_setting('server_version') AS version,
                current_setting('server_version_num')::int AS number,
                pg_is_in_recovery() AS is_standby,
                quote_ident(current_user) AS role,
                quote_ident(coalesce(current_schema(), 'public')) AS schema,
                coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
                migrations.oid IS NOT NULL AS is_migrated,
                quote_ident(pg_get_userbyid(migrations.relowner)) AS owner,
                coalesce(pg_has_role(migrations.relowner, 'USAGE'), true) AS is_owner,
                NOT EXISTS (
                    SELECT FROM pg_class AS ours
                    WHERE ours.relnamespace = migrations.relnamespace
                      AND ours.relowner = migrations.relowner AND ours.relkind = 'r'
                      AND NOT (has_table_privilege(ours.oid, 'SELECT')
                           AND has_table_privilege(ours.oid, 'INSERT')
                           AND has_table_privilege(ours.oid, 'UPDATE')
                           AND has_table_privilege(ours.oid, 'DELETE'))
                ) AS may_use
         FROM (SELECT) AS one
         LEFT JOIN pg_class AS migrations ON migrations.oid = to_regclass('_sqlx_migrations')",
    )
    .fetch_one(connection)
    .await
}

async fn applied(connection: &mut PgConnection) -> sqlx::Result<BTreeSet<i64>> {
    let applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
        .fetch_all(connection)
        .await?;
    Ok(applied.into_iter().collect())
}

/// What a server says about itself and the role.
#[derive(sqlx::FromRow)]
struct Server {
    version: String,
    number: i32,
    is_standby: bool,
    role: String,
    schema: String,
    may_create: bool,
    is_migrated: bool,
    owner: Option<String>,
    is_owner: bool,
    may_use: bool,
}

impl Server {
    fn grant_to_use(&self) -> Option<String> {
        let (schema, role) = (&self.schema, &self.role);
        (!self.may_use).then(|| {
            format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
            )
        })
    }

    fn grant_to_migrate(&self) -> Option<String> {
        let (schema, role) = (&self.schema, &self.role);
        if let Some(owner) = self.owner.as_ref().filter(|_| !self.is_owner) {
            return Some(format!("GRANT {owner} TO {role}"));
        }
        (!self.may_create).then(|| format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}"))
    }

    fn schema(self, applied: &BTreeSet<i64>) -> Result<Schema, DatabaseProblem> {
        if self.number < MIN_VERSION {
            return Err(DatabaseProblem::TooOld(self.version));
        }
        if self.is_standby {
            return Err(DatabaseProblem::Standby(self.version));
        }
        let known: BTreeSet<i64> = MIGRATIONS
            .iter()
            .map(|migration| migration.version)
            .collect();
        let pending = known.difference(applied).count();
        let missing = self
            .grant_to_use()
            .or_else(|| self.grant_to_migrate().filter(|_| pending > 0));
        if let Some(grant) = missing {
            let role = self.role;
            return Err(DatabaseProblem::NotGranted { role, grant });
        }
        Ok(Schema {
            server_version: self.version,
            known: known.len(),
            pending,
            unknown: applied.difference(&known).copied().collect(),
            may_create: self.may_create,
        })
    }
}
