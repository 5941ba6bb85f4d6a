//! Key pairs on the settings page: for senders that speak CloudFront's own API, each shown once.

use axum::extract::State;
use axum::http::StatusCode;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::admin::fresh_key_pair;
use crate::domain::NewKeyPair;
use crate::store::{Site, StoreError};
use crate::web::AppState;
use crate::web::http::extract::{Form, Path};
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::settings::tokens::Numbered;
use crate::web::pages::settings::{Shown, refresh, respond};
use crate::web::pages::views::{KeyPair, Nav, Revealed};
use crate::web::pages::words::settings as words;
use crate::web::pages::{Page, PageError, PageResult};

/// The longest name of a key pair.
const LONGEST_NAME: usize = 100;

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
    user: SignedIn,
    Form(new): Form<NewKey>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let name = match new.name.trim() {
        "" => words::UNNAMED,
        name => name,
    };
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let pair = fresh_key_pair(&state.clock);
    let (id, now) = (state.clock.id(), state.clock.now());
    let is_home = new.everything == "home";
    state
        .store
        .add_key_pair(page.site.id, id, &name, &pair, is_home, now)
        .await
        .map_err(|error| page.failed()(error.into()))?;
    let detail = format!("{}, {name}", pair.access_key_id);
    audit::by(&state, &user, Deed::CreatedKeyPair, Some(detail)).await?;
    refresh(&state).await;
    respond(&state, page, StatusCode::OK, revealed(&pair)).await
}

/// `POST /settings/cdn/keys/{id}/rotate`: gives it another secret and shows that, this once.
pub(crate) async fn rotate(
    State(state): State<AppState>,
    user: SignedIn,
    Path(Numbered { id }): Path<Numbered>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    let secret = fresh_key_pair(&state.clock).secret;
    let access_key_id = state
        .store
        .rotate_key_pair(page.site.id, id, &secret, state.clock.now())
        .await
        .map_err(|error| failed(error.into()))?
        .ok_or_else(|| failed(PageError::NotFound))?;
    let detail = Some(access_key_id.clone());
    audit::by(&state, &user, Deed::RotatedKeyPair, detail).await?;
    refresh(&state).await;
    let pair = NewKeyPair {
        access_key_id,
        secret,
    };
    respond(&state, page, StatusCode::OK, revealed(&pair)).await
}

/// `POST /settings/cdn/keys/{id}/revoke`.
pub(crate) async fn revoke(
    State(state): State<AppState>,
    user: SignedIn,
    Path(Numbered { id }): Path<Numbered>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    let access_key_id = state
        .store
        .revoke_key_pair(page.site.id, id)
        .await
        .map_err(|error| failed(error.into()))?
        .ok_or_else(|| failed(PageError::NotFound))?;
    audit::by(&state, &user, Deed::RevokedKeyPair, Some(access_key_id)).await?;
    refresh(&state).await;
    Ok(page.see("/settings/cdn?done=revoked#hook"))
}

fn revealed(pair: &NewKeyPair) -> Shown {
    Shown {
        revealed: vec![
            Revealed {
                name: words::ACCESS_KEY_ID.into(),
                value: pair.access_key_id.clone(),
            },
            Revealed {
                name: words::SECRET_ACCESS_KEY.into(),
                value: pair.secret.expose_secret().to_owned(),
            },
        ],
        ..Shown::default()
    }
}

/// What the settings page shows of the key pairs.
pub(crate) async fn list(state: &AppState, site: &Site) -> Result<Vec<KeyPair>, StoreError> {
    let pairs = state.store.key_pairs(site.id).await?;
    Ok(pairs
        .into_iter()
        .map(|pair| KeyPair {
            id: pair.id.to_string(),
            access_key_id: pair.access_key_id,
            name: pair.name,
            everything_is_home: pair.everything_is_home,
            created_at: pair.rotated_at.unwrap_or(pair.created_at),
            last_used: pair.last_used_at,
        })
        .collect())
}
