//! A replica as an orchestrator runs it: the real binary at one address, started again whenever it
//! ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::journal::Journal;
use crate::schedule::{Step, Trouble};
use crate::support::{Variables, service_program};

/// Pause before a replica that ended by itself is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// How long a replica may take to stop when asked to: what the service promises, and some for a
/// busy machine.
const STOP_PATIENCE: Duration = Duration::from_secs(12);

pub(crate) struct Replica {
    pub(crate) name: &'static str,
    variables: Variables,
    dir: PathBuf,
    child: Child,
    starts: usize,
}

impl Replica {
    pub(crate) fn start(name: &'static str, dir: &Path, variables: Variables) -> Self {
        Self {
            child: spawn(name, 0, dir, &variables),
            name,
            variables,
            dir: dir.to_owned(),
            starts: 0,
        }
    }

    /// Plays the steps, and keeps the replica running otherwise. Gives it back running.
    pub(crate) async fn suffer(
        mut self,
        steps: Vec<Step<Trouble>>,
        start: Instant,
        end: Instant,
        journal: Journal,
    ) -> Self {
        for step in steps {
            self.watch(start + step.at, &journal).await;
            self.play(step, &journal).await;
        }
        self.watch(end, &journal).await;
        self
    }

    /// Starts it again if it ends before `until`.
    pub(crate) async fn watch(&mut self, until: Instant, journal: &Journal) {
        while let Ok(status) = tokio::time::timeout_at(until, self.child.wait()).await {
            let (name, status) = (self.name, status.unwrap());
            let log = self.log();
            let told = std::fs::read_to_string(&log).unwrap_or_default();
            let last = told.lines().last().unwrap_or_default();
            if told.contains("ready at") {
                journal.breach(format!(
                    "{name} ended by itself with {status}: {last}; see {}",
                    log.display()
                ));
            }
            journal.note("failed starts", format!("{name} did not start: {last}"));
            tokio::time::sleep(RESTART_PAUSE).await;
            self.restart();
        }
    }

    async fn play(&mut self, step: Step<Trouble>, journal: &Journal) {
        let name = self.name;
        match step.what {
            Trouble::Kill => {
                journal.note("kills", format!("SIGKILL to {name}"));
                self.child.kill().await.unwrap();
                journal.killed();
                tokio::time::sleep(step.lasts).await;
                self.restart();
            }
            Trouble::Terminate => {
                journal.note("terminations", format!("SIGTERM to {name}"));
                self.signal(Signal::SIGTERM);
                let ended = tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await;
                if ended.is_err() {
                    journal.breach(format!(
                        "{name} did not stop within {STOP_PATIENCE:?} of SIGTERM; see {}",
                        self.log().display()
                    ));
                    self.child.kill().await.unwrap();
                }
                tokio::time::sleep(step.lasts).await;
                self.restart();
            }
            Trouble::Stop => {
                let long = step.lasts > Duration::from_secs(30);
                let kind = if long { "long stops" } else { "stops" };
                journal.note(kind, format!("SIGSTOP to {name}"));
                self.signal(Signal::SIGSTOP);
                tokio::time::sleep(step.lasts).await;
                self.signal(Signal::SIGCONT);
                journal.note("", format!("SIGCONT to {name} after {:?}", step.lasts));
            }
        }
    }

    fn restart(&mut self) {
        self.starts += 1;
        self.child = spawn(self.name, self.starts, &self.dir, &self.variables);
    }

    fn log(&self) -> PathBuf {
        log(&self.dir, self.name, self.starts)
    }

    fn signal(&self, signal: Signal) {
        // One that has just ended by itself has no number any more; `watch` tells of it.
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
        }
    }
}

fn log(dir: &Path, name: &str, starts: usize) -> PathBuf {
    dir.join(format!("{name}.{starts}.log"))
}

fn spawn(name: &str, starts: usize, dir: &Path, variables: &Variables) -> Child {
    let log = File::create(log(dir, name, starts)).unwrap();
    Command::from(service_program(dir))
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
