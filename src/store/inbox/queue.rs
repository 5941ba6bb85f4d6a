//! What waits to be written, by site: sites take turns, so that none waits for another's megabytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::{InboxError, NewPublish};
use crate::store::SiteId;

/// Publishes that may wait in all, and of one site: as many as there may be connections.
const WAITING: usize = 2_048;
const WAITING_OF_SITE: usize = 1_024;
/// Bytes of items that may wait in all, and of one site.
const WAITING_BYTES: usize = 32 << 20;
const WAITING_BYTES_OF_SITE: usize = 4 << 20;
/// What a site may write in its turn: one publish, or several of so many bytes together.
const TURN_BYTES: usize = 64 << 10;
/// Publishes written in one statement.
const BATCH: usize = 512;
/// Bytes of items written in one statement, so that nobody waits long for its end.
const BATCH_BYTES: usize = 1 << 20;

/// Something of a site that has a weight in bytes.
pub(super) trait Weighed {
    fn publish(&self) -> &NewPublish;

    fn weight(&self) -> usize {
        let items = &self.publish().items;
        items.iter().map(|item| item.as_str().len()).sum()
    }
}

/// Waiting publishes; whoever adds and who takes share it.
#[derive(Debug)]
pub(super) struct Queue<T>(Mutex<Waiting<T>>);

#[derive(Debug)]
struct Waiting<T> {
    sites: BTreeMap<SiteId, OfSite<T>>,
    /// Whose turn is next: each site that has something waiting, once.
    turns: VecDeque<SiteId>,
    publishes: usize,
    bytes: usize,
}

#[derive(Debug)]
struct OfSite<T> {
    entries: VecDeque<T>,
    bytes: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(Mutex::new(Waiting {
            sites: BTreeMap::new(),
            turns: VecDeque::new(),
            publishes: 0,
            bytes: 0,
        }))
    }
}

impl<T: Weighed> Queue<T> {
    /// Adds an entry, if there is room for it and its site has not had its share.
    pub(super) fn add(&self, entry: T) -> Result<(), InboxError> {
        let (site, weight) = (entry.publish().site, entry.weight());
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.publishes >= WAITING || waiting.bytes >= WAITING_BYTES {
            return Err(InboxError::Full);
        }
        let of_site = waiting.sites.get(&site);
        if of_site.is_some_and(|of_site| {
            of_site.entries.len() >= WAITING_OF_SITE || of_site.bytes >= WAITING_BYTES_OF_SITE
        }) {
            return Err(InboxError::ShareFull);
        }
        if of_site.is_none() {
            waiting.turns.push_back(site);
        }
        waiting.publishes += 1;
        waiting.bytes += weight;
        let of_site = waiting.sites.entry(site).or_insert_with(|| OfSite {
            entries: VecDeque::new(),
            bytes: 0,
        });
        of_site.bytes += weight;
        of_site.entries.push_back(entry);
        Ok(())
    }

    /// Takes as much as is written at once, from the sites in turn.
    pub(super) fn take(&self) -> Vec<T> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some(site) = waiting.turns.pop_front() else {
                break;
            };
            let Some(of_site) = waiting.sites.get_mut(&site) else {
                continue;
            };
            let mut taken = 0;
            while taken < TURN_BYTES && batch.len() < BATCH {
                let Some(entry) = of_site.entries.pop_front() else {
                    break;
                };
                // A publish without items would never end a turn.
                taken += entry.weight().max(1);
                of_site.bytes -= entry.weight();
                batch.push(entry);
            }
            if of_site.entries.is_empty() {
                waiting.sites.remove(&site);
            } else {
                waiting.turns.push_back(site);
            }
            bytes += taken;
        }
        let weight: usize = batch.iter().map(Weighed::weight).sum();
        waiting.publishes -= batch.len();
        waiting.bytes -= weight;
        batch
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Item, Publisher};

    impl Weighed for NewPublish {
        fn publish(&self) -> &NewPublish {
            self
        }
    }

    fn publish(site: i32, bytes: usize) -> NewPublish {
        let item = |length| Item::from_canonical(&format!("/{}", "a".repeat(length - 1)));
        let (whole, rest) = (bytes / 4_000, bytes % 4_000);
        let items = std::iter::repeat_n(4_000, whole).chain((rest > 0).then_some(rest));
        NewPublish {
            site: SiteId(site),
            id: Uuid::nil(),
            received_at: OffsetDateTime::UNIX_EPOCH,
            items: items.map(|length| item(length).expect("an item")).collect(),
            widened: Vec::new(),
            repeat_key: None,
            traceparent: None,
            publisher: Publisher::Signature,
        }
    }

    fn sites(batch: &[NewPublish]) -> Vec<i32> {
        batch.iter().map(|publish| publish.site.0).collect()
    }

    #[test]
    fn sites_take_turns_by_bytes() {
        let queue = Queue::default();
        for _ in 0..3 {
            queue.add(publish(1, 900_000)).expect("room");
        }
        for _ in 0..4 {
            queue.add(publish(2, 40_000)).expect("room");
        }
        assert_eq!(sites(&queue.take()), [1, 2, 2, 1]);
        assert_eq!(sites(&queue.take()), [2, 2, 1]);
        assert!(queue.take().is_empty());
    }

    #[test]
    fn a_site_has_a_share_and_leaves_the_rest_to_others() {
        let queue = Queue::default();
        let mut taken = 0;
        while queue.add(publish(1, 1_000_000)).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, 5);
        assert_eq!(queue.add(publish(1, 10)), Err(InboxError::ShareFull));
        assert_eq!(queue.add(publish(2, 10)), Ok(()));
        while !queue.take().is_empty() {}
        assert_eq!(queue.add(publish(1, 10)), Ok(()));
        let one_by_one = Queue::default();
        let mut taken = 0;
        while one_by_one.add(publish(1, 10)).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, WAITING_OF_SITE);
    }
}
