//! Key pairs, for publishers that use CloudFront's own API. Each is shown once.

use axum::response::Response;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use uuid::Uuid;

use super::hook::{self, refuse, reveal};
use super::section::{ask, confirmed};
use crate::admin::fresh_key_pair;
use crate::domain::{AuditAction, GivenName, NewKeyPair};
use crate::store::{KeyPairView, Proof, Sender};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::Form;
use crate::web::pages::once::{Button, OnceKey};
use crate::web::pages::views::{Field, Revealed, Section};
use crate::web::pages::visit::{Id, Visit};
use crate::web::pages::words::settings as words;

/// The name of a new key pair, and what its publisher means by `/*`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewKey {
    name: String,
    everything: String,
    once: OnceKey,
}

/// `POST /settings/cdn/keys`: creates a key pair and shows it, only this once.
pub(crate) async fn create(visit: Visit, Form(new): Form<NewKey>) -> Result<Response> {
    let state = &visit.state;
    let is_home = new.everything == "home";
    let refuse = |why: String| {
        refuse(&visit, |page| {
            page.key_name = Field::typed(&new.name, Some(why));
            page.key_is_home = is_home;
        })
    };
    let Ok(name) = new.name.parse::<GivenName>() else {
        return refuse(words::NAMELESS.to_owned()).await;
    };
    let name = name.as_str();
    let values = ["key pair", visit.site.name.as_str(), name, &new.everything];
    let form = new.once.form(state, &values);
    let (id, now) = (state.clock.id(), state.clock.now());
    let sender = Sender {
        name,
        everything_is_home: is_home,
    };
    let pair = fresh_key_pair(&state.clock);
    let added = state
        .store
        .add_key_pair(visit.site.id, id, sender, &pair, Some(&form), now)
        .await?;
    let Some((pair, is_first)) = added else {
        return refuse(words::GONE_SINCE.to_owned()).await;
    };
    if is_first {
        let detail = Some(format!("{}, {name}", pair.access_key_id));
        visit.changed(AuditAction::CreatedKeyPair, detail).await;
    }
    reveal(&visit, shown(&pair)).await
}

/// `POST /settings/cdn/keys/{id}/rotate`: asks first, then gives the key pair a new secret and
/// shows that, only this once.
pub(crate) async fn rotate(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    let state = &visit.state;
    let now = state.clock.now();
    if button.confirmed.is_none() {
        let pair = find(&visit, id).await?.ok_or(Error::NotFound)?;
        let question = words::rotate_key_pair(&pair, now);
        let mut fields = confirmed();
        fields.push(("once", state.clock.id().to_string()));
        let path = format!("/settings/cdn/keys/{id}/rotate");
        return ask(&visit, Section::Hook, question, &path, fields);
    }
    let fresh = fresh_key_pair(&state.clock).secret;
    let form = button.once.form(state, &["rotate", &id.to_string()]);
    let rotated = state
        .store
        .rotate_key_pair(visit.site.id, id, fresh, Some(&form), now)
        .await?;
    let (pair, is_first) = rotated.ok_or(Error::NotFound)?;
    if is_first {
        let detail = Some(pair.access_key_id.clone());
        visit.changed(AuditAction::RotatedKeyPair, detail).await;
    }
    reveal(&visit, shown(&pair)).await
}

/// `POST /settings/cdn/keys/{id}/revoke`: asks first.
pub(crate) async fn revoke(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    let now = visit.state.clock.now();
    let found = find(&visit, id).await?.map(|pair| {
        let detail = format!("{}, {}", pair.access_key_id, pair.name);
        (words::revoke_key_pair(&pair, now), detail)
    });
    hook::revoke(&visit, Proof::KeyPair(id), found, &button).await
}

async fn find(visit: &Visit, id: Uuid) -> Result<Option<KeyPairView>> {
    let pairs = visit.state.store.key_pairs(visit.site.id).await?;
    Ok(pairs.into_iter().find(|pair| pair.id == id))
}

fn shown(pair: &NewKeyPair) -> Vec<Revealed> {
    vec![
        Revealed::new(words::ACCESS_KEY_ID, &pair.access_key_id),
        Revealed::new(words::SECRET_ACCESS_KEY, pair.secret.expose_secret()),
    ]
}
