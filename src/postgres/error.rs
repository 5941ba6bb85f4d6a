use std::io;
use std::path::PathBuf;

/// Why the embedded PostgreSQL cannot run. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// Another process holds the lock.
    #[error(
        "{0} is in use by another skycms-cdn: give this one its own DATA_DIR, or let both share one DATABASE_URL"
    )]
    InUse(PathBuf),

    /// No usable binaries.
    #[error("no PostgreSQL 14 or newer found on this machine: {install}, or set DATABASE_URL")]
    NotInstalled {
        /// How to install it here.
        install: String,
    },

    /// The data was made by a major version that is not installed.
    #[error(
        "{dir} was made by PostgreSQL {cluster}, which is not installed here (found: {found}): install \
         PostgreSQL {cluster} again, or upgrade the directory with pg_upgrade"
    )]
    WrongVersion {
        /// The database's directory.
        dir: PathBuf,
        /// Its `PG_VERSION`.
        cluster: u32,
        /// The major versions that are installed.
        found: String,
    },

    /// Root has nobody to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root, and there is no account `postgres` to run it as: create one \
         (useradd --system postgres), or start skycms-cdn as an ordinary user"
    )]
    NoAccount,

    /// The account of PostgreSQL cannot reach `DATA_DIR`.
    #[error(
        "PostgreSQL runs as uid {uid}, which cannot enter {parent}: set DATA_DIR to a place it can reach, \
         for example /var/lib/skycms-cdn, or allow it with chmod o+x {parent}"
    )]
    Unreachable {
        /// The directory that is closed.
        parent: PathBuf,
        /// The account that PostgreSQL runs as.
        uid: u32,
    },

    /// Something else lives in that directory.
    #[error(
        "DATA_DIR {0} is not empty and was not made by skycms-cdn: name a new or empty directory"
    )]
    Foreign(PathBuf),

    /// `DATA_DIR` cannot be made, read or written.
    #[error("DATA_DIR: cannot {action} {path}: {source}")]
    DataDir {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },

    /// A program of PostgreSQL failed.
    #[error("{program} failed: {detail}")]
    Program {
        /// Its path.
        program: PathBuf,
        /// What it said last.
        detail: String,
    },

    /// A process of an earlier server does not end.
    #[error("an earlier PostgreSQL still runs in {0} and does not stop: end it, then start again")]
    Lingering(PathBuf),

    /// The server runs, but answers with an error.
    #[error("the embedded PostgreSQL answered: {0}")]
    Sql(#[from] sqlx::Error),
}

/// Names what was tried, and where, when the operating system refuses.
pub(super) trait DataDirContext<T> {
    fn context(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T, PostgresError>;
}

impl<T> DataDirContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T, PostgresError> {
        self.map_err(|source| PostgresError::DataDir {
            action,
            path: path.into(),
            source,
        })
    }
}
