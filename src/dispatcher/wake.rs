//! What the dispatcher is woken for.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    news: Option<News>,
    /// Sites that may not send: a call is under way, or quota, rate or trouble holds them. Whatever ends that is followed
    /// by a look at everything, which finds what they have published.
    waiting: HashSet<SiteId>,
}

impl Wake {
    /// There may be something to do, whatever it is.
    pub fn wake(&self) {
        self.state().news = Some(News::Anything);
        self.0.notify.notify_one();
    }

    /// Something was published at these sites. Cheaper than [`Wake::wake`]: nobody wakes for a site that has to wait for
    /// its next call.
    pub fn published(&self, sites: impl IntoIterator<Item = SiteId>) {
        let mut state = self.state();
        let State { news, waiting } = &mut *state;
        let mut sites = sites.into_iter().filter(|site| !waiting.contains(site));
        match news {
            Some(News::Anything) => return,
            Some(News::Published(known)) => known.extend(sites),
            None => {
                let Some(first) = sites.next() else { return };
                *news = Some(News::Published(sites.chain([first]).collect()));
            }
        }
        drop(state);
        self.0.notify.notify_one();
    }

    /// A site need not be looked at before everything is.
    pub(super) fn site_waits(&self, site: SiteId) {
        self.state().waiting.insert(site);
    }

    /// Everything is about to be looked at.
    pub(super) fn nobody_waits(&self) {
        self.state().waiting.clear();
    }

    /// Ends when there is news: at once, if some came since the last wait ended.
    pub(super) fn news_come(&self) -> Notified<'_> {
        self.0.notify.notified()
    }

    /// Takes the news that came since it was last asked, but of sites that wait by now.
    pub(super) fn take(&self) -> Option<News> {
        let mut state = self.state();
        let mut news = state.news.take();
        if let Some(News::Published(sites)) = &mut news {
            sites.retain(|site| !state.waiting.contains(site));
        }
        news
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn a_site_that_waits_wakes_nobody() {
        let wake = Wake::default();
        wake.site_waits(SiteId(1));
        wake.published([SiteId(1)]);
        assert_eq!(wake.take(), None);
        wake.published([SiteId(1), SiteId(2)]);
        assert_eq!(
            wake.take(),
            Some(News::Published(BTreeSet::from([SiteId(2)])))
        );
        wake.nobody_waits();
        wake.published([SiteId(1)]);
        assert_eq!(
            wake.take(),
            Some(News::Published(BTreeSet::from([SiteId(1)])))
        );
    }
}
