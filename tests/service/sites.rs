//! Sites that change their name or go, with invalidations under way.

use std::pin::pin;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use skycms_cdn::domain::notification::EndpointKind;
use skycms_cdn::domain::{NewKeyPair, SiteName};
use skycms_cdn::janitor;
use skycms_cdn::store::{FirstProofs, Proof, Sender, ShownTo, Slot, StoreError, hash};

use crate::support::{ENDPOINT_SECRET, Stepped, TOKEN, endpoint, settings, unavailable};

const SHOP: &str = "E2SHOP00000001";
const SHOP_KEY: &str = "AKIASHOP000000000001";

fn name(text: &str) -> SiteName {
    text.parse().unwrap()
}

#[tokio::test]
async fn what_is_under_way_goes_on_under_the_new_name() {
    let service = Stepped::start().await;
    let shop = service.add_site("shop", SHOP, SHOP_KEY).await;
    service.sandbox.never_complete().await;
    let running = shop.publish_path("/running").await;
    service.run().await;
    let waiting = shop.publish_path("/waiting").await;
    let site = service.state.directory.site("shop").unwrap().id;
    assert!(
        service
            .state
            .store
            .rename_site(site, &name("store"))
            .await
            .unwrap()
    );
    service.refresh_sites().await;

    let store = service.api.of_site("store", &shop.token);
    assert_eq!(store.get_publish(&running).await["state"], "in_progress");
    service.run().await;
    service.sandbox.complete().await;
    for id in [running, waiting] {
        assert_eq!(service_end(&service, &store, &id).await, "completed");
    }
    // Its secret, sealed for the site, opens under any name.
    service.state.store.check_keys().await.unwrap();
}

async fn service_end(service: &Stepped, api: &crate::support::Api, id: &str) -> String {
    for _ in 0..100 {
        service.pass(1).await;
        let publish = api.get_publish(id).await;
        if crate::support::has_ended(&publish) {
            return publish["state"].as_str().unwrap().to_owned();
        }
    }
    panic!("{id} has not ended");
}

/// Somebody begins to read the sites before it is revoked, and ends last.
#[tokio::test]
async fn a_token_that_was_revoked_does_not_come_back() {
    let service = Stepped::start().await;
    let (store, directory) = (&service.state.store, &service.state.directory);
    let (site, now) = (service.site(), service.state.clock.now());
    let lock = service.database.hold("LOCK TABLE key_pair").await;
    let mut early = pin!(directory.refresh(store));
    tokio::select! {
        read = &mut early => panic!("{read:?}"),
        () = service.database.wait_for_locks(1) => {}
    }
    let token = Proof::Token(store.tokens(site).await.unwrap()[0].id);
    store.revoke(site, token, None, now).await.unwrap();
    lock.release().await;
    let mut late = pin!(directory.refresh(store));
    let overtaken = tokio::time::timeout(Duration::from_millis(300), &mut late).await;
    early.await.unwrap();
    if overtaken.is_err() {
        late.await.unwrap();
    }
    assert!(directory.token(TOKEN).is_none());
}

#[tokio::test]
async fn a_site_that_is_made_again_may_keep_its_publishers_token() {
    let service = Stepped::start().await;
    service.add_site("shop", SHOP, SHOP_KEY).await;
    let first = service.state.directory.site("shop").unwrap().id;
    let (store, clock) = (&service.state.store, &service.state.clock);
    assert!(store.remove_site(first, clock.now()).await.unwrap());
    let shop = service.add_site("shop", SHOP, SHOP_KEY).await;
    assert_ne!(service.state.directory.site("shop").unwrap().id, first);
    let id = shop.publish_path("/again").await;
    service.run().await;
    assert_eq!(service_end(&service, &shop, &id).await, "completed");
}

#[tokio::test]
async fn a_removed_site_sends_nothing_more_and_leaves_in_small_steps() {
    let service = Stepped::start().await;
    let count = async |query: &'static str| service.database.count(query).await;
    let shop = service.add_site("shop", SHOP, SHOP_KEY).await;
    service.sandbox.never_complete().await;
    let accepted = shop.publish_path("/accepted").await;
    service.run().await;
    assert_eq!(shop.get_publish(&accepted).await["state"], "in_progress");
    for n in 0..600 {
        shop.publish_path(&format!("/waiting/{n}")).await;
    }
    let calls = service.sandbox.creates().await.len();
    let site = service.state.directory.site("shop").unwrap().id;
    let (store, clock) = (&service.state.store, &service.state.clock);
    assert!(store.remove_site(site, clock.now()).await.unwrap());
    assert!(!store.remove_site(site, clock.now()).await.unwrap(), "once");
    service.state.directory.refresh(store).await.unwrap();
    service.pass(60).await;
    assert_eq!(
        service.sandbox.creates().await.len(),
        calls,
        "what waited is dropped"
    );

    // 601 publishes in steps of 500; what CloudFront accepted counts for an hour more.
    let now = clock.now();
    let month_ago = now - time::Duration::days(30);
    assert_eq!(store.sweep_step(now, month_ago).await.unwrap(), 500);
    assert_eq!(store.sweep_step(now, month_ago).await.unwrap(), 101);
    janitor::delete_removed_sites(store, clock, 30)
        .await
        .unwrap();
    assert_eq!(count("SELECT count(*) FROM invalidation").await, 1);
    service.pass(3_600).await;
    janitor::delete_removed_sites(store, clock, 30)
        .await
        .unwrap();
    assert_eq!(count("SELECT count(*) FROM invalidation").await, 0);
    assert_eq!(count("SELECT count(*) FROM known_path").await, 0);
    // This month's paths were accepted for its access key, whoever asked for them.
    assert_eq!(count("SELECT sum(paths)::bigint FROM usage").await, 1);
    assert_eq!(count("SELECT count(*) FROM site").await, 2);
    service.pass(32 * 86_400).await;
    janitor::delete_removed_sites(store, clock, 30)
        .await
        .unwrap();
    assert_eq!(count("SELECT count(*) FROM site").await, 1);

    service.sandbox.complete_at_once().await;
    let other = service.publish_and_run("/others/go/on").await;
    assert_eq!(service.run_until_ended(&other).await["state"], "completed");
}

/// It was planned an hour ago, and what it covers has been deleted.
#[tokio::test]
async fn what_a_removed_site_is_sending_is_counted_before_it_is_deleted() {
    let service = Stepped::start().await;
    let shop = service.add_site("shop", SHOP, SHOP_KEY).await;
    service.sandbox.fail_creates(1, unavailable()).await;
    shop.publish_path("/about").await;
    service.run().await;
    service.advance(time::Duration::hours(2));
    let slow = json!({ "kind": "slow", "ms": 1_000 });
    service.sandbox.fail_creates(1, slow).await;
    let dispatcher = service.dispatcher.clone();
    let calling = tokio::spawn(async move { dispatcher.run_pending().await });
    service.sandbox.wait_for_creates(2).await;
    let site = service.state.directory.site("shop").unwrap().id;
    let (store, now) = (&service.state.store, service.state.clock.now());
    let month_ago = now - time::Duration::days(30);
    assert!(store.remove_site(site, now).await.unwrap());
    while store.sweep_step(now, month_ago).await.unwrap() > 0 {}
    calling.await.unwrap().unwrap();
    let paths = "SELECT coalesce(sum(paths), 0)::bigint FROM usage";
    assert_eq!(service.database.count(paths).await, 1);
    while store.sweep_step(now, month_ago).await.unwrap() > 0 {}
    let left = "SELECT count(*) FROM invalidation";
    assert_eq!(service.database.count(left).await, 0);
}

/// The test of its settings takes seconds, and a form may have been open for longer.
#[tokio::test]
async fn a_removed_site_is_given_no_name_and_no_more_secrets() {
    let service = Stepped::start().await;
    service.add_site("shop", SHOP, SHOP_KEY).await;
    let site = service.state.directory.site("shop").unwrap().id;
    let (store, clock) = (&service.state.store, &service.state.clock);
    let (id, now) = (clock.id(), clock.now());
    assert!(store.remove_site(site, now).await.unwrap());

    let renamed = store.rename_site(site, &name("store")).await;
    assert!(matches!(renamed, Err(StoreError::SiteGone)), "{renamed:?}");

    let secret = SecretString::from(ENDPOINT_SECRET);
    let pair = NewKeyPair {
        access_key_id: "SKYCABCDEFGHIJKLMNOP".to_owned(),
        secret: secret.clone(),
    };
    let sender = Sender {
        name: "late",
        everything_is_home: false,
    };
    let url = "https://hooks.example.com/cdn";
    let endpoint = endpoint(id, url, EndpointKind::Standard);
    let saved = settings(SHOP, SHOP_KEY);
    let stored = [
        store
            .save_settings(site, None, Slot::Active, &saved, None, now)
            .await
            .map(|_| ()),
        store
            .add_hook_secret(site, id, secret.clone(), ShownTo::Nobody, now)
            .await
            .map(|_| ()),
        store
            .add_token(site, id, "late", secret, ShownTo::WhoeverReveals, now)
            .await
            .map(|_| ()),
        store
            .add_key_pair(site, id, sender, &pair, None, now)
            .await
            .map(|_| ()),
        store
            .add_endpoint(site, &endpoint, &hash("late"), now)
            .await
            .map(|_| ()),
    ];
    for stored in stored {
        assert!(matches!(stored, Err(StoreError::SiteGone)), "{stored:?}");
    }
}

#[tokio::test]
async fn settings_that_are_saved_while_their_site_is_removed_go_with_it() {
    let service = Stepped::start().await;
    service.add_site("shop", SHOP, SHOP_KEY).await;
    let site = service.state.directory.site("shop").unwrap().id;
    let removing = "UPDATE site SET removed_at = now(), name = 'removed' WHERE name = 'shop';
                    DELETE FROM cdn_settings
                    WHERE site_id = (SELECT id FROM site WHERE name = 'removed')";
    let removing = service.database.hold(removing).await;
    let (saved, now) = (settings(SHOP, SHOP_KEY), service.state.clock.now());
    let store = &service.state.store;
    let saving = store.save_settings(site, None, Slot::Active, &saved, None, now);
    let removed = async {
        service.database.wait_for_locks(1).await;
        removing.release().await;
    };
    let (saved, ()) = tokio::join!(saving, removed);
    assert!(matches!(saved, Err(StoreError::SiteGone)), "{saved:?}");
    let sealed = "SELECT count(*) FROM cdn_settings c JOIN site s ON s.id = c.site_id WHERE s.removed_at IS NOT NULL";
    assert_eq!(service.database.count(sealed).await, 0);
}

/// As for a test of its settings that is being recorded, and uses up the monthly limit.
#[tokio::test]
async fn a_removal_that_waits_for_a_record_keeps_it_from_no_endpoint() {
    let service = Stepped::start().await;
    let (store, site) = (service.state.store.clone(), service.site());
    let (id, now) = (service.state.clock.id(), service.state.clock.now());
    let endpoint = endpoint(id, "http://127.0.0.1:9/", EndpointKind::Standard);
    store
        .add_endpoint(site, &endpoint, &hash("form"), now)
        .await
        .unwrap();
    let recording = service.database.hold("SELECT FROM site FOR KEY SHARE");
    let recording = recording.await;
    let removing = tokio::spawn(async move { store.remove_site(site, now).await });
    service.database.wait_for_locks(1).await;
    recording
        .end_with("SELECT FROM endpoint FOR KEY SHARE NOWAIT")
        .await;
    assert!(removing.await.unwrap().unwrap());
    let left = "SELECT count(*) FROM endpoint";
    assert_eq!(service.database.count(left).await, 0);
}

/// As `rotate-encryption-key` does beside a service that goes on.
#[tokio::test]
async fn a_removal_and_a_new_sealing_of_all_secrets_wait_for_each_other_in_no_circle() {
    let service = Stepped::start().await;
    let (store, clock) = (service.state.store.clone(), &service.state.clock);
    let now = clock.now();
    // Without settings, which both would come to first.
    let secret = SecretString::from(ENDPOINT_SECRET);
    let first = FirstProofs {
        token: (clock.id(), secret.clone()),
        secret: (clock.id(), secret),
    };
    let site = store.create_site(&name("bare"), None, &first, now).await;
    let site = site.unwrap().unwrap();
    let held = service.database.hold("SELECT FROM hook_secret FOR UPDATE");
    let held = held.await;
    let removing = tokio::spawn({
        let store = store.clone();
        async move { store.remove_site(site, now).await }
    });
    service.database.wait_for_locks(1).await;
    // As a replica does that starts meanwhile: it only reads.
    store.check_keys().await.expect("it waits for nobody");
    let sealing = tokio::spawn(async move { store.reseal(false).await });
    service.database.wait_for_locks(2).await;
    held.release().await;
    assert!(removing.await.unwrap().unwrap());
    sealing.await.unwrap().unwrap();
}
