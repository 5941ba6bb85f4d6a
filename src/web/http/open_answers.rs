//! Answers that are kept open, for streams of events and `Prefer: wait`. They are limited for each
//! session, site and address, and in all, so that nobody keeps others out by waiting.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::{SiteId, TokenHash};

/// The most for one address, which several people may share.
const OF_ADDRESS: usize = 128;

/// Whom an answer is kept open for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OpenFor {
    /// The pages of a session.
    Session(TokenHash),
    /// A site's publishers.
    Publishers(SiteId),
    /// Everybody at an address.
    Address(IpAddr),
    /// Everybody together.
    All,
}

/// Answers that are kept open now. Clones share the count.
#[derive(Clone, Debug)]
pub struct OpenAnswers {
    counts: Arc<Mutex<HashMap<OpenFor, usize>>>,
    most: usize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenAnswer {
    answers: OpenAnswers,
    counted_for: HashSet<OpenFor>,
}

impl OpenAnswers {
    /// As many as leave half of all connections free.
    pub fn of(connections: usize) -> Self {
        Self {
            counts: Arc::default(),
            most: (connections / 2).max(1),
        }
    }

    /// One more for them; none: they, their address or all together have as many as they may.
    pub(crate) fn try_open(&self, whom: OpenFor, address: Option<IpAddr>) -> Option<OpenAnswer> {
        let mut counted_for = HashSet::from([whom, OpenFor::All]);
        counted_for.extend(address.map(OpenFor::Address));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |whom: &OpenFor| {
            let most = match whom {
                OpenFor::Session(_) => 16,
                OpenFor::Publishers(_) => self.most / 4 + 1,
                OpenFor::Address(_) => OF_ADDRESS,
                OpenFor::All => self.most,
            };
            counts.get(whom).is_some_and(|count| *count >= most)
        };
        if counted_for.iter().any(is_full) {
            return None;
        }
        for whom in &counted_for {
            *counts.entry(*whom).or_default() += 1;
        }
        drop(counts);
        Some(OpenAnswer {
            answers: self.clone(),
            counted_for,
        })
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        let counts = &self.answers.counts;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        for whom in &self.counted_for {
            if let Some(count) = counts.get_mut(whom) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(whom);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_keeps_more_open_than_their_share() {
        let answers = OpenAnswers::of(100);
        let address = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let mut open = Vec::new();
        while let Some(answer) = answers.try_open(OpenFor::Session([1; 32]), address(1)) {
            open.push(answer);
        }
        assert_eq!(open.len(), 16);
        while let Some(answer) = answers.try_open(OpenFor::Publishers(SiteId(1)), None) {
            open.push(answer);
        }
        assert_eq!(open.len(), 16 + 13, "a site leaves room for other sites");
        for n in 2..=3 {
            while let Some(answer) = answers.try_open(OpenFor::Session([n; 32]), address(n)) {
                open.push(answer);
            }
        }
        assert_eq!(open.len(), 50, "half of all connections stay free");
        open.clear();
        let again = answers.try_open(OpenFor::Session([1; 32]), address(1));
        assert!(again.is_some());
        drop(again);
        assert_eq!(answers.counts.lock().expect("no panic").len(), 0);
    }
}
