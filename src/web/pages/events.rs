//! Server-sent events for the pages: “look again”, whichever replica did the work.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _, stream};

use crate::web::http::error::Error;
use crate::web::pages::visit::Visit;
use crate::web::pages::words::errors;
use crate::web::places::Holder;
use crate::web::state::AppState;

/// When a stream too many may be tried again.
const LATER: time::Duration = time::Duration::seconds(10);
/// The shortest time between two events, and before the browser connects again.
const PACE: Duration = Duration::from_millis(250);

/// `GET /events`.
pub(crate) async fn events(
    State(state): State<AppState>,
    visit: Visit,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let site = visit.site.id;
    let user = &visit.visitor.user;
    let holder = user.token.map_or(Holder::All, Holder::Session);
    let place = state
        .places
        .take(holder, Some(user.from))
        .ok_or(Error::TooMany(errors::TOO_MANY_STREAMS, LATER))?;
    let reader = state.changes.subscribe();
    let start = (reader, state.stop.clone(), state.directory.clone(), place);
    let begin = stream::once(async { Ok(Event::default().retry(PACE)) });
    let changes = stream::unfold(
        start,
        move |(mut reader, stop, directory, place)| async move {
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
                (reader, stop, directory, place),
            ))
        },
    );
    let changes = begin
        .chain(changes)
        .take_until(tokio::time::sleep(state.serve.events));
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(changes).keep_alive(alive))
}
