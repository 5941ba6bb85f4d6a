//! A PostgreSQL of our own, which may be killed and started again.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr as _;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::process::{Child, Command};

use crate::schedule::Outage;

/// How long processes of a killed server may linger, and recovery take.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Postgres {
    dir: PathBuf,
    programs: PathBuf,
    /// `postgres` refuses root.
    account: Option<User>,
    child: Child,
}

impl Postgres {
    /// Makes a cluster in `dir` and starts its server. `programs` is where `initdb` and `postgres`
    /// are.
    pub(crate) async fn start(dir: &Path, programs: &Path) -> Self {
        std::fs::create_dir(dir).unwrap();
        std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
        let account = geteuid().is_root().then(|| {
            User::from_name("postgres")
                .unwrap()
                .expect("the account `postgres`, since root may not run PostgreSQL")
        });
        if let Some(account) = &account {
            chown(dir, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
        }
        let status = command(programs, "initdb", dir, account.as_ref())
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"])
            .arg(dir.join("data"))
            .status()
            .await
            .unwrap();
        assert!(status.success(), "initdb failed; see {}", dir.display());
        let mut server = Self {
            child: spawn(dir, programs, account.as_ref()),
            dir: dir.to_owned(),
            programs: programs.to_owned(),
            account,
        };
        server.until_ready().await;
        let mut postgres = server.connect_to("postgres").await.unwrap();
        sqlx::raw_sql("CREATE DATABASE chaos")
            .execute(&mut postgres)
            .await
            .unwrap();
        server
    }

    /// As for `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        self.url_of("chaos")
    }

    fn url_of(&self, database: &str) -> String {
        let socket = self.dir.display();
        format!("postgres://postgres@localhost/{database}?host={socket}&sslmode=disable")
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        self.connect_to("chaos").await.unwrap()
    }

    async fn connect_to(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnectOptions::from_str(&self.url_of(database))?
            .connect()
            .await
    }

    /// Takes the server away for a time, and returns when it accepts connections again.
    pub(crate) async fn suffer(&mut self, outage: Outage, lasts: Duration) {
        if outage == Outage::Freeze {
            self.signal_all(Signal::SIGSTOP);
            tokio::time::sleep(lasts).await;
            self.signal_all(Signal::SIGCONT);
        } else {
            self.end(outage).await;
            tokio::time::sleep(lasts).await;
            self.child = spawn(&self.dir, &self.programs, self.account.as_ref());
        }
        self.until_ready().await;
    }

    /// Ends the server.
    pub(crate) async fn end(&mut self, how: Outage) {
        let signal = match how {
            Outage::Fast => Signal::SIGINT,
            Outage::Quit | Outage::Freeze => Signal::SIGQUIT,
            Outage::Kill => Signal::SIGKILL,
        };
        kill(self.pid(), signal).unwrap();
        self.child.wait().await.unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().expect("it runs").try_into().unwrap())
    }

    /// The postmaster first: while it is stopped it makes no new processes.
    fn signal_all(&self, signal: Signal) {
        let postmaster = self.pid();
        kill(postmaster, signal).unwrap();
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = process
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // “number (name) state parent …”, where the name may hold anything.
            let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            let parent = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
            if parent == Some(postmaster.as_raw()) {
                // It may have ended just now.
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
    }

    async fn until_ready(&mut self) {
        let ready = async {
            loop {
                if let Some(_refused) = self.child.try_wait().unwrap() {
                    // Processes of the server before are still there.
                    self.child = spawn(&self.dir, &self.programs, self.account.as_ref());
                }
                if let Ok(connection) = self.connect_to("postgres").await {
                    let _ = connection.close().await;
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, ready)
            .await
            .expect("PostgreSQL starts");
    }
}

fn spawn(dir: &Path, programs: &Path, account: Option<&User>) -> Child {
    command(programs, "postgres", dir, account)
        .arg("-D")
        .arg(dir.join("data"))
        .arg("-k")
        .arg(dir)
        .args(["-c", "listen_addresses="])
        .spawn()
        .unwrap()
}

fn command(programs: &Path, program: &str, dir: &Path, account: Option<&User>) -> Command {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.with_extension("log"))
        .unwrap();
    let mut command = Command::new(programs.join(program));
    command
        .env_clear()
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        // Ctrl-C is for this program, which ends the server itself.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(account) = account {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    command
}
