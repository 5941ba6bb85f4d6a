//! The cluster in the data directory's `postgres`, and how its server is started.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::Error;
use super::data_dir::{Account, DataDir, open_own, read_theirs};
use super::error::DataDirContext;
use super::installation::Installation;
use super::postmaster::Postmaster;
use super::socket::{PORT, SocketDir};

const POLL: Duration = Duration::from_millis(5);
/// How long processes of a dead or stopping server may take to end.
const LINGER: Duration = Duration::from_secs(10);
/// A log of more bytes than this is begun again.
const MAX_LOG_BYTES: u64 = 16 << 20;

#[derive(Debug)]
pub(super) struct Cluster {
    /// The name of the superuser, and of the database.
    pub(super) name: String,
    pub(super) data_dir: DataDir,
    pub(super) installation: Installation,
    pub(super) socket_dir: SocketDir,
    /// Whether its processes are in our group, to which a terminal sends Ctrl-C.
    pub(super) ends_by_ctrl_c: bool,
}

impl Cluster {
    fn data(&self) -> PathBuf {
        self.data_dir.postgres()
    }

    fn log(&self) -> PathBuf {
        self.data_dir.path().join("postgres.log")
    }

    fn earlier_log(&self) -> PathBuf {
        self.data_dir.path().join("postgres.log.1")
    }

    /// The logs of two runs are kept. A first run has nothing to rename.
    pub(super) fn rotate_log(&self) {
        let _ = fs::rename(self.log(), self.earlier_log());
    }

    /// Does the same within a run whose log has grown long.
    pub(super) fn shorten_log(&self) {
        let is_long = fs::symlink_metadata(self.log()).is_ok_and(|log| log.len() > MAX_LOG_BYTES);
        if is_long && let Err(error) = self.empty_log() {
            warn!(%error, "could not empty the log of the embedded PostgreSQL, which goes on growing");
        }
    }

    /// The server keeps the file open and writes at its end, so that it is copied and emptied. If
    /// the disk has no room for the copy, it is all the more in need of room.
    fn empty_log(&self) -> io::Result<()> {
        let _ = fs::remove_file(self.earlier_log());
        let _ = fs::copy(self.log(), self.earlier_log());
        open_own(File::options().write(true), &self.log())?.set_len(0)
    }

    pub(super) fn connect_options(&self, database: &str) -> PgConnectOptions {
        connect_options(self.socket_dir.path(), &self.name).database(database)
    }

    /// One of PostgreSQL's programs, run as its account, and without our environment, which may
    /// hold secrets.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.installation.program(program));
        command
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir(self.data_dir.path());
        if !self.ends_by_ctrl_c {
            command.process_group(0);
        }
        if let Some(Account { uid, gid }) = self.data_dir.account {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Creates the cluster, once. It is created under another name and then renamed, so that a
    /// crash leaves either none or a whole one.
    pub(super) async fn initialise(&self) -> Result<(), Error> {
        let data = self.data();
        if data.join("PG_VERSION").exists() {
            return Ok(());
        }
        info!(directory = %data.display(), "creating a PostgreSQL database");
        let lock = self.lock().await?;
        let unfinished = data.with_extension("new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).context("remove", &unfinished)?;
        }
        self.data_dir.give_directory(&unfinished)?;
        let output = self
            .command("initdb")
            .arg("--pgdata")
            .arg(&unfinished)
            .args(["--username", &self.name, "--auth", "trust"])
            .args(["--encoding", "UTF8", "--locale", "C", "--data-checksums"])
            .stdin(lock)
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

    /// Stops the server that an earlier, killed run left behind. Adopting it is no option: only its
    /// parent is told when it dies.
    pub(super) async fn stop_leftover(&self) -> Result<(), Error> {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            if self.try_lock()?.is_some() {
                return Ok(());
            }
            // Only PostgreSQL's own processes hold the lock, so the number in the file is theirs;
            // but their account writes the file, and root must not end others for it.
            if let Some(pid) = self.recorded_pid().filter(|pid| self.is_theirs(*pid)) {
                info!(%pid, "stopping the PostgreSQL that an earlier run left behind");
                let _ = kill(pid, signal);
            }
            if timeout(LINGER / 2, self.wait_for_lock()).await.is_ok() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Starts the server once and waits until it accepts connections; after a crash it replays its
    /// log first.
    pub(super) async fn launch(&self) -> Result<Postmaster, Error> {
        let lock = self.lock().await?;
        let log = open_own(File::options().create(true).append(true), &self.log())
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
            // The log is kept short: no statements with their long lists, no routine.
            "log_min_error_statement=panic",
            "log_error_verbosity=terse",
            "log_checkpoints=off",
        ] {
            command.arg("-c").arg(setting);
        }
        command.arg("-c").arg(format!("port={PORT}"));
        command.arg("-c").arg(self.socket_dir.setting());
        // A lock file left by a dead postmaster stops a new one if its number has been reused. This
        // variable names a process that is known not to be a postmaster; the check of shared memory
        // remains.
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

    /// Restarts the server, trying until it succeeds.
    pub(super) async fn relaunch(&self) -> Postmaster {
        let mut pause = Duration::from_millis(100);
        loop {
            sleep(pause).await;
            match self.launch().await {
                Ok(postmaster) => {
                    info!("the embedded PostgreSQL is running again");
                    return postmaster;
                }
                Err(error) => error!(%error, "the embedded PostgreSQL did not start"),
            }
            pause = (pause * 2).min(LINGER);
        }
    }

    /// Whether this very server accepts connections. Creates the database if it is missing.
    async fn accepts(&self, postmaster: &Postmaster) -> Result<bool, Error> {
        // An old server that is shutting down may still answer on the socket: the file must name
        // ours.
        if self.recorded_pid() != postmaster.pid() {
            return Ok(false);
        }
        match self.connect_options(&self.name).connect().await {
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
                let name = self.name.replace('"', "\"\"");
                let create = format!("CREATE DATABASE \"{name}\"");
                sqlx::raw_sql(AssertSqlSafe(create))
                    .execute(&mut connection)
                    .await?;
                connection.close().await?;
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The process in `postmaster.pid`, PostgreSQL's own lock file, which outlives a crash.
    fn recorded_pid(&self) -> Option<Pid> {
        let file = read_theirs(&self.data().join("postmaster.pid")).ok()?;
        let pid: i32 = file.lines().next()?.parse().ok()?;
        (pid > 0).then(|| Pid::from_raw(pid))
    }

    /// Whether a process may belong to the account.
    fn is_theirs(&self, pid: Pid) -> bool {
        self.data_dir.account.is_none_or(|account| {
            fs::metadata(format!("/proc/{pid}")).is_ok_and(|process| process.uid() == account.uid)
        })
    }

    /// The lock that PostgreSQL's processes hold, or `None` while any of them lives.
    fn try_lock(&self) -> Result<Option<File>, Error> {
        let path = self.data_dir.path().join("postgres.lock");
        let file =
            open_own(File::options().create(true).write(true), &path).context("write", &path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source).context("lock", path),
        }
    }

    async fn wait_for_lock(&self) -> Result<File, Error> {
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            sleep(POLL).await;
        }
    }

    /// The lock, once nothing of an earlier run is left.
    async fn lock(&self) -> Result<File, Error> {
        timeout(LINGER, self.wait_for_lock())
            .await
            .map_err(|_elapsed| Error::Lingering(self.data()))?
    }

    fn failure(&self, program: &str, detail: String) -> Error {
        Error::Program {
            program: self.installation.program(program),
            detail,
        }
    }
}

/// For the server whose socket is in `socket_dir`: `name` is its superuser and the database.
pub(super) fn connect_options(socket_dir: &Path, name: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket_dir)
        .port(PORT)
        .username(name)
        .database(name)
        .ssl_mode(PgSslMode::Disable)
}

/// The line of a program's output that says why it ended.
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
