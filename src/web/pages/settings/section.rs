//! What all sections of the settings share.

use axum::response::Response;

use crate::web::http::error::Result;
use crate::web::pages::views::{ConfirmPage, Layout, Nav, Section};
use crate::web::pages::visit::{Visit, html};
use crate::web::pages::words::Question;

/// The layout of a section, which may be the answer to a form that was sent to another address.
pub(super) fn layout(visit: &Visit, section: Section) -> Layout {
    Layout {
        address: Some(section.path().into()),
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
        layout: layout(visit, section),
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
