//! What a command did is written down like what a page did.

use crate::clock::Clock;
use crate::store::{AuditRecord, SiteId, Store, StoreError};
use crate::web::Deed;

pub(super) async fn write(
    store: &Store,
    clock: &Clock,
    deed: Deed,
    site: Option<SiteId>,
    detail: impl Into<String>,
) -> Result<(), StoreError> {
    store
        .write_audit(&AuditRecord {
            id: clock.id(),
            at: clock.now(),
            who: "command line".into(),
            what: deed.words().into(),
            site: site.map(|site| site.0),
            detail: Some(detail.into()),
            address: "this machine".into(),
        })
        .await
}
