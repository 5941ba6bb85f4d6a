//! Notifications: what endpoints are told of what happened, in which order, and what becomes of
//! those that do not answer.

use serde_json::json;
use skycms_cdn::domain::notification::{EndpointKind, Event};
use skycms_cdn::domain::{MonthlyLimit, PastLimit, Policy, Spending};
use skycms_cdn::store::{DeliveryState, EndpointView, MAX_ENDPOINTS, SiteId, hash};
use time::Duration;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::support::{
    Browser, DISTRIBUTION, ENDPOINT_SECRET, KEY, Mood, OTHER, OTHER_KEY, PRIVATE, Received,
    Receiver, SECRETS, Stepped, endpoint, eventually, unavailable,
};

async fn service() -> (Stepped, Receiver, Uuid) {
    let service = Stepped::start_with(PRIVATE).await;
    let receiver = Receiver::start().await;
    let id = add(&service, &receiver.url, EndpointKind::Standard).await;
    (service, receiver, id)
}

/// Adds an endpoint that hears of everything.
async fn add(service: &Stepped, url: &str, kind: EndpointKind) -> Uuid {
    let (state, id) = (&service.state, service.state.clock.id());
    let (endpoint, now) = (endpoint(id, url, kind), state.clock.now());
    let added = state
        .store
        .add_endpoint(service.site(), &endpoint, &hash(&id.to_string()), now)
        .await;
    assert!(added.unwrap().is_some());
    id
}

async fn notify(service: &Stepped) {
    service.notifier.run_due().await.unwrap();
}

/// Publishes and lets CloudFront complete it.
async fn completed(service: &Stepped, path: &str) -> String {
    let id = service.publish_and_run(path).await;
    service.run_until_ended(&id).await;
    id
}

/// Asks for a test, on this form: whether one is sent, unless the endpoint is switched off.
async fn press_test(service: &Stepped, endpoint: Uuid, form: &str) -> Option<bool> {
    let (store, now) = (&service.state.store, service.state.clock.now());
    let sent = store
        .send_test(service.site(), endpoint, &hash(form), now)
        .await;
    sent.unwrap()
}

async fn only(service: &Stepped) -> EndpointView {
    let endpoints = service.state.store.endpoints(service.site()).await.unwrap();
    assert_eq!(endpoints.len(), 1);
    endpoints.into_iter().next().unwrap()
}

fn events(receiver: &Receiver) -> Vec<String> {
    receiver.take().iter().map(Received::event).collect()
}

#[tokio::test]
async fn a_completed_publish_is_notified_at_once_and_signed() {
    let (service, receiver, _) = service().await;
    let id = completed(&service, "/about").await;
    notify(&service).await;
    let received = receiver.take();
    assert_eq!(received.len(), 1);
    let (message, publish) = (received[0].json(), service.api.get_publish(&id).await);
    assert_eq!(publish["state"], "completed");
    let ended = &publish["invalidations"][0]["completed_at"];
    assert_eq!(
        message,
        json!({
            "type": "publish.completed", "timestamp": ended,
            "data": { "site": "default", "publish": id, "url": format!("{}/activity/{id}", service.api.base) }
        })
    );
    assert!(received[0].is_signed_by(ENDPOINT_SECRET));
    assert!(!received[0].is_signed_by("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHhA="));
    let sent: i64 = received[0].header("webhook-timestamp").parse().unwrap();
    assert_eq!(sent, service.state.clock.now().unix_timestamp());
    assert_eq!(received[0].header("content-type"), "application/json");
    let metrics = service.state.metrics.encode(None);
    assert!(
        metrics.contains("skycms_cdn_notification_deliveries_total{outcome=\"delivered\"} 1\n")
    );
}

#[tokio::test]
async fn a_storm_is_one_message_a_minute_and_a_failure_is_sent_at_once() {
    let (service, receiver, _) = service().await;
    completed(&service, "/first").await;
    notify(&service).await;
    assert_eq!(events(&receiver), ["publish.completed"]);
    for page in 0..12 {
        completed(&service, &format!("/{page}")).await;
        notify(&service).await;
        assert_eq!(events(&receiver), [""; 0], "it gathers");
    }
    let refusal = json!({ "kind": "error", "code": "InvalidArgument", "status": 400, "message": "A bad path" });
    service.sandbox.fail_creates(1, refusal).await;
    let failed = service.publish_and_run("/bad").await;
    notify(&service).await;
    let received = receiver.take();
    assert_eq!(received.len(), 1, "{received:#?}");
    let data = &received[0].json()["data"];
    assert_eq!(received[0].event(), "publish.failed");
    assert_eq!(data["publish"], json!(failed));
    let reason = data["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("InvalidArgument: A bad path "),
        "{reason}"
    );

    service.advance(Duration::MINUTE);
    notify(&service).await;
    let received = receiver.take();
    assert_eq!(received.len(), 1);
    let data = &received[0].json()["data"];
    assert_eq!(data["publishes"], 12);
    assert_eq!(data["reason"], "12 publishes completed");
    assert_eq!(data.get("publish"), None);
    assert_eq!(receiver.most_open(), 1);
}

/// A call without an answer is set aside when the settings move, and what is sent instead fails.
#[tokio::test]
async fn a_failure_after_a_move_of_the_settings_is_not_explained_by_the_move() {
    let (service, receiver, _) = service().await;
    service.sandbox.add_tenant(OTHER, OTHER_KEY).await;
    service.sandbox.fail_creates(1, unavailable()).await;
    let id = service.publish_and_run("/bad").await;
    service.activate(service.site(), OTHER, OTHER_KEY).await;
    let refusal = json!({ "kind": "error", "code": "InvalidArgument", "status": 400, "message": "A bad path" });
    service.sandbox.fail_creates(1, refusal).await;
    let publish = service.run_until_ended(&id).await;
    assert_eq!(publish["state"], "failed");
    notify(&service).await;
    let received = receiver.take();
    assert_eq!(received.len(), 1, "{received:#?}");
    let reason = received[0].json()["data"]["reason"].to_string();
    assert!(
        reason.starts_with("\"InvalidArgument: A bad path "),
        "{reason}"
    );
}

#[tokio::test]
async fn what_is_refused_comes_again_as_it_was_until_it_is_taken() {
    let (service, receiver, endpoint) = service().await;
    receiver.be(Mood::Answers(500));
    completed(&service, "/about").await;
    notify(&service).await;
    let mut received = receiver.take();
    for pause in [5, 30, 120] {
        service.advance(Duration::seconds(pause - 1));
        notify(&service).await;
        assert_eq!(receiver.take().len(), 0, "not before its time");
        service.advance(Duration::SECOND);
        notify(&service).await;
        received.extend(receiver.take());
    }
    assert_eq!(received.len(), 4);
    // What happens meanwhile waits with it.
    completed(&service, "/later").await;
    assert!(only(&service).await.failing_since.is_some());

    receiver.be(Mood::Answers(204));
    service.advance(Duration::minutes(10));
    notify(&service).await;
    service.advance(Duration::MINUTE);
    notify(&service).await;
    let taken = receiver.take();
    let ids: Vec<_> = taken.iter().map(|it| it.header("webhook-id")).collect();
    assert_eq!(ids.len(), 2, "{taken:#?}");
    assert_ne!(ids[0], ids[1]);
    for attempt in &received {
        assert_eq!(attempt.header("webhook-id"), ids[0]);
        assert_eq!(attempt.body, taken[0].body);
        assert!(attempt.is_signed_by(ENDPOINT_SECRET));
    }
    let site = service.site();
    let store = &service.state.store;
    let deliveries = store.deliveries(site).await.unwrap();
    let first = deliveries.last().unwrap();
    assert_eq!(
        (first.endpoint, first.state),
        (endpoint, DeliveryState::Delivered)
    );
    let statuses: Vec<_> = first.tries.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [500, 500, 500, 500, 204].map(Some));
    assert_eq!(first.tries[0].body, "so says the receiver");
    assert_eq!(only(&service).await.failing_since, None);

    // And again because somebody wants it, once however often they press the button.
    let (form, now) = (hash("form"), service.state.clock.now());
    let again = async |site| store.send_again(site, first.id, &form, now).await.unwrap();
    assert_eq!(again(SiteId(99)).await, None);
    assert_eq!(again(site).await, Some(true));
    notify(&service).await;
    let taken_again = receiver.take();
    assert_eq!(taken_again[0].header("webhook-id"), ids[0]);
    assert_eq!(taken_again[0].body, taken[0].body);
    assert_eq!(again(site).await, Some(false));
    notify(&service).await;
    assert!(receiver.take().is_empty());

    // From a page that the browser has kept for long.
    service.advance(Duration::minutes(11));
    let now = service.state.clock.now();
    let later = store.send_again(site, first.id, &form, now).await;
    assert_eq!(later.unwrap(), Some(true));
    notify(&service).await;
    assert_eq!(receiver.take().len(), 1);
}

#[tokio::test]
async fn a_dead_endpoint_holds_up_no_other_and_is_switched_off_after_a_day() {
    let (service, receiver, dead) = service().await;
    receiver.be(Mood::Answers(503));
    let alive = Receiver::start().await;
    add(&service, &alive.url, EndpointKind::Standard).await;
    for hour in 0..26 {
        completed(&service, &format!("/{hour}")).await;
        notify(&service).await;
        assert_eq!(events(&alive), ["publish.completed"], "hour {hour}");
        service.advance(Duration::HOUR);
    }
    let attempts = receiver.take().len();
    assert!((20..40).contains(&attempts), "{attempts}");
    let (store, site) = (&service.state.store, service.site());
    let endpoint = |endpoints: Vec<EndpointView>| {
        let mut endpoints = endpoints.into_iter();
        endpoints.find(|endpoint| endpoint.id == dead).unwrap()
    };
    let shown = endpoint(store.endpoints(site).await.unwrap());
    assert!(shown.off_at.is_some(), "{shown:?}");
    assert_eq!(shown.waiting, 0);
    assert_eq!(press_test(&service, dead, "form").await, None);

    receiver.be(Mood::Answers(200));
    let now = service.state.clock.now();
    store.switch_on_endpoint(site, dead, now).await.unwrap();
    assert_eq!(press_test(&service, dead, "form").await, Some(true));
    notify(&service).await;
    assert_eq!(events(&receiver), ["test"], "what it missed is given up");
    let metrics = service.state.metrics.encode(None);
    assert!(metrics.contains("skycms_cdn_notification_endpoints_switched_off_total 1\n"));
}

/// The machine sleeps between two tries.
#[tokio::test]
async fn days_in_which_nobody_tried_an_endpoint_do_not_switch_it_off() {
    let (service, receiver, _) = service().await;
    receiver.be(Mood::Answers(503));
    completed(&service, "/about").await;
    notify(&service).await;
    service.advance(Duration::days(2));
    for _ in 0..24 {
        notify(&service).await;
        assert_eq!(only(&service).await.off_at, None);
        service.advance(Duration::HOUR);
    }
    for _ in 0..5 {
        notify(&service).await;
        service.advance(Duration::HOUR);
    }
    assert!(only(&service).await.off_at.is_some(), "a day of failures");
}

/// The machine sleeps while it waits for an answer, and the connection does not outlive that.
#[tokio::test]
async fn days_that_pass_during_a_try_do_not_switch_an_endpoint_off() {
    let service = Stepped::start_with(PRIVATE).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    add(&service, &url, EndpointKind::Standard).await;
    completed(&service, "/about").await;
    let refused = async { drop(listener.accept().await.unwrap()) };
    tokio::join!(notify(&service), refused);
    service.advance(Duration::seconds(5));
    let slept = async {
        let connection = listener.accept().await.unwrap();
        service.advance(Duration::days(2));
        drop(connection);
    };
    tokio::join!(notify(&service), slept);
    let endpoint = only(&service).await;
    assert_eq!(endpoint.off_at, None);
    assert_eq!(endpoint.failing_since, Some(service.state.clock.now()));
}

#[tokio::test]
async fn who_is_gone_or_busy_is_left_alone() {
    let (service, receiver, _) = service().await;
    receiver.be(Mood::Busy(600));
    completed(&service, "/about").await;
    notify(&service).await;
    service.advance(Duration::minutes(9));
    notify(&service).await;
    assert_eq!(receiver.take().len(), 1);
    receiver.be(Mood::Answers(410));
    service.advance(Duration::MINUTE);
    notify(&service).await;
    assert_eq!(receiver.take().len(), 1);
    assert!(only(&service).await.off_at.is_some());
}

#[tokio::test]
async fn what_was_given_up_unsent_can_be_sent_again() {
    let service = Stepped::start_with(&[PRIVATE, SECRETS].concat()).await;
    let receiver = Receiver::start().await;
    let endpoint = add(&service, &receiver.url, EndpointKind::Standard).await;
    let (store, site) = (&service.state.store, service.site());
    completed(&service, "/about").await;
    let now = service.state.clock.now();
    assert_eq!(press_test(&service, endpoint, "form").await, Some(true));
    receiver.be(Mood::Answers(410));
    notify(&service).await;
    assert_eq!(events(&receiver), ["publish.completed"], "and then no more");

    receiver.be(Mood::Answers(200));
    store.switch_on_endpoint(site, endpoint, now).await.unwrap();
    notify(&service).await;
    assert_eq!(receiver.take().len(), 0, "not by itself");
    let given_up = store.deliveries(site).await.unwrap();
    assert_eq!(given_up.len(), 2);
    let mut admin = Browser::signed_in(&service.api.base).await;
    let page = admin.get("/settings/cdn/notifications").await.body;
    for delivery in given_up {
        assert_eq!(delivery.state, DeliveryState::GivenUp);
        let button = format!("/settings/cdn/deliveries/{}/again", delivery.id);
        assert!(page.contains(&button), "{page}");
        let form = hash(&button);
        let again = store.send_again(site, delivery.id, &form, now).await;
        assert_eq!(again.unwrap(), Some(true));
    }
    notify(&service).await;
    assert_eq!(events(&receiver), ["publish.completed", "test"]);
}

#[tokio::test]
async fn a_pause_and_its_end_are_notified_in_that_order() {
    let (service, receiver, _) = service().await;
    service.sandbox.enable_key(false).await;
    service.publish_and_run("/about").await;
    service.pass_in_steps(5, 60).await; // it is tried again, and told once
    service.sandbox.enable_key(true).await;
    service.pass(600).await;
    service.pass(60).await;
    receiver.be(Mood::Answers(500));
    notify(&service).await;
    receiver.be(Mood::Answers(200));
    receiver.take();
    for _ in 0..3 {
        service.advance(Duration::minutes(10));
        notify(&service).await;
    }
    let received = receiver.take();
    let told: Vec<_> = received.iter().map(Received::event).collect();
    let of_site: Vec<_> = told.iter().filter(|it| it.starts_with("site")).collect();
    assert_eq!(of_site, ["site.paused", "site.resumed"]);
    assert!(told.contains(&"publish.completed".to_owned()), "{told:?}");
    let paused = received.iter().find(|it| it.event() == "site.paused");
    let reason = paused.unwrap().json()["data"]["reason"].to_string();
    assert!(reason.contains("InvalidClientTokenId"), "{reason}");
}

#[tokio::test]
async fn a_pause_ends_once_although_a_call_and_new_settings_end_it_together() {
    let (service, receiver, _) = service().await;
    let sandbox = &service.sandbox;
    sandbox.enable_key(false).await;
    service.publish_and_run("/about").await;
    sandbox.enable_key(true).await;
    let before = sandbox.creates().await.len();
    let slow = json!({ "kind": "slow", "ms": 1_000 });
    sandbox.fail_creates(1, slow).await;
    service.advance(Duration::minutes(10));
    let dispatcher = service.dispatcher.clone();
    let calling = tokio::spawn(async move { dispatcher.run_pending().await });
    sandbox.wait_for_creates(before + 1).await;
    let site = service.site();
    service.activate(site, DISTRIBUTION, KEY).await;
    calling.await.unwrap().unwrap();
    notify(&service).await;
    let mut told = events(&receiver);
    told.retain(|event| event.starts_with("site"));
    assert_eq!(told, ["site.paused", "site.resumed"]);
}

#[tokio::test]
async fn a_monthly_limit_is_notified_once_when_near_and_once_when_reached() {
    let (service, receiver, _) = service().await;
    let (store, site) = (&service.state.store, service.site());
    let limit = async |paths| {
        let spending = Spending {
            policy: Policy::Exact,
            monthly_limit: Some(MonthlyLimit {
                paths,
                then: PastLimit::Hold,
            }),
            ..Spending::default()
        };
        store.save_spending(site, None, &spending).await.unwrap();
    };
    limit(5).await;
    let mut told = Vec::new();
    for page in 0..7 {
        service.publish_and_run(&format!("/{page}")).await;
        service.pass_in_steps(3, 20).await;
        notify(&service).await;
        let events = events(&receiver);
        told.extend(events.into_iter().filter(|it| it.starts_with("month")));
    }
    assert_eq!(told, ["month.near", "month.reached"]);
    limit(6).await;
    service.pass(60).await;
    notify(&service).await;
    let events = events(&receiver);
    assert!(events.contains(&"month.reached".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_stale_page_is_notified_only_after_its_publish_was_delivered() {
    let (service, receiver, _) = service().await;
    service.show_at_edge().await;
    service
        .sandbox
        .steer_edge(json!({ "stuck": ["/about"] }))
        .await;
    let id = completed(&service, "/about").await;
    receiver.be(Mood::Answers(500));
    notify(&service).await;
    for pause in [0, 5, 20, 60] {
        service.advance(Duration::seconds(pause));
        service.edge.run_due().await.unwrap();
    }
    notify(&service).await;
    receiver.take();
    receiver.be(Mood::Answers(200));
    service.advance(Duration::minutes(10));
    notify(&service).await;
    let received = receiver.take();
    let told: Vec<_> = received.iter().map(Received::event).collect();
    assert_eq!(told, ["publish.completed", "publish.stale"]);
    let data = &received[1].json()["data"];
    assert_eq!(data["publish"], json!(id));
    let reason = data["reason"].as_str().unwrap();
    assert!(
        reason.contains("/about: The copy at edge location"),
        "{reason}"
    );
}

#[tokio::test]
async fn slack_gets_a_text_without_a_signature() {
    let service = Stepped::start_with(PRIVATE).await;
    let receiver = Receiver::start().await;
    add(&service, &receiver.url, EndpointKind::Slack).await;
    let id = completed(&service, "/about").await;
    notify(&service).await;
    let received = receiver.take();
    let base = &service.api.base;
    assert_eq!(
        received[0].json(),
        json!({ "text": format!("*default*: A publish completed. <{base}/activity/{id}|See it>") })
    );
    assert_eq!(received[0].headers.get("webhook-signature"), None);
}

#[tokio::test]
async fn a_form_that_is_opened_again_later_sends_another_test() {
    let (service, receiver, endpoint) = service().await;
    let press = async || press_test(&service, endpoint, "kept by the browser").await;
    assert_eq!(press().await, Some(true));
    assert_eq!(press().await, Some(false), "a double click");
    service.advance(Duration::minutes(11));
    assert_eq!(press().await, Some(true));
    notify(&service).await;
    assert_eq!(events(&receiver), ["test", "test"]);
}

/// The endpoint has been repaired, and somebody tries it at once.
#[tokio::test]
async fn a_test_waits_for_no_earlier_one_that_was_refused() {
    let (service, receiver, endpoint) = service().await;
    let test = async |form: &str| {
        assert_eq!(press_test(&service, endpoint, form).await, Some(true));
        notify(&service).await;
    };
    receiver.be(Mood::Answers(500));
    test("first").await;
    for pause in [5, 30, 120, 600] {
        service.advance(Duration::seconds(pause));
        notify(&service).await;
    }
    let refused = receiver.take();
    assert_eq!(refused.len(), 5);
    receiver.be(Mood::Answers(204));
    test("second").await;
    let taken = receiver.take();
    let ids: Vec<_> = taken.iter().map(|it| it.header("webhook-id")).collect();
    assert_eq!(ids.len(), 2, "the first comes again once it works");
    assert_ne!(ids[0], refused[0].header("webhook-id"));
    assert_eq!(ids[1], refused[0].header("webhook-id"));
}

#[tokio::test]
async fn a_private_address_is_not_called() {
    let service = Stepped::start().await;
    let receiver = Receiver::start().await;
    add(&service, &receiver.url, EndpointKind::Standard).await;
    completed(&service, "/about").await;
    notify(&service).await;
    assert_eq!(receiver.take().len(), 0);
    let deliveries = service.state.store.deliveries(service.site()).await;
    let trouble = deliveries.unwrap()[0].tries[0].trouble.clone().unwrap();
    assert!(trouble.contains("private address"), "{trouble}");
}

#[tokio::test]
async fn two_replicas_send_one_after_the_other_and_take_over_from_each_other() {
    let (service, receiver, _) = service().await;
    completed(&service, "/about").await;
    let (store, clock) = (&service.state.store, &service.state.clock);
    let claim = async || {
        let claims = store.claim_deliveries(9, "http://base", clock.id(), clock.now());
        claims.await.unwrap()
    };
    let held = claim().await;
    assert_eq!(held.len(), 1);
    assert!(claim().await.is_empty(), "while it is being sent");

    service.advance(Duration::seconds(31));
    notify(&service).await;
    let received = receiver.take();
    assert_eq!(received[0].header("webhook-id"), held[0].webhook_id());
    assert_eq!(received[0].body, held[0].body);
    let answer = Ok(skycms_cdn::domain::notification::Reply {
        status: 500,
        retry_after: None,
        body: String::new(),
    });
    let now = clock.now();
    let tried = skycms_cdn::domain::notification::Tried::new(&answer, now, now);
    let after = skycms_cdn::domain::notification::after_delivery(1, held[0].health, &answer, now);
    let late = store.record_delivery(&held[0], &tried, &after, now).await;
    assert!(!late.unwrap(), "whose lease has run out changes nothing");
}

/// Of two messages that say the same, one is claimed and gathers the other.
#[tokio::test]
async fn an_endpoint_is_removed_while_a_message_to_it_is_being_claimed() {
    let (service, _receiver, endpoint) = service().await;
    for path in ["/first", "/second"] {
        completed(&service, path).await;
    }
    let second = "SELECT FROM delivery ORDER BY seq DESC LIMIT 1 FOR UPDATE";
    let second = service.database.hold(second).await;
    let (store, site) = (service.state.store.clone(), service.site());
    let (token, now) = (service.state.clock.id(), service.state.clock.now());
    let claiming = {
        let store = store.clone();
        tokio::spawn(async move { store.claim_deliveries(9, "http://base", token, now).await })
    };
    service.database.wait_for_locks(1).await;
    let ended = [0; 32];
    let removing =
        tokio::spawn(async move { store.remove_endpoint(site, endpoint, &ended, now).await });
    service.database.wait_for_locks(2).await;
    second.release().await;
    assert_eq!(claiming.await.unwrap().unwrap().len(), 1);
    assert!(removing.await.unwrap().unwrap().is_some());
}

#[tokio::test]
async fn two_forms_at_once_do_not_add_one_endpoint_too_many() {
    let (service, receiver, _) = service().await;
    let first = service.database.hold(
        "SELECT FROM site FOR NO KEY UPDATE;
         INSERT INTO endpoint (id, site_id, kind, url, shown, events, created_at, next_at)
         SELECT gen_random_uuid(), site_id, 'slack', url, shown, events, created_at, next_at
         FROM endpoint, generate_series(2, 10)",
    );
    let first = first.await;
    let (state, site) = (&service.state, service.site());
    let (store, now) = (state.store.clone(), state.clock.now());
    let new = endpoint(state.clock.id(), &receiver.url, EndpointKind::Standard);
    let second =
        tokio::spawn(async move { store.add_endpoint(site, &new, &hash("form"), now).await });
    service.database.wait_for_locks(1).await;
    first.release().await;
    assert!(second.await.unwrap().unwrap().is_none());
    let all = service.state.store.endpoints(site).await.unwrap();
    assert_eq!(all.len(), MAX_ENDPOINTS);
}

/// After a downgrade.
#[tokio::test]
async fn what_only_a_newer_version_knows_waits_for_it_and_holds_up_nothing() {
    let (service, receiver, endpoint) = service().await;
    let newer = service.database.change(
        "UPDATE endpoint SET events = array_append(events, 'test.newer');
         INSERT INTO delivery (endpoint_id, event, happened_at, next_at)
         SELECT id, 'test.newer', created_at, created_at FROM endpoint",
    );
    newer.await;
    assert_eq!(press_test(&service, endpoint, "form").await, Some(true));
    notify(&service).await;
    assert_eq!(events(&receiver), ["test"]);
    let deliveries = service.state.store.deliveries(service.site()).await;
    assert_eq!(deliveries.unwrap().len(), 1);
    assert_eq!(only(&service).await.waiting, 1);
}

#[tokio::test]
async fn what_only_a_newer_version_knows_stays_chosen() {
    let (service, _, endpoint) = service().await;
    let newer = "UPDATE endpoint SET events = array_append(events, 'test.newer')";
    service.database.change(newer).await;
    let (store, site) = (&service.state.store, service.site());
    for changes in [true, false] {
        let chosen = store.choose_events(site, endpoint, &[Event::PublishFailed]);
        assert_eq!(chosen.await.unwrap().unwrap().1, changes);
        let kept = "SELECT count(*) FROM endpoint WHERE events = '{publish.failed,test.newer}'";
        assert_eq!(service.database.count(kept).await, 1);
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_does_not_keep_a_purge_or_another_waiting() {
    let (service, hanging, _) = service().await;
    hanging.be(Mood::Hangs);
    let alive = Receiver::start().await;
    add(&service, &alive.url, EndpointKind::Standard).await;
    completed(&service, "/first").await;
    let notifier = service.notifier.clone();
    let sending = tokio::spawn(async move { notifier.run_due().await });
    eventually("the message to the other", async || {
        (alive.received().len() == 1).then_some(())
    })
    .await;
    completed(&service, "/second").await;
    assert!(!sending.is_finished(), "the other still hangs");
    sending.abort();
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_so_is_what_a_removed_site_had() {
    let (service, _receiver, _) = service().await;
    completed(&service, "/about").await;
    notify(&service).await;
    let (store, site) = (&service.state.store, service.site());
    let now = service.state.clock.now();
    store.prune_step(now).await.unwrap();
    assert_eq!(
        store.deliveries(site).await.unwrap().len(),
        1,
        "it is not before now"
    );
    store.prune_step(now + Duration::SECOND).await.unwrap();
    assert_eq!(store.deliveries(site).await.unwrap().len(), 0);
    store.remove_site(site, now).await.unwrap();
    assert_eq!(store.endpoints(site).await.unwrap().len(), 0);
}

#[tokio::test]
async fn what_waits_for_another_try_is_listed_however_much_came_after_it() {
    let (service, receiver, _) = service().await;
    receiver.be(Mood::Answers(500));
    let old = completed(&service, "/about").await;
    notify(&service).await;
    let later = service.database.change(
        "INSERT INTO delivery (endpoint_id, event, happened_at, state, ended_at)
         SELECT id, 'test', created_at, 'delivered', created_at FROM endpoint, generate_series(1, 60)",
    );
    later.await;
    let listed = service.state.store.deliveries(service.site()).await;
    let listed = listed.unwrap();
    assert_eq!(listed.len(), 51);
    let last = listed.last().unwrap();
    assert_eq!(last.state, DeliveryState::Waiting);
    assert!(last.body.as_ref().unwrap().contains(&old));
}

/// The example of docs/NOTIFICATIONS.md, in the hands of somebody who copies it.
#[tokio::test]
async fn the_example_for_receivers_accepts_only_genuine_messages() {
    let (service, receiver, endpoint) = service().await;
    // The example goes by the time of day.
    let behind = time::OffsetDateTime::now_utc() - service.state.clock.now();
    service.advance(behind);
    assert_eq!(press_test(&service, endpoint, "form").await, Some(true));
    notify(&service).await;
    let received = receiver.take().remove(0);
    let (_, example) = include_str!("../../docs/NOTIFICATIONS.md")
        .split_once("<!-- example: verify.py -->\n```python\n")
        .unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let verdict = async |secret: &str, body: &str| {
        let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers: serde_json::Map<_, _> = headers
            .into_iter()
            .map(|name| (name.to_owned(), json!(received.header(name))))
            .collect();
        let script = format!(
            "{example}\nimport json, sys\n\
             print(is_genuine(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].encode()))"
        );
        let output = tokio::process::Command::new("python3")
            .args(["-c", &script, secret, &json!(headers).to_string(), body])
            .output()
            .await
            .unwrap();
        let (out, err) = (output.stdout, output.stderr);
        assert!(err.is_empty(), "{}", String::from_utf8(err).unwrap());
        String::from_utf8(out).unwrap().trim().to_owned()
    };
    assert_eq!(verdict(ENDPOINT_SECRET, &received.body).await, "True");
    assert_eq!(
        verdict(ENDPOINT_SECRET, &received.body.replace("default", "shop")).await,
        "False"
    );
    let other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHhA=";
    assert_eq!(verdict(other, &received.body).await, "False");
}
