//! The connection to CloudFront: shown, saved, tested and removed.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::connection_page::page;
use super::section::{ask, confirmed};
use super::test;
use crate::domain::{AuditAction, Credentials, Field, FieldErrors, Settings, SettingsForm};
use crate::store::{SettingsVersion, Slot};
use crate::web::http::error::Result;
use crate::web::http::extract::Form;
use crate::web::pages::auth::session::asks_for_events;
use crate::web::pages::once::{ButtonForm, OnceKey};
use crate::web::pages::views::{ConnectionPage, Section};
use crate::web::pages::visit::{Visit, html, not_accepted};
use crate::web::pages::words::settings as words;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    distribution_id: String,
    access_key_id: String,
    secret_access_key: SecretString,
    region: String,
    credentials: String,
    action: String,
    kept_secret: OnceKey,
    version: String,
}

/// `GET /settings/cdn`.
pub(crate) async fn show(visit: Visit) -> Result<Response> {
    html(&page(&visit, None).await?)
}

/// `POST /settings/cdn`: with `save_and_test`, the settings are tested first, and become the draft
/// if they fail. The script asks for server-sent events, and gets each step as it passes.
pub(crate) async fn save(
    visit: Visit,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let (state, site) = (&visit.state, visit.site.id);
    let saved = state.store.readable_settings(site).await?;
    let draft = saved.iter().find(|saved| saved.slot == Slot::Draft);
    let active = saved.iter().find(|saved| saved.slot != Slot::Draft);
    let in_force = active.map(|active| &active.settings);
    let seen = SettingsVersion::of(&saved);
    let is_latest = fields.version.is_empty() || fields.version == seen.to_string();
    if fields.action == "use_draft" {
        let Some(draft) = draft else {
            return Ok(visit.see("/settings/cdn"));
        };
        if !is_latest {
            // It is not the draft that was asked about.
            return overtaken(&visit, None).await;
        }
        return use_draft(&visit, in_force, seen, &draft.settings).await;
    }
    let mut form = SettingsForm {
        aws_default: fields.credentials == "aws_default",
        distribution_id: fields.distribution_id,
        access_key_id: fields.access_key_id,
        secret_access_key: fields.secret_access_key,
        region: fields.region,
    };
    let kept = fields.kept_secret.form(state, &keeper(&visit));
    if form.secret_access_key.expose_secret().trim().is_empty()
        && let Some(secret) = state.store.form_answer(&kept, state.clock.now()).await?
    {
        form.secret_access_key = secret;
    }
    // If the secret is empty, the one in use is preferred to that of the draft.
    let stored: Vec<&Settings> = saved.iter().map(|saved| &saved.settings).collect();
    let settings = match Settings::parse(&form, &stored) {
        Ok(settings) => settings,
        Err(errors) => return not_accepted(typed_page(&visit, form, errors).await?),
    };
    if !is_latest
        && let Some(latest) = draft.or(active)
        && words::connection(&latest.settings) != words::connection(&settings)
    {
        return overtaken(&visit, Some(form)).await;
    }
    if !allow_credentials(&visit, &settings).await? {
        let problem = words::default_not_allowed(&visit.site.name, &settings.distribution_id);
        let errors = FieldErrors::one(Field::DistributionId, problem);
        return not_accepted(typed_page(&visit, form, errors).await?);
    }
    if fields.action == "save" {
        if draft.is_some_and(|draft| draft.has_failed() && draft.settings == settings) {
            let path = "/settings/cdn";
            let fields = vec![
                ("action", "use_draft".to_owned()),
                ("version", seen.to_string()),
            ];
            return ask(&visit, Section::Connection, words::USE_DRAFT, path, fields);
        }
        let is_done = active.is_some_and(|active| {
            active.slot == Slot::Active && active.settings == settings && draft.is_none()
        });
        if is_done && !is_latest {
            // A second press: the first has saved them.
            return Ok(visit.see("/settings/cdn?done=saved"));
        }
        return put_in_force(&visit, in_force, seen, &settings, Some(form)).await;
    }
    let now = state.clock.now();
    if let Err(next) = state.store.take_test(site, &state.limits, now).await? {
        let wait = (next - now).whole_seconds().max(0) + 1;
        let mut page = typed_page(&visit, form, FieldErrors::default()).await?;
        page.form.trouble = Some(words::too_many_tests(wait));
        let wait = [(header::RETRY_AFTER, HeaderValue::from(wait))];
        let answer = (StatusCode::TOO_MANY_REQUESTS, wait, not_accepted(page)?);
        return Ok(answer.into_response());
    }
    let running = test::begin(&visit, in_force, seen, settings);
    if asks_for_events(&headers) {
        return Ok(running.into_events());
    }
    if !running.ended().await? {
        return overtaken(&visit, Some(form)).await;
    }
    Ok(visit.see("/settings/cdn#test"))
}

/// Puts the draft in force, although its test failed.
async fn use_draft(
    visit: &Visit,
    before: Option<&Settings>,
    seen: SettingsVersion,
    draft: &Settings,
) -> Result<Response> {
    if !allow_credentials(visit, draft).await? {
        let mut page = page(visit, None).await?;
        let problem = words::default_not_allowed(&visit.site.name, &draft.distribution_id);
        page.form.distribution_id.error = Some(problem);
        return not_accepted(page);
    }
    put_in_force(visit, before, seen, draft, None).await
}

/// Whether the site may use these credentials. Only an operator can allow it the AWS default ones,
/// and does so by choosing them here, which is then noted.
async fn allow_credentials(visit: &Visit, settings: &Settings) -> Result<bool> {
    let (site, distribution) = (visit.site.id, &settings.distribution_id);
    let state = &visit.state;
    if !matches!(settings.credentials, Credentials::AwsDefault)
        || state.store.may_use_default(site, distribution).await?
    {
        return Ok(true);
    }
    if !visit.visitor.user.session.manages_sites() {
        return Ok(false);
    }
    let now = state.clock.now();
    if state.store.grant_default(site, distribution, now).await? {
        let detail = Some(distribution.to_string());
        visit.audit(AuditAction::AllowedDefault, detail).await;
    }
    Ok(true)
}

/// Puts settings in force without a test, unless somebody else has saved others since `seen`.
async fn put_in_force(
    visit: &Visit,
    before: Option<&Settings>,
    seen: SettingsVersion,
    settings: &Settings,
    form: Option<SettingsForm>,
) -> Result<Response> {
    let (store, now) = (&visit.state.store, visit.state.clock.now());
    let site = visit.site.id;
    if !store
        .save_settings(site, Some(seen), Slot::Active, settings, None, now)
        .await?
    {
        return overtaken(visit, form).await;
    }
    let detail = words::saved(before, settings);
    let action = AuditAction::SavedSettings;
    visit.changed(action, Some(detail)).await;
    Ok(visit.see("/settings/cdn?done=saved"))
}

/// Somebody else was faster: what they saved is shown, next to what was typed, if anything was.
async fn overtaken(visit: &Visit, form: Option<SettingsForm>) -> Result<Response> {
    let Some(form) = form else {
        let mut page = page(visit, None).await?;
        page.form.trouble = Some(words::DRAFT_CHANGED.to_owned());
        return not_accepted(page);
    };
    let mut page = typed_page(visit, form, FieldErrors::default()).await?;
    // Read after the version that the form restates: nothing newer is replaced unseen.
    let saved = visit.state.store.readable_settings(visit.site.id).await?;
    if let Some(latest) = saved.last() {
        page.form.conflict = words::connection(&latest.settings);
    }
    not_accepted(page)
}

/// The page with the form as it was typed, and what is wrong with it.
async fn typed_page(
    visit: &Visit,
    form: SettingsForm,
    errors: FieldErrors,
) -> Result<ConnectionPage> {
    let kept = keep_secret(visit, &form, &errors).await?;
    let mut page = page(visit, Some((form, errors))).await?;
    page.form.kept_secret = kept;
    Ok(page)
}

/// If another field has a mistake, keeps the secret that was typed for some minutes, and returns
/// what stands for it.
async fn keep_secret(
    visit: &Visit,
    form: &SettingsForm,
    errors: &FieldErrors,
) -> Result<Option<String>> {
    let secret = &form.secret_access_key;
    let is_wrong = errors.message(Field::SecretAccessKey).is_some();
    if form.aws_default || is_wrong || secret.expose_secret().trim().is_empty() {
        return Ok(None);
    }
    let state = &visit.state;
    let key = OnceKey::fresh(&state.clock);
    let (form, now) = (key.form(state, &keeper(visit)), state.clock.now());
    state.store.keep_typed(&form, secret, now).await?;
    Ok(Some(key.into_string()))
}

/// Only the user who typed the secret can use it, and only for that site.
fn keeper(visit: &Visit) -> [&str; 3] {
    let user = &visit.visitor.user.session.user;
    ["kept secret", &visit.site.name, user]
}

/// `POST /settings/cdn/discard`: discards the draft.
pub(crate) async fn discard(visit: Visit) -> Result<Response> {
    if visit.state.store.discard_draft(visit.site.id).await? {
        visit.changed(AuditAction::DiscardedDraft, None).await;
    }
    Ok(visit.see("/settings/cdn?done=discarded"))
}

/// `POST /settings/cdn/remove`: asks first.
pub(crate) async fn remove(visit: Visit, Form(answer): Form<ButtonForm>) -> Result<Response> {
    if answer.confirmed.is_none() {
        let (question, path) = (words::REMOVE, "/settings/cdn/remove");
        return ask(&visit, Section::Connection, question, path, confirmed());
    }
    let (store, now) = (&visit.state.store, visit.state.clock.now());
    if store.remove_settings(visit.site.id, now).await? {
        visit.changed(AuditAction::RemovedSettings, None).await;
    }
    Ok(visit.see("/settings/cdn?done=removed"))
}
