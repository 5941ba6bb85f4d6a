//! Telling other replicas, and pages, where something was published.
//!
//! This is kept out of the transactions that accept publishes, because PostgreSQL lets transactions
//! that notify commit only one after the other. The first publish is announced at once, and what
//! comes within a moment after it together. A lost notification costs a replica no more than
//! waiting for its next look at everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Changes, DATABASE_LIMIT, LiveChanges, SiteId, Store, within};

/// The shortest time between two notifications.
const MOMENT: Duration = Duration::from_millis(50);

/// Notes where something was published. Clones notify the same listeners.
#[derive(Clone, Debug, Default)]
pub struct PublishNotifier(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    notify: Notify,
    sites: Mutex<BTreeSet<SiteId>>,
}

impl PublishNotifier {
    pub fn published(&self, sites: impl IntoIterator<Item = SiteId>) {
        self.0.sites.lock().extend(sites);
        self.0.notify.notify_one();
    }

    /// Notifies the pages of this replica, and the other replicas, until it is dropped.
    pub async fn run(self, store: Store, replica: Uuid, pages: LiveChanges) {
        loop {
            self.0.notify.notified().await;
            let sites = std::mem::take(&mut *self.0.sites.lock());
            for site in &sites {
                pages.announce(Changes::Work(*site));
            }
            let announce = store.announce_work(&sites, replica);
            if let Err(error) = within(DATABASE_LIMIT, announce).await {
                tracing::debug!(%error, "could not notify other replicas of what was published");
            }
            tokio::time::sleep(MOMENT).await;
        }
    }
}
