//! A publisher's trace, from `traceparent` of the hook to the call to CloudFront.

use serde_json::{Value, json};

use crate::support::{Database, Replica, Sandbox, Stepped, eventually, variables};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";

fn parent(trace: &str) -> String {
    format!("00-{trace}-00f067aa0ba902b7-01")
}

async fn publish(service: &Stepped, path: &str, traceparent: &str) {
    let body = json!({ "paths": [path] }).to_string();
    let answer = service
        .api
        .post(&[("traceparent", traceparent)], body)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.json());
}

#[tokio::test]
async fn each_try_is_a_span_of_its_own_in_the_publishers_trace() {
    let service = Stepped::start().await;
    service
        .sandbox
        .fail_creates(1, json!({ "kind": "status", "status": 503 }))
        .await;
    publish(&service, "/about", &parent(TRACE)).await;
    service.run().await;
    service.pass(60).await;
    let sent = service.sandbox.creates().await;
    let parents: Vec<&str> = sent
        .iter()
        .map(|call| call["traceparent"].as_str().unwrap())
        .collect();
    assert!(parents.len() >= 2, "{sent:#?}");
    for parent in &parents {
        assert!(
            parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-01"),
            "{parent}"
        );
    }
    assert_ne!(parents[0], parents[1]);
}

#[tokio::test]
async fn a_call_for_several_publishes_is_in_the_first_trace_among_them() {
    let service = Stepped::start().await;
    service.api.publish_path("/without").await;
    publish(&service, "/first", &parent(TRACE)).await;
    publish(&service, "/second", &parent(OTHER)).await;
    service.run().await;
    let sent = service.sandbox.creates().await;
    assert_eq!(sent.len(), 1, "{sent:#?}");
    let given = sent[0]["traceparent"].as_str().unwrap();
    assert!(given.starts_with(&format!("00-{TRACE}-")), "{given}");
}

#[tokio::test]
async fn a_trace_that_makes_no_sense_is_ignored() {
    let service = Stepped::start().await;
    publish(&service, "/about", "00-nonsense").await;
    service.run().await;
    assert_eq!(
        service.sandbox.creates().await[0]["traceparent"],
        Value::Null
    );
}

#[tokio::test]
async fn the_log_names_the_trace_at_each_step() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let mut variables = variables(&database, &sandbox);
    variables.insert("LOG_FORMAT".into(), "json".into());
    let replica = Replica::start_with(&variables).await;
    let body = r#"{"paths": ["/about"]}"#;
    let answer = replica
        .api
        .post(&[("traceparent", &parent(TRACE))], body)
        .await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    replica.api.wait_until_ended(&id).await;
    let told = eventually("the last line", || async {
        let log = replica.log();
        let lines = log
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told: Vec<Value> = lines.filter(|line| line["trace_id"] == TRACE).collect();
        (told.len() == 3).then_some(told)
    })
    .await;
    let words: Vec<&str> = told
        .iter()
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["accepted", "accepted by CloudFront", "completed"]);
    let sent = sandbox.creates().await;
    let span = told[1]["span_id"].as_str().unwrap();
    assert_eq!(sent[0]["traceparent"], format!("00-{TRACE}-{span}-01"));
}
