//! The connection to CloudFront: shown, saved, tested and removed.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use secrecy::SecretString;
use serde::Deserialize;

use super::page::{Notice, page};
use super::test;
use crate::domain::{AuditAction, Credentials, Field, FieldErrors, Settings, SettingsForm};
use crate::store::Slot;
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Query};
use crate::web::pages::auth::session::asks_for_events;
use crate::web::pages::views::{ConfirmPage, Nav, Section};
use crate::web::pages::visit::{Confirmation, Visit, html, refused};
use crate::web::pages::words::settings as words;
use crate::web::state::AppState;

/// The fields of the form.
#[derive(Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    distribution_id: String,
    access_key_id: String,
    secret_access_key: SecretString,
    region: String,
    credentials: String,
    action: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            distribution_id: String::new(),
            access_key_id: String::new(),
            secret_access_key: SecretString::from(""),
            region: String::new(),
            credentials: String::new(),
            action: String::new(),
        }
    }
}

/// `GET /settings/cdn`.
pub(crate) async fn show(
    State(state): State<AppState>,
    visit: Visit,
    Query(notice): Query<Notice>,
) -> Result<Response> {
    html(&page(&state, &visit, Some(&notice), None).await?)
}

/// `POST /settings/cdn`: with `save_and_test` the test comes first, and what fails it becomes the
/// draft. The script asks for server-sent events, and is told each step as it passes.
pub(crate) async fn save(
    State(state): State<AppState>,
    visit: Visit,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let site = visit.site.id;
    let form = SettingsForm {
        aws_default: fields.credentials == "aws_default",
        distribution_id: fields.distribution_id,
        access_key_id: fields.access_key_id,
        secret_access_key: fields.secret_access_key,
        region: fields.region,
    };
    let saved = state.store.settings(site).await?;
    // The draft holds what was typed last, so its secret counts before the one in force.
    let stored: Vec<&Settings> = saved.iter().rev().map(|s| &s.settings).collect();
    let settings = match Settings::parse(&form, &stored) {
        Ok(settings) => settings,
        Err(errors) => {
            return refused(&page(&state, &visit, None, Some((form, errors))).await?);
        }
    };
    if !may_sign(&state, &visit, &settings).await? {
        let problem = words::default_not_allowed(&visit.site.name, &settings.distribution_id);
        let errors = FieldErrors::one(Field::DistributionId, problem);
        return refused(&page(&state, &visit, None, Some((form, errors))).await?);
    }
    if fields.action == "save" {
        let now = state.clock.now();
        state
            .store
            .save_settings(site, Slot::Active, &settings, None, now)
            .await?;
        let detail = words::saved(&settings.distribution_id);
        visit
            .audit(AuditAction::SavedSettings, Some(detail))
            .await?;
        state.refresh_sites().await;
        return Ok(visit.see("/settings/cdn?done=saved"));
    }
    let now = state.clock.now();
    if let Err(next) = state.store.take_test(site, &state.limits, now).await? {
        return Err(Error::TooMany(words::TOO_MANY_TESTS, next - now));
    }
    let underway = test::begin(&state, &visit, settings);
    if asks_for_events(&headers) {
        return Ok(underway.told());
    }
    underway.ended().await?;
    Ok(visit.see("/settings/cdn#test"))
}

/// Whether the site may use these credentials. The AWS default ones are the operator's to give, who
/// gives them by choosing them here.
async fn may_sign(state: &AppState, visit: &Visit, settings: &Settings) -> Result<bool> {
    let (site, distribution) = (visit.site.id, &settings.distribution_id);
    if !matches!(settings.credentials, Credentials::AwsDefault)
        || state.store.may_use_default(site, distribution).await?
    {
        return Ok(true);
    }
    if !visit.visitor.user.session.manages_sites() {
        return Ok(false);
    }
    let now = state.clock.now();
    state.store.grant_default(site, distribution, now).await?;
    let detail = Some(distribution.to_string());
    visit.audit(AuditAction::AllowedDefault, detail).await?;
    Ok(true)
}

/// `POST /settings/cdn/remove`: asks first, so that it works without scripts.
pub(crate) async fn remove(
    State(state): State<AppState>,
    visit: Visit,
    Form(answer): Form<Confirmation>,
) -> Result<Response> {
    if !answer.is_given() {
        return html(&ConfirmPage {
            layout: visit.layout(Nav::Settings(Section::Connection)),
            question: words::REMOVE,
            path: "/settings/cdn/remove".into(),
            fields: vec![("confirmed", "yes".into())],
            cancel: "/settings/cdn",
        });
    }
    let now = state.clock.now();
    state.store.remove_settings(visit.site.id, now).await?;
    visit.audit(AuditAction::RemovedSettings, None).await?;
    state.refresh_sites().await;
    Ok(visit.see("/settings/cdn?done=removed"))
}
