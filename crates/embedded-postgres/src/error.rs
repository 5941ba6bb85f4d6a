use std::io;
use std::path::PathBuf;

/// Why the embedded PostgreSQL cannot run, in one line each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{0} is in use by another process")]
    InUse(PathBuf),

    #[error("no PostgreSQL 14 or newer found on this machine: {install}")]
    NotInstalled {
        /// How to install it on this machine.
        install: String,
    },

    #[error(
        "{dir} was created by PostgreSQL {cluster}, which is not installed here (found: {found}): install \
         PostgreSQL {cluster} again, or upgrade the directory with pg_upgrade"
    )]
    WrongVersion {
        dir: PathBuf,
        cluster: u32,
        found: String,
    },

    #[error(
        "PostgreSQL refuses to run as root, and there is no account `postgres` to run it as: create one \
         (useradd --system postgres), or start this program as an ordinary user"
    )]
    NoAccount,

    #[error(
        "PostgreSQL runs as uid {uid}, which cannot enter {parent}: choose a data directory that it can \
         reach, for example in /var/lib, or allow it with chmod o+x {parent}"
    )]
    Unreachable { parent: PathBuf, uid: u32 },

    #[error(
        "{dir} belongs to uid {uid}, which its service runs as: run this program under the same account, \
         with sudo -u '#{uid}' …"
    )]
    OtherAccount { dir: PathBuf, uid: u32 },

    #[error("{0} holds files that are not a database's: choose a new or empty directory")]
    Foreign(PathBuf),

    #[error("cannot {action} {path}: {source}")]
    DataDir {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("{program} failed: {detail}")]
    Program { program: PathBuf, detail: String },

    #[error("an earlier PostgreSQL still runs in {0} and does not stop: end it, then start again")]
    Lingering(PathBuf),

    #[error("the embedded PostgreSQL answered: {0}")]
    Sql(#[from] sqlx::Error),
}

/// Adds to a refusal of the operating system what was tried, and where.
pub(super) trait DataDirContext<T> {
    fn context(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T, Error>;
}

impl<T> DataDirContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.map_err(|source| Error::DataDir {
            action,
            path: path.into(),
            source,
        })
    }
}
