//! `.env`, which may hold what a publish token is sent with.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use tokio::process::Command;

use crate::support::service_program;

/// Asks a service that is not there, in a folder below the one with this `.env` or in that one.
async fn health(inside: &str, dotenv: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join(inside);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(directory.path().join(".env"), dotenv).unwrap();
    let output = Command::from(service_program(&folder))
        .arg("health")
        .env("LISTEN_ADDR", "127.0.0.1:9")
        .output()
        .await
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn only_the_working_directorys_own_is_read() {
    let here = health(".", "LOG_FORMAT=xml\n").await;
    assert!(here.contains("LOG_FORMAT"), "{here}");
    let below = health("a/b", "LOG_FORMAT=xml\n").await;
    assert!(below.contains("nothing answers"), "{below}");
}

/// As root's is to whom `sudo -u` makes of them.
#[tokio::test]
async fn a_working_directory_that_is_closed_has_none() {
    if nix::unistd::Uid::effective().is_root() {
        return; // to whom nothing is closed
    }
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("/bin/sh")
        .args(["-c", r#"cd "$1" && chmod 0 . && "$2" health"#, "sh"])
        .arg(directory.path())
        .arg(env!("CARGO_BIN_EXE_skycms-cdn"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LISTEN_ADDR", "127.0.0.1:9")
        .output()
        .await
        .unwrap();
    let open = Permissions::from_mode(0o700);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nothing answers"), "{said}");
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_named_and_not_shown() {
    for line in [
        "ADMIN_PASSWORD=violet ladder",
        "PUBLISH_TOKEN='violet",
        "violet ladder",
        "violet ladder # of the kitchen",
        "violet",
    ] {
        // Neither a comment that says the same nor a name that begins so is the line.
        let others = "  # violet ladder\nviolet_ladder='violet ladder'\n";
        let dotenv = format!("{others}\n{line}\nRUST_LOG=info\n");
        let said = health(".", &dotenv).await;
        assert!(said.contains(".env: line 4 is not NAME=value"), "{said}");
        assert!(!said.contains("violet"), "{said}");
    }
}
