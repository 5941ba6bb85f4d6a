//! Signing secrets on the settings page: each shown once, several in force so that one can replace
//! another.

use axum::extract::State;
use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::HookSecret;
use crate::store::{Site, StoreError};
use crate::web::AppState;
use crate::web::http::extract::Path;
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::settings::tokens::Numbered;
use crate::web::pages::settings::{Shown, refresh, respond};
use crate::web::pages::views::{Nav, Revealed, SigningSecret};
use crate::web::pages::words::settings as words;
use crate::web::pages::{Page, PageError, PageResult};

/// `POST /settings/cdn/secrets`: makes a signing secret and shows it, this once.
pub(crate) async fn create(State(state): State<AppState>, user: SignedIn) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let (id, secret) = (state.clock.id(), HookSecret::text(*state.clock.random()));
    state
        .store
        .add_hook_secret(page.site.id, id, &secret, false, state.clock.now())
        .await
        .map_err(|error| page.failed()(error.into()))?;
    audit::by(&state, &user, Deed::CreatedSecret, Some(id.to_string())).await?;
    refresh(&state).await;
    respond(&state, page, StatusCode::OK, revealed(&secret)).await
}

/// `POST /settings/cdn/secrets/{id}/reveal`: shows the secret that the first start made, this once.
pub(crate) async fn reveal(
    State(state): State<AppState>,
    user: SignedIn,
    Path(Numbered { id }): Path<Numbered>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    let secret = state
        .store
        .reveal_hook_secret(page.site.id, id)
        .await
        .map_err(|error| failed(error.into()))?
        .ok_or_else(|| failed(PageError::NotFound))?;
    audit::by(&state, &user, Deed::RevealedSecret, Some(id.to_string())).await?;
    respond(&state, page, StatusCode::OK, revealed(&secret)).await
}

/// `POST /settings/cdn/secrets/{id}/revoke`.
pub(crate) async fn revoke(
    State(state): State<AppState>,
    user: SignedIn,
    Path(Numbered { id }): Path<Numbered>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    let done = state
        .store
        .revoke_hook_secret(page.site.id, id)
        .await
        .map_err(|error| failed(error.into()))?;
    if !done {
        return Err(failed(PageError::NotFound));
    }
    audit::by(&state, &user, Deed::RevokedSecret, Some(id.to_string())).await?;
    refresh(&state).await;
    Ok(page.see("/settings/cdn?done=revoked#hook"))
}

fn revealed(secret: &SecretString) -> Shown {
    Shown {
        revealed: vec![Revealed {
            name: words::SIGNING_SECRET.into(),
            value: secret.expose_secret().to_owned(),
        }],
        ..Shown::default()
    }
}

/// What the settings page shows of the secrets.
pub(crate) async fn list(state: &AppState, site: &Site) -> Result<Vec<SigningSecret>, StoreError> {
    let secrets = state.store.hook_secrets(site.id).await?;
    Ok(secrets
        .into_iter()
        .map(|secret| SigningSecret {
            id: secret.id.to_string(),
            created_at: secret.created_at,
            last_used: secret.last_used_at,
            unrevealed: secret.unrevealed,
        })
        .collect())
}
