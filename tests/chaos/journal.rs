//! What happened, in order, and what must not have happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::clocks::Wrong;
use crate::schedule::Mishap;

/// Clones write into the same one.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    events: Vec<(OffsetDateTime, String)>,
    counts: BTreeMap<&'static str, u64>,
    breaches: Vec<String>,
    calms: Vec<Calm>,
    wrong_clocks: Vec<Wrong>,
    removals: Vec<Stretch>,
    kills: Vec<OffsetDateTime>,
}

/// A stretch of time.
#[derive(Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) from: OffsetDateTime,
    pub(crate) to: OffsetDateTime,
}

/// A stretch of time in which nothing failed but this.
#[derive(Clone, Copy)]
pub(crate) struct Calm {
    pub(crate) stretch: Stretch,
    pub(crate) except: Option<Mishap>,
}

impl Journal {
    /// Something happened. `kind` counts it; empty: it is part of what was counted.
    pub(crate) fn note(&self, kind: &'static str, what: String) {
        let mut pages = self.0.lock();
        pages.events.push((OffsetDateTime::now_utc(), what));
        if !kind.is_empty() {
            *pages.counts.entry(kind).or_default() += 1;
        }
    }

    /// Something happened that must not.
    pub(crate) fn breach(&self, what: String) {
        self.0.lock().breaches.push(what);
    }

    /// Everything worked from then until now, except for this.
    pub(crate) fn calm(&self, from: OffsetDateTime, except: Option<Mishap>) {
        let to = OffsetDateTime::now_utc();
        let stretch = Stretch { from, to };
        self.0.lock().calms.push(Calm { stretch, except });
    }

    pub(crate) fn calms(&self) -> Vec<Calm> {
        self.0.lock().calms.clone()
    }

    /// Clocks were wrong all this time.
    pub(crate) fn wrong_clocks(&self, wrong: Wrong) {
        self.0.lock().wrong_clocks.push(wrong);
    }

    pub(crate) fn clocks(&self) -> Vec<Wrong> {
        self.0.lock().wrong_clocks.clone()
    }

    /// A site did not exist all this time.
    pub(crate) fn removed(&self, from: OffsetDateTime, to: OffsetDateTime) {
        self.0.lock().removals.push(Stretch { from, to });
    }

    pub(crate) fn removals(&self) -> Vec<Stretch> {
        self.0.lock().removals.clone()
    }

    /// A replica was killed, whatever it was doing.
    pub(crate) fn killed(&self) {
        self.0.lock().kills.push(OffsetDateTime::now_utc());
    }

    pub(crate) fn kills(&self) -> Vec<OffsetDateTime> {
        self.0.lock().kills.clone()
    }

    pub(crate) fn breaches(&self) -> Vec<String> {
        self.0.lock().breaches.clone()
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().counts.clone()
    }

    pub(crate) fn events(&self) -> Vec<(OffsetDateTime, String)> {
        self.0.lock().events.clone()
    }
}
