//! Server-sent events that tell a page to look again, whichever replica did the work.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _, stream};

use crate::store::TokenHash;
use crate::web::http::error::Error;
use crate::web::http::turns::NoTurn;
use crate::web::pages::visit::Visit;
use crate::web::pages::words::errors;
use crate::web::state::AppState;

/// How long to wait after one stream too many.
const LATER: time::Duration = time::Duration::seconds(10);
/// The shortest time between two events.
const PACE: Duration = Duration::from_millis(250);

/// `GET /events`.
pub(crate) async fn events(
    visit: Visit,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let (state, site) = (visit.state, visit.site.id);
    let user = &visit.visitor.user;
    let opened = state
        .open_answers
        .for_pages(user.token, user.from)
        .map_err(|NoTurn| Error::TooMany(errors::TOO_MANY_STREAMS, LATER))?;
    let reader = state.changes.subscribe();
    let start = (reader, state.stop.clone(), state.directory.clone(), opened);
    let changes = stream::unfold(
        start,
        move |(mut reader, stop, directory, opened)| async move {
            let news = async {
                reader.heard(site).await;
                // Keeps the pace bearable in a storm; what happens meanwhile is part of this event.
                tokio::time::sleep(PACE).await;
                reader.catch_up();
            };
            tokio::select! {
                () = stop.cancelled() => return None,
                () = news => {}
            }
            // Nothing is sent about a site that is gone; its pages find out on reconnecting.
            directory.sites().iter().find(|other| other.id == site)?;
            Some((
                Ok(Event::default().data("changed")),
                (reader, stop, directory, opened),
            ))
        },
    );
    let changes = changes.take_until(session_end(state, user.token));
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(changes).keep_alive(alive))
}

/// Waits until the session has ended, without using it: somebody who just leaves a page open is
/// idle.
async fn session_end(state: AppState, token: Option<TokenHash>) {
    loop {
        tokio::time::sleep(state.serve.session_check).await;
        // A session of SkyCMS's own: the browser reconnects, and then SkyCMS is asked.
        let Some(token) = &token else { return };
        let (issuer, now) = (state.issuer(), state.clock.now());
        // While the database does not answer, the session may still be alive.
        if let Ok(None) = state.store.session(token, issuer.as_ref(), now).await {
            return;
        }
    }
}
