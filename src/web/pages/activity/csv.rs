//! The list of publishes as CSV, for spreadsheets.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::list::ListQuery;
use crate::store::{PublishFilter, PublishSummary, SiteId};
use crate::web::http::error::Result;
use crate::web::http::extract::Query;
use crate::web::pages::views::Filter;
use crate::web::pages::visit::Visit;
use crate::web::pages::words::errors::{CUT, INCOMPLETE};
use crate::web::state::AppState;

/// The most rows of one download. Whoever needs more downloads several ranges of days.
const MAX_ROWS: usize = 20_000;
/// No more rows are read after this many bytes: paths may be long.
const MAX_BYTES: usize = 16 << 20;
/// How many rows are read and kept in memory at a time.
const ROWS_PER_READ: u16 = 200;

const HEAD: &str =
    "id,received_at,published_by,state,items,first_items,sent_at,ended_at,error,readers_get\r\n";

/// `GET /activity.csv`, newest first, with the filter of the list. Rows are read as fast as the
/// client takes them.
pub(crate) async fn download(visit: Visit, Query(query): Query<ListQuery>) -> Result<Response> {
    let filter = query.filter();
    let name = format!("attachment; filename=\"activity-{}.csv\"", visit.site.name);
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    let mut table = Table {
        now: visit.state.clock.now(),
        site: visit.site.id,
        filter,
        state: visit.state,
        next: None,
        rows: 0,
        bytes: 0,
    };
    // An error on the first read can still be answered with an error page.
    let (first, more) = table.rows().await?;
    let first = format!("{HEAD}{first}");
    // What comes next: more of the table, or the error that broke it off.
    let next: Option<Result<Table>> = more.then_some(Ok(table));
    let rest = stream::unfold(next, async |next| match next? {
        Ok(mut table) => Some(match table.rows().await {
            Ok((rows, more)) => (Ok(rows), more.then_some(Ok(table))),
            Err(error) => {
                let last = format!("{}\r\n", quoted(INCOMPLETE));
                (Ok(last), Some(Err(error)))
            }
        }),
        Err(error) => {
            tracing::warn!(%error, "a download of the activity was cut short");
            // The row goes out before the connection is cut, which an HTTP/1.0 client cannot tell
            // from the end.
            tokio::task::yield_now().await;
            Some((Err(error), None))
        }
    });
    let body = Body::from_stream(stream::once(async { Ok(first) }).chain(rest));
    Ok((headers, body).into_response())
}

/// A table, as far as it has been read.
struct Table {
    state: AppState,
    site: SiteId,
    filter: Filter,
    now: OffsetDateTime,
    next: Option<Uuid>,
    rows: usize,
    bytes: usize,
}

impl Table {
    /// The next rows, and whether there are more.
    async fn rows(&mut self) -> Result<(String, bool)> {
        let _turn = self.state.turns.reads.acquire(self.site).await?;
        let wanted = PublishFilter {
            before: self.next,
            ..self.filter.for_store()
        };
        let found = self
            .state
            .store
            .publishes(self.site, wanted, ROWS_PER_READ, self.now)
            .await?;
        let mut text = String::new();
        for publish in &found.items {
            write_row(&mut text, publish);
        }
        self.next = found.next;
        self.rows += found.items.len();
        self.bytes += text.len();
        let more = self.next.is_some() && self.rows < MAX_ROWS && self.bytes < MAX_BYTES;
        if self.next.is_some() && !more {
            let _ = write!(text, "{}\r\n", quoted(CUT)); // Writing to a String never fails.
        }
        Ok((text, more))
    }
}

fn write_row(table: &mut String, publish: &PublishSummary) {
    let publisher = publish.publisher.as_ref().map(ToString::to_string);
    let cells = [
        publish.id.to_string(),
        time(Some(publish.received_at)),
        publisher.unwrap_or_default(),
        publish.state.into_str().to_owned(),
        publish.items_total.to_string(),
        publish.items.join(" "),
        time(publish.submitted_at),
        time(publish.ended_at),
        publish.error.clone().unwrap_or_default(),
        publish.edge.map_or("", |edge| edge.into_str()).to_owned(),
    ];
    let cells = cells.map(|cell| quoted(&cell));
    let _ = write!(table, "{}\r\n", cells.join(",")); // Writing to a String never fails.
}

fn time(at: Option<OffsetDateTime>) -> String {
    at.and_then(|at| at.to_offset(UtcOffset::UTC).format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// A cell as RFC 4180 has it. What a spreadsheet would take for a formula is marked as text:
/// publishers choose their own paths.
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
