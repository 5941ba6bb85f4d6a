//! Sites that change their name or go, with invalidations under way.

use serde_json::json;
use skycms_cdn::domain::SiteName;
use skycms_cdn::janitor;

use crate::support::Stepped;

const SHOP: &str = "E2SHOP00000001";
const SHOP_KEY: &str = "AKIASHOP000000000001";

fn name(text: &str) -> SiteName {
    text.parse().unwrap()
}

async fn count(service: &Stepped, query: &'static str) -> i64 {
    let mut connection = service.database.connect().await;
    sqlx::query_scalar(query)
        .fetch_one(&mut connection)
        .await
        .unwrap()
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
    janitor::sweep(store, clock, 30).await.unwrap();
    assert_eq!(
        count(&service, "SELECT count(*) FROM invalidation").await,
        1
    );
    service.pass(3_600).await;
    janitor::sweep(store, clock, 30).await.unwrap();
    assert_eq!(
        count(&service, "SELECT count(*) FROM invalidation").await,
        0
    );
    assert_eq!(count(&service, "SELECT count(*) FROM known_path").await, 0);
    // This month's paths were accepted for its access key, whoever asked for them.
    assert_eq!(
        count(&service, "SELECT sum(paths)::bigint FROM usage").await,
        1
    );
    assert_eq!(count(&service, "SELECT count(*) FROM site").await, 2);
    service.pass(32 * 86_400).await;
    janitor::sweep(store, clock, 30).await.unwrap();
    assert_eq!(count(&service, "SELECT count(*) FROM site").await, 1);

    service.sandbox.config(json!({ "in_progress_ms": 0 })).await;
    let other = service.publish_and_run("/others/go/on").await;
    assert_eq!(service.run_until_ended(&other).await["state"], "completed");
}
