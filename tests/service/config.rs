//! A bad value stops the start with one line that names the variable and says what is wrong.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use skycms_cdn::config::Config;

use crate::support::{
    DISTRIBUTION, Database, KEY, Replica, Sandbox, Stepped, TOKEN, Variables, refusal, variables,
    without_settings,
};

fn read(given: &[(&str, &str)]) -> Result<Config, String> {
    Config::from_variables(|name| {
        let (_, value) = given.iter().find(|(given, _)| *given == name)?;
        Some(OsString::from(value))
    })
    .map_err(|error| error.to_string())
}

#[test]
fn each_bad_value_is_named() {
    let short = "c2hvcnQ=";
    for (name, value, words) in [
        ("LISTEN_ADDR", "8080", "`8080` is not an address and port"),
        ("LISTEN_ADDR", "localhost:8080", "such as 127.0.0.1:8080"),
        (
            "LISTEN_ADDR",
            "127.0.0.1:99999",
            "is not an address and port",
        ),
        (
            "PUBLIC_URL",
            "editor.example.com/cdn",
            "such as https://editor.example.com/cdn",
        ),
        (
            "PUBLIC_URL",
            "ftp://editor.example.com",
            "must begin with http:// or https://",
        ),
        (
            "PUBLIC_URL",
            "https://editor.example.com/?a=b",
            "neither a query",
        ),
        (
            "PUBLIC_URL",
            "https://me@editor.example.com/",
            "nor a user name",
        ),
        (
            "PUBLIC_URL",
            "https://editor.example.com/settings/cdn",
            "`/settings` is one of the service's own paths",
        ),
        (
            "PUBLIC_URL",
            "https://editor.example.com//cdn",
            "has `//` in its path",
        ),
        (
            "PUBLISH_TOKEN",
            "Grüße an die größten Bären im Wald",
            "printable ASCII",
        ),
        (
            "METRICS_TOKEN",
            "first-line-of-a-token\nsecond-line",
            "printable ASCII",
        ),
        ("ENCRYPTION_KEY", "not base64!", "key 1 is not base64"),
        ("ENCRYPTION_KEY", short, "key 1 has 5 bytes instead of 32"),
        (
            "ENCRYPTION_KEY",
            "Gdh3UgB/vqZ06mUTbRNtE8FPVAerhZX7rdu+evANYOY=,",
            "key 2 has 0 bytes",
        ),
        ("PUBLISH_TOKEN", "short", "16 to 256 characters, and has 5"),
        (
            "AWS_ENDPOINT_URL_CLOUDFRONT",
            "localhost",
            "http:// or https://",
        ),
        (
            "AWS_ENDPOINT_URL_CLOUDFRONT",
            "localhost:4000",
            "http:// or https://",
        ),
        (
            "PUBLISH_SECRET_ACCESS_KEY",
            "a/secret/of/a/key/pair/of/this/service/1",
            "PUBLISH_ACCESS_KEY_ID: is needed together with the other half",
        ),
        ("HISTORY_DAYS", "0", "positive number"),
        ("HISTORY_DAYS", "-1", "positive number"),
        ("HISTORY_DAYS", "many", "positive number"),
        ("HISTORY_DAYS", "70000", "positive number"),
        ("MAX_CONNECTIONS", "0", "positive number"),
        ("MAX_CONNECTIONS", "many", "positive number"),
        ("SHUTDOWN_GRACE_SECONDS", "6", "at most 5"),
        ("SHUTDOWN_GRACE_SECONDS", "-1", "seconds from 0 to 5"),
        (
            "TRUSTED_PROXIES",
            "10.1.2.3,::ffff:10.1.2.0/24",
            "`::ffff:10.1.2.0/24` is not an address or a network such as",
        ),
        ("LOG_FORMAT", "xml", "use `text` or `json`"),
        ("CLOUDFRONT_FILES_IN_PROGRESS", "0", "positive number"),
        (
            "CLOUDFRONT_WILDCARDS_IN_PROGRESS",
            "many",
            "positive number",
        ),
        ("CLOUDFRONT_PATHS_PER_REQUEST", "-5", "positive number"),
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "0", "positive number"),
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "inf", "finite"),
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "1e-20", "at least 0.0001"),
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "NaN", "number"),
        ("CLOUDFRONT_REQUEST_BURST", "0", "positive number"),
        ("CLOUDFRONT_PATHS_PER_SECOND", "fast", "positive number"),
        ("CLOUDFRONT_WILDCARDS_PER_SECOND", "-0.5", "positive number"),
        (
            "ENCRYPTION_KEY_FILE",
            "/no/such/file",
            "cannot read /no/such/file",
        ),
        (
            "CloudFront__DistributionId",
            "E2SANDBOX0CDN1",
            "CloudFront__AccessKeyId: is needed",
        ),
        (
            "CloudFront__AccessKeyId",
            "AKIASANDBOX000000001",
            "CloudFront__DistributionId: is needed",
        ),
        (
            "CloudFront__Region",
            "eu-central-1",
            "CloudFront__DistributionId: is needed",
        ),
    ] {
        let problem = read(&[(name, value)]).unwrap_err();
        let at_fault = problem.split(": ").next().unwrap();
        // The half that is missing is at fault, not the one that is there.
        assert_eq!(
            at_fault == name,
            !words.contains(": is needed"),
            "{problem}"
        );
        assert!(problem.contains(words), "{problem}");
        assert!(!problem.contains('\n'), "{problem}");
    }
}

#[test]
fn every_variable_is_in_the_example() {
    let asked = RefCell::new(BTreeSet::new());
    // These two are what the reading of others hangs on.
    let read = Config::from_variables(|name| {
        let name = name.trim_end_matches("_FILE");
        asked.borrow_mut().insert(name.to_owned());
        match name {
            "LISTEN_ADDR" => Some("0.0.0.0:8080".into()),
            "SKYCMS_URL" => Some("http://skycms:8080".into()),
            _ => None,
        }
    });
    assert!(
        read.unwrap_err()
            .to_string()
            .contains("ALLOW_INSECURE_HTTP")
    );
    let asked = asked.into_inner();

    let example = include_str!("../../.env.example");
    let shown = example.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix('#')?.split_once('=')?;
        (!name.contains(' ')).then(|| name.to_owned())
    });
    let mut shown: BTreeSet<String> = shown.collect();
    assert!(shown.remove("SKYCMS_CDN_URL"), "it is the command line's");
    assert_eq!(asked, shown, "read by the service, and in .env.example");
}

#[test]
fn a_value_that_is_not_utf8_is_named() {
    let problem = Config::from_variables(|name| {
        (name == "DATA_DIR").then(|| OsString::from_vec(vec![b'/', 0xff]))
    });
    assert_eq!(
        problem.unwrap_err().to_string(),
        "DATA_DIR: is not valid UTF-8"
    );
}

#[test]
fn a_problem_never_reveals_the_secret() {
    let secret = "dGhpcyBpcyBub3QgMzIgYnl0ZXM=";
    for name in ["ENCRYPTION_KEY", "PUBLISH_TOKEN"] {
        let long = secret.repeat(10);
        let problem = read(&[(name, &long)]).unwrap_err();
        assert!(!problem.contains(secret), "{problem}");
    }
    let config = read(&[("PUBLISH_TOKEN", TOKEN), ("DATA_DIR", "/tmp")]).unwrap();
    assert!(!format!("{config:?}").contains(TOKEN));
}

#[test]
fn empty_values_count_as_not_set_and_white_space_is_trimmed() {
    let config = read(&[
        ("LISTEN_ADDR", " "),
        ("HISTORY_DAYS", ""),
        ("PUBLISH_TOKEN", ""),
        ("CLOUDFRONT_FILES_IN_PROGRESS", " "),
    ])
    .unwrap();
    assert!(!config.limits.known.files, "it can still be learned");
    assert_eq!(config.listen_addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.history_days, 90);
    assert!(config.publish_token.is_none());
    let config = read(&[("HISTORY_DAYS", " 7\n")]).unwrap();
    assert_eq!(config.history_days, 7);
}

#[test]
fn how_connections_are_served_can_be_set() {
    let given = [("MAX_CONNECTIONS", "64"), ("SHUTDOWN_GRACE_SECONDS", "0")];
    let serve = read(&given).unwrap().serve;
    assert_eq!((serve.connections, serve.grace), (64, Duration::ZERO));
}

#[test]
fn a_secret_may_come_from_a_file_and_only_from_one_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let path = file.to_str().unwrap();
    let config = read(&[("PUBLISH_TOKEN_FILE", path)]).unwrap();
    assert_eq!(config.publish_token.unwrap().expose_secret(), TOKEN);
    // As an editor of another system leaves it.
    std::fs::write(&file, format!("\u{feff}{TOKEN}\u{200b}\r\n")).unwrap();
    let config = read(&[("PUBLISH_TOKEN_FILE", path)]).unwrap();
    assert_eq!(config.publish_token.unwrap().expose_secret(), TOKEN);

    let both = read(&[("PUBLISH_TOKEN", TOKEN), ("PUBLISH_TOKEN_FILE", path)]).unwrap_err();
    assert_eq!(
        both,
        "PUBLISH_TOKEN: is set together with PUBLISH_TOKEN_FILE; set one of the two"
    );

    std::fs::write(&file, " \n").unwrap();
    let empty = read(&[("PUBLISH_TOKEN_FILE", path)]).unwrap_err();
    assert_eq!(empty, format!("PUBLISH_TOKEN_FILE: {path} is empty"));

    std::fs::write(&file, "too short").unwrap();
    let bad = read(&[("PUBLISH_TOKEN_FILE", path)]).unwrap_err();
    assert!(
        bad.starts_with("PUBLISH_TOKEN") && bad.contains("16 to 256"),
        "{bad}"
    );

    for (name, secret) in [
        ("DATABASE_URL", "postgres://localhost/x"),
        (
            "ENCRYPTION_KEY",
            "Gdh3UgB/vqZ06mUTbRNtE8FPVAerhZX7rdu+evANYOY=",
        ),
        ("CloudFront__SecretAccessKey", "a/secret"),
    ] {
        std::fs::write(&file, secret).unwrap();
        let file_variable = format!("{name}_FILE");
        let config = read(&[
            (&file_variable, path),
            (
                "ENCRYPTION_KEY",
                if name == "ENCRYPTION_KEY" {
                    ""
                } else {
                    "Gdh3UgB/vqZ06mUTbRNtE8FPVAerhZX7rdu+evANYOY="
                },
            ),
            ("CloudFront__DistributionId", "E2SANDBOX0CDN1"),
            ("CloudFront__AccessKeyId", "AKIASANDBOX000000001"),
            (
                "CloudFront__SecretAccessKey",
                if name == "CloudFront__SecretAccessKey" {
                    ""
                } else {
                    "another"
                },
            ),
        ]);
        assert!(config.is_ok(), "{name}: {config:?}");
    }
}

/// The addresses of callers are compared as IPv4 where they are that.
#[test]
fn a_proxy_of_ipv4_may_be_written_as_ipv6() {
    let written = "::ffff:10.1.2.3, ::ffff:10.2.0.0/112, 10.3.0.0/16, fd00::/8";
    let config = read(&[("TRUSTED_PROXIES", written)]).unwrap();
    let proxies = config.access.trusted_proxies.iter();
    let proxies: Vec<_> = proxies.map(ToString::to_string).collect();
    assert_eq!(
        proxies,
        ["10.1.2.3/32", "10.2.0.0/16", "10.3.0.0/16", "fd00::/8"]
    );
}

#[test]
fn an_encryption_key_is_required_with_a_database_of_ones_own() {
    let problem = read(&[("DATABASE_URL", "postgres://localhost/x")]).unwrap_err();
    assert!(
        problem.starts_with("ENCRYPTION_KEY: is required with DATABASE_URL"),
        "{problem}"
    );
    assert!(problem.contains("openssl rand -base64 32"), "{problem}");
}

/// What the binary says when it does not start: one line on stderr.
async fn one_line(variables: &Variables) -> String {
    let said = refusal(variables).await;
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    said.trim_end()
        .strip_prefix("skycms-cdn: ")
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn the_binary_refuses_in_one_line() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let good = variables(&database, &sandbox);
    let taken = sandbox.url.strip_prefix("http://").unwrap();
    for (name, value, words) in [
        (
            "HISTORY_DAYS",
            "soon",
            "HISTORY_DAYS: `soon` is not a positive number",
        ),
        ("DATABASE_URL", "mysql://localhost/x", "DATABASE_URL: "),
        ("DATABASE_URL", "somewhere", "DATABASE_URL: "),
        (
            "DATABASE_URL",
            "postgres://me:pass#word@localhost/x",
            "DATABASE_URL: is not an address such as postgres://user:password@host/database (invalid port number)",
        ),
        (
            "DATABASE_URL",
            "postgres://localhost/x?sslmode=verify_full",
            "DATABASE_URL: is not an address such as postgres://user:password@host/database (",
        ),
        ("LISTEN_ADDR", taken, "LISTEN_ADDR: cannot listen on"),
        ("RUST_LOG", "skycms_cdn=loud", "RUST_LOG: "),
        (
            "RUST_LOG",
            "info,[publish]=debug",
            "RUST_LOG: `[publish]` is not",
        ),
        ("CloudFront__DistributionId", "not an id", "CloudFront__"),
        (
            "CloudFront__AccessKeyId",
            "ASIASANDBOX000000001",
            "CloudFront__",
        ),
        ("CloudFront__Region", "mars-north-1", "CloudFront__"),
        (
            "SSL_CERT_FILE",
            "/dev/null",
            "this machine has no certificate authorities",
        ),
    ] {
        let mut bad = good.clone();
        bad.insert(name.into(), value.into());
        let said = one_line(&bad).await;
        assert!(said.starts_with(words), "{name}={value}: {said}");
        assert!(!said.contains(crate::support::SECRET), "{said}");
    }
}

#[tokio::test]
async fn a_key_that_does_not_open_what_is_saved_says_what_to_do() {
    let service = Stepped::start().await;
    service.activate(service.site(), DISTRIBUTION, KEY).await;
    let mut variables = variables(&service.database, &service.sandbox);
    without_settings(&mut variables);
    let old = variables["ENCRYPTION_KEY"].clone();
    let new = "H25Qb2BwQdEuAjPoGWoSeIpKRtlIoxzoqpCb6YIPtF0=";
    variables.insert("ENCRYPTION_KEY".into(), new.into());
    let said = one_line(&variables).await;
    assert!(said.starts_with("ENCRYPTION_KEY: "), "{said}");
    assert!(
        said.contains("add the key they were saved with behind the new one"),
        "{said}"
    );
    assert!(!said.contains(new));

    variables.insert("ENCRYPTION_KEY".into(), format!("{new},{old}"));
    let replica = Replica::start_with(&variables).await;
    replica.api.assert_publishes().await;
}

#[tokio::test]
async fn the_chosen_address_is_logged_also_behind_a_public_one() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let mut variables = variables(&database, &sandbox);
    variables.insert("PUBLIC_URL".into(), "https://editor.example.com/cdn".into());
    let replica = Replica::start_with(&variables).await;
    assert!(replica.has_logged("https://editor.example.com/cdn"));
    assert!(!replica.has_logged("\u{1b}["), "colours are for terminals");
    assert_eq!(replica.api.get("/health/live", &[]).await.status, 200);
}
