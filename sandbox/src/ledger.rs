//! Every call that was made, the newest in full and all of them in counters.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use time::OffsetDateTime;

/// How many calls are remembered in full.
const CAPACITY: usize = 200_000;

/// One call.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// Counts all calls from 1.
    pub(crate) seq: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) time: OffsetDateTime,
    pub(crate) operation: String,
    pub(crate) distribution: String,
    pub(crate) access_key_id: Option<String>,
    /// `Accepted`, `Repeated`, `Found`, the error's code, or `NotHandled` where a fault came first.
    /// It says what the API did; `fault` says what became of the answer.
    pub(crate) outcome: String,
    pub(crate) fault: Option<String>,
    pub(crate) request_id: String,
    pub(crate) caller_reference: Option<String>,
    pub(crate) invalidation_id: Option<String>,
    /// The header `traceparent`.
    pub(crate) traceparent: Option<String>,
    /// How many paths and tags the call named.
    pub(crate) paths: usize,
    /// In progress on the distribution after the call.
    pub(crate) in_progress_files: usize,
    pub(crate) in_progress_wildcards: usize,
}

/// The ledger.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: VecDeque<Entry>,
    counters: Counters,
}

/// Sums over all calls since the start or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Counters {
    pub(crate) calls: u64,
    /// The number of calls by operation and outcome.
    pub(crate) outcomes: BTreeMap<String, BTreeMap<String, u64>>,
    pub(crate) faults: u64,
    /// Paths of accepted invalidations: what AWS would charge for.
    pub(crate) billed_paths: u64,
}

impl Ledger {
    /// Assigns the number.
    pub(crate) fn record(&mut self, mut entry: Entry) {
        let counters = &mut self.counters;
        counters.calls += 1;
        counters.faults += u64::from(entry.fault.is_some());
        if entry.outcome == "Accepted" {
            counters.billed_paths += entry.paths as u64;
        }
        *counters
            .outcomes
            .entry(entry.operation.clone())
            .or_default()
            .entry(entry.outcome.clone())
            .or_default() += 1;
        entry.seq = counters.calls;
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Oldest first, from the one after number `after`.
    pub(crate) fn after(&self, after: u64) -> impl DoubleEndedIterator<Item = &Entry> {
        let start = self.entries.partition_point(|entry| entry.seq <= after);
        self.entries.range(start..)
    }
}
