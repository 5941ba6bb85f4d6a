//! Who makes a call, for whoever notes it when it is refused later.

use std::sync::{Arc, OnceLock};

use crate::store::SiteId;

/// Among a request's extensions: the site that its caller is authenticated for, as soon as it is
/// known.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuthenticatedSite(Arc<OnceLock<SiteId>>);

impl AuthenticatedSite {
    pub(crate) fn mark(&self, site: SiteId) {
        // No call is authenticated for two sites.
        let _ = self.0.set(site);
    }

    pub(crate) fn get(&self) -> Option<SiteId> {
        self.0.get().copied()
    }
}
