//! Several sites on one installation: what one of them types, tests or is refused costs no other
//! anything.

use skycms_cdn::domain::{Credentials, Settings};
use skycms_cdn::store::SiteId;

use crate::pages::admin;
use crate::support::{
    Api, DISTRIBUTION, KEY, PASSWORD, Stepped, eventually, policy, settings, settings_with,
};

const SHOPS_DISTRIBUTION: &str = "E2SHOP00000000";
const SHOPS_KEY: &str = "AKIASHOP000000000001";
/// As AWS grants it: five at once, one more every two seconds.
const AS_AWS: [(&str, &str); 2] = [
    ("CLOUDFRONT_REQUESTS_PER_SECOND", "0.5"),
    ("CLOUDFRONT_REQUEST_BURST", "5"),
];

/// A site `default`, which has proved its key, and a site `shop`.
async fn neighbours() -> (Stepped, Api, SiteId) {
    let [rate, burst] = AS_AWS;
    let service = Stepped::start_with(&[rate, burst, ("ADMIN_PASSWORD", PASSWORD)]).await;
    let shop = service
        .add_site("shop", SHOPS_DISTRIBUTION, SHOPS_KEY)
        .await;
    let id = service.state.directory.site("shop").unwrap().id;
    let first = service.publish_and_run("/first").await;
    service.run_until_ended(&first).await;
    service.pass(60).await;
    (service, shop, id)
}

fn with_wrong_secret(distribution: &str, key: &str) -> Settings {
    settings_with(
        distribution,
        key,
        "wrong/secret/of/cloudfront/0000000000001",
    )
}

impl Stepped {
    /// Whether a publish of `default` goes to CloudFront at once.
    async fn goes_at_once(&self, path: &str) {
        let before = self.sandbox.accepted().await.len();
        self.publish_and_run(path).await;
        let after = self.sandbox.accepted().await.len();
        assert_eq!(after, before + 1, "{path} waits");
    }
}

#[tokio::test]
async fn whoever_types_a_neighbours_key_takes_none_of_its_rate() {
    let (service, _, shop) = neighbours().await;
    let (store, limits) = (&service.state.store, service.state.limits);
    let typed = with_wrong_secret(SHOPS_DISTRIBUTION, KEY);
    for _ in 0..40 {
        let now = service.state.clock.now();
        store
            .count_forced_call(shop, &typed, false, &limits, now)
            .await
            .unwrap();
    }
    service.goes_at_once("/about").await;
}

/// By pressing “Save and test settings”, as often as the burst of calls allows.
#[tokio::test]
async fn tests_of_a_typed_key_take_none_of_its_owners_rate() {
    let (service, _, _) = neighbours().await;
    let mut admin = admin(&service).await;
    let form = [
        ("distribution_id", SHOPS_DISTRIBUTION),
        ("access_key_id", KEY),
        (
            "secret_access_key",
            "wrong/secret/of/cloudfront/0000000000001",
        ),
        ("region", "us-east-1"),
        ("action", "save_and_test"),
    ];
    for _ in 0..6 {
        let answer = admin.post("/sites/shop/settings/cdn", &form).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
    let outcomes = service.sandbox.outcomes().await;
    let refused = outcomes
        .iter()
        .filter(|outcome| *outcome == "SignatureDoesNotMatch");
    assert_eq!(refused.count(), 6, "each called CloudFront: {outcomes:?}");
    service.goes_at_once("/about").await;
}

#[tokio::test]
async fn a_site_may_test_now_and_then() {
    let (service, _, shop) = neighbours().await;
    let (store, limits) = (&service.state.store, service.state.limits);
    let take = async |site: SiteId| {
        let now = service.state.clock.now();
        store.take_test(site, &limits, now).await.unwrap().is_none()
    };
    let mut taken = 0;
    while take(shop).await {
        taken += 1;
    }
    assert_eq!(taken, 9, "the first of a pause counts a little more");
    assert!(take(service.site()).await, "tests of one site cost another");
    service.advance(time::Duration::seconds(1));
    assert!(take(shop).await && !take(shop).await);
}

#[tokio::test]
async fn a_rate_is_shared_by_those_who_proved_the_key() {
    let (service, shop, id) = neighbours().await;
    service.activate(id, SHOPS_DISTRIBUTION, KEY).await;
    service.sandbox.set_policy(policy("*")).await;
    let usage = async || {
        let now = service.state.clock.now();
        let store = &service.state.store;
        store.month_usage(id, now).await.unwrap().key_paths
    };
    assert_eq!(usage().await, 0, "the neighbour's paths are not shown");
    shop.publish_path("/proof").await;
    service.run().await;
    assert_eq!(usage().await, 2, "both have proved the key");
}

#[tokio::test]
async fn a_typed_key_shows_and_costs_nothing_of_its_owners_month() {
    let (service, _, shop) = neighbours().await;
    let month = async |site| {
        let now = service.state.clock.now();
        service.state.store.month_usage(site, now).await.unwrap()
    };
    let before = month(service.site()).await.key_paths;
    service
        .save(shop, &with_wrong_secret(SHOPS_DISTRIBUTION, KEY))
        .await;
    assert_eq!(month(shop).await.key_paths, 0);
    assert_eq!(month(service.site()).await.key_paths, before);
}

/// Whoever saves the same again goes on where they were, also by a restart.
#[tokio::test]
async fn a_proof_lasts_as_long_as_the_secret() {
    let (service, _, _) = neighbours().await;
    let of_key = format!(
        "SELECT count(*) FROM settings_in_force
         WHERE proven_at IS NOT NULL AND access_key_id = '{KEY}'"
    );
    let proved = async || service.database.count(&of_key).await;
    let site = service.site();
    assert_eq!(proved().await, 1);
    service.activate(site, DISTRIBUTION, KEY).await;
    assert_eq!(proved().await, 0, "typed in another place");
    service.publish_and_run("/proof").await;
    assert_eq!(proved().await, 1);
    service.activate(site, DISTRIBUTION, KEY).await;
    assert_eq!(proved().await, 1);
    service
        .save(site, &with_wrong_secret(DISTRIBUTION, KEY))
        .await;
    assert_eq!(proved().await, 0);
}

#[tokio::test]
async fn a_refusal_of_one_sites_key_holds_that_site_alone() {
    let (service, shop, id) = neighbours().await;
    for path in ["/1", "/2", "/3"] {
        service
            .save(id, &with_wrong_secret(DISTRIBUTION, KEY))
            .await;
        shop.publish_path(path).await;
        service.run().await;
        service.goes_at_once(path).await;
        service.pass(10).await;
    }
}

/// A key that AWS has not accepted from a site is counted with the others of that site, so that no
/// new ID brings new calls.
#[tokio::test]
async fn whoever_types_one_key_after_another_gets_no_more_calls_for_it() {
    let (service, shop, id) = neighbours().await;
    let before = service.sandbox.creates().await.len();
    for n in 0..20 {
        let key = format!("AKIATYPED{n:0>11}");
        service
            .save(id, &with_wrong_secret(DISTRIBUTION, &key))
            .await;
        shop.publish_path(&format!("/{n}")).await;
        service.run().await;
    }
    let calls = service.sandbox.creates().await.len() - before;
    assert_eq!(calls, 4, "the first of a pause counts a little more");
    service.goes_at_once("/about").await;
}

/// A call's record locks the distribution before the site: whoever saves must not hold the site and
/// wait for the distribution.
#[tokio::test]
async fn settings_are_saved_while_a_call_to_their_distribution_is_recorded() {
    let (service, _, shop) = neighbours().await;
    let recording = "UPDATE distribution SET calls = calls";
    let _recording = service.database.hold(recording).await;
    let settings = with_wrong_secret(DISTRIBUTION, KEY);
    service.save(shop, &settings).await;
}

/// They reach whatever the machine's role reaches.
#[tokio::test]
async fn default_credentials_are_the_operators_to_give() {
    let (service, shop, id) = neighbours().await;
    let by_default = Settings {
        credentials: Credentials::AwsDefault,
        ..settings(DISTRIBUTION, KEY)
    };
    let (store, distribution) = (&service.state.store, &by_default.distribution_id);
    service.save(id, &by_default).await;
    let before = service.sandbox.creates().await.len();
    let publish = shop.publish_path("/*").await;
    service.run().await;
    assert_eq!(service.sandbox.creates().await.len(), before);
    assert_eq!(shop.get_publish(&publish).await["waiting_for"], "settings");

    let now = service.state.clock.now();
    store.grant_default(id, distribution, now).await.unwrap();
    assert!(store.may_use_default(id, distribution).await.unwrap());
    assert!(
        !store
            .may_use_default(service.site(), distribution)
            .await
            .unwrap()
    );
    assert!(store.revoke_default(id, distribution, now).await.unwrap());
    service.run().await;
    assert_eq!(service.sandbox.creates().await.len(), before);
}

/// One start without the variable is not the end of what is under way.
#[tokio::test]
async fn default_credentials_that_are_withdrawn_end_nothing_in_progress() {
    let (service, shop, id) = neighbours().await;
    service.sandbox.never_complete().await;
    let publish = shop.publish_path("/about").await;
    service.run().await;
    let by_default = Settings {
        credentials: Credentials::AwsDefault,
        ..settings(SHOPS_DISTRIBUTION, SHOPS_KEY)
    };
    service.save(id, &by_default).await;
    service.pass(2).await;
    let shown = shop.get_publish(&publish).await;
    assert_eq!(shown["state"], "in_progress", "{shown:#}");
    let error = &shown["invalidations"][0]["error"];
    assert_eq!(error["code"], "DefaultCredentialsNotAllowed");

    let allowed = settings(SHOPS_DISTRIBUTION, SHOPS_KEY);
    service.save(id, &allowed).await;
    service.sandbox.complete().await;
    service.pass(60).await;
    assert_eq!(shop.get_publish(&publish).await["state"], "completed");
}

/// What AWS cannot be called for yet is accepted, so a dry run shows it too.
#[tokio::test]
async fn a_dry_run_needs_no_settings_that_work() {
    let (service, shop, id) = neighbours().await;
    let by_default = Settings {
        credentials: Credentials::AwsDefault,
        ..settings(DISTRIBUTION, KEY)
    };
    service.save(id, &by_default).await;
    let path = "/api/sites/shop/publishes?dry_run=true";
    let body = serde_json::json!({ "paths": ["/about"] }).to_string();
    let dry_run = shop.request(http::Method::POST, path, &[], body);
    let answer = crate::support::send(dry_run).await;
    let told = answer.json();
    assert_eq!(answer.status, 200, "{told}");
    assert_eq!(told["waiting_for"], "settings");
    assert_eq!(told["invalidations"][0]["items"][0], "/about");
    assert_eq!(told["billed_paths"], 1);
}

/// While the database writes nothing, what a site may have waiting is bounded.
#[tokio::test]
async fn a_sites_share_of_what_waits_leaves_room_for_others() {
    let (service, shop, _) = neighbours().await;
    let lock = "LOCK TABLE publish IN ACCESS EXCLUSIVE MODE";
    let lock = service.database.hold(lock).await;
    let paths: Vec<String> = (0..2_000).map(|n| format!("/{n:0>400}")).collect();
    let body = serde_json::json!({ "paths": paths }).to_string();
    let huge: Vec<_> = (0..12)
        .map(|_| {
            let (shop, body) = (shop.clone(), body.clone());
            tokio::spawn(async move { shop.post(&[], body).await })
        })
        .collect();
    eventually("a refusal", || async {
        let refused = huge.iter().any(tokio::task::JoinHandle::is_finished);
        refused.then_some(())
    })
    .await;
    let neighbour = service.api.clone();
    let neighbour = tokio::spawn(async move { neighbour.publish_path("/about").await });
    lock.release().await;
    neighbour.await.unwrap();
    let mut statuses = Vec::new();
    for task in huge {
        let answer = task.await.unwrap();
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        statuses.push(answer.status);
    }
    assert!(
        statuses.contains(&429) && statuses.contains(&202),
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| [202, 429].contains(status)),
        "{statuses:?}"
    );
}
