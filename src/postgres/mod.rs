//! The embedded PostgreSQL: the machine's own binaries, run as a child on a Unix socket.
//!
//! `DATA_DIR` holds
//!
//! - `lock`, held by the service as long as it lives, so that a second one is refused;
//! - `postgres.lock`, held by every process of PostgreSQL as long as it lives, because they inherit
//!   it. Process numbers come back for other processes, in a container within seconds; a lock does
//!   not lie;
//! - `postgres/`, the cluster and its socket; `postgres.log`, what the server says, and
//!   `postgres.log.1`, what it said in the run before.
//!
//! The socket is reachable only through directories of mode 0700, so whoever can open it may
//! connect. `peer` authentication would turn root away, whose server runs as another account.

mod cluster;
mod data_dir;
mod error;
mod installation;
mod postmaster;
mod socket;

pub use error::PostgresError;

use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use cluster::Cluster;
use data_dir::DataDir;
use installation::Installation;
use postmaster::Postmaster;
use socket::SocketDir;

/// The superuser of the cluster, and the name of the database.
const NAME: &str = "skycms_cdn";

/// A running PostgreSQL. It is started again when it dies, and stops when this is dropped;
/// [`Embedded::stop`] waits for that.
#[derive(Debug)]
pub struct Embedded {
    options: PgConnectOptions,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl Embedded {
    /// Starts PostgreSQL in `data_dir`, which is made when it is missing, and returns when it
    /// accepts connections. A PostgreSQL that a killed service left behind is stopped first.
    ///
    /// Call this before anything else is put into `data_dir`: a directory with other things in it
    /// is refused.
    pub async fn start(data_dir: &Path) -> Result<Self, PostgresError> {
        Self::start_from(data_dir, &installation::candidates()).await
    }

    /// As [`Embedded::start`], with the binaries of one of the directories in `candidates`.
    pub async fn start_from(
        data_dir: &Path,
        candidates: &[PathBuf],
    ) -> Result<Self, PostgresError> {
        let data_dir = DataDir::open(data_dir)?;
        let installation = Installation::choose(candidates, &data_dir.postgres())?;
        let cluster = Cluster {
            socket_dir: SocketDir::new(&data_dir)?,
            data_dir,
            installation,
        };
        cluster.rotate_log();
        cluster.stop_leftover().await?;
        cluster.initialise().await?;
        let postmaster = cluster.launch().await?;
        info!(
            version = cluster.installation.major,
            directory = %cluster.data_dir.path().display(),
            "the embedded PostgreSQL is ready"
        );

        let options = cluster.connect_options(NAME);
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

    /// Stops PostgreSQL: clients are disconnected, and everything is on disk. Takes milliseconds as
    /// a rule, and at most seven seconds.
    pub async fn stop(self) {
        // Refused only when the supervisor has ended, and then there is nothing left to stop.
        let _ = self.stop.send(());
        if let Err(error) = self.supervisor.await {
            error!(%error, "the supervisor of the embedded PostgreSQL failed");
        }
    }
}

/// The major version that would run in `data_dir`.
///
/// # Errors
///
/// If none is installed, or not the one that the data was made by.
pub fn installed(data_dir: &Path) -> Result<u32, PostgresError> {
    let chosen = Installation::choose(&installation::candidates(), &data_dir.join("postgres"))?;
    Ok(chosen.major)
}

/// Whether there is a database in `data_dir`.
pub fn is_made(data_dir: &Path) -> bool {
    data_dir.join("postgres/PG_VERSION").exists()
}

/// Starts the server again whenever it dies, until told to stop.
async fn supervise(
    cluster: Cluster,
    mut postmaster: Postmaster,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            _ = &mut stopped => return postmaster.stop().await,
            ended = postmaster.0.wait() => match ended {
                Ok(status) => warn!(%status, "the embedded PostgreSQL died and is started again"),
                Err(error) => warn!(%error, "the embedded PostgreSQL is lost and is started again"),
            },
        }
        postmaster = tokio::select! {
            _ = &mut stopped => return,
            restarted = cluster.relaunch() => restarted,
        };
    }
}
