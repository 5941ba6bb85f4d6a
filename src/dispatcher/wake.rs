//! What the dispatcher is woken for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::store::SiteId;

/// What may have changed since the dispatcher last looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Something was published at these sites, and nothing else is known to have changed.
    Published(BTreeSet<SiteId>),
    /// Anything.
    Anything,
}

/// Tells the dispatcher of this replica to look now. Clones wake the same one.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    notify: Notify,
    news: Mutex<Option<News>>,
}

impl Wake {
    /// There may be something to do, whatever it is.
    pub fn wake(&self) {
        self.tell(|news| *news = News::Anything);
    }

    /// Something was published at these sites. Cheaper than [`Wake::wake`]: a site that has to wait for its next call
    /// is not looked at again.
    pub fn published(&self, sites: impl IntoIterator<Item = SiteId>) {
        self.tell(|news| {
            if let News::Published(known) = news {
                known.extend(sites);
            }
        });
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        let mut news = self.0.news.lock().unwrap_or_else(PoisonError::into_inner);
        change(news.get_or_insert_with(|| News::Published(BTreeSet::new())));
        drop(news);
        self.0.notify.notify_one();
    }

    /// Ends when there is news: at once, if some came since the last wait ended.
    pub(super) fn news_come(&self) -> Notified<'_> {
        self.0.notify.notified()
    }

    /// Takes the news that came since it was last asked.
    pub(super) fn take(&self) -> Option<News> {
        self.0
            .news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_sites_until_anything_may_have_changed() {
        let wake = Wake::default();
        assert_eq!(wake.take(), None);
        wake.published([SiteId(1)]);
        wake.published([SiteId(2), SiteId(1)]);
        let sites = BTreeSet::from([SiteId(1), SiteId(2)]);
        assert_eq!(wake.take(), Some(News::Published(sites)));
        assert_eq!(wake.take(), None);

        wake.published([SiteId(1)]);
        wake.wake();
        wake.published([SiteId(2)]);
        assert_eq!(wake.take(), Some(News::Anything));
    }
}
