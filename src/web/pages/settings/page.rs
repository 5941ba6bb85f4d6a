//! The connection as the page shows it, and what all sections share.

use axum::response::Response;
use serde::Deserialize;

use super::shown::{shown_settings, stored_form, test_result, typed_form};
use crate::domain::{Advice, FieldErrors, Operation, Partition, SettingsForm};
use crate::store::{SavedSettings, Site, Slot};
use crate::web::http::error::Result;
use crate::web::pages::views::{
    ConfirmPage, Connection, ConnectionPage, Count, IamPolicy, Layout, Nav, Section, TestResult,
};
use crate::web::pages::visit::{Visit, html};
use crate::web::pages::words::Question;
use crate::web::pages::words::errors::MARK_FAILED;
use crate::web::pages::words::settings as words;
use crate::web::state::AppState;

/// What was just done, told once after a redirect.
#[derive(Default, Deserialize)]
pub(crate) struct Notice {
    done: Option<String>,
}

/// The layout of a section, which may be the answer to a form that was sent elsewhere.
pub(super) fn layout(visit: &Visit, section: Section, notice: Option<&Notice>) -> Layout {
    let done = notice.and_then(|notice| notice.done.as_deref());
    Layout {
        address: Some(section.path()),
        flash: done.and_then(words::done),
        ..visit.layout(Nav::Settings(section))
    }
}

/// Asks before something ends that somebody may be using.
pub(super) fn ask(
    visit: &Visit,
    section: Section,
    question: Question,
    path: String,
    fields: Vec<(&'static str, String)>,
) -> Result<Response> {
    html(&ConfirmPage {
        layout: visit.layout(Nav::Settings(section)),
        question,
        path: path.into(),
        fields,
        cancel: section.path(),
    })
}

/// What the question is answered with.
pub(super) fn confirmed() -> Vec<(&'static str, String)> {
    vec![("confirmed", "yes".to_owned())]
}

/// Reads what the page shows: the form as it is stored, or as it was typed.
pub(super) async fn page(
    state: &AppState,
    visit: &Visit,
    notice: Option<&Notice>,
    typed: Option<(SettingsForm, FieldErrors)>,
) -> Result<ConnectionPage> {
    let (store, site) = (&state.store, &visit.site);
    let saved = store.settings(site.id).await?;
    let active = saved.iter().find(|s| s.slot != Slot::Draft);
    let draft = saved.iter().find(|s| s.slot == Slot::Draft);
    let latest = draft.or(active);
    // Of no help to whoever has to correct the form.
    let test = latest.filter(|_| typed.is_none()).and_then(test_result);
    let mut layout = layout(visit, Section::Connection, notice);
    let report = draft.and_then(|draft| draft.report.as_ref());
    layout.mark = report
        .filter(|report| !report.passed())
        .map(|_| MARK_FAILED);
    layout.pending = typed.is_none() && test.as_ref().is_some_and(TestResult::is_pending);
    // The page itself says why purging is paused, and how to go on.
    if site.pause.is_some() {
        layout.banner = None;
    }
    let partition = latest.map_or(Partition::Aws, |s| s.settings.region.partition());
    let mut form = match typed {
        Some((form, errors)) => typed_form(&form, &errors, !saved.is_empty()),
        None => stored_form(latest.map(|s| &s.settings)),
    };
    form.version = version(latest);
    Ok(ConnectionPage {
        connection: connection(state, site, active).await?,
        last_purge: store.last_completed(site.id).await?,
        policy: IamPolicy::new(latest.map(|s| &s.settings.distribution_id), partition),
        active: active.map(shown_settings),
        draft: draft.map(shown_settings),
        form,
        test,
        layout,
    })
}

/// Which settings a form was filled in from: those that were saved last.
pub(super) fn version(latest: Option<&SavedSettings>) -> String {
    latest.map_or_else(
        || "0".to_owned(),
        |saved| saved.saved_at.unix_timestamp_nanos().to_string(),
    )
}

async fn connection(
    state: &AppState,
    site: &Site,
    active: Option<&SavedSettings>,
) -> Result<Connection> {
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
