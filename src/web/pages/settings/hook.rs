//! The publish hook: its address, and what publishers authenticate with.

use axum::response::Response;
use serde::Deserialize;

use super::section::{ask, confirmed, layout};
use crate::domain::test_report::TEST_PATH;
use crate::domain::{AuditAction, Item};
use crate::store::{IdempotencyKey, Proof};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::Query;
use crate::web::pages::once::{Button, Ending};
use crate::web::pages::views::{Field, HookPage, ListPage, Revealed, Section};
use crate::web::pages::visit::{Visit, html, not_accepted};
use crate::web::pages::words::Question;

/// How many rows of each list the page shows.
const TOKENS: usize = 6;
const SECRETS: usize = 4;
const KEYS: usize = 6;

/// Which page of each list to show, counted from 1.
#[derive(Default, Deserialize)]
pub(crate) struct PageQuery {
    tokens: Option<usize>,
    secrets: Option<usize>,
    keys: Option<usize>,
}

/// `GET /settings/cdn/hook`.
pub(crate) async fn show(visit: Visit, Query(query): Query<PageQuery>) -> Result<Response> {
    html(&page(&visit, &query).await?)
}

/// `POST /settings/cdn/hook/test`: publishes a page that does not exist, to show how it goes.
pub(crate) async fn send_test(visit: Visit, button: Button) -> Result<Response> {
    if visit.site.distribution_id.is_none() {
        return Err(Error::NoSettings);
    }
    let form = button
        .once
        .form(&visit.state, &["test publish", &visit.site.name]);
    let key = Some(IdempotencyKey::of_form(&form));
    let item = Item::from_canonical(TEST_PATH).map_err(|_| Error::Internal)?;
    let (id, repeated) = visit.publish(vec![item], Vec::new(), key).await?;
    if repeated.is_none() {
        let detail = Some(TEST_PATH.to_owned());
        visit.audit(AuditAction::Purged, detail).await;
    }
    Ok(visit.see(&format!("/activity/{id}")))
}

/// The page with what was typed for a new token or key pair.
pub(super) async fn refuse(visit: &Visit, fill_in: impl FnOnce(&mut HookPage)) -> Result<Response> {
    let mut page = page(visit, &PageQuery::default()).await?;
    fill_in(&mut page);
    not_accepted(page)
}

/// The page with secrets that are shown only this once.
pub(super) async fn reveal(visit: &Visit, revealed: Vec<Revealed>) -> Result<Response> {
    let mut page = page(visit, &PageQuery::default()).await?;
    page.revealed = revealed;
    html(&page)
}

/// Revokes what proves calls, after asking. `found` is the question, and what the audit says was
/// revoked; `None` if there is no such thing, unless an earlier press has revoked it.
pub(super) async fn revoke(
    visit: &Visit,
    proof: Proof,
    found: Option<(Question, String)>,
    button: &Button,
) -> Result<Response> {
    let (list, id, action) = match proof {
        Proof::Token(id) => ("tokens", id, AuditAction::RevokedToken),
        Proof::Secret(id) => ("secrets", id, AuditAction::RevokedSecret),
        Proof::KeyPair(id) => ("keys", id, AuditAction::RevokedKeyPair),
    };
    let path = format!("/settings/cdn/{list}/{id}/revoke");
    let ending = Ending::of(&[visit.path(&path).as_str()]);
    match found {
        Some((question, _)) if button.confirmed.is_none() => {
            return ask(visit, Section::Hook, question, &path, confirmed());
        }
        Some((_, detail)) => {
            let (store, now) = (&visit.state.store, visit.state.clock.now());
            let ended = Some(ending.form());
            // A second press at the same time finds it revoked, which is what was wanted.
            if store.revoke(visit.site.id, proof, ended, now).await? {
                visit.changed(action, Some(detail)).await;
            }
        }
        None => ending.confirm(&visit.state).await?,
    }
    Ok(visit.see("/settings/cdn/hook?done=revoked"))
}

/// The page: the address that publishers call, and its tokens, secrets and key pairs.
async fn page(visit: &Visit, query: &PageQuery) -> Result<HookPage> {
    let (state, site) = (&visit.state, &visit.site);
    let store = &state.store;
    let mut layout = layout(visit, Section::Hook);
    if query.tokens.or(query.secrets).or(query.keys).is_some() {
        layout.address = None;
    }
    Ok(HookPage {
        layout,
        url: state.hook_url(site),
        endpoint: state.public.to_string(),
        keys: ListPage::of(store.key_pairs(site.id).await?, query.keys, KEYS),
        revealed: Vec::new(),
        token_name: Field::default(),
        secret_error: None,
        key_name: Field::default(),
        key_is_home: false,
        tokens: ListPage::of(store.tokens(site.id).await?, query.tokens, TOKENS),
        secrets: ListPage::of(store.hook_secrets(site.id).await?, query.secrets, SECRETS),
    })
}
