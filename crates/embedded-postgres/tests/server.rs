//! The embedded PostgreSQL against the machine's real binaries: what survives which kill.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use embedded_postgres::{Embedded, Error};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

const HELPER: &str = "EMBEDDED_POSTGRES_TEST_DIR";
const TIMEOUT: Duration = Duration::from_secs(20);
const NAME: &str = "embedded_test";

/// An empty directory: `start` gives it to PostgreSQL's account.
fn data_dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn start(dir: &TempDir) -> Embedded {
    Embedded::start(dir.path(), NAME).await.unwrap()
}

/// A directory with a cluster whose server has stopped.
async fn stopped() -> TempDir {
    let dir = data_dir();
    start(&dir).await.stop().await;
    dir
}

/// Why it does not start there.
async fn refusal(data_dir: &Path) -> String {
    let refused = Embedded::start(data_dir, NAME).await.unwrap_err();
    refused.to_string()
}

async fn rows(db: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM t")
        .fetch_one(db)
        .await
        .unwrap()
}

async fn connect(embedded: &Embedded) -> PgConnection {
    embedded.connect_options().connect().await.unwrap()
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .unwrap()
}

fn postmaster(data_dir: &Path) -> Pid {
    let file = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).unwrap();
    Pid::from_raw(file.lines().next().unwrap().parse().unwrap())
}

/// Every process of the cluster, known by its working directory.
fn processes(data_dir: &Path) -> Vec<PathBuf> {
    let cluster = data_dir.join("postgres").canonicalize().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == cluster))
        .collect()
}

#[tokio::test]
async fn a_cold_start_is_private_durable_and_utf8() {
    let dir = data_dir();
    let embedded = start(&dir).await;
    let mut db = connect(&embedded).await;

    for (name, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("unix_socket_permissions", "0700"),
    ] {
        assert_eq!(setting(&mut db, name).await, value, "{name}");
    }
    let (database, collation): (String, String) = sqlx::query_as(
        "SELECT datname::text, datcollate::text FROM pg_database WHERE datname = current_database()",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!((database.as_str(), collation.as_str()), (NAME, "C"));

    let cluster = fs::metadata(dir.path().join("postgres")).unwrap();
    assert_ne!(cluster.uid(), 0, "PostgreSQL never runs as root");
    let mode = |path| fs::metadata(dir.path().join(path)).unwrap().mode() & 0o777;
    assert_eq!(mode("postgres"), 0o700);
    if Uid::effective().is_root() {
        let own = fs::metadata(dir.path()).unwrap();
        assert_eq!(
            (own.uid(), mode("")),
            (0, 0o710),
            "PostgreSQL passes through"
        );
    } else {
        assert_eq!(mode(""), 0o700);
    }
    embedded.stop().await;
}

#[tokio::test]
async fn the_server_does_not_inherit_our_environment() {
    let dir = data_dir();
    let embedded = start(&dir).await;
    let environment = fs::read(format!("/proc/{}/environ", postmaster(dir.path()))).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&environment).trim_end_matches('\0'),
        "LC_ALL=C"
    );
    embedded.stop().await;
}

#[tokio::test]
async fn data_outlives_a_stop_and_a_stop_leaves_no_process() {
    let dir = data_dir();
    let embedded = start(&dir).await;
    let mut db = connect(&embedded).await;
    sqlx::raw_sql("CREATE TABLE t AS SELECT 42 AS n")
        .execute(&mut db)
        .await
        .unwrap();
    assert!(!processes(dir.path()).is_empty());
    embedded.stop().await; // with `db` still connected
    assert_eq!(processes(dir.path()), Vec::<PathBuf>::new());

    let embedded = start(&dir).await;
    let n: i32 = sqlx::query_scalar("SELECT n FROM t")
        .fetch_one(&mut connect(&embedded).await)
        .await
        .unwrap();
    assert_eq!(n, 42);
    embedded.stop().await;
}

#[tokio::test]
async fn a_dropped_handle_stops_the_server() {
    let dir = data_dir();
    drop(start(&dir).await);
    let gone = async {
        while !processes(dir.path()).is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, gone).await.unwrap();
}

#[tokio::test]
async fn a_second_service_on_the_same_directory_is_refused() {
    let dir = data_dir();
    let embedded = start(&dir).await;
    let refused = Embedded::start(dir.path(), NAME).await.unwrap_err();
    assert!(matches!(refused, Error::InUse(_)));
    assert!(
        refused.to_string().contains("is in use by another process"),
        "{refused}"
    );

    connect(&embedded).await.ping().await.unwrap();
    embedded.stop().await;
}

#[tokio::test]
async fn a_killed_postmaster_comes_back_with_every_acknowledged_commit() {
    let dir = data_dir();
    let embedded = start(&dir).await;
    sqlx::raw_sql("CREATE TABLE t (n int PRIMARY KEY)")
        .execute(&mut connect(&embedded).await)
        .await
        .unwrap();

    let mut acknowledged: i32 = 0;
    for _ in 0..2 {
        let old = postmaster(dir.path());
        let enough = Arc::new(Notify::new());
        let killer = tokio::spawn({
            let enough = Arc::clone(&enough);
            async move {
                enough.notified().await;
                kill(old, Signal::SIGKILL).unwrap();
            }
        });
        let mut db = connect(&embedded).await;
        while sqlx::query("INSERT INTO t VALUES ($1)")
            .bind(acknowledged)
            .execute(&mut db)
            .await
            .is_ok()
        {
            acknowledged += 1;
            if acknowledged % 100 == 0 {
                enough.notify_one(); // The next insert is under way when the server dies.
            }
        }
        timeout(TIMEOUT, killer).await.unwrap().unwrap();

        let mut db = timeout(TIMEOUT, async {
            loop {
                match embedded.connect_options().connect().await {
                    Ok(db) => return db,
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
            }
        })
        .await
        .unwrap();
        // The insert that was under way when the server died may be there too.
        sqlx::query("DELETE FROM t WHERE n >= $1")
            .bind(acknowledged)
            .execute(&mut db)
            .await
            .unwrap();
        assert_eq!(rows(&mut db).await, i64::from(acknowledged));
        assert_ne!(postmaster(dir.path()), old);
    }
    embedded.stop().await;
}

#[tokio::test]
async fn what_a_killed_service_leaves_behind_is_taken_over() {
    let dir = data_dir();
    let mut service = start_helper(dir.path(), "ready").await;
    let old = postmaster(dir.path());
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(
        !processes(dir.path()).is_empty(),
        "PostgreSQL outlives a killed service"
    );

    let embedded = start(&dir).await;
    assert_eq!(rows(&mut connect(&embedded).await).await, 1);
    assert_ne!(postmaster(dir.path()), old);
    embedded.stop().await;
    assert_eq!(processes(dir.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn service_and_postmaster_killed_together() {
    let dir = data_dir();
    let mut service = start_helper(dir.path(), "ready").await;
    service.kill().unwrap();
    kill(postmaster(dir.path()), Signal::SIGKILL).unwrap();
    service.wait().unwrap();

    let embedded = start(&dir).await;
    assert_eq!(rows(&mut connect(&embedded).await).await, 1);
    embedded.stop().await;
}

#[tokio::test]
async fn a_service_killed_while_it_makes_the_database() {
    let dir = data_dir();
    let mut service = start_helper(dir.path(), "postgres.new/base").await;
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(!dir.path().join("postgres").exists());

    let embedded = start(&dir).await;
    connect(&embedded).await.ping().await.unwrap();
    embedded.stop().await;
}

/// A service in a process of its own: this very test binary, asked to run [`service_to_be_killed`]
/// only. Returns when `milestone` exists.
async fn start_helper(data_dir: &Path, milestone: &str) -> Child {
    let helper = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "service_to_be_killed", "--ignored"])
        .env(HELPER, data_dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    reached(&data_dir.join(milestone)).await;
    helper
}

/// Waits for a file of the helper.
async fn reached(milestone: &Path) {
    let ready = async {
        while !milestone.exists() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, ready).await.unwrap();
}

#[tokio::test]
async fn what_a_command_started_ends_by_ctrl_c_with_it() {
    let dir = data_dir();
    // Whoever runs the tests in the background may have had Ctrl-C ignored.
    let mut command = Command::new("env")
        .arg("--default-signal=INT")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "command_to_be_interrupted", "--ignored"])
        .env(HELPER, dir.path())
        .stdout(Stdio::null())
        // As a shell gives one to each command.
        .process_group(0)
        .spawn()
        .unwrap();
    reached(&dir.path().join("ready")).await;
    let group = i32::try_from(command.id()).unwrap();
    kill(Pid::from_raw(-group), Signal::SIGINT).unwrap();
    assert!(!command.wait().unwrap().success());
    let gone = async {
        while !processes(dir.path()).is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, gone).await.unwrap();
}

#[tokio::test]
async fn commands_leave_the_log_of_the_run_before() {
    let dir = stopped().await;
    let log = dir.path().join("postgres.log");
    fs::write(&log, "why it died\n").unwrap();
    for _ in 0..2 {
        let embedded = Embedded::start_for_command(dir.path(), NAME).await;
        embedded.unwrap().stop().await;
    }
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.starts_with("why it died\n"), "{told}");
}

#[tokio::test]
async fn a_long_log_is_begun_again() {
    const LONG: u64 = 17 << 20;
    let dir = stopped().await;
    let (log, earlier) = (
        dir.path().join("postgres.log"),
        dir.path().join("postgres.log.1"),
    );
    let file = fs::File::options().write(true).open(&log).unwrap();
    file.set_len(LONG).unwrap();
    // As it does within a run, and does not at the start of a service.
    let embedded = Embedded::start_for_command(dir.path(), NAME).await.unwrap();
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let begun_again = async {
        while length(&log) >= LONG {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, begun_again).await.unwrap();
    assert!(length(&earlier) >= LONG);

    let mut db = connect(&embedded).await;
    let refused = sqlx::raw_sql("SELECT nothing").execute(&mut db).await;
    assert!(refused.is_err());
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains("column \"nothing\" does not exist"), "{told}");
    embedded.stop().await;
}

#[tokio::test]
#[ignore = "the process that another test starts and interrupts"]
async fn command_to_be_interrupted() {
    let Some(dir) = std::env::var_os(HELPER).map(PathBuf::from) else {
        return;
    };
    let _embedded = Embedded::start_for_command(&dir, NAME).await.unwrap();
    fs::write(dir.join("ready"), "").unwrap();
    sleep(TIMEOUT).await; // ends by itself should the test that started it be gone
}

#[tokio::test]
#[ignore = "the process that other tests start and kill"]
async fn service_to_be_killed() {
    let Some(dir) = std::env::var_os(HELPER).map(PathBuf::from) else {
        return;
    };
    let embedded = Embedded::start(&dir, NAME).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t AS SELECT 1 AS n")
        .execute(&mut connect(&embedded).await)
        .await
        .unwrap();
    fs::write(dir.join("ready"), "").unwrap();
    sleep(TIMEOUT).await; // ends by itself should the test that started it be gone
}

#[tokio::test]
async fn a_stale_postmaster_pid_that_another_process_has_now() {
    let dir = stopped().await;

    // The same account, for PostgreSQL takes no notice of other accounts' processes.
    let owner = fs::metadata(dir.path().join("postgres")).unwrap();
    let mut other = Command::new("sleep");
    if Uid::effective().is_root() {
        std::os::unix::process::CommandExt::uid(&mut other, owner.uid());
    }
    let mut other = other.arg("60").spawn().unwrap();
    let pid_file = dir.path().join("postgres/postmaster.pid");
    fs::write(
        &pid_file,
        format!(
            "{}\n{}\n",
            other.id(),
            dir.path().join("postgres").display()
        ),
    )
    .unwrap();
    std::os::unix::fs::chown(&pid_file, Some(owner.uid()), Some(owner.gid())).unwrap();

    let embedded = Embedded::start(dir.path(), NAME).await;
    assert!(
        other.try_wait().unwrap().is_none(),
        "the other process must be left alone"
    );
    other.kill().unwrap();
    other.wait().unwrap();
    embedded.unwrap().stop().await;
}

#[tokio::test]
async fn another_major_versions_data_is_left_alone() {
    let dir = stopped().await;
    fs::write(dir.path().join("postgres/PG_VERSION"), "12\n").unwrap();
    let refused = refusal(dir.path()).await;
    assert!(
        refused.contains("was created by PostgreSQL 12, which is not installed here (found: "),
        "{refused}"
    );
    assert!(refused.contains("pg_upgrade"), "{refused}");
}

#[tokio::test]
async fn without_binaries_the_error_says_what_to_install() {
    let refused = Embedded::start_from(data_dir().path(), NAME, &["/nonexistent".into()])
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::NotInstalled { .. }), "{refused}");
    assert_eq!(refused.to_string().lines().count(), 1);
}

#[tokio::test]
async fn a_foreign_directory_is_refused_and_left_unchanged() {
    let dir = data_dir();
    fs::write(dir.path().join("diary.txt"), "mine").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Embedded::start(dir.path(), NAME).await.unwrap_err();
    assert!(matches!(refused, Error::Foreign(_)), "{refused}");
    assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn a_place_that_the_account_cannot_reach_or_write_is_named() {
    let dir = data_dir();
    let data_dir = dir.path().join("data");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    if Uid::effective().is_root() {
        let refused = refusal(&data_dir).await;
        let parent = dir.path().display().to_string();
        assert!(
            refused.contains(&format!("cannot enter {parent}")),
            "{refused}"
        );
        assert!(
            refused.contains("choose a data directory that it can reach"),
            "{refused}"
        );
    } else {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let refused = refusal(&data_dir).await;
        assert!(refused.starts_with("cannot create "), "{refused}");
    }
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_and_full_of_odd_characters() {
    let dir = data_dir();
    for name in ["a, b \"c\" 'd'", &"long".repeat(30)] {
        let embedded = Embedded::start(&dir.path().join(name), NAME).await.unwrap();
        connect(&embedded).await.ping().await.unwrap();
        let options = embedded.connect_options();
        let socket_dir = options.get_socket().unwrap();
        assert_eq!(fs::metadata(socket_dir).unwrap().mode() & 0o777, 0o700);
        embedded.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let dir = stopped().await;
    fs::write(
        dir.path().join("postgres/postgresql.conf"),
        "max_connections = many\n",
    )
    .unwrap();
    let refused = refusal(dir.path()).await;
    assert!(refused.contains("FATAL:  configuration file"), "{refused}");
    assert!(refused.contains("postgres.log"), "{refused}");
}

/// What PostgreSQL's account may do, somebody who took it over does.
#[tokio::test]
async fn links_in_the_place_of_files_are_not_followed() {
    let dir = stopped().await;
    let victim = dir.path().join("victim");
    for name in ["postgres.log", "postgres.lock", "lock"] {
        fs::write(&victim, "of somebody else").unwrap();
        let file = dir.path().join(name);
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(&victim, &file).unwrap();
        let started = Embedded::start(dir.path(), NAME).await;
        // The log of the run before is set aside, link and all.
        assert_eq!(started.is_ok(), name == "postgres.log", "{name}");
        if let Ok(embedded) = started {
            embedded.stop().await;
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "of somebody else");
        fs::remove_file(&file).unwrap();
        fs::write(&file, "").unwrap();
    }
}

#[tokio::test]
async fn root_leaves_the_directory_of_another_account_alone() {
    if !Uid::effective().is_root() {
        return; // nobody else gets this far
    }
    let dir = data_dir();
    let lock = dir.path().join("lock");
    fs::write(&lock, "").unwrap();
    for path in [dir.path(), &lock] {
        std::os::unix::fs::chown(path, Some(1), Some(1)).unwrap();
    }
    let mode = fs::metadata(dir.path()).unwrap().mode();
    let refused = refusal(dir.path()).await;
    assert!(refused.contains("sudo -u '#1'"), "{refused}");
    let left = fs::metadata(dir.path()).unwrap();
    assert_eq!((left.uid(), left.mode()), (1, mode));
}

#[tokio::test]
async fn postgresqls_account_cannot_write_beside_its_cluster() {
    if !Uid::effective().is_root() {
        return; // then everything here belongs to one account
    }
    let dir = data_dir();
    let embedded = start(&dir).await;
    let uid = fs::metadata(dir.path().join("postgres")).unwrap().uid();
    let touched = Command::new("touch")
        .arg(dir.path().join("planted"))
        .uid(uid)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!touched.success());
    embedded.stop().await;
}
