//! What happened, in order, and what must not have happened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;

/// Clones write into the same one.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    events: Vec<(OffsetDateTime, String)>,
    counts: BTreeMap<&'static str, u64>,
    breaches: Vec<String>,
    calms: Vec<Calm>,
}

/// A stretch of time in which everything worked.
#[derive(Clone, Copy)]
pub(crate) struct Calm {
    pub(crate) from: OffsetDateTime,
    pub(crate) to: OffsetDateTime,
}

impl Journal {
    /// Something happened. `kind` counts it; empty: it is part of what was counted.
    pub(crate) fn note(&self, kind: &'static str, what: String) {
        let mut pages = self.0.lock().unwrap();
        pages.events.push((OffsetDateTime::now_utc(), what));
        if !kind.is_empty() {
            *pages.counts.entry(kind).or_default() += 1;
        }
    }

    /// Something happened that must not.
    pub(crate) fn breach(&self, what: String) {
        self.0.lock().unwrap().breaches.push(what);
    }

    /// Everything worked all this time.
    pub(crate) fn calm(&self, from: OffsetDateTime, to: OffsetDateTime) {
        self.0.lock().unwrap().calms.push(Calm { from, to });
    }

    pub(crate) fn calms(&self) -> Vec<Calm> {
        self.0.lock().unwrap().calms.clone()
    }

    pub(crate) fn breaches(&self) -> Vec<String> {
        self.0.lock().unwrap().breaches.clone()
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap().counts.clone()
    }

    pub(crate) fn events(&self) -> Vec<(OffsetDateTime, String)> {
        self.0.lock().unwrap().events.clone()
    }
}
