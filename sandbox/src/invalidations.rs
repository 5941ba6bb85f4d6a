//! The invalidations that were accepted.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use time::OffsetDateTime;

use crate::batch::is_wildcard;

/// How many invalidations, and how many paths in all of them, are remembered. The oldest are
/// forgotten first.
const CAPACITY: usize = 200_000;
const PATH_CAPACITY: usize = 2_000_000;

/// One accepted batch.
#[derive(Clone, Debug)]
pub(crate) struct Invalidation {
    pub(crate) id: String,
    pub(crate) distribution: String,
    pub(crate) caller_reference: String,
    pub(crate) paths: Vec<String>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) completes_at: OffsetDateTime,
}

impl Invalidation {
    pub(crate) fn is_completed(&self, now: OffsetDateTime) -> bool {
        self.completes_at <= now
    }

    pub(crate) fn status(&self, now: OffsetDateTime) -> &'static str {
        if self.is_completed(now) {
            "Completed"
        } else {
            "InProgress"
        }
    }

    /// The invalidation as the admin API and the page show it.
    pub(crate) fn view(&self, now: OffsetDateTime) -> InvalidationView<'_> {
        InvalidationView {
            id: &self.id,
            distribution: &self.distribution,
            caller_reference: &self.caller_reference,
            status: self.status(now),
            created_at: self.created_at,
            completed_at: self.is_completed(now).then_some(self.completes_at),
            paths: &self.paths,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct InvalidationView<'a> {
    pub(crate) id: &'a str,
    pub(crate) distribution: &'a str,
    pub(crate) caller_reference: &'a str,
    pub(crate) status: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) completed_at: Option<OffsetDateTime>,
    pub(crate) paths: &'a [String],
}

/// What counts towards the quotas of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Load {
    pub(crate) files: usize,
    pub(crate) wildcards: usize,
}

impl Load {
    pub(crate) fn of(paths: &[String]) -> Self {
        let wildcards = paths.iter().filter(|path| is_wildcard(path)).count();
        Self {
            files: paths.len() - wildcards,
            wildcards,
        }
    }
}

/// In order of acceptance, with an index by ID and one by caller reference.
#[derive(Debug, Default)]
pub(crate) struct Invalidations {
    all: VecDeque<Invalidation>,
    /// The number of the oldest that is remembered; numbers count acceptances.
    first: u64,
    path_count: usize,
    by_id: HashMap<String, u64>,
    by_reference: HashMap<(String, String), u64>,
    /// Those of each distribution that were in progress when last looked at.
    active: HashMap<String, Vec<(u64, Load)>>,
}

impl Invalidations {
    pub(crate) fn get(&self, distribution: &str, id: &str) -> Option<&Invalidation> {
        self.at(*self.by_id.get(id)?)
            .filter(|invalidation| invalidation.distribution == distribution)
    }

    pub(crate) fn by_reference(
        &self,
        distribution: &str,
        reference: &str,
    ) -> Option<&Invalidation> {
        let key = (distribution.to_owned(), reference.to_owned());
        self.at(*self.by_reference.get(&key)?)
    }

    /// Newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Invalidation> {
        self.all.iter().rev()
    }

    pub(crate) fn load(&mut self, distribution: &str, now: OffsetDateTime) -> Load {
        let Some(active) = self.active.get_mut(distribution) else {
            return Load::default();
        };
        let (all, first) = (&self.all, self.first);
        active.retain(|(number, _)| {
            number
                .checked_sub(first)
                .and_then(|index| all.get(usize::try_from(index).ok()?))
                .is_some_and(|invalidation| !invalidation.is_completed(now))
        });
        active.iter().fold(Load::default(), |sum, (_, load)| Load {
            files: sum.files + load.files,
            wildcards: sum.wildcards + load.wildcards,
        })
    }

    pub(crate) fn add(&mut self, invalidation: Invalidation) {
        let number = self.first + self.all.len() as u64;
        let reference = (
            invalidation.distribution.clone(),
            invalidation.caller_reference.clone(),
        );
        self.by_id.insert(invalidation.id.clone(), number);
        self.by_reference.insert(reference, number);
        self.active
            .entry(invalidation.distribution.clone())
            .or_default()
            .push((number, Load::of(&invalidation.paths)));
        self.path_count += invalidation.paths.len();
        self.all.push_back(invalidation);
        while self.all.len() > CAPACITY || self.path_count > PATH_CAPACITY {
            self.forget_oldest();
        }
    }

    /// Completes what is in progress, on one distribution or on all, and returns how many.
    pub(crate) fn complete(&mut self, distribution: Option<&str>, now: OffsetDateTime) -> usize {
        let mut completed = 0;
        for invalidation in &mut self.all {
            let wanted = distribution.is_none_or(|wanted| wanted == invalidation.distribution);
            if wanted && !invalidation.is_completed(now) {
                invalidation.completes_at = now;
                completed += 1;
            }
        }
        completed
    }

    fn at(&self, number: u64) -> Option<&Invalidation> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.all.get(index)
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.all.pop_front() {
            self.first += 1;
            self.path_count -= oldest.paths.len();
            self.by_id.remove(&oldest.id);
            self.by_reference
                .remove(&(oldest.distribution, oldest.caller_reference));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    fn invalidation(number: usize, paths: usize) -> Invalidation {
        Invalidation {
            id: format!("I{number}"),
            distribution: "E1".to_owned(),
            caller_reference: format!("r{number}"),
            paths: vec!["/a".to_owned(); paths],
            created_at: START,
            completes_at: START + Duration::seconds(3),
        }
    }

    #[test]
    fn what_is_in_progress_counts_until_its_time() {
        let mut invalidations = Invalidations::default();
        invalidations.add(invalidation(1, 2));
        let mut later = invalidation(2, 0);
        later.paths = vec!["/b/*".to_owned(), "#tag".to_owned()];
        later.completes_at = START + Duration::seconds(5);
        invalidations.add(later);
        let mut load = |seconds| invalidations.load("E1", START + Duration::seconds(seconds));
        assert_eq!(
            load(2),
            Load {
                files: 3,
                wildcards: 1
            }
        );
        assert_eq!(
            load(3),
            Load {
                files: 1,
                wildcards: 1
            }
        );
        assert_eq!(load(5), Load::default());
        assert_eq!(invalidations.load("E2", START), Load::default());
    }

    #[test]
    fn a_long_run_forgets_the_oldest_and_still_finds_the_others() {
        let mut invalidations = Invalidations::default();
        for number in 0..CAPACITY + 10 {
            invalidations.add(invalidation(number, 1));
        }
        assert_eq!(invalidations.all.len(), CAPACITY);
        assert_eq!(invalidations.by_id.len(), CAPACITY);
        assert_eq!(invalidations.by_reference.len(), CAPACITY);
        assert!(invalidations.get("E1", "I9").is_none());
        assert!(invalidations.by_reference("E1", "r9").is_none());
        let newest = format!("I{}", CAPACITY + 9);
        assert_eq!(invalidations.get("E1", &newest).unwrap().id, newest);
        assert_eq!(invalidations.get("E1", "I10").unwrap().id, "I10");
        assert!(invalidations.get("E2", "I10").is_none());

        invalidations.add(invalidation(CAPACITY + 10, PATH_CAPACITY - 1));
        assert_eq!(invalidations.all.len(), 2);
    }
}
