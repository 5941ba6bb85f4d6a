//! What the dispatcher is woken for.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::store::SiteId;

/// What may have changed since the dispatcher last looked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Anything may have.
    pub(super) anything: bool,
    /// The sites at which something was published. They are looked at even if anything may have
    /// changed: what was published while a site's last look was under way may not be due otherwise.
    pub(super) published: BTreeSet<SiteId>,
}

impl News {
    pub(super) fn anything() -> Self {
        Self {
            anything: true,
            ..Self::default()
        }
    }
}

/// Tells the dispatcher of this replica to look now. Clones wake the same one.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    notify: Notify,
    /// Notified whenever anything may have changed.
    changed: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    news: News,
    /// Sites that are being served, and whether they have published something since. That is looked
    /// at after their turn.
    served: HashMap<SiteId, bool>,
}

/// A site's turn to be served, by one task of this replica at a time. It ends when dropped.
#[derive(Debug)]
pub(super) struct SiteTurn {
    wake: Wake,
    pub(super) site: SiteId,
}

impl Wake {
    /// Anything may have changed.
    pub fn wake(&self) {
        self.0.state.lock().news.anything = true;
        self.0.notify.notify_one();
        self.0.changed.notify_waiters();
    }

    /// Something was published at these sites. Cheaper than [`Wake::wake`]: nobody wakes for a site
    /// that is being served.
    pub async fn published(
        &self,
        sites: impl IntoIterator<Item = SiteId, IntoIter: ExactSizeIterator>,
    ) {
        let sites = sites.into_iter();
        let is_one = sites.len() == 1;
        if !self.0.state.lock().publish(sites) {
            return;
        }
        if is_one {
            // Whoever waits for a lone publish is answered before the dispatcher takes their
            // processor, a fifth sooner. Where several sites publish, the next ones would have to
            // wait for all the answers.
            tokio::task::yield_now().await;
        }
        self.0.notify.notify_one();
    }

    /// Begins a site's turn. If it has begun already, the site is looked at again after it.
    pub(super) fn turn(&self, site: SiteId) -> Option<SiteTurn> {
        match self.0.state.lock().served.entry(site) {
            Entry::Occupied(mut published) => {
                published.insert(true);
                None
            }
            Entry::Vacant(free) => {
                free.insert(false);
                Some(SiteTurn {
                    wake: self.clone(),
                    site,
                })
            }
        }
    }

    /// The sites whose turn it is.
    pub(super) fn served(&self) -> Vec<SiteId> {
        self.0.state.lock().served.keys().copied().collect()
    }

    /// Completes when there is news: at once, if some has come since the last wait ended.
    pub(super) fn notified(&self) -> Notified<'_> {
        self.0.notify.notified()
    }

    /// Completes when anything may have changed, as when a call has ended.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// Takes the news that has come since, except about sites that are being served by now.
    pub(super) fn take(&self) -> News {
        let mut state = self.0.state.lock();
        let mut news = std::mem::take(&mut state.news);
        news.published.retain(|site| !state.put_off(*site));
        news
    }
}

impl State {
    /// Notes what was published, and returns whether the dispatcher has to wake for it.
    fn publish(&mut self, sites: impl IntoIterator<Item = SiteId>) -> bool {
        let mut is_news = false;
        for site in sites {
            if !self.put_off(site) {
                is_news |= self.news.published.insert(site);
            }
        }
        is_news
    }

    /// Notes for after its turn what a site has published, if it is being served. Returns whether
    /// it is.
    fn put_off(&mut self, site: SiteId) -> bool {
        let Some(published) = self.served.get_mut(&site) else {
            return false;
        };
        *published = true;
        true
    }
}

impl Drop for SiteTurn {
    fn drop(&mut self) {
        let mut state = self.wake.0.state.lock();
        let has_published = state.served.remove(&self.site) == Some(true);
        let is_news = has_published && state.publish([self.site]);
        drop(state);
        if is_news {
            self.wake.0.notify.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gathers_sites_also_while_anything_may_have_changed() {
        let wake = Wake::default();
        assert_eq!(wake.take(), News::default());
        wake.published([SiteId(1)]).await;
        wake.published([SiteId(2), SiteId(1)]).await;
        assert_eq!(wake.take(), published([1, 2]));
        assert_eq!(wake.take(), News::default());

        wake.published([SiteId(1)]).await;
        wake.wake();
        wake.published([SiteId(2)]).await;
        assert_eq!(wake.take(), anything([1, 2]));
    }

    #[tokio::test]
    async fn what_a_site_publishes_in_its_turn_is_told_after_it() {
        let wake = Wake::default();
        let turn = wake.turn(SiteId(1)).expect("nobody serves it");
        assert!(wake.turn(SiteId(2)).is_some());
        assert_eq!(wake.served(), [SiteId(1)]);
        wake.published([SiteId(1)]).await;
        assert_eq!(wake.take(), News::default());
        drop(turn);
        assert_eq!(wake.take(), published([1]));

        drop(wake.turn(SiteId(1)));
        assert_eq!(wake.take(), News::default());
    }

    #[tokio::test]
    async fn a_site_that_is_to_be_looked_at_in_its_turn_is_looked_at_after_it() {
        let wake = Wake::default();
        let turn = wake.turn(SiteId(1)).expect("nobody serves it");
        assert!(wake.turn(SiteId(1)).is_none());
        drop(turn);
        assert_eq!(wake.take(), published([1]));
    }

    #[tokio::test]
    async fn who_waits_for_a_call_hears_of_its_end() {
        let wake = Wake::default();
        let mut waits = std::pin::pin!(wake.changed());
        waits.as_mut().enable();
        wake.published([SiteId(1)]).await;
        let ended = tokio::time::timeout(std::time::Duration::ZERO, waits.as_mut()).await;
        assert!(ended.is_err(), "that was a publish");
        wake.wake();
        waits.await;
    }

    #[tokio::test]
    async fn who_serves_a_site_hears_what_it_publishes_whatever_else_is_news() {
        let wake = Wake::default();
        let turn = wake.turn(SiteId(1)).expect("nobody serves it");
        wake.wake();
        wake.published([SiteId(2), SiteId(1)]).await;
        assert_eq!(wake.take(), anything([2]));
        drop(turn);
        assert_eq!(wake.take(), published([1]));
    }

    fn published<const N: usize>(sites: [i32; N]) -> News {
        News {
            anything: false,
            published: sites.map(SiteId).into(),
        }
    }

    fn anything<const N: usize>(sites: [i32; N]) -> News {
        News {
            anything: true,
            ..published(sites)
        }
    }
}
