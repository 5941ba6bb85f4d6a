//! Who did what, when, from where: written down as it happens.

use crate::clock::Clock;
use crate::domain::AuditAction;
use crate::store::{AuditRecord, SiteId, Store, StoreError};

/// The longest name of a user that is kept.
const LONGEST_NAME: usize = 200;

/// Writes down what somebody did, maybe to a site.
pub(crate) async fn record(
    store: &Store,
    clock: &Clock,
    (who, from): (&str, &str),
    action: AuditAction,
    site: Option<SiteId>,
    detail: Option<String>,
) -> Result<(), StoreError> {
    let what = action.into_str();
    tracing::info!(who, from, detail, "{what}");
    let entry = AuditRecord {
        id: clock.id(),
        at: clock.now(),
        who: who.chars().take(LONGEST_NAME).collect(),
        what: what.to_owned(),
        site: site.map(|site| site.0),
        detail,
        address: from.to_owned(),
    };
    store.write_audit(&entry).await
}
