//! Answers that are held open, for streams of events and `Prefer: wait`. They are limited for each
//! session, site and address, and in all, so that nobody keeps others out by waiting.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::{SiteId, TokenHash};

/// The most for one address, which several people may share.
const OF_ADDRESS: usize = 128;

/// Who holds an answer open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The pages of a session.
    Session(TokenHash),
    /// A site's publishers.
    Publishers(SiteId),
    /// Everybody at an address.
    Address(IpAddr),
    /// Everybody together.
    All,
}

/// Answers that are held open now. Clones share the count.
#[derive(Clone, Debug)]
pub struct Places {
    held: Arc<Mutex<HashMap<Holder, usize>>>,
    most: usize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    holders: HashSet<Holder>,
}

impl Places {
    /// As many places as leave half of all connections free.
    pub fn of(connections: usize) -> Self {
        Self {
            held: Arc::default(),
            most: (connections / 2).max(1),
        }
    }

    /// A place for `holder`; none: they, their address or all together hold as many as they may.
    pub(crate) fn take(&self, holder: Holder, address: Option<IpAddr>) -> Option<Place> {
        let mut holders = HashSet::from([holder, Holder::All]);
        holders.extend(address.map(Holder::Address));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |holder: &Holder| {
            let most = match holder {
                Holder::Session(_) => 16,
                Holder::Publishers(_) => self.most / 4 + 1,
                Holder::Address(_) => OF_ADDRESS,
                Holder::All => self.most,
            };
            held.get(holder).is_some_and(|held| *held >= most)
        };
        if holders.iter().any(is_full) {
            return None;
        }
        for holder in &holders {
            *held.entry(*holder).or_default() += 1;
        }
        drop(held);
        Some(Place {
            places: self.clone(),
            holders,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let held = &self.places.held;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        for holder in &self.holders {
            if let Some(count) = held.get_mut(holder) {
                *count -= 1;
                if *count == 0 {
                    held.remove(holder);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_more_than_their_share() {
        let places = Places::of(100);
        let address = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let mut held = Vec::new();
        while let Some(place) = places.take(Holder::Session([1; 32]), address(1)) {
            held.push(place);
        }
        assert_eq!(held.len(), 16);
        while let Some(place) = places.take(Holder::Publishers(SiteId(1)), None) {
            held.push(place);
        }
        assert_eq!(held.len(), 16 + 13, "a site leaves room for other sites");
        for n in 2..=3 {
            while let Some(place) = places.take(Holder::Session([n; 32]), address(n)) {
                held.push(place);
            }
        }
        assert_eq!(held.len(), 50, "half of all connections stay free");
        held.clear();
        assert!(places.take(Holder::Session([1; 32]), address(1)).is_some());
        assert_eq!(places.held.lock().expect("no panic").len(), 0);
    }
}
