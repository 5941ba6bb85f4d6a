//! Who did what, when, from where: written down as it happens.

use crate::clock::Clock;
use crate::domain::AuditAction;
use crate::domain::session::Source;
use crate::store::{AuditRecord, SiteId, Store};

/// The longest name of a user that is kept.
const MAX_NAME_CHARACTERS: usize = 200;

#[derive(Clone, Copy)]
pub(crate) struct Actor<'a> {
    pub(crate) name: &'a str,
    /// What vouched for them; `None` if nobody was signed in, or a command did it.
    pub(crate) source: Option<Source>,
    pub(crate) from: &'a str,
}

/// Writes down what somebody did, maybe to a site. If that cannot be stored, only the log has it: an
/// error would say that nothing was done, and it would be done again.
pub(crate) async fn record(
    store: &Store,
    clock: &Clock,
    actor: Actor<'_>,
    action: AuditAction,
    site: Option<SiteId>,
    detail: Option<String>,
) {
    let what = action.into_str();
    let Actor { name, source, from } = actor;
    let by = source.map(|source| source.into_str());
    tracing::info!(who = name, by, from, detail, "{what}");
    let entry = AuditRecord {
        id: clock.id(),
        at: clock.now(),
        who: name.chars().take(MAX_NAME_CHARACTERS).collect(),
        source,
        what: what.to_owned(),
        site: site.map(|site| site.0),
        detail,
        address: from.to_owned(),
    };
    if let Err(error) = store.write_audit(&entry).await {
        tracing::error!(what, %error, "could not record in the audit log what was done");
    }
}
