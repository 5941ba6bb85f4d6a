//! The page for people.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;

use crate::admin::StateView;
use crate::app::App;

/// Rows of each table, and paths of each invalidation, that the page shows.
const ROWS: usize = 50;
const PATHS: usize = 8;
const CLOCK: &[BorrowedFormatItem<'_>] =
    time::macros::format_description!("[hour]:[minute]:[second].[subsecond digits:3]");

/// The route.
pub(crate) fn router() -> Router<App> {
    Router::new().route("/", get(show))
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    state: StateView<'a>,
}

impl Page<'_> {
    fn clock(&self, at: &OffsetDateTime) -> String {
        at.format(CLOCK).unwrap_or_default()
    }
}

async fn show(State(app): State<App>) -> Response {
    let now = app.now();
    let state = &mut app.state();
    let page = Page {
        state: StateView::of(state, ROWS, now),
    };
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
