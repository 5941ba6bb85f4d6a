//! Passing on what other replicas announce.

use std::pin::pin;
use std::time::Duration;

use uuid::Uuid;

use crate::store::{self, Changes};
use crate::web::AppState;

/// The pause before the database is asked again, or listened to.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Follows what other replicas announce, forever.
pub(super) async fn follow(state: AppState, replica: Uuid) {
    loop {
        let (heard, mut news) = tokio::sync::mpsc::unbounded_channel();
        let listening = store::listen(&state.store, replica, move |change| {
            let _ = heard.send(change);
        });
        let acting = async {
            // When what could not be read is read again, whatever else is heard until then: a token
            // that was revoked must not stay valid here because the database was busy.
            let mut retry = pin!(tokio::time::sleep(RETRY_PAUSE));
            let mut is_behind = false;
            loop {
                let change = tokio::select! {
                    change = news.recv() => change,
                    () = &mut retry, if is_behind => Some(Changes::Sites),
                };
                let Some(change) = change else { return };
                // All that has been heard, so that the sites are read once for it, however often
                // somebody has changed them.
                let heard: Vec<Changes> = std::iter::once(change)
                    .chain(std::iter::from_fn(|| news.try_recv().ok()))
                    .collect();
                for change in &heard {
                    match change {
                        Changes::Work(site) => state.wake.published([*site]).await,
                        Changes::Sites | Changes::Anything => state.wake.wake(),
                        Changes::State(_) => {}
                    }
                }
                let is_stale = |change| matches!(change, &Changes::Sites | &Changes::Anything);
                if heard.iter().any(is_stale) {
                    let refreshed = state.directory.refresh(&state.store).await;
                    is_behind = refreshed.is_err();
                    if let Err(error) = refreshed {
                        retry.set(tokio::time::sleep(RETRY_PAUSE));
                        tracing::warn!(%error, "could not reload the sites yet");
                    }
                }
                for change in heard {
                    state.changes.announce(change);
                }
            }
        };
        let (ended, ()) = tokio::join!(listening, acting);
        if let Err(error) = ended {
            tracing::warn!(%error, "stopped listening to the database; trying again");
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
