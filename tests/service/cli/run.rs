//! Running one command.

use std::process::{ExitStatus, Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::{Replica, TIMEOUT, TOKEN, Variables, named, service_program};

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The first word: the publish's id.
    pub(crate) fn id(&self) -> &str {
        self.stdout.split_whitespace().next().unwrap()
    }

    /// Checks exit status and standard output, and that nothing went wrong.
    pub(crate) fn assert_ok(&self) {
        assert_eq!((self.code(), self.stderr.as_str()), (0, ""), "{self:?}");
    }

    /// Checks the exit status, and that standard error says each of `words`.
    pub(crate) fn assert_ended(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code(), code, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in {self:?}");
        }
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a command with exactly these variables, in an empty directory.
pub(crate) async fn run(variables: &Variables, arguments: &[&str]) -> Said {
    run_with_input(variables, arguments, "").await
}

pub(crate) async fn run_with_input(variables: &Variables, arguments: &[&str], input: &str) -> Said {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::from(service_program(directory.path()))
        .args(arguments)
        .envs(variables)
        // As usual: the tests' services are more talkative.
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads nothing may be gone already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    tokio::time::timeout(TIMEOUT, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{arguments:?} did not end"))
        .unwrap()
        .into()
}

/// What a publisher of a service knows.
pub(crate) fn publisher(url: &str, token: &str) -> Variables {
    named(&[("SKYCMS_CDN_URL", url), ("PUBLISH_TOKEN", token)])
}

/// What a publisher of the replica's site `default` knows.
pub(crate) fn publisher_of(replica: &Replica) -> Variables {
    publisher(&replica.api.base, TOKEN)
}
