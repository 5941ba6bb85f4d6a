//! What is answered, and what becomes of it.

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;
use skycms_cdn::domain::Publishing;
use skycms_cdn::domain::edge::PublicAddress;
use tokio::task::JoinSet;

use super::{BODY, CALL, REFERENCE, USUAL, batch, client, create, refusal, signed, start, status};
use crate::support::{DISTRIBUTION, KEY, send};

/// boto3 and the other SDKs hand it to their callers.
#[tokio::test]
async fn every_answer_has_the_number_of_its_request() {
    let service = start(&[]).await;
    for (method, body, status) in [(Method::POST, BODY, 201), (Method::GET, "", 200)] {
        let answer = send(signed(&service, USUAL, &method, CALL, body)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.header("x-amzn-requestid").is_some(), "{method}");
    }
}

#[tokio::test]
async fn an_invalidation_is_a_publish() {
    let service = start(&[]).await;
    let client = client(&service);
    let paths = [
        "about",
        "https://www.example.com/blog/a b",
        "root",
        "#Article:42",
    ];
    let created = client
        .create_invalidation()
        .distribution_id(DISTRIBUTION)
        .invalidation_batch(batch(REFERENCE, &paths))
        .send()
        .await
        .unwrap();
    let invalidation = created.invalidation.unwrap();
    let id = invalidation.id.as_str();
    assert_eq!(invalidation.status, "InProgress");
    assert_eq!(
        created.location.unwrap(),
        format!(
            "{}/2020-05-31/distribution/{DISTRIBUTION}/invalidation/{id}",
            service.state.public
        )
    );
    let items = ["/about", "/blog/a%20b", "/", "/index.html", "#article:42"];
    let named = invalidation.invalidation_batch.unwrap();
    assert_eq!(named.paths.unwrap().items.unwrap(), items);

    assert_eq!(status(&client, id).await.unwrap(), "InProgress");
    let publish = service.run_until_ended(id).await;
    assert_eq!(publish["items"], json!(items));
    let got = client
        .get_invalidation()
        .distribution_id("default")
        .id(id)
        .send()
        .await
        .unwrap()
        .invalidation
        .unwrap();
    assert_eq!(got.status, "Completed");
    assert_eq!(got.invalidation_batch.unwrap().caller_reference, REFERENCE);
    assert_eq!(service.sandbox.outcomes().await, ["Accepted"]);
    let used = service.state.store.key_pairs(service.site()).await.unwrap();
    assert_eq!(used[0].name, "PUBLISH_ACCESS_KEY_ID");
}

#[tokio::test]
async fn the_same_batch_is_one_publish_and_another_with_its_reference_is_another() {
    let service = start(&[]).await;
    let client = client(&service);
    let first = create(&client, DISTRIBUTION, batch(REFERENCE, &["/a"])).await;
    assert_eq!(
        create(&client, DISTRIBUTION, batch(REFERENCE, &["/a"])).await,
        first
    );
    assert_eq!(
        create(&client, "default", batch(REFERENCE, &["/a"])).await,
        first
    );
    let other = create(&client, DISTRIBUTION, batch(REFERENCE, &["/b"])).await;
    assert_ne!(other.unwrap(), first.unwrap());
    let hook = service
        .api
        .post(&[("idempotency-key", REFERENCE)], r#"{"paths": ["/a"]}"#)
        .await;
    assert_eq!(hook.status, 202, "the hook's keys are its own");
}

/// It is on its way, whatever a new batch is told.
#[tokio::test]
async fn a_repeat_of_what_would_be_refused_now_is_answered_as_the_first_time() {
    let service = start(&[]).await;
    let client = client(&service);
    let paths = ["https://www.example.com/about"];
    let call = async |distribution: &str, reference: &str| {
        create(&client, distribution, batch(reference, &paths)).await
    };
    let first = call(DISTRIBUTION, REFERENCE).await;
    assert!(first.is_ok(), "{first:?}");
    let repeat = async |refusal: &str| {
        assert_eq!(call(DISTRIBUTION, REFERENCE).await, first);
        assert_eq!(call(DISTRIBUTION, "new").await.unwrap_err().1, refusal);
    };
    let (store, site) = (&service.state.store, service.site());
    let rules = Publishing {
        hosts: vec!["shop.example.com".parse().unwrap()],
        ..Publishing::default()
    };
    service.save_publishing(&rules).await;
    repeat("InvalidArgument").await;
    // That was never accepted.
    let other = call("E2OTHER0000001", REFERENCE).await;
    assert_eq!(other.unwrap_err().1, "AccessDenied");
    let now = service.state.clock.now();
    store.set_environment(site, None, now).await.unwrap();
    service.refresh_sites().await;
    repeat("NoSuchDistribution").await;
}

#[tokio::test]
async fn invalidations_are_listed_newest_first() {
    let service = start(&[]).await;
    let client = client(&service);
    let mut ids = Vec::new();
    for n in 0..3 {
        let batch = batch(&format!("r{n}"), &["/a"]);
        ids.insert(0, create(&client, DISTRIBUTION, batch).await.unwrap());
    }
    let mut listed = Vec::new();
    let mut pages = client
        .list_invalidations()
        .distribution_id(DISTRIBUTION)
        .into_paginator()
        .page_size(2)
        .items()
        .send();
    while let Some(summary) = pages.next().await {
        listed.push(summary.unwrap().id);
    }
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn a_publish_that_fails_is_an_error_at_once() {
    let service = start(&[]).await;
    let client = client(&service);
    let id = create(&client, DISTRIBUTION, batch("r", &["/a"]))
        .await
        .unwrap();
    let fault = json!({
        "kind": "error", "code": "InvalidArgument", "message": "That path again.",
    });
    service.sandbox.fail_all("create", &fault).await;
    assert_eq!(service.run_until_ended(&id).await["state"], "failed");
    let (status, code, message) = status(&client, &id).await.unwrap_err();
    assert_eq!((status, code.as_str()), (400, "InvalidationFailed"));
    assert!(
        message.contains("InvalidArgument: That path again."),
        "{message}"
    );
}

/// Its other invalidations may have errors too, but those are not why it failed.
#[tokio::test]
async fn the_reason_is_that_of_the_invalidation_that_failed() {
    let service = start(&[]).await;
    let client = client(&service);
    service.sandbox.lose_answer().await;
    let lost = batch("lost", &["/lost"]);
    let lost = create(&client, DISTRIBUTION, lost).await.unwrap();
    assert_eq!(service.run_until_ended(&lost).await["state"], "unconfirmed");
    let fault = json!({
        "kind": "error", "code": "InvalidArgument", "message": "That path again.",
    });
    service.sandbox.fail_creates(1, fault).await;
    let id = create(&client, DISTRIBUTION, batch("r", &["/a"]))
        .await
        .unwrap();
    assert_eq!(service.run_until_ended(&id).await["state"], "failed");
    let both = "INSERT INTO coverage (site_id, publish_id, invalidation_id)
                SELECT p.site_id, p.id, i.id FROM publish p, invalidation i
                WHERE p.state = 'failed' AND i.status = 'Unconfirmed'";
    service.database.change(both).await;
    let (_, _, message) = status(&client, &id).await.unwrap_err();
    let said = "CloudFront did not accept the invalidation: InvalidArgument: That path again.";
    assert!(message.starts_with(said), "{message}");

    let gone = json!({ "kind": "error", "code": "NoSuchInvalidation", "status": 404 });
    service.sandbox.fail_all("get", &gone).await;
    let id = create(&client, DISTRIBUTION, batch("gone", &["/gone"]))
        .await
        .unwrap();
    assert_eq!(service.run_until_ended(&id).await["state"], "failed");
    let (_, code, message) = status(&client, &id).await.unwrap_err();
    assert_eq!(code, "InvalidationFailed");
    let said = "CloudFront no longer knows the invalidation: NoSuchInvalidation";
    assert!(message.starts_with(said), "{message}");
}

/// A waiter must not wait for a `Completed` that nobody will ever say.
#[tokio::test]
async fn a_publish_that_nobody_can_ask_about_is_an_error_too() {
    let service = start(&[]).await;
    let client = client(&service);
    service.sandbox.lose_answer().await;
    let batch = batch("r", &["/a"]);
    let id = create(&client, DISTRIBUTION, batch).await.unwrap();
    assert_eq!(service.run_until_ended(&id).await["state"], "unconfirmed");
    let (code, message) = match status(&client, &id).await {
        Err((400, code, message)) => (code, message),
        other => panic!("{other:?}"),
    };
    assert_eq!(code, "InvalidationUnconfirmed");
    assert!(
        message.ends_with("so that nobody can ask how far it is"),
        "{message}"
    );
}

#[tokio::test]
async fn a_publish_that_waits_is_in_progress() {
    let service = start(&[]).await;
    let client = client(&service);
    service
        .sandbox
        .set_key(KEY, json!({ "secret_access_key": "another" }))
        .await;
    let batch = batch("r", &["/a"]);
    let id = create(&client, DISTRIBUTION, batch).await.unwrap();
    service.run().await;
    let publish = service.api.get_publish(&id).await;
    assert_eq!(publish["invalidations"][0]["waiting_for"], "settings");
    assert_eq!(status(&client, &id).await.unwrap(), "InProgress");
}

/// What s3deploy asks for before it makes an invalidation.
#[tokio::test]
async fn a_distribution_is_described_as_far_as_it_is_known() {
    let service = start(&[]).await;
    let client = client(&service);
    let told = async |named: &str| {
        let distribution = client.get_distribution().id(named).send().await.unwrap();
        let distribution = distribution.distribution.unwrap();
        let origins = distribution.distribution_config.unwrap().origins.unwrap();
        let [origin] = origins.items.try_into().unwrap();
        (
            distribution.id,
            distribution.domain_name,
            origin.origin_path.unwrap(),
        )
    };
    let known = |domain: &str, path: &str| (DISTRIBUTION.into(), domain.into(), path.into());
    assert_eq!(told("default").await, known("", ""));
    let rules = Publishing {
        public_address: Some(PublicAddress::parse("https://www.example.com", false).unwrap()),
        origin_path: "/live".parse().unwrap(),
        ..Publishing::default()
    };
    service.save_publishing(&rules).await;
    let all = known("www.example.com", "/live");
    assert_eq!(told(DISTRIBUTION).await, all);

    let other = client.get_distribution().id("E2OTHER0000001").send();
    assert_eq!(refusal(other.await.unwrap_err()).1, "AccessDenied");
    let config = client.get_distribution_config().id("default").send();
    assert_eq!(refusal(config.await.unwrap_err()).1, "NotImplemented");
}

#[tokio::test]
async fn every_version_is_served_at_the_root_and_below_the_prefix() {
    let service = start(&[("PUBLIC_URL", "https://editor.example.com/cdn")]).await;
    let root = service.api.base.trim_end_matches("/cdn").to_owned();
    for call in [CALL.to_owned(), CALL.replace("2020-05-31", "2018-11-05")] {
        for base in [root.as_str(), &service.api.base] {
            let url = format!("{base}{call}");
            let mut request = Request::post(&url).body(Body::from(BODY)).unwrap();
            USUAL.apply(&service, &mut request, &url, BODY);
            let answer = send(request).await;
            assert_eq!(answer.status, 201, "{url}: {}", answer.body);
            let location = answer.header("location").unwrap();
            let expected = format!("https://editor.example.com/cdn{call}/");
            assert!(location.starts_with(&expected), "{location}");
        }
    }
}

#[tokio::test]
async fn two_lists_of_a_site_are_read_at_a_time() {
    let service = start(&[]).await;
    let lock = "LOCK TABLE publish IN ACCESS EXCLUSIVE MODE";
    let lock = service.database.hold(lock).await;
    let mut lists = JoinSet::new();
    for _ in 0..3 {
        let list = signed(&service, USUAL, &Method::GET, CALL, "");
        lists.spawn(send(list));
    }
    let refused = lists.join_next().await.unwrap().unwrap();
    let text = &refused.body;
    assert_eq!(refused.status, 503, "{text}");
    assert!(text.contains("Too much is under way"), "{text}");
    lock.release().await;
    for list in lists.join_all().await {
        assert_eq!(list.status, 200, "{}", list.body);
    }
}

#[tokio::test]
async fn a_list_says_what_it_was_asked_wrongly() {
    let service = start(&[]).await;
    for (query, expected) in [
        ("?MaxItems=0", "MaxItems must be"),
        ("?MaxItems=many", "MaxItems must be"),
        ("?Marker=I2J0I21PCUYOIK", "Marker must be"),
        ("?MaxItems=5000", "<MaxItems>100</MaxItems>"),
    ] {
        let path = format!("{CALL}{query}");
        let answer = send(signed(&service, USUAL, &Method::GET, &path, "")).await;
        let right = if expected.starts_with('<') { 200 } else { 400 };
        let text = answer.body;
        assert_eq!(answer.status, right, "{query}: {text}");
        assert!(text.contains(expected), "{query}: {text}");
    }
}
