//! The publish hook on the settings page: its address and its tokens, each shown once.

use axum::extract::State;
use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use crate::store::{Site, StoreError};
use crate::web::AppState;
use crate::web::http::extract::{Form, Path};
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::settings::{Shown, refresh, respond};
use crate::web::pages::settings::{keys, secrets};
use crate::web::pages::views::{Hook, Nav, Revealed, Token};
use crate::web::pages::words::settings as words;
use crate::web::pages::{Page, PageError, PageResult};

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
pub(crate) async fn create(
    State(state): State<AppState>,
    user: SignedIn,
    Form(new): Form<NewToken>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let name = match new.name.trim() {
        "" => words::UNNAMED,
        name => name,
    };
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let token = crate::admin::fresh_token(&state.clock);
    state
        .store
        .add_token(
            page.site.id,
            state.clock.id(),
            &name,
            &token,
            false,
            state.clock.now(),
        )
        .await
        .map_err(|error| page.failed()(error.into()))?;
    audit::by(&state, &user, Deed::CreatedToken, Some(name.clone())).await?;
    refresh(&state).await;
    respond(&state, page, StatusCode::OK, revealed(&name, &token)).await
}

/// `POST /settings/cdn/tokens/{id}/reveal`: shows the token that the first start made, this once.
pub(crate) async fn reveal(
    State(state): State<AppState>,
    user: SignedIn,
    Path(Numbered { id }): Path<Numbered>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    let token = state
        .store
        .reveal_token(page.site.id, id)
        .await
        .map_err(|error| failed(error.into()))?
        .ok_or_else(|| failed(PageError::NotFound))?;
    audit::by(&state, &user, Deed::RevealedToken, Some(id.to_string())).await?;
    respond(
        &state,
        page,
        StatusCode::OK,
        revealed(words::FIRST_TOKEN, &token),
    )
    .await
}

/// `POST /settings/cdn/tokens/{id}/revoke`.
pub(crate) async fn revoke(
    State(state): State<AppState>,
    user: SignedIn,
    Path(Numbered { id }): Path<Numbered>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    let done = state
        .store
        .revoke_token(page.site.id, id, state.clock.now())
        .await
        .map_err(|error| failed(error.into()))?;
    if !done {
        return Err(failed(PageError::NotFound));
    }
    audit::by(&state, &user, Deed::RevokedToken, Some(id.to_string())).await?;
    refresh(&state).await;
    Ok(page.see("/settings/cdn?done=revoked#hook"))
}

fn revealed(name: &str, token: &SecretString) -> Shown {
    Shown {
        revealed: vec![Revealed {
            name: words::token(name),
            value: token.expose_secret().to_owned(),
        }],
        ..Shown::default()
    }
}

/// What the settings page shows of the hook.
pub(crate) async fn hook(
    state: &AppState,
    site: &Site,
    revealed: Vec<Revealed>,
) -> Result<Hook, StoreError> {
    let tokens = state.store.tokens(site.id).await?;
    Ok(Hook {
        url: hook_url(state, site),
        revealed,
        tokens: tokens
            .into_iter()
            .map(|token| Token {
                id: token.id.to_string(),
                name: token.name,
                created_at: token.created_at,
                last_used: token.last_used_at,
                unrevealed: token.unrevealed,
            })
            .collect(),
        secrets: secrets::list(state, site).await?,
        endpoint: state.public.to_string(),
        keys: keys::list(state, site).await?,
    })
}

/// The address that publishers call.
pub(crate) fn hook_url(state: &AppState, site: &Site) -> String {
    format!("{}/api/sites/{}/publishes", state.public, site.name)
}
