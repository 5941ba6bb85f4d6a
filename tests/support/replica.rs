//! The real binary.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::{Api, Database, Sandbox, TIMEOUT, Variables, eventually, service_program, variables};

/// A running service, killed when dropped.
pub(crate) struct Replica {
    pub(crate) api: Api,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// Empty, so that no `.env` is found.
    directory: TempDir,
}

impl Replica {
    /// Starts a service and returns when it is ready.
    pub(crate) async fn start(database: &Database, sandbox: &Sandbox) -> Self {
        Self::start_with(&variables(database, sandbox)).await
    }

    pub(crate) async fn start_with(variables: &Variables) -> Self {
        let mut replica = Self::spawn(variables);
        let prefix = variables
            .get("PUBLIC_URL")
            .map(|url| url::Url::parse(url).unwrap().path().to_owned())
            .unwrap_or_default();
        let address = eventually("the service to be ready", || async {
            let json = || replica.find(r#""address":""#);
            replica.find("address=").or_else(json)
        })
        .await;
        replica.api.base = format!("http://{address}{}", prefix.trim_end_matches('/'));
        replica
    }

    /// Starts a service that may never be ready.
    pub(crate) fn spawn(variables: &Variables) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = command(variables, &directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stdout, lines) = (child.stdout.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                lines.lock().push(line);
            }
        });
        Self {
            api: Api::new(""),
            child,
            log,
            directory,
        }
    }

    /// The word behind `field` in the log, from the first line that has it.
    pub(crate) fn find(&self, field: &str) -> Option<String> {
        let log = self.log.lock();
        let (_, rest) = log.iter().find_map(|line| line.split_once(field))?;
        let ends = |c: char| c.is_whitespace() || c == '"';
        rest.split(ends).next().map(str::to_owned)
    }

    /// Whether a line of the log holds `text`.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.log.lock().iter().any(|line| line.contains(text))
    }

    /// The first line of the log that holds `text`, as soon as there is one.
    pub(crate) async fn line_with(&self, text: &str) -> String {
        eventually(&format!("“{text}” in the log"), || async {
            let log = self.log.lock();
            log.iter().find(|line| line.contains(text)).cloned()
        })
        .await
    }

    /// What `skycms-cdn health` says of it: nothing, if it is ready.
    pub(crate) fn health(&self) -> Result<(), String> {
        let address = url::Url::parse(&self.api.base).unwrap();
        let address = format!("127.0.0.1:{}", address.port().unwrap());
        let output = service_program(self.directory.path())
            .arg("health")
            .env("LISTEN_ADDR", address)
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8(output.stderr).unwrap())
    }

    /// All lines of the log.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.stopped_by(Signal::SIGTERM).await
    }

    /// Sends a signal that stops it, and waits for the end.
    pub(crate) async fn stopped_by(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        eventually("the service to stop", || {
            let ended = self.child.try_wait().unwrap();
            async move { ended }
        })
        .await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log.lock();
            println!("--- log of {}\n{}", self.api.base, log.join("\n"));
        }
    }
}

/// Runs a service that must not start, and gives what it says.
pub(crate) async fn refusal(variables: &Variables) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::from(command(variables, &directory));
    command.stdout(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, command.output())
        .await
        .unwrap_or_else(|_| panic!("it started with {variables:#?}"))
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn command(variables: &Variables, directory: &TempDir) -> Command {
    let mut command = service_program(directory.path());
    command.envs(variables.iter().filter(|(_, value)| !value.is_empty()));
    command
}
