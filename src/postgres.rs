//! The embedded PostgreSQL: the machine's own binaries, run as a child on a Unix socket.
//!
//! `DATA_DIR` holds
//!
//! - `lock`, held by the service as long as it lives, so that a second one is refused;
//! - `postgres.lock`, held by every process of PostgreSQL as long as it lives, because they inherit it. Process
//!   numbers come back for other processes, in a container within seconds; a lock does not lie;
//! - `postgres/`, the cluster and its socket; `postgres.log`, what the server says, and `postgres.log.1`, what it said
//!   in the run before.
//!
//! The socket is reachable only through directories of mode 0700, so whoever can open it may connect. `peer`
//! authentication would turn root away, whose server runs as another account.

mod data_dir;
mod error;
mod installation;

pub use error::PostgresError;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use data_dir::{Account, DataDir};
use error::DataDirContext;
use installation::Installation;

/// The superuser of the cluster, and the name of the database.
const NAME: &str = "skycms_cdn";
/// Part of the socket's name; nothing listens on TCP.
const PORT: u16 = 5432;
/// The longest path of a Unix socket that every system takes (macOS 103 bytes, Linux 107).
const LONGEST_SOCKET: usize = 103;
const POLL: Duration = Duration::from_millis(5);
/// How long processes of a dead or stopping server may take to end.
const LINGER: Duration = Duration::from_secs(10);

/// A running PostgreSQL. It is started again when it dies, and stops when this is dropped; [`Embedded::stop`] waits
/// for that.
#[derive(Debug)]
pub struct Embedded {
    options: PgConnectOptions,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl Embedded {
    /// Starts PostgreSQL in `data_dir`, which is made when it is missing, and returns when it accepts connections.
    /// A PostgreSQL that a killed service left behind is stopped first.
    ///
    /// Call this before anything else is put into `data_dir`: a directory with other things in it is refused.
    ///
    /// # Errors
    ///
    /// See [`PostgresError`]; each tells the operator what to do.
    pub async fn start(data_dir: &Path) -> Result<Self, PostgresError> {
        Self::start_from(data_dir, &installation::candidates()).await
    }

    /// As [`Embedded::start`], with the binaries of one of the directories in `candidates`.
    ///
    /// # Errors
    ///
    /// As [`Embedded::start`].
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
        cluster.initialise().await?;
        cluster.stop_leftover().await?;
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
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Stops PostgreSQL: clients are disconnected, and everything is on disk. Takes milliseconds as a rule, and at most
    /// seven seconds.
    pub async fn stop(self) {
        // Refused only when the supervisor has ended, and then there is nothing left to stop.
        let _ = self.stop.send(());
        if let Err(error) = self.supervisor.await {
            error!(%error, "the supervisor of the embedded PostgreSQL failed");
        }
    }
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

#[derive(Debug)]
struct Cluster {
    data_dir: DataDir,
    installation: Installation,
    socket_dir: SocketDir,
}

impl Cluster {
    fn data(&self) -> PathBuf {
        self.data_dir.postgres()
    }

    fn log(&self) -> PathBuf {
        self.data_dir.path().join("postgres.log")
    }

    /// Two runs are kept. A first run has nothing to rename.
    fn rotate_log(&self) {
        let _ = fs::rename(self.log(), self.log().with_extension("log.1"));
    }

    fn connect_options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.socket_dir.path())
            .port(PORT)
            .username(NAME)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    /// One of PostgreSQL's programs, as its account, out of reach of a Ctrl-C, and without this service's environment,
    /// which holds secrets.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.installation.program(program));
        command
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir(self.data_dir.path())
            .stdin(Stdio::null())
            .process_group(0);
        if let Some(Account { uid, gid }) = self.data_dir.account {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes the cluster, once. It is made beside its place and then renamed, so that a crash leaves none or a whole
    /// one.
    async fn initialise(&self) -> Result<(), PostgresError> {
        let data = self.data();
        if data.join("PG_VERSION").exists() {
            return Ok(());
        }
        let unfinished = data.with_extension("new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).context("remove", &unfinished)?;
        }
        let output = self
            .command("initdb")
            .arg("--pgdata")
            .arg(&unfinished)
            .args(["--username", NAME, "--auth", "trust"])
            .args(["--encoding", "UTF8", "--locale", "C", "--data-checksums"])
            .kill_on_drop(true)
            .output()
            .await;
        let output = output.map_err(|error| self.failure("initdb", error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(self.failure("initdb", cause(&said, output.status)));
        }
        fs::rename(&unfinished, &data).context("rename", &unfinished)?;
        File::open(self.data_dir.path())
            .and_then(|directory| directory.sync_all())
            .context("sync", self.data_dir.path())
    }

    /// Stops the server of an earlier run of the service that was killed. Adopting it is no option: nobody would be
    /// told when it dies, as a parent is.
    async fn stop_leftover(&self) -> Result<(), PostgresError> {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            if self.try_lock()?.is_some() {
                return Ok(());
            }
            // The lock is held by PostgreSQL's own processes only, so the number in the file is still theirs.
            if let Some(pid) = self.recorded_pid() {
                info!(%pid, "stopping the PostgreSQL that an earlier run left behind");
                let _ = kill(pid, signal);
            }
            if timeout(LINGER / 2, self.wait_for_lock()).await.is_ok() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Starts the server once, as soon as nothing of an earlier one is left, and waits until it accepts connections:
    /// after a crash that is when it has replayed its log.
    async fn launch(&self) -> Result<Postmaster, PostgresError> {
        let lock = timeout(LINGER, self.wait_for_lock())
            .await
            .map_err(|_elapsed| PostgresError::Lingering(self.data()))??;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .context("write", self.log())?;
        let offset = log.metadata().context("read", self.log())?.len();

        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        for setting in [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "fsync=on",
            "full_page_writes=on",
            "synchronous_commit=on",
            "logging_collector=off",
            "log_destination=stderr",
        ] {
            command.arg("-c").arg(setting);
        }
        command.arg("-c").arg(format!("port={PORT}"));
        command.arg("-c").arg(self.socket_dir.setting());
        // A lock file left by a dead postmaster stops a new one when its number has come back for another process.
        // This name is for that: a number that is known not to be a postmaster. The check of shared memory remains.
        if let Some(pid) = self.recorded_pid() {
            command.env("PG_GRANDPARENT_PID", pid.to_string());
        }
        let child = command
            .stdin(lock)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| self.failure("postgres", error.to_string()))?;
        let mut postmaster = Postmaster(child);

        while !self.accepts(&postmaster).await? {
            if let Ok(Some(status)) = postmaster.0.try_wait() {
                let log = fs::read(self.log()).unwrap_or_default();
                let said = log.get(offset as usize..).unwrap_or_default();
                let cause = cause(&String::from_utf8_lossy(said), status);
                return Err(self.failure(
                    "postgres",
                    format!("{cause} (more in {})", self.log().display()),
                ));
            }
            sleep(POLL).await;
        }
        Ok(postmaster)
    }

    /// Starts the server again, until it succeeds.
    async fn relaunch(&self) -> Postmaster {
        let mut pause = Duration::from_millis(100);
        loop {
            sleep(pause).await;
            match self.launch().await {
                Ok(postmaster) => {
                    info!("the embedded PostgreSQL is back");
                    return postmaster;
                }
                Err(error) => error!(%error, "the embedded PostgreSQL does not start"),
            }
            pause = (pause * 2).min(LINGER);
        }
    }

    /// Whether this very server takes connections. Makes the database if it is missing.
    async fn accepts(&self, postmaster: &Postmaster) -> Result<bool, PostgresError> {
        // A server that is going down may still answer on the socket, so the file must name ours.
        if self.recorded_pid() != postmaster.pid() {
            return Ok(false);
        }
        match self.connect_options(NAME).connect().await {
            Ok(connection) => {
                connection.close().await?;
                Ok(true)
            }
            Err(sqlx::Error::Io(_)) => Ok(false),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("57P03") => {
                Ok(false) // starting up
            }
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("3D000") => {
                let mut connection = self.connect_options("postgres").connect().await?;
                sqlx::raw_sql("CREATE DATABASE skycms_cdn")
                    .execute(&mut connection)
                    .await?;
                connection.close().await?;
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The process in `postmaster.pid`: PostgreSQL's own lock file, which outlives a crash.
    fn recorded_pid(&self) -> Option<Pid> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid: i32 = file.lines().next()?.parse().ok()?;
        (pid > 0).then(|| Pid::from_raw(pid))
    }

    /// The lock that PostgreSQL's processes hold, or `None` while any of them lives.
    fn try_lock(&self) -> Result<Option<File>, PostgresError> {
        let path = self.data_dir.path().join("postgres.lock");
        let file = File::create(&path).context("write", &path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(source).context("lock", path),
        }
    }

    async fn wait_for_lock(&self) -> Result<File, PostgresError> {
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            sleep(POLL).await;
        }
    }

    fn failure(&self, program: &str, detail: String) -> PostgresError {
        PostgresError::Program {
            program: self.installation.program(program),
            detail,
        }
    }
}

/// The line of a program's output that tells why it ended.
fn cause(said: &str, status: ExitStatus) -> String {
    let is_cause = |line: &&str| {
        ["FATAL:", "PANIC:", "error:"]
            .iter()
            .any(|word| line.contains(word))
    };
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    lines
        .clone()
        .find(is_cause)
        .or_else(|| lines.next_back())
        .map_or_else(|| status.to_string(), str::to_owned)
}

/// Where the socket is: in the cluster, or in `/tmp` when that path is too long for a socket.
#[derive(Debug)]
enum SocketDir {
    Cluster(PathBuf),
    Temporary(TempDir),
}

impl SocketDir {
    fn new(data_dir: &DataDir) -> Result<Self, PostgresError> {
        let cluster = data_dir.postgres();
        let socket = cluster.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_os_str().len() <= LONGEST_SOCKET {
            return Ok(Self::Cluster(cluster));
        }
        let dir = tempfile::Builder::new()
            .prefix("skycms-cdn-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in("/tmp")
            .context("make a directory in", "/tmp")?;
        if let Some(Account { uid, gid }) = data_dir.account {
            chown(dir.path(), Some(uid), Some(gid)).context("chown", dir.path())?;
        }
        Ok(Self::Temporary(dir))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Cluster(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }

    /// The server's setting is a comma-separated list; quotes keep a path with a comma in one piece.
    fn setting(&self) -> OsString {
        let path = self.path().as_os_str().as_bytes();
        let mut setting = b"unix_socket_directories=\"".to_vec();
        for &byte in path {
            setting.extend(std::iter::repeat_n(byte, 1 + usize::from(byte == b'"')));
        }
        setting.push(b'"');
        OsString::from_vec(setting)
    }
}

/// The server's first process, our child.
#[derive(Debug)]
struct Postmaster(Child);

impl Postmaster {
    fn pid(&self) -> Option<Pid> {
        self.0
            .id()
            .and_then(|id| id.try_into().ok())
            .map(Pid::from_raw)
    }

    /// Does nothing once the process has been waited for.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, signal);
        }
    }

    async fn stop(mut self) {
        for (signal, patience) in [
            (Signal::SIGINT, 4),  // disconnects clients, writes everything out
            (Signal::SIGQUIT, 2), // ends at once; the next start recovers
            (Signal::SIGKILL, 1),
        ] {
            self.signal(signal);
            if timeout(Duration::from_secs(patience), self.0.wait())
                .await
                .is_ok()
            {
                return;
            }
            warn!(%signal, "the embedded PostgreSQL does not stop");
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
    }
}
