//! `publish` and `status`, against a running service.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncReadExt as _;

use super::canned::{Canned, answer};
use super::run::{Said, publisher, publisher_of, run};
use crate::support::{
    Database, Replica, Sandbox, TIMEOUT, TOKEN, Variables, free_port, program, service_program,
    variables,
};

struct Bench {
    replica: Replica,
    sandbox: Sandbox,
    publisher: Variables,
    _database: Database,
}

impl Bench {
    async fn start() -> Self {
        let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
        let replica = Replica::start(&database, &sandbox).await;
        Self {
            publisher: publisher_of(&replica),
            replica,
            sandbox,
            _database: database,
        }
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        run(&self.publisher, arguments).await
    }
}

/// It would be shown the token.
#[tokio::test]
async fn no_proxy_is_asked_for_a_service_on_this_machine() {
    let bench = Bench::start().await;
    let mut variables = bench.publisher.clone();
    // Nothing listens there.
    variables.insert("HTTP_PROXY".into(), "http://127.0.0.1:9".into());
    let publish = ["publish", "--retry-for", "0", "/about"];
    run(&variables, &publish).await.assert_ok();
}

#[tokio::test]
async fn what_other_programs_read_in_rust_log_stops_no_publish() {
    let queued = json!({ "id": "0199", "state": "queued" });
    let service = Canned::start(vec![answer("202 Accepted", "", &queued.to_string())]).await;
    let directory = tempfile::tempdir().unwrap();
    let ended = tokio::process::Command::from(service_program(directory.path()))
        .args(["publish", "/about"])
        .envs(&publisher(&service.url, TOKEN))
        .env("RUST_LOG", "info/of another program")
        .output()
        .await
        .unwrap();
    Said::from(ended).assert_ok();
}

#[tokio::test]
async fn a_publish_is_awaited_and_reported() {
    let bench = Bench::start().await;
    let said = bench.run(&["publish", "--wait", "/about", "root"]).await;
    said.assert_ok();
    assert_eq!(said.stdout, format!("{} completed\n", said.id()));
    let accepted = bench.sandbox.accepted().await;
    assert_eq!(accepted[0]["paths"], json!(["/about", "/", "/index.html"]));

    let status = bench.run(&["status", said.id()]).await;
    status.assert_ok();
    assert_eq!(status.stdout, said.stdout);
    let told = bench.run(&["status", "--json", said.id()]).await;
    told.assert_ok();
    assert_eq!(told.json(), bench.replica.api.get_publish(said.id()).await);

    let said = bench
        .run(&["publish", "--json", "--tag", "article:42", "--tag", "b"])
        .await;
    said.assert_ok();
    assert_eq!(said.json()["state"], "queued");
    assert_eq!(said.json()["items"], json!(["#article:42", "#b"]));
    let id = said.json()["id"].as_str().unwrap().to_owned();
    let told = bench.run(&["status", "--wait=60", "--json", &id]).await;
    told.assert_ok();
    assert_eq!(told.json()["state"], "completed");

    let said = bench.run(&["publish", "--wait", "--everything"]).await;
    said.assert_ok();
    assert_eq!(bench.sandbox.accepted().await[0]["paths"], json!(["/*"]));
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let bench = Bench::start().await;
    let said = bench.run(&["publish", "--dry-run", "/about", "/b~c"]).await;
    said.assert_ok();
    assert_eq!(
        said.stdout,
        "/about\n/b*\n/b~c can only be purged as /b*\nNothing was queued. It would take 2 of the 1000 free paths left this month, and cost 0.00 USD.\n"
    );
    let said = bench
        .run(&["publish", "--dry-run", "--json", "/about"])
        .await;
    assert_eq!(said.json()["dry_run"], true);
    assert!(bench.sandbox.creates().await.is_empty());

    let said = bench.run(&["publish", "/a~b"]).await;
    assert_eq!(said.code(), 0);
    assert_eq!(said.stderr, "skycms-cdn: /a~b can only be purged as /a*\n");
}

#[tokio::test]
async fn each_bad_end_has_its_words() {
    let bench = Bench::start().await;
    let refusal = json!({ "kind": "error", "code": "InvalidArgument", "message": "Your request contains a bad path." });
    bench.sandbox.fail_creates(1, refusal).await;
    let said = bench.run(&["publish", "--wait", "/about"]).await;
    said.assert_ended(
        1,
        &[
            "failed",
            "InvalidArgument: Your request contains a bad path.",
            "(request ",
        ],
    );
    assert_eq!(said.stdout, format!("{} failed\n", said.id()));
    let status = bench.run(&["status", said.id()]).await;
    assert_eq!((status.code(), &status.stderr), (1, &said.stderr));

    bench.sandbox.lose_answer().await;
    let said = bench.run(&["publish", "--wait", "/lost"]).await;
    said.assert_ended(
        1,
        &[
            "is unconfirmed: CloudFront accepted it, but cannot be asked whether it has completed",
            "InvalidArgument: Your request contains a caller reference that was used",
            "Nothing: CloudFront has accepted the purge.",
        ],
    );

    bench.sandbox.set_policy(json!(null)).await;
    let said = bench.run(&["publish", "--wait=2", "--json", "/late"]).await;
    said.assert_ended(
        1,
        &[
            "has not ended within 2 s: queued, waits for settings",
            "AccessDenied",
            "skycms-cdn status --wait",
        ],
    );
    assert_eq!(said.json()["state"], "queued");
    let status = bench
        .run(&["status", said.json()["id"].as_str().unwrap()])
        .await;
    status.assert_ok();
}

#[tokio::test]
async fn wrong_use_has_an_exit_status_of_its_own() {
    let bench = Bench::start().await;
    for (arguments, words) in [
        (vec!["publish"], "<PATHS>..."),
        (
            vec!["publish", "--wait=soon", "/about"],
            "invalid value 'soon'",
        ),
        (
            vec!["publish", "--site", "No Site", "/about"],
            "must be 1 to 63 lower-case letters",
        ),
        (
            vec!["publish", "--dry-run", "--wait", "/about"],
            "cannot be used with",
        ),
        (vec!["status", "1234"], "invalid value '1234'"),
        (
            vec!["publsh", "/about"],
            "similar subcommand exists: 'publish'",
        ),
        (vec!["publish", "/good", "/a*b"], "/paths/1"),
        (
            vec!["publish", "--site", "other", "/about"],
            "There is no site `other`",
        ),
        (
            vec!["status", "00000000-0000-0000-0000-000000000000"],
            "There is no publish",
        ),
    ] {
        bench.run(&arguments).await.assert_ended(2, &[words]);
    }
    for (name, value, words) in [
        ("PUBLISH_TOKEN", "", "PUBLISH_TOKEN: is not set"),
        ("PUBLISH_TOKEN", "skycdn_wrong", "is not known"),
        (
            "PUBLISH_TOKEN_FILE",
            "/no/such/file",
            "PUBLISH_TOKEN: is set together with",
        ),
        ("SKYCMS_CDN_URL", "localhost:8080", "SKYCMS_CDN_URL: "),
        (
            "SKYCMS_CDN_URL",
            &format!("{}/elsewhere", bench.replica.api.base),
            "There is nothing at this address",
        ),
    ] {
        let mut variables = bench.publisher.clone();
        variables.insert(name.into(), value.into());
        let said = run(&variables, &["publish", "/about"]).await;
        said.assert_ended(2, &[words]);
        assert!(!said.stderr.contains("skycdn_"), "{said:?}");
    }
    assert!(bench.sandbox.creates().await.is_empty());
}

#[tokio::test]
async fn a_service_that_starts_late_gets_it_once() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let early = run(
        &publisher(&url, TOKEN),
        &["publish", "--retry-for", "1", "/about"],
    )
    .await;
    early.assert_ended(
        1,
        &["no answer from", "Connection refused", "--idempotency-key"],
    );

    let publisher = publisher(&url, TOKEN);
    let publishing =
        tokio::spawn(async move { run(&publisher, &["publish", "--wait", "/about"]).await });
    let mut late = variables(&database, &sandbox);
    late.insert("LISTEN_ADDR".into(), address);
    let _replica = Replica::start_with(&late).await;
    publishing.await.unwrap().assert_ok();
    assert_eq!(sandbox.accepted().await.len(), 1);
}

#[tokio::test]
async fn what_could_not_be_stored_is_sent_again_under_the_same_key() {
    let accepted =
        json!({ "id": "0199", "state": "queued", "items": ["/about"], "invalidations": [] });
    let service = Canned::start(vec![
        answer(
            "503 Service Unavailable",
            "retry-after: 1\r\n",
            r#"{"detail": "not right now"}"#,
        ),
        answer("502 Bad Gateway", "", "<h1>nginx</h1>"),
        answer("202 Accepted", "", &accepted.to_string()),
    ])
    .await;
    let said = run(&publisher(&service.url, TOKEN), &["publish", "/about"]).await;
    said.assert_ok();
    let key = |request: &String| {
        let line = request
            .lines()
            .find(|line| line.starts_with("idempotency-key: "));
        line.unwrap_or_else(|| panic!("{request}")).to_owned()
    };
    let keys: Vec<String> = service.requests().iter().map(key).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|other| *other == keys[0]), "{keys:?}");

    let service = Canned::start(vec![answer(
        "409 Conflict",
        "",
        r#"{"detail": "The site has no CDN settings."}"#,
    )])
    .await;
    let said = run(
        &publisher(&service.url, TOKEN),
        &["publish", "--idempotency-key", "mine", "/about"],
    )
    .await;
    said.assert_ended(1, &["The site has no CDN settings."]);
    assert!(service.requests()[0].contains("idempotency-key: mine\r\n"));
}

/// “Wrong use” would say that nothing was queued.
#[tokio::test]
async fn a_token_that_is_revoked_while_it_waits_is_no_wrong_use() {
    let queued = json!({ "id": "0199", "state": "queued" });
    let revoked = r#"{"detail": "This token is not known."}"#;
    let service = Canned::start(vec![
        answer("202 Accepted", "", &queued.to_string()),
        answer("401 Unauthorized", "", revoked),
    ])
    .await;
    let publish = ["publish", "--wait", "/about"];
    let said = run(&publisher(&service.url, TOKEN), &publish).await;
    said.assert_ended(
        1,
        &["publish 0199 cannot be followed any more", "not known"],
    );
}

#[tokio::test]
async fn what_goes_on_is_waited_for_at_its_own_site() {
    for (site, command) in [
        ("default", "`skycms-cdn status --wait 0199`"),
        ("shop", "`skycms-cdn status --wait --site shop 0199`"),
    ] {
        let queued = json!({ "id": "0199", "site": site, "state": "queued" });
        let service = Canned::start(vec![answer("202 Accepted", "", &queued.to_string())]).await;
        let arguments = ["publish", "--wait=0", "--site", site, "/about"];
        let said = run(&publisher(&service.url, TOKEN), &arguments).await;
        said.assert_ended(1, &["has not ended within 0 s: queued", command]);
    }
}

/// As `publish --wait` does: what it asks about goes on.
#[tokio::test]
async fn a_service_that_restarts_is_asked_again_while_there_is_time() {
    let id = "0199f0c2-7d1e-7000-8000-000000000004";
    let away = || {
        let said = r#"{"detail": "not right now"}"#;
        answer("503 Service Unavailable", "", said)
    };
    let completed = json!({ "id": id, "state": "completed" }).to_string();
    let service = Canned::start(vec![away(), away(), answer("200 OK", "", &completed)]).await;
    let said = run(
        &publisher(&service.url, TOKEN),
        &["status", "--wait=30", id],
    )
    .await;
    said.assert_ok();
    assert_eq!(said.stdout, format!("{id} completed\n"));

    for arguments in [vec!["status", id], vec!["status", "--wait=0", id]] {
        let service = Canned::start(vec![away()]).await;
        let said = run(&publisher(&service.url, TOKEN), &arguments).await;
        said.assert_ended(1, &["not right now"]);
        assert_eq!(service.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_terminal_is_shown_how_far_it_is() {
    let bench = Bench::start().await;
    bench
        .sandbox
        .config(json!({ "in_progress_ms": 60_000 }))
        .await;
    let program = program("skycms-cdn");
    let command = format!("'{}' publish --wait=120 /about", program.display());
    let mut terminal = tokio::process::Command::new("script");
    terminal
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .envs(&bench.publisher)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut terminal = terminal.spawn().unwrap();
    let mut output = terminal.stdout.take().unwrap();
    let mut bytes = Vec::new();
    let mut shown = String::new();
    // The line is written again with each answer, which the service holds for two seconds.
    while !(shown.contains(" in_progress, ") && shown.contains("\r\u{1b}[K")) {
        let read = tokio::time::timeout(TIMEOUT, output.read_buf(&mut bytes)).await;
        assert_ne!(read.expect("more output").unwrap(), 0, "{shown:?}");
        shown = String::from_utf8_lossy(&bytes).into_owned();
    }
    bench.sandbox.complete().await;
    output.read_to_end(&mut bytes).await.unwrap();
    let shown = String::from_utf8(bytes).unwrap();
    let status = terminal.wait().await.unwrap();
    assert_eq!(status.code(), Some(0), "{shown}");
    assert!(shown.trim_end().ends_with(" completed"), "{shown:?}");
}

#[tokio::test]
async fn readers_are_waited_for_too() {
    let publish = |state: &str, edge: serde_json::Value| {
        let publish =
            json!({ "id": "0199f0c2-7d1e-7000-8000-000000000004", "state": state, "edge": edge });
        publish.to_string()
    };
    let page = |state: &str, detail: Option<&str>| json!([{ "url": "https://www.example.com/about", "state": state, "detail": detail }]);
    let service = Canned::start(vec![
        answer("202 Accepted", "", &publish("queued", json!([]))),
        answer("200 OK", "", &publish("completed", json!([]))),
        answer(
            "200 OK",
            "",
            &publish("completed", page("stale", Some("It is a day old."))),
        ),
        answer("200 OK", "", &publish("completed", page("fresh", None))),
    ])
    .await;
    let arguments = ["publish", "--wait=60", "--fresh", "/about"];
    let said = run(&publisher(&service.url, TOKEN), &arguments).await;
    said.assert_ok();
    assert_eq!(service.requests().len(), 4);

    let service = Canned::start(vec![
        answer("202 Accepted", "", &publish("completed", json!([]))),
        answer(
            "200 OK",
            "",
            &publish("completed", page("stale", Some("It is a day old."))),
        ),
    ])
    .await;
    let arguments = ["publish", "--wait=1", "--fresh", "/about"];
    let said = run(&publisher(&service.url, TOKEN), &arguments).await;
    assert_eq!(said.code(), 1);
    let words = "https://www.example.com/about is stale. It is a day old.";
    assert!(said.stderr.contains(words), "{}", said.stderr);

    // It is not looked at again, so that nothing is left to wait for.
    let service = Canned::start(vec![
        answer("202 Accepted", "", &publish("completed", json!([]))),
        answer(
            "200 OK",
            "",
            &publish("completed", page("unreachable", Some("No answer."))),
        ),
    ])
    .await;
    let arguments = ["publish", "--wait=60", "--fresh", "/about"];
    let said = run(&publisher(&service.url, TOKEN), &arguments).await;
    assert_eq!(said.code(), 1);
    assert_eq!(service.requests().len(), 2);
}
