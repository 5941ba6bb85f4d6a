//! The admin API, the page and the process.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{DISTRIBUTION, KEY, SECRET, Sandbox, create};

#[tokio::test]
async fn the_state_shows_everything_except_secrets() {
    let sandbox = Sandbox::start();
    sandbox.key(json!({ "user": "editor" })).await;
    create(&sandbox.client(), "r1", &["/a", "/b/*"])
        .await
        .unwrap();
    let state = sandbox.state().await;
    assert!(!state.to_string().contains(SECRET));
    assert_eq!(state["keys"][KEY]["user"], "editor");
    assert_eq!(state["distributions"][DISTRIBUTION]["partition"], "aws");
    assert_eq!(
        state["in_progress"][DISTRIBUTION],
        json!({ "files": 1, "wildcards": 1 })
    );
    let invalidation = &state["invalidations"][0];
    assert_eq!(invalidation["caller_reference"], "r1");
    assert_eq!(invalidation["paths"], json!(["/a", "/b/*"]));
    assert_eq!(
        (&invalidation["status"], &invalidation["completed_at"]),
        (&json!("InProgress"), &Value::Null)
    );
    let entry = &state["ledger"][0];
    assert_eq!(entry["invalidation_id"], invalidation["id"]);
    assert_eq!(
        (&entry["operation"], &entry["access_key_id"]),
        (&json!("CreateInvalidation"), &json!(KEY))
    );
    assert_eq!(
        state["counters"]["outcomes"]["CreateInvalidation"]["Accepted"],
        1
    );

    let found = sandbox
        .read("/sandbox/invalidations?status=Completed")
        .await;
    assert_eq!(found["invalidations"], json!([]));
    let found = sandbox
        .read("/sandbox/invalidations?caller_reference=r1")
        .await;
    assert_eq!(found["invalidations"][0], *invalidation);
    let later = sandbox.read("/sandbox/ledger?after=1").await;
    assert_eq!(later["ledger"], json!([]));
}

#[tokio::test]
async fn refusals_say_how_to_fix_them() {
    let sandbox = Sandbox::start();
    for (method, path, body, words) in [
        (
            "PATCH",
            "/sandbox/config",
            json!({ "latency": 1 }),
            "unknown field `latency`",
        ),
        (
            "PATCH",
            "/sandbox/config",
            json!({ "rate": 0 }),
            "null to switch it off",
        ),
        (
            "PUT",
            "/sandbox/distributions/E1",
            json!({ "partition": "mars" }),
            "aws-cn",
        ),
        (
            "PUT",
            "/sandbox/keys/AKIANEW",
            json!({}),
            "secret_access_key",
        ),
        (
            "PUT",
            "/sandbox/keys/AKIANEW",
            json!({ "secret_access_key": "s", "policy": { "Statement": [{ "Effect": "Maybe", "Action": "*", "Resource": "*" }] } }),
            "Allow",
        ),
        (
            "POST",
            "/sandbox/faults",
            json!({ "rules": [{ "fault": { "kind": "quake" } }] }),
            "quake",
        ),
        (
            "POST",
            "/sandbox/faults",
            json!({ "rules": [{ "probability": 2, "fault": { "kind": "reset" } }] }),
            "probability",
        ),
    ] {
        let (status, answer) = sandbox.admin(method, path, body).await;
        assert_eq!(status, 400, "{path}: {answer}");
        assert!(
            answer["error"].as_str().unwrap().contains(words),
            "{answer}"
        );
        assert!(answer["fix"].as_str().unwrap().len() > 20);
    }
    for (method, path, expected) in [
        ("GET", "/sandbox/ledger?after=yesterday", 400),
        ("PUT", "/sandbox/config", 404),
        ("GET", "/sandbox/nothing", 404),
    ] {
        let (status, answer) = sandbox.admin(method, path, Value::Null).await;
        assert_eq!(status, expected, "{path}: {answer}");
        assert!(answer["fix"].is_string(), "{answer}");
    }
    let (status, answer) = sandbox
        .admin("DELETE", "/sandbox/keys/AKIANOBODY", Value::Null)
        .await;
    assert_eq!(
        (status, answer["error"].as_str().unwrap()),
        (404, "there is no key `AKIANOBODY`")
    );
}

#[tokio::test]
async fn other_calls_of_cloudfronts_api_are_refused_in_its_envelope() {
    let sandbox = Sandbox::start();
    let path = format!("/2020-05-31/distribution/{DISTRIBUTION}/invalidation");
    for (method, path) in [("GET", path.as_str()), ("GET", "/2020-05-31/distribution")] {
        let (status, body) = sandbox.http(method, path, String::new()).await;
        assert_eq!(status, 404);
        assert!(
            body.contains("<Code>UnknownOperationException</Code>"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_reset_returns_to_the_start() {
    let sandbox = Sandbox::start_with(&["--in-progress-ms", "7"]);
    let fresh = sandbox.state().await;
    assert_eq!(fresh["config"]["in_progress_ms"], 7);
    create(&sandbox.client(), "r1", &["/a"]).await.unwrap();
    sandbox.config(json!({ "latency_ms": 1 })).await;
    sandbox
        .set("PUT", "/sandbox/distributions/E1", json!({}))
        .await;
    sandbox.set("POST", "/sandbox/reset", Value::Null).await;
    assert_eq!(sandbox.state().await, fresh);
}

#[tokio::test]
async fn the_page_shows_invalidations_and_escapes_them() {
    let sandbox = Sandbox::start();
    create(&sandbox.client(), "<b>r&1</b>", &["/about?a=1&b=2"])
        .await
        .unwrap();
    let (status, page) = sandbox.http("GET", "/", String::new()).await;
    assert_eq!(status, 200);
    for words in [
        "/about?a=1&#38;b=2",
        "&#60;b&#62;r&#38;1",
        "InProgress",
        DISTRIBUTION,
    ] {
        assert!(page.contains(words), "{words} not in {page}");
    }
    assert!(!page.contains("<b>r") && !page.contains(SECRET));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--edge-listen"] {
        let ended = Command::new(env!("CARGO_BIN_EXE_cloudfront-sandbox"))
            .args([option, address.as_str()])
            .output()
            .unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        let words = format!("cannot listen on {address}: ");
        assert!(!ended.status.success() && said.contains(&words), "{said}");
    }
}

#[tokio::test]
async fn sigterm_stops_it_even_while_a_call_hangs() {
    let mut sandbox = Sandbox::start();
    let hang = json!([{ "fault": { "kind": "hang" } }]);
    sandbox.faults(hang).await;
    let client = sandbox.client();
    let hanging = tokio::spawn(async move { create(&client, "r", &["/"]).await });
    tokio::time::timeout(Duration::from_secs(60), async {
        while sandbox.state().await["ledger"] == json!([]) {}
    })
    .await
    .unwrap();
    let pid = sandbox.child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert!(sandbox.child.wait().unwrap().success());
    assert!(hanging.await.unwrap().is_err());
}
