//! The keys that seal secrets, and what is refused at start.

use std::ffi::OsString;

use skycms_cdn::app::{self, App};
use skycms_cdn::clock::Clock;
use skycms_cdn::config::Config;
use time::OffsetDateTime;

use crate::support::{Database, ENCRYPTION_KEY, Service};

const NEW_KEY: &str = "H25Qb2BwQdEuAjPoGWoSeIpKRtlIoxzoqpCb6YIPtF0=";

async fn start(database: &Database, keys: &str) -> Result<App, app::AppError> {
    let (clock, _) = Clock::manual(OffsetDateTime::now_utc());
    let config = Service::config(database, &[("ENCRYPTION_KEY", keys)]);
    App::start(&config, clock).await
}

#[tokio::test]
async fn keys_are_rotated() {
    let service = Service::start().await;
    let database = &service.database;
    let refused = start(database, NEW_KEY).await.err().expect("refused");
    assert!(
        refused.to_string().contains("rotate-encryption-key"),
        "{refused}"
    );
    let alone = Service::config(database, &[("ENCRYPTION_KEY", NEW_KEY)]);
    let both = Service::config(
        database,
        &[("ENCRYPTION_KEY", &format!("{NEW_KEY},{ENCRYPTION_KEY}"))],
    );
    assert!(app::reseal(&alone, &Clock::system(), false).await.is_err());
    assert_eq!(
        app::reseal(&both, &Clock::system(), false)
            .await
            .unwrap()
            .sealed,
        2
    );
    assert!(start(database, NEW_KEY).await.is_ok());
    assert!(
        start(database, ENCRYPTION_KEY).await.is_err(),
        "the old key opens nothing any more"
    );

    let lost = Service::config(database, &[("ENCRYPTION_KEY", ENCRYPTION_KEY)]);
    let done = app::reseal(&lost, &Clock::system(), true).await.unwrap();
    assert_eq!((done.sealed, done.removed), (0, 2));
    assert!(start(database, ENCRYPTION_KEY).await.is_ok());
}

#[tokio::test]
async fn a_sealed_secret_opens_only_where_it_was_sealed() {
    let service = Service::start().await;
    for tampering in [
        "UPDATE cdn_settings SET secret_access_key = (SELECT secret FROM hook_secret LIMIT 1)",
        "UPDATE hook_secret SET secret = set_byte(secret, 20, get_byte(secret, 20) # 1)",
        "UPDATE cdn_settings SET slot = 'active' WHERE slot = 'environment'",
    ] {
        let service = Service::start().await;
        service.database.change(tampering).await;
        assert!(
            service.state.store.check_keys().await.is_err(),
            "{tampering}"
        );
    }
    assert!(service.state.store.check_keys().await.is_ok());
}

fn refusal(variables: &[(&str, &str)]) -> Option<String> {
    let all: std::collections::BTreeMap<_, _> = variables.iter().copied().collect();
    Config::from_variables(|name| all.get(name).map(OsString::from))
        .err()
        .map(|error| error.to_string())
}

#[test]
fn refuses_to_start_insecurely() {
    let open = ("LISTEN_ADDR", "0.0.0.0:8080");
    let words = refusal(&[open]).expect("refused");
    assert!(
        words.contains("PUBLIC_URL") && words.contains("ALLOW_INSECURE_HTTP"),
        "{words}"
    );
    assert!(refusal(&[open, ("PUBLIC_URL", "http://cdn.example.com")]).is_some());
    assert_eq!(
        refusal(&[open, ("PUBLIC_URL", "https://cdn.example.com")]),
        None
    );
    assert_eq!(refusal(&[open, ("ALLOW_INSECURE_HTTP", "true")]), None);
    assert!(refusal(&[open, ("ALLOW_INSECURE_HTTP", "false")]).is_some());
    assert_eq!(refusal(&[("LISTEN_ADDR", "[::1]:8080")]), None);

    for (name, value) in [
        ("ADMIN_PASSWORD", "short"),
        ("ADMIN_PASSWORD", "password1234"),
        ("EMBED_JWT_SECRET", "shorter than thirty-two bytes"),
        ("EMBED_JWT_SECRET", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("EMBED_JWT_SECRET", "a-string-secret-at-least-256-bits-long"),
        ("PUBLISH_TOKEN", "changeme-changeme"),
        ("METRICS_TOKEN", "prometheus"),
        ("METRICS_TOKEN", "password-password-password"),
        (
            "ENCRYPTION_KEY",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        (
            "ENCRYPTION_KEY",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ),
        ("EMBED_ORIGINS", "https://editor.example.com/path"),
        ("EMBED_ORIGINS", "*"),
        ("EMBED_ORIGINS", "https://a.example.com; script-src *"),
        ("TRUSTED_PROXIES", "everybody"),
        ("SKYCMS_URL", "localhost:4000"),
        ("SKYCMS_URL", "http://user@localhost:4000"),
        ("PUBLISH_HOOK_SECRET", "whsec_AAAA"),
        ("PUBLISH_HOOK_SECRET", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        (
            "PUBLISH_HOOK_SECRET",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
        (
            "PUBLISH_HOOK_SECRET",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ),
        (
            "PUBLISH_SECRET_ACCESS_KEY",
            "secret-secret-secret-secret-secret",
        ),
        (
            "PUBLISH_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        ("ALLOW_INSECURE_HTTP", "perhaps"),
    ] {
        let pair = ("PUBLISH_ACCESS_KEY_ID", "SKYCEXAMPLE00000");
        let words = match name {
            "ALLOW_INSECURE_HTTP" => refusal(&[open, (name, value)]),
            "PUBLISH_SECRET_ACCESS_KEY" => refusal(&[pair, (name, value)]),
            _ => refusal(&[(name, value)]),
        };
        let words = words.unwrap_or_else(|| panic!("{name}={value} is taken"));
        assert!(words.starts_with(name), "{words}");
        let made = [
            "EMBED_JWT_SECRET",
            "PUBLISH_TOKEN",
            "METRICS_TOKEN",
            "ENCRYPTION_KEY",
            "PUBLISH_HOOK_SECRET",
            "PUBLISH_SECRET_ACCESS_KEY",
        ];
        assert!(
            !made.contains(&name) || words.contains("openssl rand"),
            "{words}"
        );
        let is_secret = name == "ADMIN_PASSWORD" || made.contains(&name);
        assert!(!is_secret || !words.contains(value), "{words}");
    }
    // What an old key has sealed is still opened.
    let keys = format!("{NEW_KEY},AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    assert_eq!(refusal(&[("ENCRYPTION_KEY", &keys)]), None);
}
