//! Server-sent events for the pages: “look again”, whichever replica did the work.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream;

use crate::web::AppState;
use crate::web::pages::visit::Visit;

/// The shortest time between two events.
const PACE: Duration = Duration::from_millis(250);

/// `GET /events`.
pub(crate) async fn events(
    State(state): State<AppState>,
    visit: Visit,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let site = visit.site.id;
    let reader = state.changes.subscribe();
    let start = (reader, state.stop.clone(), state.directory.clone());
    let changes = stream::unfold(start, move |(mut reader, stop, directory)| async move {
        let news = async {
            reader.heard(site).await;
            // A storm is told at a bearable pace; what comes meanwhile is told with it.
            tokio::time::sleep(PACE).await;
            reader.catch_up();
        };
        tokio::select! {
            () = stop.cancelled() => return None,
            () = news => {}
        }
        // Of a site that is gone nothing is told; its pages find out when they connect again.
        directory.sites().iter().find(|other| other.id == site)?;
        Some((
            Ok(Event::default().data("changed")),
            (reader, stop, directory),
        ))
    });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
