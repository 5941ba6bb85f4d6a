//! The same Idempotency-Key: one publish and one answer, however it is repeated.

use std::collections::BTreeSet;

use serde_json::json;
use skycms_cdn::domain::Publishing;

use crate::support::{Database, Replica, Sandbox, Stepped};

const BODY: &str = r#"{"paths": ["/about"]}"#;

#[tokio::test]
async fn a_repeat_answers_as_the_first_time_and_purges_nothing_again() {
    let service = Stepped::start().await;
    let key = [("idempotency-key", "first")];
    let first = service.api.post(&key, BODY).await;
    let id = first.json()["id"].as_str().unwrap().to_owned();
    service.run_until_ended(&id).await;
    for _ in 0..2 {
        let again = service.api.post(&key, BODY).await;
        assert_eq!(again.status, 202);
        assert_eq!(again.json(), first.json());
        assert_eq!(again.header("location"), first.header("location"));
        service.run().await;
    }
    assert_eq!(service.sandbox.outcomes().await, ["Accepted"]);
}

#[tokio::test]
async fn a_reused_key_is_422_and_another_sites_key_is_its_own() {
    let service = Stepped::start().await;
    let other = service.add_other_site().await;
    let key = [("idempotency-key", "same")];
    let first = service.api.post(&key, BODY).await;
    for body in [r#"{"paths": ["/other"]}"#, r#"{"paths":["/about"]}"#] {
        let answer = service.api.post(&key, body).await;
        let told = answer.json();
        assert_eq!(
            (answer.status, &told["type"]),
            (422, &json!("urn:skycms-cdn:problem:key-reused"))
        );
        assert!(told["detail"].as_str().unwrap().contains("another body"));
    }
    let theirs = other.post(&key, BODY).await;
    assert_eq!(theirs.status, 202);
    assert_ne!(theirs.json()["id"], first.json()["id"]);
}

/// It is on its way, whatever a new publish is told.
#[tokio::test]
async fn a_repeat_of_what_would_be_refused_now_is_answered_as_the_first_time() {
    let service = Stepped::start().await;
    let body = r#"{"paths": ["https://www.example.com/about"]}"#;
    let key = [("idempotency-key", "first")];
    let first = service.api.post(&key, body).await;
    assert_eq!(first.status, 202);
    let repeat = async |refusal: u16| {
        let again = service.api.post(&key, body).await;
        assert_eq!((again.status, again.json()), (202, first.json()));
        assert_eq!(again.header("location"), first.header("location"));
        let new = service.api.post(&[("idempotency-key", "new")], body).await;
        assert_eq!(new.status, refusal);
    };
    let (store, site) = (&service.state.store, service.site());
    let rules = Publishing {
        hosts: vec!["shop.example.com".parse().unwrap()],
        ..Publishing::default()
    };
    service.save_publishing(&rules).await;
    repeat(422).await;
    let now = service.state.clock.now();
    store.set_environment(site, None, now).await.unwrap();
    service.state.directory.refresh(store).await.unwrap();
    repeat(409).await;
}

#[tokio::test]
async fn a_key_that_is_none_is_400() {
    let service = Stepped::start().await;
    for key in ["\u{20}", &"k".repeat(256)] {
        let answer = service.api.post(&[("idempotency-key", key)], BODY).await;
        assert_eq!(answer.status, 400, "{key:?}");
        let told = answer.json();
        assert!(told["detail"].as_str().unwrap().contains("1 to 255"));
    }
    let longest = "k".repeat(255);
    let answer = service
        .api
        .post(&[("idempotency-key", &longest)], BODY)
        .await;
    assert_eq!(answer.status, 202);
}

/// Repeats a publish in parallel through each of `apis`, and checks that all answers are one.
async fn repeat_in_parallel(apis: &[crate::support::Api], key: &str) -> String {
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let (api, key) = (apis[n % apis.len()].clone(), key.to_owned());
            tokio::spawn(async move { api.post(&[("idempotency-key", &key)], BODY).await })
        })
        .collect();
    let mut answers = BTreeSet::new();
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.json());
        answers.insert(answer.json().to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    let told: serde_json::Value = serde_json::from_str(answers.first().unwrap()).unwrap();
    told["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn twenty_at_once_are_one_publish() {
    let service = Stepped::start().await;
    let id = repeat_in_parallel(std::slice::from_ref(&service.api), "storm").await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    assert_eq!(service.sandbox.outcomes().await, ["Accepted"]);
}

/// They are written in one statement, which one repeat makes fail.
#[tokio::test]
async fn repeats_among_new_publishes_are_told_apart() {
    let service = Stepped::start().await;
    let first = service.api.post(&[("idempotency-key", "0")], BODY).await;
    let calls: Vec<_> = (0..40)
        .map(|n| {
            let (api, key) = (service.api.clone(), (n % 20).to_string());
            tokio::spawn(async move {
                let body = if n == 20 {
                    r#"{"everything": true}"#
                } else {
                    BODY
                };
                (n, api.post(&[("idempotency-key", &key)], body).await)
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for call in calls {
        let (n, answer) = call.await.unwrap();
        if n == 20 {
            assert_eq!(answer.status, 422, "another body");
            continue;
        }
        assert_eq!(answer.status, 202, "{}", answer.json());
        let id = answer.json()["id"].clone();
        if n == 0 {
            assert_eq!(id, first.json()["id"]);
        }
        ids.insert(id.to_string());
    }
    assert_eq!(ids.len(), 20);
    let stored = service.database.count("SELECT count(*) FROM publish").await;
    assert_eq!(stored, 20);
}

#[tokio::test]
async fn a_key_holds_across_replicas_and_after_a_crash() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let one = Replica::start(&database, &sandbox).await;
    let two = Replica::start(&database, &sandbox).await;
    let apis = [one.api.clone(), two.api.clone()];
    let id = repeat_in_parallel(&apis, "across").await;
    one.kill();
    two.kill();

    let again = Replica::start(&database, &sandbox).await;
    assert_eq!(
        repeat_in_parallel(std::slice::from_ref(&again.api), "across").await,
        id
    );
    // Whatever the crash interrupted is billed once.
    let publish = again.api.wait_until_ended(&id).await;
    assert_eq!(publish["state"], "completed");
    assert_eq!(sandbox.accepted().await.len(), 1);
}
