//! `.env`, which may hold what a publish token is sent with.

use tokio::process::Command;

use crate::support::service_program;

/// Asks a service that is not there, in a folder below the one with `.env` or in that one.
async fn health(inside: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join(inside);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(directory.path().join(".env"), "LOG_FORMAT=xml\n").unwrap();
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
    let here = health(".").await;
    assert!(here.contains("LOG_FORMAT"), "{here}");
    let below = health("a/b").await;
    assert!(below.contains("nothing answers"), "{below}");
}
