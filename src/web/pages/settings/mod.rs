//! Settings → CDN: the form, its test, and what is in force.

pub(crate) mod keys;
pub(crate) mod rules;
pub(crate) mod secrets;
mod shown;
mod test;
pub(crate) mod tokens;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;

use self::shown::{active_settings, draft_settings, stored_form, test_result, typed_form};
use crate::domain::{Advice, FieldErrors, Operation, Partition, Settings, SettingsForm};
use crate::store::{SavedSettings, Site, Slot, StoreError};
use crate::web::AppState;
use crate::web::http::extract::{Form, Query};
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::{SignedIn, asks_for_events};
use crate::web::pages::views::{
    ConfirmPage, Connection, Count, IamPolicy, Nav, PublishingForm, Revealed, SettingsPage,
    SpendingForm, TestResult,
};
use crate::web::pages::words::settings as words;
use crate::web::pages::{Page, PageResult, html};

/// What was just done, told once after a redirect.
#[derive(Deserialize)]
pub(crate) struct Notice {
    done: Option<String>,
}

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
    user: SignedIn,
    Query(notice): Query<Notice>,
) -> PageResult {
    let mut page = Page::begin(&state, &user, Nav::Settings)?;
    if let Some((severity, text)) = notice.done.as_deref().and_then(words::done) {
        page.say(severity, text);
    }
    respond(&state, page, StatusCode::OK, Shown::default()).await
}

/// `POST /settings/cdn`: with `save_and_test` the test comes first, and what fails it becomes the draft. The script asks
/// for server-sent events, and is told each step as it passes.
pub(crate) async fn save(
    State(state): State<AppState>,
    user: SignedIn,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    let store_failed = |error: StoreError| failed(error.into());
    let site = page.site.id;
    let form = SettingsForm {
        aws_default: fields.credentials == "aws_default",
        distribution_id: fields.distribution_id,
        access_key_id: fields.access_key_id,
        secret_access_key: fields.secret_access_key,
        region: fields.region,
    };
    let saved = state.store.settings(site).await.map_err(store_failed)?;
    // The draft holds what was typed last, so its secret counts before the one in force.
    let stored: Vec<&Settings> = saved.iter().rev().map(|s| &s.settings).collect();
    let settings = match Settings::parse(&form, &stored) {
        Ok(settings) => settings,
        Err(errors) => {
            return respond(
                &state,
                page,
                StatusCode::UNPROCESSABLE_ENTITY,
                Shown {
                    form: Some((form, errors)),
                    ..Shown::default()
                },
            )
            .await;
        }
    };
    if fields.action == "save" {
        let now = state.clock.now();
        let saving = state
            .store
            .save_settings(site, Slot::Active, &settings, None, now);
        saving.await.map_err(store_failed)?;
        let detail = words::saved(&settings.distribution_id);
        audit::by(&state, &user, Deed::SavedSettings, Some(detail)).await?;
        refresh(&state).await;
        return Ok(page.see("/settings/cdn?done=saved"));
    }
    let underway = test::begin(&state, &user, &page, settings);
    if asks_for_events(&headers) {
        return Ok(underway.told());
    }
    underway.ended().await.map_err(failed)?;
    Ok(page.see("/settings/cdn#test"))
}

/// `POST /settings/cdn/remove`: asks first, so that it works without scripts.
pub(crate) async fn remove(
    State(state): State<AppState>,
    user: SignedIn,
    Form(answer): Form<Confirmation>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    if !answer.is_given() {
        let confirm = ConfirmPage {
            layout: page.layout,
            question: words::REMOVE,
            path: "/settings/cdn/remove".into(),
            fields: vec![("confirmed", "yes".into())],
            cancel: "/settings/cdn",
        };
        return html(StatusCode::OK, &confirm).map_err(failed);
    }
    state
        .store
        .remove_settings(page.site.id, state.clock.now())
        .await
        .map_err(|error| failed(error.into()))?;
    audit::by(&state, &user, Deed::RemovedSettings, None).await?;
    refresh(&state).await;
    Ok(page.see("/settings/cdn?done=removed"))
}

/// Whether a form that asks first has been confirmed.
#[derive(Deserialize)]
pub(crate) struct Confirmation {
    confirmed: Option<String>,
}

impl Confirmation {
    pub(crate) const fn is_given(&self) -> bool {
        self.confirmed.is_some()
    }
}

/// This replica sees the change at once, the others hear of it.
pub(crate) async fn refresh(state: &AppState) {
    if let Err(error) = state.directory.refresh(&state.store).await {
        tracing::warn!(%error, "the sites could not be read again yet");
    }
    state.wake.wake();
}

/// What the page shows instead of what is stored: forms as they were typed, secrets that are shown this once.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) form: Option<(SettingsForm, FieldErrors)>,
    pub(crate) publishing: Option<PublishingForm>,
    pub(crate) spending: Option<SpendingForm>,
    pub(crate) revealed: Vec<Revealed>,
}

impl Shown {
    /// Whether reloading the page loses nothing.
    const fn is_nothing(&self) -> bool {
        self.form.is_none()
            && self.publishing.is_none()
            && self.spending.is_none()
            && self.revealed.is_empty()
    }
}

/// The page, with the forms as stored or as typed.
pub(crate) async fn respond(
    state: &AppState,
    mut page: Page,
    status: StatusCode,
    shown_instead: Shown,
) -> PageResult {
    let failed = page.failed();
    let store_failed = |error: StoreError| failed(error.into());
    let site = page.site.id;
    let may_reload = shown_instead.is_nothing();
    let saved = state.store.settings(site).await.map_err(store_failed)?;
    let active = saved.iter().find(|s| s.slot != Slot::Draft);
    let draft = saved.iter().find(|s| s.slot == Slot::Draft);
    let last_purge = state
        .store
        .last_completed(site)
        .await
        .map_err(store_failed)?;
    let connection = connection(state, &page.site, active)
        .await
        .map_err(store_failed)?;
    let hook = tokens::hook(state, &page.site, shown_instead.revealed)
        .await
        .map_err(store_failed)?;
    let spending = match shown_instead.spending {
        Some(typed) => typed,
        None => rules::spending(state, &page.site)
            .await
            .map_err(store_failed)?,
    };
    let meter = rules::meter(state, &page.site, page.layout.now)
        .await
        .map_err(store_failed)?;
    let shown = draft.or(active);
    let test = shown.and_then(test_result);
    page.layout.pending = may_reload && test.as_ref().is_some_and(TestResult::is_pending);
    page.layout.address = Some("/settings/cdn");
    // The page itself says why purging is paused, and where to mend it.
    page.layout.banner = None;
    let settings_page = SettingsPage {
        connection,
        last_purge,
        policy: IamPolicy {
            distribution_id: shown.map(|s| s.settings.distribution_id.to_string()),
            partition: shown
                .map_or(Partition::Aws, |s| s.settings.region.partition())
                .into_str()
                .to_owned(),
        },
        active: active.map(active_settings),
        draft: draft.map(draft_settings),
        form: match shown_instead.form {
            Some((form, errors)) => typed_form(&form, &errors, !saved.is_empty()),
            None => stored_form(shown.map(|s| &s.settings)),
        },
        test,
        hook: Some(hook),
        publishing: Some(
            shown_instead
                .publishing
                .unwrap_or_else(|| rules::publishing(&page.site)),
        ),
        spending: Some(spending),
        meter: Some(meter),
        layout: page.layout,
    };
    html(status, &settings_page).map_err(failed)
}

async fn connection(
    state: &AppState,
    site: &Site,
    active: Option<&SavedSettings>,
) -> Result<Connection, StoreError> {
    let Some(active) = active else {
        return Ok(Connection::NotSetUp);
    };
    if let Some(pause) = &site.pause {
        let Advice { cause, fix } = active
            .settings
            .advise(&pause.error, Operation::CreateInvalidation);
        return Ok(Connection::Paused {
            since: pause.since,
            why: format!("{cause} {fix}"),
            waiting: Count(state.store.open_publishes(site.id).await?),
        });
    }
    Ok(match (&active.report, active.tested_at) {
        (Some(report), Some(since)) if report.passed() => Connection::Connected { since },
        _ => Connection::Untested,
    })
}
