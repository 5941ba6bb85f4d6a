//! The second step: codes of an authenticator app.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use skycms_cdn::domain::session::Role;
use skycms_cdn::store::{PasswordProof, hash};
use time::Duration;

use crate::set_up::only_session;
use crate::support::{Answer, Browser, PASSWORD, Service, between};

/// The secret that the page offers.
async fn offered(owner: &mut Browser) -> SecretString {
    let page = owner.get("/password/second-step").await.body;
    SecretString::from(between(&page, "name=\"secret\" value=\"", "\""))
}

/// The code that an app shows, worked out as RFC 6238 says.
fn code(service: &Service, secret: &SecretString) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits = secret.expose_secret().bytes();
    let digits = digits.map(|byte| letters.iter().position(|letter| *letter == byte).unwrap());
    let bits: Vec<usize> = digits
        .flat_map(|digit| (0..5).rev().map(move |bit| digit >> bit & 1))
        .collect();
    let key: Vec<u8> = bits
        .chunks_exact(8)
        .map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | *bit as u8))
        .collect();
    let half_minute = (service.state.clock.now().unix_timestamp() / 30).to_be_bytes();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = hmac::sign(&key, &half_minute);
    let at = usize::from(tag.as_ref()[19] & 15);
    let number = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap());
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

async fn sign_in(browser: &mut Browser, code: &str) -> Answer {
    let fields = [
        ("username", "admin"),
        ("password", PASSWORD),
        ("code", code),
    ];
    browser.post("/sign-in", &fields).await
}

#[tokio::test]
async fn a_code_is_asked_for_and_works_once() {
    let service = Service::start().await;
    let mut owner = service.browser();
    assert_eq!(owner.sign_in(PASSWORD).await.status, 303);
    let secret = offered(&mut owner).await;
    let page = owner.get("/password/second-step").await.body;
    let picture = between(&page, "data:image/svg+xml;base64,", "\"");
    let picture = STANDARD.decode(picture).unwrap();
    assert!(String::from_utf8(picture).unwrap().ends_with("</svg>"));
    let first = code(&service, &secret);
    let on = async |owner: &mut Browser, password: &str, code: &str| {
        let fields = [
            ("secret", secret.expose_secret()),
            ("current_password", password),
            ("code", code),
        ];
        owner.post("/password/second-step", &fields).await.status
    };
    assert_eq!(on(&mut owner, PASSWORD, "000").await, 422);
    assert_eq!(on(&mut owner, "not the password", &first).await, 422);
    let mut earlier = service.browser_at("198.51.100.20");
    assert_eq!(earlier.sign_in(PASSWORD).await.status, 303);
    assert_eq!(on(&mut owner, PASSWORD, &first).await, 303);
    assert_eq!(owner.get("/activity").await.status, 200);
    let without_code = earlier.get("/activity").await;
    assert_eq!(without_code.status, 303, "it took the password alone");
    let stored = service.database.dump().await;
    assert!(!stored.contains(secret.expose_secret()));

    let mut elsewhere = service.browser_at("198.51.100.21");
    elsewhere.get("/sign-in").await.assert_says("one-time-code");
    assert_eq!(elsewhere.sign_in(PASSWORD).await.status, 401);
    assert_eq!(sign_in(&mut elsewhere, "000000").await.status, 401);
    assert_eq!(
        sign_in(&mut elsewhere, &first).await.status,
        401,
        "it was used"
    );
    service.time.advance(Duration::seconds(60));
    let next = code(&service, &secret);
    assert_eq!(sign_in(&mut elsewhere, &next).await.status, 303);
    let mut thief = service.browser_at("198.51.100.22");
    assert_eq!(sign_in(&mut thief, &next).await.status, 401, "it was used");

    service.time.advance(Duration::seconds(60));
    let off = [("current_password", PASSWORD), ("code", "000000")];
    let path = "/password/second-step/remove";
    let refused = elsewhere.post(path, &off).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("<title>Error: Second step"));
    let last = code(&service, &secret);
    let off = [("current_password", PASSWORD), ("code", last.as_str())];
    assert_eq!(elsewhere.post(path, &off).await.status, 303);
    assert_eq!(
        thief.sign_in(PASSWORD).await.status,
        303,
        "the password is enough"
    );
}

/// Turns it on.
async fn turn_on(service: &Service) -> SecretString {
    let mut owner = service.browser();
    assert_eq!(owner.sign_in(PASSWORD).await.status, 303);
    let secret = offered(&mut owner).await;
    let code = code(service, &secret);
    let fields = [
        ("secret", secret.expose_secret()),
        ("current_password", PASSWORD),
        ("code", &code),
    ];
    let on = owner.post("/password/second-step", &fields).await;
    assert_eq!(on.status, 303);
    service.time.advance(Duration::seconds(60));
    secret
}

#[tokio::test]
async fn a_second_press_signs_in_with_the_same_code() {
    let service = Service::start().await;
    let secret = turn_on(&service).await;
    let mut first = service.browser_at("198.51.100.21");
    let page = first.get("/sign-in").await.body;
    let once = between(&page, "name=\"once\" value=\"", "\"").to_owned();
    let code = code(&service, &secret);
    let fields = |password, once| {
        let code = ("code", code.as_str());
        [
            ("username", "admin"),
            ("password", password),
            code,
            ("once", once),
        ]
    };
    let (mut second, mut thief) = (first.clone(), first.clone());
    let form = fields(PASSWORD, once.as_str());
    let (one, two) = tokio::join!(
        first.post("/sign-in", &form),
        second.post("/sign-in", &form)
    );
    for (answer, browser) in [(one, &mut first), (two, &mut second)] {
        assert_eq!((answer.status, answer.location()), (303, "/activity"));
        assert_eq!(browser.get("/activity").await.status, 200);
    }
    let failed = "SELECT count(*) FROM sign_in_tries WHERE failures > 0";
    assert_eq!(service.database.count(failed).await, 0);
    for (password, once) in [(PASSWORD, "another form"), ("not the password", &once)] {
        let answer = thief.post("/sign-in", &fields(password, once)).await;
        assert_eq!(answer.status, 401, "{once}");
    }
    service.time.advance(Duration::seconds(11));
    assert_eq!(thief.post("/sign-in", &form).await.status, 401, "too late");
    service.time.advance(Duration::seconds(79));

    let page = first.get("/password/second-step").await.body;
    let once = between(&page, "name=\"once\" value=\"", "\"").to_owned();
    let code = self::code(&service, &secret);
    let off = [
        ("current_password", PASSWORD),
        ("code", &code),
        ("once", &once),
    ];
    let path = "/password/second-step/remove";
    let (one, two) = tokio::join!(first.post(path, &off), second.post(path, &off));
    assert_eq!((one.status, two.status), (303, 303));
}

const NEW: &str = "seven grey herons at dawn";

/// A form of a new password, as a double click sends it.
const CHANGE: [(&str, &str); 4] = [
    ("current_password", PASSWORD),
    ("new_password", NEW),
    ("repeat_password", NEW),
    ("once", "copied"),
];

/// Sends a form, signs out everywhere, and sends a copy from the browser as it was before.
async fn send_after_signing_out(owner: &mut Browser, path: &str, form: &[(&str, &str)]) {
    let mut thief = owner.clone();
    assert_eq!(owner.post(path, form).await.location(), "/activity");
    assert_eq!(owner.get("/activity").await.status, 200);
    owner.post("/sign-out-everywhere", &[]).await;
    thief.post(path, form).await;
    assert_eq!(thief.get("/activity").await.status, 303, "signed in");
}

#[tokio::test]
async fn a_copied_code_signs_nobody_in_after_signing_out_everywhere() {
    let service = Service::start().await;
    let secret = turn_on(&service).await;
    let code = code(&service, &secret);
    let form = [
        ("username", "admin"),
        ("password", PASSWORD),
        ("code", &code),
        ("once", "copied"),
    ];
    send_after_signing_out(&mut service.browser(), "/sign-in", &form).await;
}

#[tokio::test]
async fn a_copied_new_password_signs_nobody_in_after_signing_out_everywhere() {
    let service = Service::start().await;
    turn_on(&service).await;
    let mut owner = service.signed_in(Role::Admin).await;
    send_after_signing_out(&mut owner, "/password", &CHANGE).await;
}

#[tokio::test]
async fn turning_the_second_step_on_keeps_the_answers_of_other_forms() {
    let service = Service::start().await;
    let mut owner = service.browser();
    owner.sign_in(PASSWORD).await;
    let mut thief = owner.clone();
    let changed = owner.post("/password", &CHANGE).await;
    assert_eq!(changed.location(), "/activity");
    let token = [("name", "deploy"), ("once", "another form")];
    let page = owner.post("/settings/cdn/tokens", &token).await.body;
    let shown = between(&page, "id=\"reveal-1\"", "</pre>");
    let secret = offered(&mut owner).await;
    let code = code(&service, &secret);
    let on = [
        ("secret", secret.expose_secret()),
        ("current_password", NEW),
        ("code", &code),
    ];
    let on = owner.post("/password/second-step", &on).await;
    assert_eq!(on.status, 303);
    thief.post("/password", &CHANGE).await;
    assert_eq!(thief.get("/activity").await.status, 303, "without a code");
    let page = owner.post("/settings/cdn/tokens", &token).await.body;
    assert!(page.contains(shown), "the token is lost");
}

#[tokio::test]
async fn a_second_step_that_has_just_been_turned_on_is_asked_for() {
    let service = Service::start().await;
    let mut browser = service.browser();
    let turn_on = "UPDATE account SET second_step = 'of an app'";
    let turn_on = service.database.hold(turn_on).await;
    let turning_on = async {
        service.database.wait_for_locks(1).await;
        turn_on.release().await;
    };
    let (answer, ()) = tokio::join!(browser.sign_in(PASSWORD), turning_on);
    assert_eq!((answer.status, answer.location()), (303, "/sign-in"));
    let sessions = "SELECT count(*) FROM session";
    assert_eq!(service.database.count(sessions).await, 0);
}

#[tokio::test]
async fn of_two_presses_one_turns_it_on_or_off() {
    let service = Service::start().await;
    let mut owner = service.browser();
    assert_eq!(owner.sign_in(PASSWORD).await.status, 303);
    let (store, secret) = (&service.state.store, offered(&mut owner).await);
    let password = store.password_hash().await.unwrap().unwrap();
    let own = only_session(&service).await;
    for (secret, code) in [(Some(&secret), Some(1)), (None, None)] {
        let set = || store.set_second_step(secret, code, &password, &own);
        assert!(set().await.unwrap());
        assert!(!set().await.unwrap());
    }
    // Whoever was slower is asked for no code and adds nothing to the audit.
    let off = [("current_password", PASSWORD), ("code", "")];
    let answer = owner.post("/password/second-step/remove", &off).await;
    assert_eq!(answer.status, 303);
    let audited = "SELECT count(*) FROM audit WHERE what ~ 'second step'";
    assert_eq!(service.database.count(audited).await, 0);
}

/// Whoever turns it on has shown a password that a link may replace meanwhile, and a link would
/// turn off again what was just turned on.
#[tokio::test]
async fn of_a_link_and_the_second_step_the_later_one_changes_nothing() {
    let service = Service::start().await;
    let mut owner = service.browser();
    assert_eq!(owner.sign_in(PASSWORD).await.status, 303);
    let (store, now) = (&service.state.store, service.state.clock.now());
    let (secret, link) = (offered(&mut owner).await, hash("a link"));
    let own = hash("a session");
    let turn_on = |password| store.set_second_step(Some(&secret), Some(1), password, &own);
    let use_link = |new| store.set_password(new, PasswordProof::Link(&link), &[0; 32], now);

    let first = store.password_hash().await.unwrap().unwrap();
    store.add_set_up_link(&link, now).await.unwrap();
    assert!(use_link("second").await.unwrap());
    assert!(!turn_on(first.as_str()).await.unwrap());
    assert!(store.second_step().await.unwrap().is_none());

    store.add_set_up_link(&link, now).await.unwrap();
    assert!(turn_on("second").await.unwrap());
    assert!(!use_link("third").await.unwrap());
    assert!(store.second_step().await.unwrap().is_some());
    let current = store.password_hash().await.unwrap();
    assert_eq!(current.as_deref(), Some("second"));

    // Whoever has lost the app gets a new link.
    store.add_set_up_link(&link, now).await.unwrap();
    assert!(use_link("third").await.unwrap());
    assert!(store.second_step().await.unwrap().is_none());

    store.add_set_up_link(&link, now).await.unwrap();
    let (is_on, is_used) = tokio::join!(turn_on("third"), use_link("fourth"));
    assert_ne!(is_on.unwrap(), is_used.unwrap(), "both at once");
}
