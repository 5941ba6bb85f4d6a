//! What publishers authenticate with: tokens and signing secrets, each shown once.

use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::hook::{refuse, reveal, revoke};
use crate::admin::fresh_token;
use crate::domain::{AuditAction, GivenName, HookSecret};
use crate::store::{FormHash, HookSecretView, Proof, ShownTo, TokenView};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::Form;
use crate::web::pages::once::{Button, OnceKey};
use crate::web::pages::views::{Field, Revealed};
use crate::web::pages::visit::{Id, Visit};
use crate::web::pages::words::settings as words;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewToken {
    name: String,
    once: OnceKey,
}

/// `POST /settings/cdn/tokens`: creates a token and shows it, only this once.
pub(crate) async fn create_token(visit: Visit, Form(new): Form<NewToken>) -> Result<Response> {
    let state = &visit.state;
    let refuse = |why: String| {
        refuse(&visit, |page| {
            page.token_name = Field::typed(&new.name, Some(why));
        })
    };
    let Ok(name) = new.name.parse::<GivenName>() else {
        return refuse(words::NAMELESS.to_owned()).await;
    };
    let name = name.as_str();
    let form = new
        .once
        .form(state, &["token", visit.site.name.as_str(), name]);
    let token = fresh_token(&state.clock);
    let (id, now) = (state.clock.id(), state.clock.now());
    let added = state
        .store
        .add_token(visit.site.id, id, name, token, ShownTo::Form(&form), now)
        .await?;
    let Some((token, is_first)) = added else {
        let tokens = state.store.tokens(visit.site.id).await?;
        return refuse(if tokens.iter().any(|token| token.name == name) {
            words::name_taken(name)
        } else {
            words::GONE_SINCE.to_owned()
        })
        .await;
    };
    if is_first {
        let detail = Some(name.to_owned());
        visit.changed(AuditAction::CreatedToken, detail).await;
    }
    reveal(&visit, vec![revealed_token(name, &token)]).await
}

/// `POST /settings/cdn/tokens/{id}/reveal`: shows a token that was made with its site, only this
/// once.
pub(crate) async fn reveal_token(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    let name = find_token(&visit, id).await?.ok_or(Error::NotFound)?.name;
    let form = button.once.form(&visit.state, &["reveal", &id.to_string()]);
    let (proof, action) = (Proof::Token(id), AuditAction::RevealedToken);
    let token = unseal(&visit, proof, &form, action, &name).await?;
    reveal(&visit, vec![revealed_token(&name, &token)]).await
}

/// `POST /settings/cdn/tokens/{id}/revoke`: asks first.
pub(crate) async fn revoke_token(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    let now = visit.state.clock.now();
    let found = find_token(&visit, id).await?;
    let found = found.map(|token| (words::revoke_token(&token, now), token.name));
    revoke(&visit, Proof::Token(id), found, &button).await
}

/// `POST /settings/cdn/secrets`: creates a signing secret and shows it, only this once.
pub(crate) async fn create_secret(visit: Visit, button: Button) -> Result<Response> {
    let state = &visit.state;
    let (id, secret) = (state.clock.id(), HookSecret::text(*state.clock.random()));
    let form = button
        .once
        .form(state, &["secret", visit.site.name.as_str()]);
    let (shown, now) = (ShownTo::Form(&form), state.clock.now());
    let added = state
        .store
        .add_hook_secret(visit.site.id, id, secret, shown, now)
        .await?;
    let Some((secret, is_first)) = added else {
        let secrets = state.store.hook_secrets(visit.site.id).await?;
        let why = if secrets.len() < HookSecret::MAX_PER_SITE {
            words::GONE_SINCE.to_owned()
        } else {
            words::too_many_secrets(HookSecret::MAX_PER_SITE)
        };
        return refuse(&visit, |page| page.secret_error = Some(why)).await;
    };
    if is_first {
        let detail = Some(id.to_string());
        visit.changed(AuditAction::CreatedSecret, detail).await;
    }
    reveal(&visit, vec![revealed_secret(&secret)]).await
}

/// `POST /settings/cdn/secrets/{id}/reveal`: shows a secret that was made with its site, only this
/// once.
pub(crate) async fn reveal_secret(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    find_secret(&visit, id).await?.ok_or(Error::NotFound)?;
    let name = id.to_string();
    let form = button.once.form(&visit.state, &["reveal", &name]);
    let (proof, action) = (Proof::Secret(id), AuditAction::RevealedSecret);
    let secret = unseal(&visit, proof, &form, action, &name).await?;
    reveal(&visit, vec![revealed_secret(&secret)]).await
}

/// `POST /settings/cdn/secrets/{id}/revoke`: asks first.
pub(crate) async fn revoke_secret(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    let now = visit.state.clock.now();
    let found = find_secret(&visit, id).await?;
    let found = found.map(|secret| (words::revoke_secret(&secret, now), id.to_string()));
    revoke(&visit, Proof::Secret(id), found, &button).await
}

async fn find_token(visit: &Visit, id: Uuid) -> Result<Option<TokenView>> {
    let tokens = visit.state.store.tokens(visit.site.id).await?;
    Ok(tokens.into_iter().find(|token| token.id == id))
}

async fn find_secret(visit: &Visit, id: Uuid) -> Result<Option<HookSecretView>> {
    let secrets = visit.state.store.hook_secrets(visit.site.id).await?;
    Ok(secrets.into_iter().find(|secret| secret.id == id))
}

/// The text of what was made with its site and never shown; the audit has its name.
async fn unseal(
    visit: &Visit,
    proof: Proof,
    form: &FormHash,
    action: AuditAction,
    name: &str,
) -> Result<SecretString> {
    let (store, now) = (&visit.state.store, visit.state.clock.now());
    let shown = store.reveal(visit.site.id, proof, Some(form), now).await?;
    let (text, is_first) = shown.ok_or(Error::NotFound)?;
    if is_first {
        visit.audit(action, Some(name.to_owned())).await;
    }
    Ok(text)
}

fn revealed_token(name: &str, token: &SecretString) -> Revealed {
    Revealed {
        is_token: true,
        ..Revealed::new(words::token(name), token.expose_secret())
    }
}

fn revealed_secret(secret: &SecretString) -> Revealed {
    Revealed::new(words::SIGNING_SECRET, secret.expose_secret())
}
