//! What publishers prove themselves with: tokens and signing secrets, each shown once.

use axum::extract::State;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::hook::{reveal, revoked};
use crate::admin::fresh_token;
use crate::domain::AuditAction;
use crate::domain::HookSecret;
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Path};
use crate::web::pages::views::Revealed;
use crate::web::pages::visit::Visit;
use crate::web::pages::words::settings as words;
use crate::web::state::AppState;

/// The longest name of a token.
const LONGEST_NAME: usize = 100;

/// The name of a new token.
#[derive(Deserialize)]
pub(crate) struct NewToken {
    #[serde(default)]
    name: String,
}

/// The token or secret in the address.
#[derive(Deserialize)]
pub(crate) struct Numbered {
    pub(crate) id: Uuid,
}

/// `POST /settings/cdn/tokens`: makes a token and shows it, this once.
pub(crate) async fn create_token(
    State(state): State<AppState>,
    visit: Visit,
    Form(new): Form<NewToken>,
) -> Result<Response> {
    let name = name_of(&new.name);
    let (id, token) = (state.clock.id(), fresh_token(&state.clock));
    state
        .store
        .add_token(visit.site.id, id, &name, &token, false, state.clock.now())
        .await?;
    visit
        .audit(AuditAction::CreatedToken, Some(name.clone()))
        .await?;
    state.refresh_sites().await;
    reveal(&state, &visit, shown(words::token(&name), &token)).await
}

/// `POST /settings/cdn/tokens/{id}/reveal`: shows the token that the first start made, this once.
pub(crate) async fn reveal_token(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let token = state.store.reveal_token(visit.site.id, id).await?;
    let token = token.ok_or(Error::NotFound)?;
    visit
        .audit(AuditAction::RevealedToken, Some(id.to_string()))
        .await?;
    reveal(
        &state,
        &visit,
        shown(words::token(words::FIRST_TOKEN), &token),
    )
    .await
}

/// `POST /settings/cdn/tokens/{id}/revoke`.
pub(crate) async fn revoke_token(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let now = state.clock.now();
    let done = state.store.revoke_token(visit.site.id, id, now).await?;
    if !done {
        return Err(Error::NotFound);
    }
    revoked(&state, &visit, AuditAction::RevokedToken, id.to_string()).await
}

/// `POST /settings/cdn/secrets`: makes a signing secret and shows it, this once.
pub(crate) async fn create_secret(State(state): State<AppState>, visit: Visit) -> Result<Response> {
    let (id, secret) = (state.clock.id(), HookSecret::text(*state.clock.random()));
    state
        .store
        .add_hook_secret(visit.site.id, id, &secret, false, state.clock.now())
        .await?;
    visit
        .audit(AuditAction::CreatedSecret, Some(id.to_string()))
        .await?;
    state.refresh_sites().await;
    reveal(&state, &visit, shown(words::SIGNING_SECRET, &secret)).await
}

/// `POST /settings/cdn/secrets/{id}/reveal`: shows the secret that the first start made, this once.
pub(crate) async fn reveal_secret(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let secret = state.store.reveal_hook_secret(visit.site.id, id).await?;
    let secret = secret.ok_or(Error::NotFound)?;
    visit
        .audit(AuditAction::RevealedSecret, Some(id.to_string()))
        .await?;
    reveal(&state, &visit, shown(words::SIGNING_SECRET, &secret)).await
}

/// `POST /settings/cdn/secrets/{id}/revoke`.
pub(crate) async fn revoke_secret(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let done = state.store.revoke_hook_secret(visit.site.id, id).await?;
    if !done {
        return Err(Error::NotFound);
    }
    revoked(&state, &visit, AuditAction::RevokedSecret, id.to_string()).await
}

pub(super) fn name_of(given: &str) -> String {
    let name = match given.trim() {
        "" => words::UNNAMED,
        name => name,
    };
    name.chars().take(LONGEST_NAME).collect()
}

fn shown(name: impl Into<String>, secret: &SecretString) -> Vec<Revealed> {
    vec![Revealed {
        name: name.into(),
        value: secret.expose_secret().to_owned(),
    }]
}
