//! Sites, and what an administrator gives them.

use secrecy::SecretString;
use skycms_cdn::clock::Clock;
use skycms_cdn::domain::notification::{EndpointKind, EndpointUrl, Event};
use skycms_cdn::domain::{Settings, SettingsForm};
use skycms_cdn::store::{NewEndpoint, ShownTo, Slot, Store, StoreError};
use uuid::Uuid;

use super::{SECRET, TOKEN};

/// What signs the messages to an endpoint.
pub(crate) const ENDPOINT_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The publish token of a site.
pub(crate) fn token_of(site: &str) -> String {
    match site {
        "default" => TOKEN.to_owned(),
        _ => format!("{TOKEN}_{site}"),
    }
}

/// Makes a site with its token, and puts settings in force.
pub(crate) async fn add_site(
    store: &Store,
    clock: &Clock,
    name: &str,
    settings: &Settings,
) -> Result<(), StoreError> {
    let now = clock.now();
    let site = store.ensure_site(name, now).await?;
    let token = SecretString::from(token_of(name));
    let has = store
        .add_token(site, clock.id(), name, token, ShownTo::Nobody, now)
        .await?;
    assert!(has.is_some(), "{name} has no token");
    store
        .save_settings(site, None, Slot::Active, settings, None, now)
        .await
        .map(|_| ())
}

/// Well-formed settings with the sandbox's secret.
pub(crate) fn settings(distribution: &str, key: &str) -> Settings {
    settings_with(distribution, key, SECRET)
}

pub(crate) fn settings_with(distribution: &str, key: &str, secret: &str) -> Settings {
    let form = SettingsForm {
        distribution_id: distribution.into(),
        access_key_id: key.into(),
        secret_access_key: SecretString::from(secret),
        region: "us-east-1".into(),
        aws_default: false,
    };
    Settings::parse(&form, &[]).unwrap()
}

/// An endpoint that wants to hear of everything.
pub(crate) fn endpoint(id: Uuid, url: &str, kind: EndpointKind) -> NewEndpoint {
    NewEndpoint {
        id,
        kind,
        url: EndpointUrl::parse(url, true).unwrap(),
        secret: (kind == EndpointKind::Standard).then(|| SecretString::from(ENDPOINT_SECRET)),
        events: Event::CHOICE.to_vec(),
    }
}
