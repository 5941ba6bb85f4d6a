//! What a command did is written down like what a page did.

use crate::admin::audit::{self, Actor};
use crate::clock::Clock;
use crate::domain::AuditAction;
use crate::store::{SiteId, Store, StoreError};

pub(super) async fn write(
    store: &Store,
    clock: &Clock,
    action: AuditAction,
    site: SiteId,
    detail: impl Into<String>,
) -> Result<(), StoreError> {
    let actor = Actor {
        name: "command line",
        source: None,
        from: "this machine",
    };
    let (site, detail) = (Some(site), Some(detail.into()));
    audit::record(store, clock, actor, action, site, detail).await
}
