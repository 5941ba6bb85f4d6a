//! What publishers send, in CloudFront's terms. A megabyte of paths keeps a core busy for a while:
//! huge ones take turns, so that small ones never wait for them.

use std::panic::resume_unwind;
use std::sync::Arc;

use crate::domain::{Canonical, ItemError, PublishRequest, canonicalize};
use crate::store::Site;
use crate::web::state::AppState;

/// A request with more bytes of paths and tags takes its turn.
const HEAVY: usize = 64 << 10;

pub(crate) async fn canonical(
    state: &AppState,
    site: &Arc<Site>,
    request: &Arc<PublishRequest>,
) -> Result<Canonical, Vec<ItemError>> {
    let texts = request.paths.iter().chain(&request.tags);
    if texts.map(String::len).sum::<usize>() <= HEAVY {
        return canonicalize(request, &site.intake);
    }
    let _turn = state.heavy.acquire().await;
    let (site, request) = (Arc::clone(site), Arc::clone(request));
    tokio::task::spawn_blocking(move || canonicalize(&request, &site.intake))
        .await
        .unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
