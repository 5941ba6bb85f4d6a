//! Key pairs, for senders that speak CloudFront's own API: each shown once.

use axum::extract::State;
use axum::response::Response;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::hook::{reveal, revoked};
use super::tokens::{Numbered, name_of};
use crate::admin::fresh_key_pair;
use crate::domain::{AuditAction, NewKeyPair};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Path};
use crate::web::pages::views::Revealed;
use crate::web::pages::visit::Visit;
use crate::web::pages::words::settings as words;
use crate::web::state::AppState;

/// The name of a new key pair, and what its sender means by `/*`.
#[derive(Deserialize)]
pub(crate) struct NewKey {
    #[serde(default)]
    name: String,
    #[serde(default)]
    everything: String,
}

/// `POST /settings/cdn/keys`: makes a key pair and shows it, this once.
pub(crate) async fn create(
    State(state): State<AppState>,
    visit: Visit,
    Form(new): Form<NewKey>,
) -> Result<Response> {
    let name = name_of(&new.name);
    let pair = fresh_key_pair(&state.clock);
    let (id, now) = (state.clock.id(), state.clock.now());
    let is_home = new.everything == "home";
    state
        .store
        .add_key_pair(visit.site.id, id, &name, &pair, is_home, now)
        .await?;
    let detail = format!("{}, {name}", pair.access_key_id);
    visit
        .audit(AuditAction::CreatedKeyPair, Some(detail))
        .await?;
    state.refresh_sites().await;
    reveal(&state, &visit, shown(&pair)).await
}

/// `POST /settings/cdn/keys/{id}/rotate`: gives it another secret and shows that, this once.
pub(crate) async fn rotate(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let (secret, now) = (fresh_key_pair(&state.clock).secret, state.clock.now());
    let rotated = state
        .store
        .rotate_key_pair(visit.site.id, id, &secret, now)
        .await?;
    let access_key_id = rotated.ok_or(Error::NotFound)?;
    let detail = Some(access_key_id.clone());
    visit.audit(AuditAction::RotatedKeyPair, detail).await?;
    state.refresh_sites().await;
    let pair = NewKeyPair {
        access_key_id,
        secret,
    };
    reveal(&state, &visit, shown(&pair)).await
}

/// `POST /settings/cdn/keys/{id}/revoke`.
pub(crate) async fn revoke(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let access_key_id = state.store.revoke_key_pair(visit.site.id, id).await?;
    let access_key_id = access_key_id.ok_or(Error::NotFound)?;
    revoked(&state, &visit, AuditAction::RevokedKeyPair, access_key_id).await
}

fn shown(pair: &NewKeyPair) -> Vec<Revealed> {
    vec![
        Revealed {
            name: words::ACCESS_KEY_ID.into(),
            value: pair.access_key_id.clone(),
        },
        Revealed {
            name: words::SECRET_ACCESS_KEY.into(),
            value: pair.secret.expose_secret().to_owned(),
        },
    ]
}
