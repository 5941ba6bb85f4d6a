//! After `Completed`: what readers get of a publish's pages, each state and cause.

use axum::routing::get;
use http::Request;
use serde_json::{Value, json};
use skycms_cdn::store::PublishFilter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{PRIVATE, Stepped, send};

/// The pages that are still to be looked at.
const WAITING: &str = "SELECT count(*) FROM edge_check WHERE next_at IS NOT NULL";

async fn service() -> Stepped {
    let service = Stepped::start_with(PRIVATE).await;
    service.show_at_edge().await;
    service
}

/// Reads a page as somebody else, so that the edge has a copy.
async fn read(service: &Stepped, path: &str) -> String {
    let url = format!("{}{path}", service.sandbox.edge);
    let request = Request::get(url).body(axum::body::Body::empty()).unwrap();
    let answer = send(request).await;
    answer.headers["x-cache"].to_str().unwrap().to_owned()
}

/// Publishes, lets CloudFront complete, looks at the pages, and gives what was found.
async fn published(service: &Stepped, body: Value) -> Value {
    let publish = service.api.publish(body).await;
    let id = publish["id"].as_str().unwrap().to_owned();
    assert_eq!(publish["edge"], json!([]));
    service.run().await;
    service.run_until_ended(&id).await;
    service.edge.run_due().await.unwrap();
    service.api.get_publish(&id).await
}

#[tokio::test]
async fn a_purged_page_is_fresh_and_warm_for_the_next_reader() {
    let service = service().await;
    assert_eq!(read(&service, "/about").await, "Miss from cloudfront");
    assert_eq!(read(&service, "/about").await, "Hit from cloudfront");
    let publish = published(
        &service,
        json!({ "paths": ["/about", "/blog/*"], "tags": ["t"] }),
    )
    .await;
    let edge = publish["edge"].as_array().unwrap();
    assert_eq!(edge.len(), 1, "only the page has an address: {publish:#}");
    assert_eq!(edge[0]["url"], format!("{}/about", service.sandbox.edge));
    assert_eq!(edge[0]["state"], "fresh");
    assert_eq!(edge[0]["http_status"], 200);
    assert_eq!(edge[0]["x_cache"], "Miss from cloudfront");
    assert_eq!(edge[0]["pop"], "SBX50-P1");
    assert_eq!(edge[0]["detail"], Value::Null);
    assert_eq!(publish["state"], "completed");
    assert_eq!(read(&service, "/about").await, "Hit from cloudfront");
    let metrics = service.state.metrics.encode(None);
    assert!(metrics.contains("skycms_cdn_edge_checks_total{state=\"fresh\"} 1\n"));
    assert!(metrics.contains("skycms_cdn_publish_fresh_seconds_count 1\n"));
}

#[tokio::test]
async fn a_stale_page_is_looked_at_again_after_5_20_and_60_seconds() {
    let service = service().await;
    service
        .sandbox
        .steer_edge(json!({ "stuck": ["/about"] }))
        .await;
    let publish = published(&service, json!({ "paths": ["/about", "/news"] })).await;
    let id = publish["id"].as_str().unwrap();
    let states = |publish: &Value| -> Vec<String> {
        let edge = publish["edge"].as_array().unwrap().iter();
        edge.map(|check| check["state"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(states(&publish), ["stale", "fresh"]);
    let detail = publish["edge"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("served by another distribution"),
        "{detail}"
    );
    let looks = |state: &str| {
        let series = format!("skycms_cdn_edge_checks_total{{state=\"{state}\"}} ");
        let metrics = service.state.metrics.encode(None);
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap().parse::<u32>().unwrap()
    };
    for (pause, looked) in [(4, 1), (1, 2), (19, 2), (1, 3), (59, 3)] {
        service.advance(time::Duration::seconds(pause));
        service.edge.run_due().await.unwrap();
        assert_eq!(looks("stale"), looked, "after {pause} s");
    }
    assert_eq!(looks("fresh"), 1, "what is fresh is left alone");

    service.sandbox.steer_edge(json!({})).await;
    service.advance(time::Duration::seconds(1));
    service.edge.run_due().await.unwrap();
    let publish = service.api.get_publish(id).await;
    assert_eq!(states(&publish), ["fresh", "fresh"]);

    service
        .sandbox
        .steer_edge(json!({ "stuck": ["/news"] }))
        .await;
    service.advance(time::Duration::minutes(10));
    service.edge.run_due().await.unwrap();
    assert_eq!(
        states(&service.api.get_publish(id).await),
        ["fresh", "fresh"]
    );
}

/// A connection on which a page was just asked for.
async fn asked_for(path: &str, listener: &TcpListener) -> TcpStream {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    assert!(head.starts_with(format!("GET {path} ").as_bytes()));
    connection
}

/// Answers with these headers and an empty page.
async fn answer(connection: &mut TcpStream, headers: &str) {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{headers}\r\n");
    connection.write_all(answer.as_bytes()).await.unwrap();
}

/// The copy of the first page left the origin two seconds before CloudFront accepted the purge.
#[tokio::test]
async fn a_page_is_as_old_as_its_own_answer_says_however_long_another_takes() {
    let service = Stepped::start_with(PRIVATE).await;
    let clock = service.state.clock.clone();
    let copied_at = clock.now() - time::Duration::seconds(2);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    service.set_public_address(&address).await;

    let publish = json!({ "paths": ["/quick", "/slow"] });
    let publish = service.api.publish(publish).await;
    let id = publish["id"].as_str().unwrap();
    service.run().await;
    service.run_until_ended(id).await;
    let checker = service.edge.clone();
    let looking = tokio::spawn(async move { checker.run_due().await });
    let mut quick = asked_for("/quick", &listener).await;
    let age = (clock.now() - copied_at).whole_seconds();
    let hit = format!("x-cache: Hit from cloudfront\r\nage: {age}\r\n");
    answer(&mut quick, &hit).await;
    // Whoever asked closes the connection when the answer has come.
    assert_eq!(quick.read(&mut [0]).await.unwrap(), 0);
    let mut slow = asked_for("/slow", &listener).await;
    service.advance(time::Duration::seconds(4));
    answer(&mut slow, "x-cache: Miss from cloudfront\r\n").await;
    looking.await.unwrap().unwrap();
    let publish = service.api.get_publish(id).await;
    assert_eq!(publish["edge"][0]["state"], "stale", "{publish:#}");
    assert_eq!(publish["edge"][1]["state"], "fresh", "{publish:#}");
}

/// A reader fetched the page after the call whose answer was lost, and before it was repeated.
#[tokio::test]
async fn a_copy_is_fresh_since_the_attempt_that_cloudfront_accepted() {
    let service = Stepped::start_with(PRIVATE).await;
    let clock = service.state.clock.clone();
    let copied_at = clock.now() + time::Duration::seconds(30);
    let hit = move || {
        let age = (clock.now() - copied_at).whole_seconds().to_string();
        let headers = [("x-cache", "Hit from cloudfront".to_owned()), ("age", age)];
        async move { headers }
    };
    let edge = axum::Router::new().route("/about", get(hit));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, edge).await });
    service.set_public_address(&address).await;

    let lost = json!({ "kind": "drop_answer" });
    service.sandbox.spoil_answer(&lost).await;
    let id = service.publish_and_run("/about").await;
    service.pass(40).await;
    service.run_until_ended(&id).await;
    service.edge.run_due().await.unwrap();
    let publish = service.api.get_publish(&id).await;
    assert_eq!(service.sandbox.accepted().await.len(), 1);
    assert_eq!(publish["edge"][0]["state"], "fresh", "{publish:#}");
}

#[tokio::test]
async fn each_cause_is_found_and_reported() {
    let service = service().await;
    let old = "2020-01-01T08:00:00Z";
    for (settings, state, words) in [
        (
            json!({ "bypassed": true }),
            "not_cloudfront",
            "none of CloudFront's headers",
        ),
        (
            json!({ "origin_modified": old }),
            "fresh",
            "last changed on 1 January 2020",
        ),
        (json!({ "max_age": 600 }), "fresh", "for up to 10 minutes"),
        (
            json!({ "redirects": { "/about": "/about/" } }),
            "fresh",
            "differ by a slash",
        ),
        (
            json!({ "stuck": ["/about"] }),
            "stale",
            "The copy at edge location SBX50-P1 is 24 hours old",
        ),
    ] {
        service.sandbox.steer_edge(settings.clone()).await;
        let publish = published(&service, json!({ "paths": ["/about"] })).await;
        let check = &publish["edge"][0];
        assert_eq!(check["state"], state, "{settings}: {check:#}");
        let detail = check["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words), "{settings}: {detail}");
        // Its looks to come would take their turns with the next publish's.
        service.set_public_address("http://127.0.0.1:9").await;
        service.show_at_edge().await;
    }
    service.set_public_address("http://127.0.0.1:9").await;
    let publish = published(&service, json!({ "paths": ["/about"] })).await;
    assert_eq!(publish["edge"][0]["state"], "unreachable");
    assert_eq!(publish["edge"][0]["http_status"], Value::Null);
}

#[tokio::test]
async fn a_private_address_is_never_called() {
    let service = Stepped::start().await;
    service.show_at_edge().await;
    let publish = published(&service, json!({ "paths": ["/about"] })).await;
    let detail = publish["edge"][0]["detail"].as_str().unwrap();
    assert_eq!(publish["edge"][0]["state"], "unreachable");
    assert!(detail.contains("private address"), "{detail}");
}

#[tokio::test]
async fn a_site_without_an_address_and_a_publish_without_pages_are_left_alone() {
    let service = Stepped::start_with(PRIVATE).await;
    let publish = published(&service, json!({ "paths": ["/about"] })).await;
    assert_eq!(publish["edge"], json!([]));
    service.show_at_edge().await;
    published(&service, json!({ "paths": ["/blog/*"], "tags": ["t"] })).await;
    let checks = "SELECT count(*) FROM edge_check";
    assert_eq!(service.database.count(checks).await, 0);
}

#[tokio::test]
async fn of_a_storm_a_hundred_are_looked_at() {
    let service = service().await;
    for page in 0..130 {
        service.api.publish_path(&format!("/{page}")).await;
    }
    service.pass_in_steps(20, 1).await;
    let waiting = service.database.count(WAITING).await;
    let completed = "SELECT count(*) FROM publish WHERE state = 'completed'";
    let completed = service.database.count(completed).await;
    assert_eq!((waiting, completed), (100, 130));
}

#[tokio::test]
async fn two_replicas_look_at_a_site_one_after_the_other_and_take_over_from_each_other() {
    let service = service().await;
    let first = service.api.publish_path("/a").await;
    service.run().await;
    service.run_until_ended(&first).await;
    let second = service.api.publish_path("/b").await;
    service.run().await;
    service.run_until_ended(&second).await;
    let store = &service.state.store;
    let now = || service.state.clock.now();
    let claim = async || {
        store
            .claim_edge(10, service.state.clock.id(), now())
            .await
            .unwrap()
    };
    let held = claim().await;
    assert_eq!(held.len(), 1, "one per site");
    assert!(claim().await.is_empty(), "while it is looked at");

    service.advance(time::Duration::seconds(31));
    service.edge.run_due().await.unwrap();
    for id in [&first, &second] {
        let publish = service.api.get_publish(id).await;
        assert_eq!(publish["edge"][0]["state"], "fresh", "{publish:#}");
    }
    let late = store.record_edge(&held[0], &[], None, now()).await.unwrap();
    assert!(!late, "whose lease has run out changes nothing");
}

/// A later version may find what this one has no word for, while both still run.
#[tokio::test]
async fn what_a_later_version_found_is_found_again() {
    let service = service().await;
    let stuck = json!({ "stuck": ["/about"] });
    service.sandbox.steer_edge(stuck).await;
    let publish = published(&service, json!({ "paths": ["/about"] })).await;
    let found = service.database.change(
        r#"ALTER TABLE edge_check DROP CONSTRAINT edge_check_worst_check;
           UPDATE edge_check SET checks = jsonb_set(checks, '{0,state}', '"blurred"'), worst = 'blurred'"#,
    );
    found.await;
    let id = publish["id"].as_str().unwrap();
    assert_eq!(service.api.get_publish(id).await["edge"], json!([]));
    let (all, now) = (PublishFilter::default(), service.state.clock.now());
    let listed = service.state.store.activity(service.site(), all, 25, now);
    assert_eq!(listed.await.unwrap().items[0].edge, None);
    service.sandbox.steer_edge(json!({})).await;
    service.advance(time::Duration::seconds(5));
    service.edge.run_due().await.unwrap();
    let publish = service.api.get_publish(id).await;
    assert_eq!(publish["edge"][0]["state"], "fresh");
}

#[tokio::test]
async fn one_that_cannot_be_read_is_given_up_and_holds_no_other() {
    let service = service().await;
    let mut ids = Vec::new();
    for path in ["/broken", "/about"] {
        let id = service.api.publish_path(path).await;
        service.run().await;
        service.run_until_ended(&id).await;
        ids.push(id);
    }
    let broken = "UPDATE publish SET items = '{relative}' WHERE items = '{/broken}'";
    service.database.change(broken).await;
    // The first look meets it, the second does not.
    for _ in 0..2 {
        service.edge.run_due().await.unwrap();
    }
    let publish = service.api.get_publish(&ids[1]).await;
    assert_eq!(publish["edge"][0]["state"], "fresh", "{publish:#}");
    assert_eq!(service.database.count(WAITING).await, 0);
}
