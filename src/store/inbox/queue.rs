//! What waits to be written, by site and within it by publisher: all take turns, so that none waits
//! for another's megabytes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use parking_lot::Mutex;

use super::{Entry, InboxError};
use crate::domain::{Load, Publisher};
use crate::store::SiteId;

/// What a site may write in its turn: one publish, or several with this many bytes together.
const TURN_BYTES: usize = 64 << 10;
/// Publishes written in one statement.
const BATCH: usize = 512;
/// Bytes of items written in one statement, so that nobody waits long for its end.
const BATCH_BYTES: usize = 1 << 20;

/// The waiting publishes, shared by those who add them and the writer who takes them.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    sites: BTreeMap<SiteId, SiteQueue>,
    /// The order of turns: each site that has something waiting, once.
    turns: VecDeque<SiteId>,
    load: Load,
}

/// What waits for one site, by publisher.
#[derive(Debug, Default)]
struct SiteQueue {
    publishers: HashMap<Publisher, PublisherQueue>,
    turns: VecDeque<Publisher>,
    load: Load,
}

#[derive(Debug, Default)]
struct PublisherQueue {
    entries: VecDeque<Entry>,
    load: Load,
}

impl SiteQueue {
    /// Takes the next entry, from each publisher in turn.
    fn take(&mut self) -> Option<Entry> {
        let publisher = self.turns.pop_front()?;
        let of_publisher = self.publishers.get_mut(&publisher)?;
        let entry = of_publisher.entries.pop_front()?;
        let weight = entry.weight();
        of_publisher.load.remove(weight);
        self.load.remove(weight);
        if of_publisher.entries.is_empty() {
            self.publishers.remove(&publisher);
        } else {
            self.turns.push_back(publisher);
        }
        Some(entry)
    }
}

impl Queue {
    /// Adds an entry, if there is room for it and neither its site nor its publisher has used up
    /// its share.
    pub(super) fn add(&self, entry: Entry) -> Result<(), InboxError> {
        let (site, publisher) = (entry.publish.site, entry.publish.publisher.clone());
        let weight = entry.weight();
        let mut waiting = self.0.lock();
        let Waiting { sites, turns, load } = &mut *waiting;
        if load.has_reached(Load::MAX) {
            return Err(InboxError::Full);
        }
        let of_site = sites.entry(site).or_default();
        let of_publisher = of_site.publishers.entry(publisher.clone()).or_default();
        if of_site.load.has_reached(Load::MAX_PER_SITE)
            || of_publisher.load.has_reached(Load::MAX_PER_PUBLISHER)
        {
            return Err(InboxError::ShareFull);
        }
        if of_site.load.publishes == 0 {
            turns.push_back(site);
        }
        if of_publisher.load.publishes == 0 {
            of_site.turns.push_back(publisher);
        }
        for load in [load, &mut of_site.load, &mut of_publisher.load] {
            load.add(weight);
        }
        of_publisher.entries.push_back(entry);
        Ok(())
    }

    /// Takes as much as is written at once, from the sites in turn. They are answered in the order
    /// of what is returned: those with little come first, rather than after all of a storm's.
    pub(super) fn take(&self) -> Vec<Entry> {
        let mut waiting = self.0.lock();
        let Waiting { sites, turns, load } = &mut *waiting;
        let (mut batch, mut publishes, mut bytes) = (Vec::new(), 0, 0);
        while publishes < BATCH && bytes < BATCH_BYTES {
            let Some(site) = turns.pop_front() else {
                break;
            };
            let Some(of_site) = sites.get_mut(&site) else {
                continue;
            };
            let (mut turn, mut taken) = (Vec::new(), 0);
            while taken < TURN_BYTES && publishes < BATCH {
                let Some(entry) = of_site.take() else {
                    break;
                };
                load.remove(entry.weight());
                // A publish without items would never end a turn.
                taken += entry.weight().max(1);
                publishes += 1;
                turn.push(entry);
            }
            if of_site.load.publishes == 0 {
                sites.remove(&site);
            } else {
                turns.push_back(site);
            }
            bytes += taken;
            batch.push(turn);
        }
        batch.sort_by_key(Vec::len);
        batch.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use tokio::sync::oneshot;
    use uuid::Uuid;

    use super::*;
    use crate::domain::Item;
    use crate::store::NewPublish;

    fn publish(site: i32, bytes: usize) -> Entry {
        let item = |length| Item::from_canonical(&format!("/{}", "a".repeat(length - 1)));
        let (whole, rest) = (bytes / 4_000, bytes % 4_000);
        let items = std::iter::repeat_n(4_000, whole).chain((rest > 0).then_some(rest));
        Entry {
            publish: NewPublish {
                site: SiteId(site),
                id: Uuid::nil(),
                received_at: OffsetDateTime::UNIX_EPOCH,
                items: items.map(|length| item(length).expect("an item")).collect(),
                widened: Vec::new(),
                idempotency_key: None,
                traceparent: None,
                publisher: Publisher::Signature,
            },
            answer: oneshot::channel().0,
        }
    }

    fn sites(batch: &[Entry]) -> Vec<i32> {
        batch.iter().map(|entry| entry.publish.site.0).collect()
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
        assert_eq!(sites(&queue.take()), [1, 1, 2, 2]);
        assert_eq!(sites(&queue.take()), [1, 2, 2]);
        assert!(queue.take().is_empty());
    }

    #[test]
    fn a_lone_publish_is_answered_before_those_of_a_storm() {
        let queue = Queue::default();
        for site in [1, 1, 2, 1] {
            queue.add(publish(site, 10)).expect("room");
        }
        assert_eq!(sites(&queue.take()), [2, 1, 1, 1]);
    }

    fn by(token: usize, mut entry: Entry) -> Entry {
        entry.publish.publisher = Publisher::Token(token.to_string().into());
        entry
    }

    /// Adds such entries while there is room, and says how many there was room for.
    fn fill(queue: &Queue, entry: impl Fn(usize) -> Entry) -> usize {
        (0..)
            .take_while(|taken| queue.add(entry(*taken)).is_ok())
            .count()
    }

    #[test]
    fn a_token_has_a_share_and_leaves_the_rest_to_others_of_its_site() {
        let queue = Queue::default();
        assert_eq!(fill(&queue, |_| by(1, publish(1, 1_000_000))), 4);
        let (one, other) = (by(1, publish(1, 10)), by(2, publish(1, 10)));
        assert_eq!(queue.add(one), Err(InboxError::ShareFull));
        assert_eq!(queue.add(other), Ok(()));
        let weights: Vec<_> = queue.take().iter().map(Entry::weight).collect();
        assert_eq!(weights, [1_000_000, 10, 1_000_000], "each in turn");
    }

    #[test]
    fn a_site_has_a_share_and_leaves_the_rest_to_others() {
        let queue = Queue::default();
        let large = |token| by(token, publish(1, 1_000_000));
        assert_eq!(fill(&queue, large), 5);
        assert_eq!(queue.add(publish(1, 10)), Err(InboxError::ShareFull));
        assert_eq!(queue.add(publish(2, 10)), Ok(()));
        while !queue.take().is_empty() {}
        assert_eq!(queue.add(publish(1, 10)), Ok(()));
        let small = |token| by(token, publish(1, 10));
        assert_eq!(fill(&Queue::default(), small), Load::MAX_PER_SITE.publishes);
    }
}
