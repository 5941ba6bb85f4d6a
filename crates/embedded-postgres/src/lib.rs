//! An embedded PostgreSQL: the binaries that are installed on this machine, run as a child process
//! that listens on a Unix socket and nowhere else.
//!
//! The data directory holds
//!
//! - `lock`, held by the embedding process for as long as it lives, so that a second one is
//!   refused;
//! - `postgres.lock`, held by every PostgreSQL process for as long as it lives, because they
//!   inherit it. Process numbers are reused, in a container within seconds; a lock does not lie;
//! - `postgres/`, the cluster and its socket; `postgres.log`, the server's log, and
//!   `postgres.log.1`, the log of the run before, or what a long one had written before it was
//!   begun again.
//!
//! Run as root, the data directory stays root's, and only the cluster's folder is given away: the
//! account that PostgreSQL runs as may enter the data directory, and change nothing in it.
//!
//! The socket is reachable only through a directory of mode 0700, so whoever can open it may
//! connect. `peer` authentication would turn root away, since its server runs as another account.

mod cluster;
mod data_dir;
mod error;
mod installation;
mod postmaster;
mod socket;

pub use error::Error;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{error, info, warn};

use cluster::Cluster;
use data_dir::DataDir;
use error::DataDirContext as _;
use installation::Installation;
use postmaster::Postmaster;
use socket::SocketDir;

/// How often the length of its log is looked at.
const LOG_LOOK: Duration = Duration::from_secs(60);

/// A running PostgreSQL. It is restarted when it dies, and stopped when this is dropped;
/// [`Embedded::stop`] also waits for it to have stopped.
#[derive(Debug)]
pub struct Embedded {
    options: PgConnectOptions,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl Embedded {
    /// Starts PostgreSQL in `data_dir`, which is created if missing, and returns once it accepts
    /// connections. A server that a killed process left behind is stopped first. `name` is both the
    /// cluster's superuser and the database.
    ///
    /// Call this before anything else is put into `data_dir`: a directory with other files in it is
    /// refused.
    pub async fn start(data_dir: &Path, name: &str) -> Result<Self, Error> {
        Self::start_from(data_dir, name, &installation::candidates()).await
    }

    /// Like [`Embedded::start`], for a command that Ctrl-C may end at any moment: the server ends
    /// by it too. A service is told to stop, and stops its server last.
    pub async fn start_for_command(data_dir: &Path, name: &str) -> Result<Self, Error> {
        Self::run(data_dir, name, &installation::candidates(), true).await
    }

    /// Like [`Embedded::start`], with the binaries in one of the `candidates` directories.
    pub async fn start_from(
        data_dir: &Path,
        name: &str,
        candidates: &[PathBuf],
    ) -> Result<Self, Error> {
        Self::run(data_dir, name, candidates, false).await
    }

    async fn run(
        data_dir: &Path,
        name: &str,
        candidates: &[PathBuf],
        ends_by_ctrl_c: bool,
    ) -> Result<Self, Error> {
        let data_dir = DataDir::open(data_dir)?;
        let installation = Installation::choose(candidates, &data_dir.postgres())?;
        let cluster = Cluster {
            name: name.to_owned(),
            socket_dir: SocketDir::new(&data_dir, name)?,
            data_dir,
            installation,
            ends_by_ctrl_c,
        };
        // A command adds to the log of the run before: a few of them would push out why that ended.
        if !ends_by_ctrl_c {
            cluster.rotate_log();
        }
        cluster.stop_leftover().await?;
        cluster.initialise().await?;
        let postmaster = cluster.launch().await?;
        info!(
            version = cluster.installation.major,
            directory = %cluster.data_dir.path().display(),
            "the embedded PostgreSQL is ready"
        );

        let options = cluster.connect_options(name);
        let (stop, stopped) = oneshot::channel();
        let supervisor = tokio::spawn(supervise(cluster, postmaster, stopped));
        Ok(Self {
            options,
            stop,
            supervisor,
        })
    }

    /// How to reach the database.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Stops PostgreSQL: clients are disconnected and everything is written to disk. Takes
    /// milliseconds as a rule, and seven seconds at most.
    pub async fn stop(self) {
        // Refused only when the supervisor has ended, and then there is nothing left to stop.
        let _ = self.stop.send(());
        if let Err(error) = self.supervisor.await {
            error!(%error, "the supervisor of the embedded PostgreSQL failed");
        }
    }
}

/// The major version that would run in `data_dir`: an existing cluster needs the one that made it.
pub fn installed(data_dir: &Path) -> Result<u32, Error> {
    let chosen = Installation::choose(&installation::candidates(), &data_dir.join("postgres"))?;
    Ok(chosen.major)
}

/// Whether there is a database in `data_dir`. Where this account may not look, nobody can tell.
pub fn is_initialised(data_dir: &Path) -> Result<bool, Error> {
    let version = data_dir.join("postgres/PG_VERSION");
    version.try_exists().context("look for", version)
}

/// How to reach the server that another process runs in `data_dir`: PostgreSQL's own lock file says
/// where its socket is.
pub fn running(data_dir: &Path, name: &str) -> Option<PgConnectOptions> {
    let recorded = data_dir::read_theirs(&data_dir.join("postgres/postmaster.pid")).ok()?;
    let socket_dir = recorded.lines().nth(4).filter(|line| !line.is_empty())?;
    Some(cluster::connect_options(Path::new(socket_dir), name))
}

/// Restarts the server whenever it dies, and keeps its log short, until asked to stop.
async fn supervise(
    cluster: Cluster,
    mut postmaster: Postmaster,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        cluster.shorten_log();
        tokio::select! {
            _ = &mut stopped => return postmaster.stop().await,
            () = sleep(LOG_LOOK) => continue,
            ended = postmaster.0.wait() => match ended {
                Ok(status) => warn!(%status, "the embedded PostgreSQL died and is being restarted"),
                Err(error) => warn!(%error, "the embedded PostgreSQL was lost and is being restarted"),
            },
        }
        postmaster = tokio::select! {
            _ = &mut stopped => return,
            restarted = cluster.relaunch() => restarted,
        };
    }
}
