//! The one-time link that sets the admin's password.

use secrecy::SecretString;
use skycms_cdn::store::{PasswordProof, TokenHash, hash};
use time::Duration;

use crate::support::{LOG, PASSWORD, Service, between};

const NEW: &str = "nine blue kites over sand";

/// The link that this service logged.
fn logged_link(service: &Service) -> String {
    let start = format!("{}/set-up?token=", service.state.public);
    let log = LOG.text();
    let from =
        log.find(&start).expect("a link in the log") + service.state.public.to_string().len();
    log[from..].split_whitespace().next().unwrap().to_owned()
}

fn fields(password: &str) -> [(&str, &str); 2] {
    [("new_password", password), ("repeat_password", password)]
}

#[tokio::test]
async fn the_link_works_once() {
    let service = Service::start_with(&[("ADMIN_PASSWORD", "")]).await;
    let link = logged_link(&service);
    let mut browser = service.browser();
    assert_eq!(browser.get(&link).await.status, 200);
    assert_eq!(browser.get("/set-up?token=guess").await.status, 410);
    assert_eq!(browser.get("/set-up").await.status, 410);
    let dump = service.database.dump().await;
    assert!(
        !dump.contains(link.split_once('=').unwrap().1),
        "hashed at rest"
    );

    for bad in ["short", "password1234", &"x".repeat(300)] {
        assert_eq!(browser.post(&link, &fields(bad)).await.status, 422, "{bad}");
    }
    let different = [
        ("new_password", NEW),
        ("repeat_password", "something else, longer"),
    ];
    assert_eq!(browser.post(&link, &different).await.status, 422);

    let foreign = browser
        .post_with(&link, &[("sec-fetch-site", "cross-site")], &fields(NEW))
        .await;
    assert_eq!(foreign.status, 403);

    let page = browser.get(&link).await.body;
    let once = between(&page, "name=\"once\" value=\"", "\"");
    let form = [&fields(NEW)[..], &[("once", once)]].concat();
    let (mut rival, mut second) = (service.browser(), browser.clone());
    let (one, two) = tokio::join!(browser.post(&link, &form), second.post(&link, &form));
    assert_eq!((one.status, two.status), (303, 303));
    assert_eq!(second.get("/settings/cdn").await.status, 200, "signed in");
    let third = second.post(&link, &form).await;
    assert_eq!(third.location(), "/settings/cdn", "a second press");
    assert_eq!(browser.get("/settings/cdn").await.status, 200, "signed in");
    assert_eq!(
        rival
            .post(&link, &fields("another one, by a thief"))
            .await
            .status,
        410
    );
    assert_eq!(rival.sign_in(NEW).await.status, 303);
}

#[tokio::test]
async fn the_link_ends_after_an_hour() {
    let service = Service::start_with(&[("ADMIN_PASSWORD", "")]).await;
    let link = logged_link(&service);
    service.time.advance(Duration::hours(1) - Duration::SECOND);
    assert_eq!(service.browser().get(&link).await.status, 200);
    service.time.advance(Duration::SECOND);
    assert_eq!(service.browser().get(&link).await.status, 410);
    assert_eq!(
        service.browser().post(&link, &fields(NEW)).await.status,
        410
    );
    let empty = service.browser().sign_in("").await;
    assert_eq!(empty.status, 401, "no password is not an empty one");
}

/// The first start logged a link, and the operator chose `ADMIN_PASSWORD` instead.
#[tokio::test]
async fn the_link_ends_when_the_environment_sets_the_password() {
    let service = Service::start_with(&[("ADMIN_PASSWORD", "")]).await;
    let link = logged_link(&service);
    let service = Service::start_on(service.database, &[]).await;
    let mut reader = service.browser();
    assert_eq!(reader.get(&link).await.status, 410);
    assert_eq!(reader.post(&link, &fields(NEW)).await.status, 410);
    assert_eq!(reader.sign_in(PASSWORD).await.status, 303);
}

/// The session of the only one who is signed in.
pub(crate) async fn only_session(service: &Service) -> TokenHash {
    let token = "SELECT token_hash FROM session";
    let (token,): (Vec<u8>,) = service.database.row(token).await;
    token.try_into().unwrap()
}

async fn session_of(service: &Service) -> TokenHash {
    assert_eq!(service.browser().sign_in(PASSWORD).await.status, 303);
    only_session(service).await
}

/// Whoever has lost their password may have lost their browser to somebody else.
#[tokio::test]
async fn the_link_makes_every_browser_a_stranger() {
    let service = Service::start().await;
    let (store, now) = (&service.state.store, service.state.clock.now());
    let (device, link, form) = (hash("a device"), hash("a link"), hash("a form"));
    store.remember_device(&device, now).await.unwrap();
    let current = store.password_hash().await.unwrap().unwrap();
    let own = session_of(&service).await;
    let change = PasswordProof::Current(&current, &own);
    assert!(
        store
            .set_password("a hash", change, &form, now)
            .await
            .unwrap()
    );
    assert!(store.knows_device(&device, now).await.unwrap());
    store.add_set_up_link(&link, now).await.unwrap();
    assert!(
        store
            .set_password("a hash", PasswordProof::Link(&link), &form, now)
            .await
            .unwrap()
    );
    assert!(!store.knows_device(&device, now).await.unwrap());
}

#[tokio::test]
async fn of_two_changes_that_show_the_same_password_one_is_made() {
    let service = Service::start().await;
    let (store, now) = (&service.state.store, service.state.clock.now());
    let current = store.password_hash().await.unwrap().unwrap();
    let own = session_of(&service).await;
    let change = PasswordProof::Current(&current, &own);
    assert!(
        store
            .set_password("one", change, &hash("a form"), now)
            .await
            .unwrap()
    );
    assert!(
        !store
            .set_password("two", change, &hash("another"), now)
            .await
            .unwrap()
    );
    let hash = store.password_hash().await.unwrap();
    assert_eq!(hash.as_deref(), Some("one"));
}

/// Whoever is about to change the password began without a code.
#[tokio::test]
async fn a_session_that_the_second_step_has_ended_changes_no_password() {
    let service = Service::start().await;
    let (store, now) = (&service.state.store, service.state.clock.now());
    let current = store.password_hash().await.unwrap().unwrap();
    let other = session_of(&service).await;
    let (secret, own) = (SecretString::from("JBSWY3DPEHPK3PXP"), hash("a session"));
    let form = hash("a form");
    let turned_on = store.set_second_step(Some(&secret), Some(1), &current, &own);
    assert!(turned_on.await.unwrap());
    let change = PasswordProof::Current(&current, &other);
    assert!(
        !store
            .set_password("a hash", change, &form, now)
            .await
            .unwrap()
    );
    assert_eq!(store.password_hash().await.unwrap(), Some(current));
}
