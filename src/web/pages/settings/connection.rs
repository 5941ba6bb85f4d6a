//! The connection to CloudFront: shown, saved, tested and removed.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::connection_page::{Saved, page, typed_page};
use super::section::{ask, confirmed};
use super::test;
use crate::domain::{AuditAction, Credentials, FieldErrors, Settings, SettingsField, SettingsForm};
use crate::store::Slot;
use crate::web::http::error::Result;
use crate::web::http::extract::Form;
use crate::web::pages::auth::session::asks_for_events;
use crate::web::pages::once::{Button, OnceKey};
use crate::web::pages::views::{ConnectionPage, Section};
use crate::web::pages::visit::{Visit, html, not_accepted, refused};
use crate::web::pages::words::settings as words;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    distribution_id: String,
    access_key_id: String,
    secret_access_key: SecretString,
    region: String,
    credentials: String,
    action: Action,
    kept_secret: OnceKey,
    version: String,
}

/// What a button of the form asks for.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// To put the draft in force, although its test failed.
    UseDraft,
    /// To put what was typed in force without a test.
    Save,
    /// To test what was typed. It comes into force if it passes, and becomes the draft otherwise.
    #[default]
    #[serde(other)]
    SaveAndTest,
}

/// `GET /settings/cdn`.
pub(crate) async fn show(visit: Visit) -> Result<Response> {
    html(&page(&visit).await?)
}

/// `POST /settings/cdn`.
pub(crate) async fn save(
    visit: Visit,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let saved = Saved::read(&visit).await?;
    let is_latest = saved.is_latest(&fields.version);
    let sent = Sent {
        visit,
        saved,
        is_latest,
    };
    match fields.action {
        Action::UseDraft => sent.use_draft().await,
        Action::Save => match sent.read(fields).await? {
            Typed::Valid(form, settings) => sent.save(&form, &settings).await,
            Typed::Refused(answer) => Ok(answer),
        },
        Action::SaveAndTest => match sent.read(fields).await? {
            Typed::Valid(form, settings) => sent.test(&headers, &form, settings).await,
            Typed::Refused(answer) => Ok(answer),
        },
    }
}

/// A form that was sent, and what was saved by then.
struct Sent {
    visit: Visit,
    saved: Saved,
    /// The form was filled in from what is saved now.
    is_latest: bool,
}

/// What was typed.
enum Typed {
    Valid(SettingsForm, Settings),
    /// It may not be saved. The page says why.
    Refused(Response),
}

impl Sent {
    async fn use_draft(&self) -> Result<Response> {
        let visit = &self.visit;
        let Some(draft) = self.saved.draft() else {
            return Ok(visit.see("/settings/cdn"));
        };
        if !self.is_latest {
            // It is not the draft that was asked about.
            return overtaken(visit, None).await;
        }
        let settings = &draft.settings;
        if !allow_credentials(visit, settings).await? {
            let mut page = page(visit).await?;
            let problem = words::default_not_allowed(&visit.site.name, &settings.distribution_id);
            page.form.distribution_id.error = Some(problem);
            return not_accepted(page);
        }
        self.put_in_force(settings, None).await
    }

    async fn read(&self, fields: Fields) -> Result<Typed> {
        let (visit, state) = (&self.visit, &self.visit.state);
        let mut form = SettingsForm {
            aws_default: fields.credentials == "aws_default",
            distribution_id: fields.distribution_id,
            access_key_id: fields.access_key_id,
            secret_access_key: fields.secret_access_key,
            region: fields.region,
        };
        let kept = fields.kept_secret.form(state, &keeper(visit));
        if form.secret_access_key.expose_secret().trim().is_empty()
            && let Some(secret) = state.store.form_answer(&kept, state.clock.now()).await?
        {
            form.secret_access_key = secret;
        }
        let settings = match self.saved.parse(&form) {
            Ok(settings) => settings,
            Err(errors) => return mistaken(visit, &form, &errors).await,
        };
        if !self.is_latest
            && let Some(latest) = self.saved.latest()
            && words::connection(&latest.settings) != words::connection(&settings)
        {
            return Ok(Typed::Refused(overtaken(visit, Some(&form)).await?));
        }
        if !allow_credentials(visit, &settings).await? {
            let problem = words::default_not_allowed(&visit.site.name, &settings.distribution_id);
            let errors = FieldErrors::one(SettingsField::DistributionId, problem);
            return mistaken(visit, &form, &errors).await;
        }
        Ok(Typed::Valid(form, settings))
    }

    /// Asks first if they are those that failed their test.
    async fn save(&self, form: &SettingsForm, settings: &Settings) -> Result<Response> {
        let (visit, draft) = (&self.visit, self.saved.draft());
        if draft.is_some_and(|draft| draft.has_failed() && draft.settings == *settings) {
            let path = "/settings/cdn";
            let fields = vec![
                ("action", "use_draft".to_owned()),
                ("version", self.saved.version().to_string()),
            ];
            return ask(visit, Section::Connection, words::USE_DRAFT, path, fields);
        }
        let is_done = self.saved.in_force().is_some_and(|saved| {
            saved.slot == Slot::Active && saved.settings == *settings && draft.is_none()
        });
        if is_done && !self.is_latest {
            // A second press: the first has saved them.
            return Ok(visit.see("/settings/cdn?done=saved"));
        }
        self.put_in_force(settings, Some(form)).await
    }

    /// The script asks for server-sent events, and gets each step as it passes.
    async fn test(
        &self,
        headers: &HeaderMap,
        form: &SettingsForm,
        settings: Settings,
    ) -> Result<Response> {
        let (visit, state, site) = (&self.visit, &self.visit.state, self.visit.site.id);
        let now = state.clock.now();
        if let Some(next) = state.store.take_test(site, &state.limits, now).await? {
            let wait = (next - now).whole_seconds().max(0) + 1;
            let mut page = kept_page(visit, form, &FieldErrors::default()).await?;
            page.form.trouble = Some(words::too_many_tests(wait));
            let wait = [(header::RETRY_AFTER, HeaderValue::from(wait))];
            let answer = refused(StatusCode::TOO_MANY_REQUESTS, page)?;
            return Ok((wait, answer).into_response());
        }
        let running = test::begin(visit, &self.saved, settings);
        if asks_for_events(headers) {
            return Ok(running.into_events());
        }
        if !running.ended().await? {
            return overtaken(visit, Some(form)).await;
        }
        Ok(visit.see("/settings/cdn#test"))
    }

    /// Puts settings in force without a test, unless somebody else has saved others meanwhile.
    async fn put_in_force(
        &self,
        settings: &Settings,
        form: Option<&SettingsForm>,
    ) -> Result<Response> {
        let (visit, seen) = (&self.visit, Some(self.saved.version()));
        let (store, now) = (&visit.state.store, visit.state.clock.now());
        if !store
            .save_settings(visit.site.id, seen, Slot::Active, settings, None, now)
            .await?
        {
            return overtaken(visit, form).await;
        }
        let detail = words::saved(self.saved.settings_in_force(), settings);
        let action = AuditAction::SavedSettings;
        visit.changed(action, Some(detail)).await;
        Ok(visit.see("/settings/cdn?done=saved"))
    }
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

/// Somebody else was faster: what they saved is shown, next to what was typed, if anything was.
async fn overtaken(visit: &Visit, form: Option<&SettingsForm>) -> Result<Response> {
    let Some(form) = form else {
        let mut page = page(visit).await?;
        page.form.trouble = Some(words::DRAFT_CHANGED.to_owned());
        return not_accepted(page);
    };
    let mut page = kept_page(visit, form, &FieldErrors::default()).await?;
    // Read after the version that the form restates: nothing newer is replaced unseen.
    if let Some(latest) = Saved::read(visit).await?.latest() {
        page.form.conflict = words::connection(&latest.settings);
    }
    not_accepted(page)
}

async fn mistaken(visit: &Visit, form: &SettingsForm, errors: &FieldErrors) -> Result<Typed> {
    let page = kept_page(visit, form, errors).await?;
    Ok(Typed::Refused(not_accepted(page)?))
}

/// The page with the form as it was typed. Unless the secret is what is wrong with it, it is kept
/// for some minutes, and the page has what stands for it.
async fn kept_page(
    visit: &Visit,
    form: &SettingsForm,
    errors: &FieldErrors,
) -> Result<ConnectionPage> {
    let mut page = typed_page(visit, form, errors).await?;
    let secret = &form.secret_access_key;
    let is_wrong = errors.message(SettingsField::SecretAccessKey).is_some();
    if !form.aws_default && !is_wrong && !secret.expose_secret().trim().is_empty() {
        let state = &visit.state;
        let key = OnceKey::fresh(&state.clock);
        let (kept, now) = (key.form(state, &keeper(visit)), state.clock.now());
        state.store.keep_typed(&kept, secret, now).await?;
        page.form.kept_secret = Some(key.into_string());
    }
    Ok(page)
}

/// Only the user who typed the secret can use it, and only for that site.
fn keeper(visit: &Visit) -> [&str; 3] {
    let user = &visit.visitor.user.session.user;
    ["kept secret", &visit.site.name, user]
}

/// Which settings a page showed.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Seen {
    version: String,
}

/// `POST /settings/cdn/discard`: discards the draft that the page showed.
pub(crate) async fn discard(visit: Visit, Form(seen): Form<Seen>) -> Result<Response> {
    let (store, site) = (&visit.state.store, visit.site.id);
    let saved = Saved::read(&visit).await?;
    if saved.is_latest(&seen.version) && store.discard_draft(site, saved.version()).await? {
        visit.changed(AuditAction::DiscardedDraft, None).await;
    } else if Saved::read(&visit).await?.draft().is_some() {
        return overtaken(&visit, None).await;
    }
    Ok(visit.see("/settings/cdn?done=discarded"))
}

/// `POST /settings/cdn/remove`: asks first.
pub(crate) async fn remove(visit: Visit, button: Button) -> Result<Response> {
    let (store, site) = (&visit.state.store, visit.site.id);
    let (question, done) = match store.has_environment(site).await? {
        true => (words::REMOVE_SAVED, "removed-saved"),
        false => (words::REMOVE, "removed"),
    };
    if button.confirmed.is_none() {
        let path = "/settings/cdn/remove";
        return ask(&visit, Section::Connection, question, path, confirmed());
    }
    if store.remove_settings(site, visit.state.clock.now()).await? {
        visit.changed(AuditAction::RemovedSettings, None).await;
    }
    Ok(visit.see(&format!("/settings/cdn?done={done}")))
}
