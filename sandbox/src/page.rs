//! The page for people.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;

use crate::app::App;
use crate::invalidations::Load;
use crate::settings::{Config, Distribution, Key};

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
    config: &'a Config,
    calls: u64,
    billed_paths: u64,
    faults: usize,
    distributions: Vec<(&'a String, &'a Distribution, Load)>,
    keys: Vec<(&'a String, &'a Key)>,
    invalidations: Vec<InvalidationRow<'a>>,
    ledger: Vec<LedgerRow<'a>>,
}

struct InvalidationRow<'a> {
    id: &'a str,
    distribution: &'a str,
    status: &'static str,
    created: String,
    paths: &'a [String],
    more: usize,
    caller_reference: &'a str,
}

struct LedgerRow<'a> {
    time: String,
    operation: &'a str,
    distribution: &'a str,
    outcome: &'a str,
    good: bool,
    fault: &'a str,
    paths: usize,
    request_id: &'a str,
}

async fn show(State(app): State<App>) -> Response {
    let now = app.now();
    let state = &mut *app.state();
    let distributions = state
        .distributions
        .iter()
        .map(|(id, distribution)| (id, distribution, state.invalidations.load(id, now)))
        .collect();
    let invalidations = state
        .invalidations
        .newest_first()
        .take(ROWS)
        .map(|one| InvalidationRow {
            id: &one.id,
            distribution: &one.distribution,
            status: one.status(now),
            created: clock(one.created_at),
            paths: &one.paths[..one.paths.len().min(PATHS)],
            more: one.paths.len().saturating_sub(PATHS),
            caller_reference: &one.caller_reference,
        });
    let ledger = state
        .ledger
        .after(0)
        .rev()
        .take(ROWS)
        .map(|entry| LedgerRow {
            time: clock(entry.time),
            operation: &entry.operation,
            distribution: &entry.distribution,
            outcome: &entry.outcome,
            good: matches!(entry.outcome.as_str(), "Accepted" | "Repeated" | "Found"),
            fault: entry.fault.as_deref().unwrap_or_default(),
            paths: entry.paths,
            request_id: &entry.request_id,
        });
    let page = Page {
        config: &state.config,
        calls: state.ledger.counters().calls,
        billed_paths: state.ledger.counters().billed_paths,
        faults: state.faults.rules().len(),
        distributions,
        keys: state.keys.iter().collect(),
        invalidations: invalidations.collect(),
        ledger: ledger.collect(),
    };
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn clock(at: OffsetDateTime) -> String {
    at.format(CLOCK).unwrap_or_default()
}
