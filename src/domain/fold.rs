//! Folding: fewer items, by wildcards that purge the least beyond what was asked.
//!
//! A wildcard at a directory boundary (`/blog/*`) can take the place of all items below it. What it
//! purges besides is needless: pages that are known and did not change, and an unknown number of
//! files that were never published through here, images above all. So folding weighs two costs:
//! each item that is sent has a *weight*, in pages that may be purged needlessly to save it, and
//! each fold has the needless purges it causes. The best choice is the one with the smallest sum of
//! both. It is found exactly, not by trial:
//!
//! - the items, sorted, form a binary tree whose inner nodes are the deepest directories that
//!   neighbours share. Only these can be worth a wildcard: one higher up saves no more and purges
//!   no less;
//! - bottom-up, each node either becomes one wildcard or keeps the best of its two halves, for each
//!   number of wildcards that may still be used (a knapsack on a tree). This is linear in the
//!   number of items;
//! - if more items remain than are wanted, all of it is repeated with more weight, and the least
//!   weight that leaves few enough is kept (to within a sixteenth). So, for the number of items it
//!   ends with, no other choice of directories purges fewer pages needlessly.
//!
//! The same input gives the same folds on every replica.

use super::{InvalidationPath, Item};

/// What a wildcard is presumed to purge needlessly besides known pages: what was never published
/// through here.
pub const UNKNOWN_BELOW_A_DIRECTORY: u64 = 30;

/// The same for `/*`, which purges every image, script and style sheet of the site.
pub const UNKNOWN_BELOW_THE_ROOT: u64 = 500;

/// The weight of an item while nothing is urgent: it costs as much as to fetch ten pages once more
/// from the origin.
pub const PLAIN_WEIGHT: u64 = 10;

/// Weights beyond this fold everything anyway: no site has so many pages. It also keeps sums of
/// costs within a `u64`.
const MAX_WEIGHT: u64 = 1 << 32;

/// The most new wildcards of one fold: it bounds the work, and CloudFront's quota is 15.
const MAX_WILDCARDS: usize = 16;

/// The paths known to have been published in the last 90 days, so probably cached.
#[derive(Clone, Debug, Default)]
pub struct KnownPaths {
    sorted: Vec<String>,
}

impl KnownPaths {
    /// Takes paths in any order; duplicates count once.
    pub fn new(paths: impl IntoIterator<Item = String>) -> Self {
        let mut sorted: Vec<_> = paths.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        Self { sorted }
    }

    pub(super) fn beginning_with(&self, prefix: &str) -> u64 {
        let start = self.sorted.partition_point(|path| path.as_str() < prefix);
        let rest = &self.sorted[start..];
        rest.partition_point(|path| path.starts_with(prefix)) as u64
    }

    fn covered_by(&self, item: &Item) -> u64 {
        match item.wildcard_prefix() {
            Some(prefix) => self.beginning_with(prefix),
            None => u64::from(
                self.sorted
                    .binary_search_by(|path| path.as_str().cmp(item.as_str()))
                    .is_ok(),
            ),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct FoldGoal {
    /// The items that may remain; folding goes on until no more do.
    pub items: usize,
    /// The wildcards that may be used; at least one is.
    pub wildcards: usize,
    /// Whether wildcards that were asked for count among them.
    pub asked_wildcards_count: bool,
    /// How many pages may be purged needlessly to save one item; [`PLAIN_WEIGHT`] or more.
    pub weight: u64,
}

/// The wildcards that should take the place of all that they cover among `items`, none of which
/// covers another. Tags cannot be folded and are passed over.
pub fn fold(items: &[&Item], known: &KnownPaths, goal: FoldGoal) -> Vec<Item> {
    let tags = items
        .iter()
        .filter(|item| matches!(item, Item::Tag(_)))
        .count();
    let Some(tree) = Tree::new(items, known, goal) else {
        return Vec::new();
    };
    // Tags stay, whatever is folded: where they alone are as many as may remain, nothing is gained
    // by purging ever more.
    let few_enough =
        |(_, remaining): &(_, usize)| tags >= goal.items || remaining + tags <= goal.items;
    let mut weight = goal.weight.clamp(1, MAX_WEIGHT);
    let mut best = tree.best(weight);
    let mut too_light = weight;
    while !few_enough(&best) && weight < MAX_WEIGHT {
        too_light = weight;
        weight *= 2;
        best = tree.best(weight);
    }
    while weight - too_light > 1 + too_light / 16 {
        let between = too_light.midpoint(weight);
        let choice = tree.best(between);
        if few_enough(&choice) {
            (weight, best) = (between, choice);
        } else {
            too_light = between;
        }
    }
    let (directories, _) = best;
    directories
        .into_iter()
        .map(|directory| Item::Path(InvalidationPath::wildcard(directory)))
        .collect()
}

struct Tree<'a> {
    leaves: Vec<&'a Item>,
    /// Children stand before their parents; the last is the root.
    inner: Vec<Inner<'a>>,
    wildcards: usize,
    asked_wildcards_count: bool,
}

struct Inner<'a> {
    left: Child,
    right: Child,
    /// The deepest directory that all items below share.
    directory: &'a str,
    /// What a wildcard here would purge needlessly.
    needless: u64,
}

#[derive(Clone, Copy)]
enum Child {
    Leaf(usize),
    Inner(usize),
}

#[derive(Clone, Copy)]
enum Choice {
    Fold,
    /// This many of the wildcards go to the left half.
    Split(usize),
}

/// The cost where there are too few wildcards for any choice.
const IMPOSSIBLE: u64 = u64::MAX / 4;

impl<'a> Tree<'a> {
    fn new(items: &[&'a Item], known: &KnownPaths, goal: FoldGoal) -> Option<Self> {
        let mut leaves: Vec<&Item> = items
            .iter()
            .copied()
            .filter(|item| matches!(item, Item::Path(_)))
            .collect();
        leaves.sort_unstable_by_key(|item| item.as_str());
        if leaves.len() < 2 {
            return None;
        }
        let mut tree = Self {
            inner: Vec::with_capacity(leaves.len() - 1),
            wildcards: goal.wildcards.clamp(1, MAX_WILDCARDS),
            asked_wildcards_count: goal.asked_wildcards_count,
            leaves,
        };
        // For each inner node, how many of the known paths below it are purged as asked.
        let mut asked: Vec<u64> = Vec::with_capacity(tree.leaves.len() - 1);
        let mut open: Vec<(Child, usize)> = Vec::new();
        let mut current = Child::Leaf(0);
        for i in 1..=tree.leaves.len() {
            let depth = match tree.leaves.get(i) {
                Some(next) => shared_directory(tree.leaves[i - 1].as_str(), next.as_str()),
                None => 0,
            };
            while let Some((left, directory)) = open.pop_if(|(_, directory)| *directory >= depth) {
                let right = current;
                let directory = &tree.leaves[i - 1].as_str()[..directory];
                let asked_below: u64 = [left, right]
                    .iter()
                    .map(|child| match *child {
                        Child::Leaf(leaf) => known.covered_by(tree.leaves[leaf]),
                        Child::Inner(inner) => asked[inner],
                    })
                    .sum();
                let unknown = if directory == "/" {
                    UNKNOWN_BELOW_THE_ROOT
                } else {
                    UNKNOWN_BELOW_A_DIRECTORY
                };
                current = Child::Inner(tree.inner.len());
                asked.push(asked_below);
                tree.inner.push(Inner {
                    left,
                    right,
                    directory,
                    needless: known.beginning_with(directory).saturating_sub(asked_below) + unknown,
                });
            }
            open.push((current, depth));
            current = Child::Leaf(i);
        }
        Some(tree)
    }

    /// The directories to fold at this weight, and how many items remain then.
    fn best(&self, weight: u64) -> (Vec<&'a str>, usize) {
        let width = self.wildcards + 1;
        let mut costs: Vec<u64> = Vec::with_capacity(self.inner.len() * width);
        let mut choices: Vec<Choice> = Vec::with_capacity(self.inner.len() * width);
        for node in &self.inner {
            for wildcards in 0..width {
                let (mut best, mut choice) = (IMPOSSIBLE, Choice::Split(0));
                for to_left in 0..=wildcards {
                    let cost = self.cost(&costs, node.left, to_left, weight)
                        + self.cost(&costs, node.right, wildcards - to_left, weight);
                    if cost < best {
                        (best, choice) = (cost, Choice::Split(to_left));
                    }
                }
                if wildcards > 0 && weight + node.needless < best {
                    (best, choice) = (weight + node.needless, Choice::Fold);
                }
                costs.push(best);
                choices.push(choice);
            }
        }
        let mut folds = Vec::new();
        let mut remaining = 0;
        let mut open = vec![(Child::Inner(self.inner.len() - 1), self.wildcards)];
        while let Some((child, wildcards)) = open.pop() {
            let Child::Inner(i) = child else {
                remaining += 1;
                continue;
            };
            let node = &self.inner[i];
            match choices[i * width + wildcards] {
                Choice::Fold => {
                    remaining += 1;
                    folds.push(node.directory);
                }
                Choice::Split(to_left) => {
                    open.push((node.right, wildcards - to_left));
                    open.push((node.left, to_left));
                }
            }
        }
        (folds, remaining)
    }

    fn cost(&self, costs: &[u64], child: Child, wildcards: usize, weight: u64) -> u64 {
        match child {
            Child::Inner(i) => costs[i * (self.wildcards + 1) + wildcards],
            Child::Leaf(i)
                if wildcards == 0 && self.asked_wildcards_count && self.leaves[i].is_wildcard() =>
            {
                IMPOSSIBLE
            }
            Child::Leaf(_) => weight,
        }
    }
}

/// The length, with its slash, of the deepest directory that both paths are in. A slash in the
/// query does not count.
fn shared_directory(a: &str, b: &str) -> usize {
    a.bytes()
        .zip(b.bytes())
        .enumerate()
        .take_while(|(_, (a, b))| a == b && *a != b'?')
        .filter(|(_, (a, _))| *a == b'/')
        .last()
        .map_or(0, |(i, _)| i + 1)
}
