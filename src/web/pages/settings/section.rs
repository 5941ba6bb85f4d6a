//! What all sections of the settings share.

use axum::response::Response;
use serde::Deserialize;

use crate::web::http::error::Result;
use crate::web::pages::views::{ConfirmPage, Layout, Nav, Section};
use crate::web::pages::visit::{Visit, html};
use crate::web::pages::words::Question;
use crate::web::pages::words::settings as words;

/// What was just done, which is said once after a redirect.
#[derive(Default, Deserialize)]
pub(crate) struct Notice {
    done: Option<String>,
}

/// The layout of a section, which may be the answer to a form that was sent to another address.
pub(super) fn layout(visit: &Visit, section: Section, notice: Option<&Notice>) -> Layout {
    let done = notice.and_then(|notice| notice.done.as_deref());
    Layout {
        address: Some(section.path().into()),
        flash: done.and_then(words::done),
        ..visit.layout(Nav::Settings(section))
    }
}

/// Asks before something ends that somebody may be using.
pub(super) fn ask(
    visit: &Visit,
    section: Section,
    question: Question,
    page: &str,
    fields: Vec<(&'static str, String)>,
) -> Result<Response> {
    html(&ConfirmPage {
        layout: layout(visit, section, None),
        question,
        path: visit.path(page).into(),
        fields,
        cancel: Some(section.path()),
    })
}

/// The fields that answer the question.
pub(super) fn confirmed() -> Vec<(&'static str, String)> {
    vec![("confirmed", "yes".to_owned())]
}
