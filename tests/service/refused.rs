//! The calls of publishers that are refused: noted as far as it is known whose they are.

use serde_json::json;
use skycms_cdn::store::RefusedCall;

use crate::support::{Stepped, TOKEN, eventually};

async fn noted(service: &Stepped, count: usize) -> Vec<RefusedCall> {
    let (store, site) = (&service.state.store, service.site());
    eventually("the refused calls", async || {
        let calls = store.refused_calls(site, true).await.unwrap();
        (calls.len() >= count).then_some(calls)
    })
    .await
}

#[tokio::test]
async fn each_refusal_is_noted_with_its_reason_and_the_first_bad_item() {
    let service = Stepped::start().await;
    let bad = json!({ "paths": ["/fine", "/a*b", "/c*d"] }).to_string();
    assert_eq!(service.api.post(&[], bad).await.status, 422);
    let large = json!({ "paths": ["/x".repeat(600_000)] }).to_string();
    assert_eq!(service.api.post(&[], large).await.status, 413);
    let stranger = service
        .api
        .of_site("default", "skycdn_not_a_token_of_this_site");
    assert_eq!(stranger.post(&[], "{}".to_owned()).await.status, 401);
    let elsewhere = service.api.of_site("nowhere", TOKEN);
    assert_eq!(elsewhere.post(&[], "{}".to_owned()).await.status, 404);

    let calls = noted(&service, 4).await;
    let told: Vec<_> = calls
        .iter()
        .rev()
        .map(|call| (call.status, call.proved))
        .collect();
    assert_eq!(told, [(422, true), (413, false), (401, false), (404, true)]);
    let first = calls.last().unwrap();
    let item = first.item.as_deref().unwrap();
    assert!(item.starts_with("/paths/1: * is a wildcard"), "{item}");
    assert!(
        first.reason.starts_with("2 items cannot be purged"),
        "{}",
        first.reason
    );
    assert_eq!(first.address, "127.0.0.1");
    let all = format!("{calls:?}");
    assert!(
        !all.contains(TOKEN) && !all.contains("skycdn_not_a_token"),
        "{all}"
    );
}

#[tokio::test]
async fn a_flood_of_strangers_stays_small_and_hides_nothing() {
    let service = Stepped::start().await;
    assert_eq!(service.api.post(&[], "[]".to_owned()).await.status, 400);
    noted(&service, 1).await;
    let stranger = service
        .api
        .of_site("default", "skycdn_not_a_token_of_this_site");
    for _ in 0..250 {
        stranger.post(&[], "{}".to_owned()).await;
    }
    let calls = noted(&service, 101).await;
    let proved = calls.iter().filter(|call| call.proved).count();
    assert_eq!((calls.len(), proved), (101, 1));
}
