//! Coverage: the fewest items that purge everything that a set of items purges.

use std::collections::BTreeMap;

use super::{Item, KindCounts};

/// Items none of which covers another.
///
/// That makes look-ups cheap: of all wildcards that sort at or before a path, only the last can
/// cover it. If an earlier one did, everything between the two, the last one included, would begin
/// with it and be covered already.
#[derive(Clone, Debug, Default)]
pub struct Cover<'a> {
    /// Keyed by what the wildcard begins with.
    wildcards: BTreeMap<&'a str, Entry<'a>>,
    files: BTreeMap<&'a str, Entry<'a>>,
    inserted: usize,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    item: &'a Item,
    order: usize,
}

impl<'a> Cover<'a> {
    pub fn covering(&self, item: &Item) -> Option<&'a Item> {
        if let Some(everything) = self.wildcards.get("/") {
            return Some(everything.item);
        }
        let begins = item.wildcard_prefix().unwrap_or(item.as_str());
        let wildcard = self.wildcards.range(..=begins).next_back();
        wildcard
            .filter(|(prefix, _)| begins.starts_with(**prefix))
            .map(|(_, entry)| entry)
            .or_else(|| self.files.get(item.as_str()))
            .map(|entry| entry.item)
    }

    /// Adds `item` unless it is covered, and drops what it covers. Returns whether it was added.
    pub fn insert(&mut self, item: &'a Item) -> bool {
        if self.covering(item).is_some() {
            return false;
        }
        if item.wildcard_prefix() == Some("/") {
            // Tags too, which begin with no slash, so that the prefix does not find them.
            *self = Self::default();
        }
        let entry = Entry {
            item,
            order: self.inserted,
        };
        self.inserted += 1;
        self.bytes += item.as_str().len();
        if let Some(prefix) = item.wildcard_prefix() {
            self.bytes -= remove_beginning_with(&mut self.files, prefix);
            self.bytes -= remove_beginning_with(&mut self.wildcards, prefix);
            self.wildcards.insert(prefix, entry);
        } else {
            self.files.insert(item.as_str(), entry);
        }
        true
    }

    /// How many of `other`'s items would be dropped if these were added to them.
    pub fn replaced_in(&self, other: &Cover<'_>) -> usize {
        let beginning_with = |entries: &BTreeMap<&str, Entry<'_>>, prefix: &str| {
            let entries = entries.range(prefix..);
            entries
                .take_while(|(key, _)| key.starts_with(prefix))
                .count()
        };
        self.wildcards
            .keys()
            .map(|&prefix| match prefix {
                "/" => other.files.len() + other.wildcards.len(),
                _ => {
                    beginning_with(&other.files, prefix) + beginning_with(&other.wildcards, prefix)
                }
            })
            .sum()
    }

    /// How much of CloudFront's quotas the items take.
    pub fn counts(&self) -> KindCounts {
        KindCounts::counted(self.files.len(), self.wildcards.len())
    }

    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The items, in the order in which they were added.
    pub fn items(&self) -> Vec<&'a Item> {
        let mut entries: Vec<_> = self.files.values().chain(self.wildcards.values()).collect();
        entries.sort_unstable_by_key(|entry| entry.order);
        entries.into_iter().map(|entry| entry.item).collect()
    }
}

impl<'a> Extend<&'a Item> for Cover<'a> {
    fn extend<T: IntoIterator<Item = &'a Item>>(&mut self, items: T) {
        for item in items {
            self.insert(item);
        }
    }
}

impl<'a> FromIterator<&'a Item> for Cover<'a> {
    fn from_iter<T: IntoIterator<Item = &'a Item>>(items: T) -> Self {
        let mut cover = Self::default();
        cover.extend(items);
        cover
    }
}

/// Returns how many bytes were removed.
fn remove_beginning_with(entries: &mut BTreeMap<&str, Entry<'_>>, prefix: &str) -> usize {
    let mut removed = 0;
    while let Some((&covered, entry)) = entries
        .range(prefix..)
        .next()
        .filter(|(key, _)| key.starts_with(prefix))
    {
        removed += entry.item.as_str().len();
        entries.remove(covered);
    }
    removed
}
