//! A database that cannot be used: both `check` and the start say where, why and what to do.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use super::canned::server_that_says;
use super::check::check;
use super::run::{Said, run};
use super::tls::self_signed;
use crate::support::{Database, Replica, Sandbox, Variables, free_port, variables};

/// As PostgreSQL says it: a FATAL error with its SQLSTATE, in the protocol's message.
fn fatal(code: &str, message: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
    [b"E".as_slice(), &length, fields.as_bytes()].concat()
}

/// The port of a server that speaks TLS with a certificate that nobody knows.
async fn server_with_tls() -> u16 {
    let (acceptor, _) = self_signed();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // The request for TLS, and the answer that it may begin.
            let _ = stream.read_exact(&mut [0; 8]).await;
            let _ = stream.write_all(b"S").await;
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

fn assert_says(said: &Said, words: &[&str]) {
    let report = said.json();
    let checks = report["checks"].as_array().unwrap();
    let finding = checks.iter().find(|c| c["check"] == "database").unwrap();
    assert_eq!(finding["outcome"], "fail", "{report:#}");
    let told = ["detail", "fix"].map(|part| finding[part].as_str().unwrap());
    let told = told.join(". ");
    for word in words {
        assert!(told.contains(word), "no `{word}` in: {told}");
    }
}

#[tokio::test]
async fn a_failed_connection_names_the_server_and_the_cause() {
    let (database, sandbox) = (Database::empty().await, Sandbox::start().await);
    let refused = free_port();
    let password = server_that_says(fatal(
        "28P01",
        "password authentication failed for user \"app\"",
    ))
    .await;
    let connect = server_that_says(fatal("42501", "permission denied for database \"cdn\"")).await;
    let unknown = server_with_tls().await;
    let http = server_that_says(b"HTTP/1.1 400 Bad Request\r\n\r\n".into()).await;
    let mut nowhere = Url::parse(&database.url).unwrap();
    nowhere.set_path("/nowhere");
    let mut tls = Url::parse(&database.url).unwrap();
    let query = tls
        .query()
        .unwrap_or_default()
        .replace("sslmode=disable", "");
    tls.set_query(Some(&format!("{query}&sslmode=require")));

    // An address, whether waiting could help, and what is said.
    let cases: [(String, bool, &[&str]); 9] = [
        (
            format!("postgres://app:pass-word@127.0.0.1:{refused}/cdn"),
            true,
            &[
                &format!("127.0.0.1:{refused}: Connection refused"),
                "Check that the server runs",
            ],
        ),
        (
            "postgres://app:pass-word@no-such-host.invalid/cdn".into(),
            true,
            &["no-such-host.invalid:5432: failed to lookup address"],
        ),
        (
            format!("postgres://app:pass-word@127.0.0.1:{password}/cdn?sslmode=disable"),
            false,
            &[
                &format!("127.0.0.1:{password}: password authentication failed"),
                "Check the user and password in DATABASE_URL",
            ],
        ),
        (
            format!("postgres://app:pass-word@127.0.0.1:{connect}/cdn?sslmode=disable"),
            false,
            &[r#"GRANT CONNECT ON DATABASE "cdn" TO "app";"#],
        ),
        (
            format!("postgres://app:pass-word@127.0.0.1:{http}/cdn"),
            false,
            &[&format!("127.0.0.1:{http}: "), "names a PostgreSQL server"],
        ),
        (
            nowhere.into(),
            false,
            &[
                "database \"nowhere\" does not exist",
                "CREATE DATABASE \"nowhere\"",
            ],
        ),
        (
            tls.into(),
            false,
            &["TLS: server does not support TLS", "sslmode"],
        ),
        (
            format!("postgres://app:pass-word@localhost:{unknown}/cdn?sslmode=verify-full"),
            false,
            &[
                "TLS: invalid peer certificate: UnknownIssuer",
                "the file that sslrootcert names",
            ],
        ),
        (
            format!(
                "postgres://app:pass-word@localhost:{unknown}/cdn?sslmode=verify-full&sslrootcert=/no/such/file"
            ),
            false,
            &["TLS: No such file", "sslrootcert"],
        ),
    ];
    for (url, may_pass, words) in cases {
        let mut variables = variables(&database, &sandbox);
        variables.insert("DATABASE_URL".into(), url);
        let said = check(&variables).await;
        assert_says(&said, words);
        assert!(!said.stdout.contains("pass-word"), "{said:?}");
        if !may_pass {
            run(&variables, &["serve"]).await.assert_ended(1, words);
        }
    }
}

/// It may be a password, as that of `sslkey` is elsewhere.
#[tokio::test]
async fn a_parameter_that_is_not_known_is_named_without_its_value() {
    let (database, sandbox) = (Database::empty().await, Sandbox::start().await);
    let mut variables = variables(&database, &sandbox);
    let mut url = Url::parse(&database.url).unwrap();
    url.query_pairs_mut().append_pair("sslpassword", "violet");
    variables.insert("DATABASE_URL".into(), url.into());
    let said = run(&variables, &["site", "list"]).await;
    assert_eq!(said.code(), 0, "{said:?}");
    let words = "DATABASE_URL: ignoring the unknown parameter sslpassword";
    assert!(said.stderr.contains(words), "{said:?}");
    assert!(!said.stderr.contains("violet"), "{said:?}");
}

/// The variables of a service that connects with this role.
fn as_role(variables: &Variables, role: &str) -> Variables {
    let mut variables = variables.clone();
    let mut url = Url::parse(&variables["DATABASE_URL"]).unwrap();
    url.set_username(role).unwrap();
    variables.insert("DATABASE_URL".into(), url.into());
    variables
}

async fn assert_publishes(variables: &Variables) {
    let replica = Replica::start_with(variables).await;
    replica.api.assert_publishes().await;
}

#[tokio::test]
async fn a_missing_privilege_is_named_by_its_grant_and_nothing_more_is_needed() {
    let (database, sandbox) = (Database::empty().await, Sandbox::start().await);
    let variables = variables(&database, &sandbox);
    let number = std::process::id();
    let (owner, guest) = (format!("owner_{number}"), format!("guest-{number}"));
    // As PostgreSQL 15 has it from the beginning, and 14 does not.
    let roles = format!(
        r#"REVOKE CREATE ON SCHEMA public FROM PUBLIC;
           CREATE ROLE {owner} LOGIN; CREATE ROLE "{guest}" LOGIN"#
    );
    database.change(&roles).await;

    let of_owner = as_role(&variables, &owner);
    let grant = format!("GRANT USAGE, CREATE ON SCHEMA public TO {owner}");
    assert_says(&check(&of_owner).await, &[&grant]);
    run(&of_owner, &["serve"]).await.assert_ended(1, &[&grant]);
    database.change(&grant).await;
    assert_publishes(&of_owner).await;

    let of_guest = as_role(&variables, &guest);
    let grant = format!(
        r#"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{guest}""#
    );
    assert_says(&check(&of_guest).await, &[&grant]);
    run(&of_guest, &["serve"]).await.assert_ended(1, &[&grant]);
    database.change(&grant).await;
    assert_publishes(&of_guest).await;
    check(&of_guest).await.assert_ok();

    // A newer version's migrations change tables, which only their owner may.
    let older = "DELETE FROM _sqlx_migrations
                 WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    database.change(older).await;
    let grant = format!(r#"GRANT {owner} TO "{guest}""#);
    assert_says(&check(&of_guest).await, &[&grant]);
    database.change(&grant).await;
    check(&of_guest).await.assert_ok();

    let dropped =
        format!(r#"DROP OWNED BY {owner}, "{guest}" CASCADE; DROP ROLE {owner}, "{guest}""#);
    database.change(&dropped).await;
}
