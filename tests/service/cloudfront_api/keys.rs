//! Key pairs: made at the first start or on the page, shown once, used, rotated and revoked.

use skycms_cdn::domain::Publishing;

use super::{ACCESS_KEY, SECRET_KEY, batch, client_with, create, start};
use crate::support::{Browser, DISTRIBUTION, PASSWORD, Stepped, between, eventually};

const PAGE: &str = "/settings/cdn/hook";

/// What becomes of a publish with that pair.
async fn publish(service: &Stepped, (access_key, secret): (&str, &str)) -> String {
    let client = client_with(service, access_key, secret);
    let created = create(&client, DISTRIBUTION, batch("r", &["/a"])).await;
    created.map_or_else(|(_, code, _)| code, |_| "accepted".to_owned())
}

/// The two values that the page shows this once.
fn shown(page: &str) -> (String, String) {
    let value = |number: u8| {
        let shown = between(page, &format!("id=\"reveal-{number}\""), "<");
        shown.split_once('>').unwrap().1.to_owned()
    };
    (value(1), value(2))
}

#[tokio::test]
async fn the_page_makes_rotates_and_revokes_key_pairs() {
    let service = start(&[("ADMIN_PASSWORD", PASSWORD)]).await;
    let mut admin = Browser::signed_in(&service.api.base).await;

    let name = [("name", "Wagtail <blog>")];
    let made = admin.post("/settings/cdn/keys", &name).await;
    assert_eq!(made.status, 200);
    let (access_key, secret) = shown(&made.body);
    assert!(access_key.starts_with("SKYC") && access_key.len() == 20);
    assert_eq!(secret.len(), 40);
    let page = admin.get(PAGE).await.body;
    assert!(page.contains("Wagtail &#60;blog&#62;") && page.contains(&access_key));
    assert!(!page.contains(&secret), "it is shown once");
    assert!(!page.contains("last used"), "{page}");

    let pair = (access_key.as_str(), secret.as_str());
    assert_eq!(publish(&service, pair).await, "accepted");
    let first = (ACCESS_KEY, SECRET_KEY);
    assert_eq!(publish(&service, first).await, "accepted", "both are valid");
    // It is noted behind the answer.
    eventually("the use to be noted", || async {
        let pairs = service.state.store.key_pairs(service.site()).await.unwrap();
        pairs
            .iter()
            .all(|pair| pair.last_used_at.is_some())
            .then_some(())
    })
    .await;
    let page = admin.get(PAGE).await.body;
    assert_eq!(page.matches("last used").count(), 2, "{page}");
    let (_, of_it) = page.split_once(&access_key).unwrap();
    let rotate = between(of_it, "action=\"", "\"").to_owned();
    assert!(rotate.ends_with("/rotate"), "{rotate}");
    let asked = admin.post(&rotate, &[]).await.body;
    assert!(asked.contains("Wagtail &#60;blog&#62;"), "{asked}");
    let yes = [("confirmed", "yes")];
    let (same, another) = shown(&admin.post(&rotate, &yes).await.body);
    assert_eq!(same, access_key, "rotated in place");
    assert_eq!(publish(&service, pair).await, "SignatureDoesNotMatch");
    let rotated = (access_key.as_str(), another.as_str());
    assert_eq!(publish(&service, rotated).await, "accepted");

    let revoke = rotate.replace("/rotate", "/revoke");
    assert_eq!(admin.post(&revoke, &[]).await.status, 200, "a question");
    assert_eq!(publish(&service, rotated).await, "accepted");
    assert_eq!(admin.post(&revoke, &yes).await.status, 303);
    assert_eq!(publish(&service, rotated).await, "InvalidClientTokenId");
    assert!(!admin.get(PAGE).await.body.contains(&access_key));
    assert_eq!(admin.post(&rotate, &[]).await.status, 404);
    let audit = admin.get("/audit?search=key+pair").await.body;
    assert_eq!(audit.matches(&access_key).count(), 3, "{audit}");
    assert!(!audit.contains(&secret) && !audit.contains(&another));
}

/// SkyCMS's driver sends `/*` for the home page.
#[tokio::test]
async fn the_page_offers_what_everything_means() {
    let service = start(&[("ADMIN_PASSWORD", PASSWORD)]).await;
    let rules = Publishing {
        related: vec!["/ => /feed.xml".parse().unwrap()],
        ..Publishing::default()
    };
    service.save_publishing(&rules).await;
    let mut admin = Browser::signed_in(&service.api.base).await;
    let words = admin.get(PAGE).await.body;
    for said in [
        "only that page and its related pages are purged, not the whole site",
        "SkyCMS can then no longer purge the whole site; the Purge page here still can.",
    ] {
        assert!(words.contains(said), "no {said:?} in {words}");
    }
    for (choice, items) in [
        (&[("name", "as sent")][..], &["/*"][..]),
        (
            &[("name", "SkyCMS"), ("everything", "home")],
            &["/", "/index.html", "/feed.xml"],
        ),
    ] {
        let made = admin.post("/settings/cdn/keys", choice).await.body;
        let (access_key, secret) = shown(&made);
        let client = client_with(&service, &access_key, &secret);
        let batch = batch(choice[0].1, &["/*"]);
        let id = create(&client, DISTRIBUTION, batch).await.unwrap();
        let publish = service.api.get_publish(&id).await;
        assert_eq!(publish["items"], serde_json::json!(items));
    }
    let page = admin.get(PAGE).await.body;
    assert_eq!(page.matches("<code>/*</code> is the home page").count(), 1);
}

#[tokio::test]
async fn the_first_start_takes_a_pair_of_the_environment_once() {
    let service = start(&[]).await;
    let [pair] = service
        .state
        .store
        .key_pairs(service.site())
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(pair.access_key_id, ACCESS_KEY);
    assert_eq!(pair.name, "PUBLISH_ACCESS_KEY_ID");
    assert_eq!(
        publish(&service, (ACCESS_KEY, SECRET_KEY)).await,
        "accepted"
    );
    let mut database = service.database.connect().await;
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT secret FROM key_pair")
        .fetch_one(&mut database)
        .await
        .unwrap();
    let holds = sealed
        .windows(SECRET_KEY.len())
        .any(|bytes| bytes == SECRET_KEY.as_bytes());
    assert!(!holds, "it is sealed at rest");
}
