//! Answers that are kept open, for streams of events and `Prefer: wait`. They are limited for each
//! session, site and address, and in all, so that nobody keeps others out by waiting.

use std::net::IpAddr;

use super::turns::{KeyedSemaphore, NoTurn, Permit};
use crate::store::{SiteId, TokenHash};

/// The most for one session.
const MAX_PER_SESSION: usize = 16;
/// The most for one site that keep a large publish in memory, and the most for all.
const MAX_LARGE_PER_SITE: usize = 4;
const MAX_LARGE: usize = 16;
/// The most for one address, which several people may share.
const MAX_PER_ADDRESS: usize = 128;

/// The places of answers that are kept open.
#[derive(Debug)]
pub struct OpenAnswers {
    sessions: KeyedSemaphore<TokenHash>,
    publishers: KeyedSemaphore<SiteId>,
    addresses: KeyedSemaphore<IpAddr>,
    all: KeyedSemaphore<()>,
    large_of_site: KeyedSemaphore<SiteId>,
    large: KeyedSemaphore<()>,
}

/// The places that one of them takes, until it is dropped.
pub(crate) type OpenAnswer = Vec<Permit>;

impl OpenAnswers {
    /// Allows as many as leave half of all connections free.
    pub fn of(connections: usize) -> Self {
        let most = (connections / 2).max(1);
        Self {
            sessions: KeyedSemaphore::new(MAX_PER_SESSION),
            publishers: KeyedSemaphore::new(most / 4 + 1),
            addresses: KeyedSemaphore::new(MAX_PER_ADDRESS),
            all: KeyedSemaphore::new(most),
            large_of_site: KeyedSemaphore::new(MAX_LARGE_PER_SITE),
            large: KeyedSemaphore::new(MAX_LARGE),
        }
    }

    /// One more for the pages of a session; `None` for one that SkyCMS keeps. Its own place
    /// comes first, so that one too many never takes one of those that are for everybody.
    pub(crate) fn for_pages(
        &self,
        session: Option<TokenHash>,
        from: IpAddr,
    ) -> Result<OpenAnswer, NoTurn> {
        let own = session.map(|session| self.sessions.try_acquire(session));
        let own = own.transpose()?;
        let shared = [self.addresses.try_acquire(from)?, self.all.try_acquire(())?];
        Ok(shared.into_iter().chain(own).collect())
    }

    /// One more for the publishers of a site.
    pub(crate) fn for_publishers(&self, site: SiteId) -> Result<OpenAnswer, NoTurn> {
        let own = self.publishers.try_acquire(site)?;
        Ok(vec![own, self.all.try_acquire(())?])
    }

    /// Room to keep a large publish of a site in memory meanwhile.
    pub(crate) fn for_large(&self, site: SiteId) -> Result<OpenAnswer, NoTurn> {
        let own = self.large_of_site.try_acquire(site)?;
        Ok(vec![own, self.large.try_acquire(())?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_keeps_more_open_than_their_share() {
        let answers = OpenAnswers::of(100);
        let for_pages = |n: u8| answers.for_pages(Some([n; 32]), IpAddr::from([192, 0, 2, n]));
        let mut open = Vec::new();
        while let Ok(answer) = for_pages(1) {
            open.push(answer);
        }
        assert_eq!(open.len(), 16);
        while let Ok(answer) = answers.for_publishers(SiteId(1)) {
            open.push(answer);
        }
        assert_eq!(open.len(), 16 + 13, "a site leaves room for other sites");
        for n in 2..=3 {
            while let Ok(answer) = for_pages(n) {
                open.push(answer);
            }
        }
        assert_eq!(open.len(), 50, "half of all connections stay free");
        open.clear();
        assert!(for_pages(1).is_ok());
    }
}
