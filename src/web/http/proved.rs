//! What a call has proved, for whoever notes it when it is refused later.

use std::sync::{Arc, OnceLock};

use crate::store::SiteId;

/// Among a request's extensions: the site that its caller proved, as soon as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProvedSite(Arc<OnceLock<SiteId>>);

impl ProvedSite {
    pub(crate) fn mark(&self, site: SiteId) {
        // Whoever proved one site proves no other with the same call.
        let _ = self.0.set(site);
    }

    pub(crate) fn get(&self) -> Option<SiteId> {
        self.0.get().copied()
    }
}
