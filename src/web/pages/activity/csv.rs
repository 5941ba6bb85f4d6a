//! The list of publishes as a table for spreadsheets.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::list::{ListQuery, meant};
use crate::store::{PublishFilter, PublishSummary};
use crate::web::http::error::Result;
use crate::web::http::extract::Query;
use crate::web::pages::visit::Visit;
use crate::web::state::AppState;

/// The most rows of one table. Whoever needs more takes several ranges of days.
const MOST_ROWS: usize = 20_000;
/// And the most bytes of one, after which no more rows are read: paths may be long.
const MOST_BYTES: usize = 16 << 20;
/// How many are read at a time.
const AT_A_TIME: u16 = 1_000;

const HEAD: &str =
    "id,received_at,published_by,state,items,first_items,sent_at,ended_at,error,readers_get\r\n";

/// `GET /activity.csv`, newest first, with the list's own filter.
pub(crate) async fn download(
    State(state): State<AppState>,
    visit: Visit,
    Query(query): Query<ListQuery>,
) -> Result<Response> {
    let filter = query.filter();
    let meant = meant(&filter.path);
    let mut wanted = filter.wanted(meant.as_deref());
    let (site, now) = (visit.site.id, state.clock.now());
    let mut table = HEAD.to_owned();
    let mut rows = 0;
    loop {
        let found = state.store.publishes(site, wanted, AT_A_TIME, now).await?;
        rows += found.items.len();
        for publish in &found.items {
            write_row(&mut table, publish);
        }
        if found.next.is_none() || rows >= MOST_ROWS || table.len() >= MOST_BYTES {
            break;
        }
        wanted = PublishFilter {
            before: found.next,
            ..wanted
        };
    }
    let name = format!("attachment; filename=\"activity-{}.csv\"", visit.site.name);
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, table).into_response())
}

fn write_row(table: &mut String, publish: &PublishSummary) {
    let cells = [
        publish.id.to_string(),
        time(Some(publish.received_at)),
        publish
            .publisher
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        publish.state.into_str().to_owned(),
        publish.items_total.to_string(),
        publish.items.join(" "),
        time(publish.submitted_at),
        time(publish.ended_at),
        publish.error.clone().unwrap_or_default(),
        publish
            .edge
            .map(|edge| edge.into_str().to_owned())
            .unwrap_or_default(),
    ];
    let cells = cells.map(|cell| quoted(&cell));
    let _ = write!(table, "{}\r\n", cells.join(",")); // A String takes everything.
}

fn time(at: Option<OffsetDateTime>) -> String {
    at.and_then(|at| at.to_offset(UtcOffset::UTC).format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// A cell as RFC 4180 writes it. What a spreadsheet would take for a formula is marked as text:
/// publishers choose their paths.
fn quoted(cell: &str) -> String {
    let mark = if cell.starts_with(['=', '+', '-', '@', '\t']) {
        "'"
    } else {
        ""
    };
    format!("\"{mark}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_cell_is_text_whatever_it_holds() {
        assert_eq!(quoted("/a,b \"c\""), "\"/a,b \"\"c\"\"\"");
        assert_eq!(quoted("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
    }
}
