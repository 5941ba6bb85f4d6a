//! Help that teaches by example, and completions that shells take.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::run::run;
use crate::support::{Variables, assert_shown, service_program};

const COMMANDS: [&str; 12] = [
    "health",
    "serve",
    "check",
    "publish",
    "status",
    "import-skycms",
    "rotate-encryption-key",
    "set-up-link",
    "prune",
    "site",
    "key",
    "completions",
];

#[tokio::test]
async fn each_command_is_taught_by_example() {
    let none = Variables::new();
    let overview = run(&none, &["--help"]).await;
    overview.assert_ok();
    assert_shown("cli", "help", &overview.stdout);
    for command in COMMANDS {
        assert!(
            overview.stdout.contains(&format!("\n  {command}")),
            "{command}"
        );
        let help = run(&none, &[command, "--help"]).await;
        help.assert_ok();
        assert_shown("cli", &format!("help-{command}"), &help.stdout);
        assert!(help.stdout.contains("\nExample"), "{}", help.stdout);
        let first = help.stdout.lines().next().unwrap();
        assert!(
            overview.stdout.contains(first),
            "another sentence in the overview: {first}"
        );
        for line in help.stdout.lines().chain(overview.stdout.lines()) {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }
}

#[tokio::test]
async fn shells_take_their_completions() {
    for (shell, command) in [
        ("bash", "complete -F _skycms"),
        ("zsh", "#compdef skycms-cdn"),
        ("fish", "complete -c skycms-cdn"),
    ] {
        let said = run(&Variables::new(), &["completions", shell]).await;
        said.assert_ok();
        assert!(said.stdout.contains(command), "{shell}");
        for word in COMMANDS {
            assert!(said.stdout.contains(word), "{shell}: {word}");
        }
        // Those that are installed here are asked.
        let Ok(mut reader) = Command::new(shell).arg("-n").stdin(Stdio::piped()).spawn() else {
            continue;
        };
        reader
            .stdin
            .take()
            .unwrap()
            .write_all(said.stdout.as_bytes())
            .unwrap();
        assert!(
            reader.wait().unwrap().success(),
            "{shell} does not understand it"
        );
    }
    run(&Variables::new(), &["completions", "tcsh"])
        .await
        .assert_ended(2, &["invalid value 'tcsh'"]);
}

/// Scripts keep an answer in a file, and go on with what is in it.
#[test]
fn an_answer_that_is_lost_is_a_failure_and_one_that_nobody_reads_is_none() {
    let (reader, unread) = std::io::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let lost = "skycms-cdn: the answer could not be written to standard output: ";
    for (stdout, code, words) in [(Stdio::from(unread), 0, ""), (Stdio::from(full), 1, lost)] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = service_program(directory.path());
        let ended = command
            .args(["completions", "bash"])
            .stdout(stdout)
            .output();
        let ended = ended.unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{said}");
        assert!(said.starts_with(words), "{said}");
    }
}
