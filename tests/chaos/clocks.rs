//! The replicas' clocks, which libfaketime sets forward and back while they run, and what a time
//! that they wrote down says about the true one.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use time::{Duration, OffsetDateTime};

use crate::support::{Variables, named};

/// How far clocks are stepped.
const STEPS: [i64; 6] = [-120, -45, -10, 10, 45, 120];
/// How far one may be ahead of the other.
const AHEAD: i64 = 2;
/// How long it takes until a replica notices: libfaketime looks once a second.
const NOTICED: Duration = Duration::seconds(2);

/// The files that say how far each replica's clock is off.
pub(crate) struct Clocks {
    library: PathBuf,
    files: [PathBuf; 2],
}

impl Clocks {
    /// Clocks that are right.
    pub(crate) fn new(dir: &Path, library: &Path) -> Self {
        let clocks = Self {
            library: library.to_owned(),
            files: ["one", "two"].map(|name| dir.join(format!("{name}.clock"))),
        };
        clocks.set([0, 0]);
        clocks
    }

    /// What a replica is started with.
    pub(crate) fn variables(&self, replica: usize) -> Variables {
        let file = self.files[replica].to_str().unwrap();
        named(&[
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ])
    }

    /// Sets both clocks forward or back, and says by how many seconds.
    pub(crate) fn step(&self, rng: &mut Rng) -> Vec<i64> {
        let by = STEPS[rng.usize(..STEPS.len())];
        self.set([by, by]);
        vec![by]
    }

    /// Sets one clock a little ahead of the other.
    pub(crate) fn put_one_ahead(&self, rng: &mut Rng) -> Vec<i64> {
        let mut offsets = [0, 0];
        offsets[rng.usize(..2)] = AHEAD;
        self.set(offsets);
        offsets.to_vec()
    }

    /// Sets both right again.
    pub(crate) fn mend(&self) {
        self.set([0, 0]);
    }

    fn set(&self, offsets: [i64; 2]) {
        for (file, by) in self.files.iter().zip(offsets) {
            // Whole, whenever it is read.
            let new = file.with_extension("new");
            fs::write(&new, format!("{by:+}\n")).unwrap();
            fs::rename(new, file).unwrap();
        }
    }
}

/// A stretch of time in which clocks were wrong.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    pub(crate) from: OffsetDateTime,
    pub(crate) to: OffsetDateTime,
    /// How many seconds they may have been off.
    pub(crate) offsets: Vec<i64>,
}

impl Wrong {
    fn surely_lasted(&self, at: OffsetDateTime) -> bool {
        (self.from + NOTICED..self.to).contains(&at)
    }

    fn may_have_lasted(&self, at: OffsetDateTime) -> bool {
        (self.from..self.to + NOTICED).contains(&at)
    }
}

/// When it may truly have been that a replica wrote down this time: earliest and latest.
pub(crate) fn truly(wrongs: &[Wrong], written: OffsetDateTime) -> (OffsetDateTime, OffsetDateTime) {
    let off = wrongs.iter().flat_map(|wrong| {
        let offsets = wrong.offsets.iter();
        offsets
            .map(|by| written - Duration::seconds(*by))
            .filter(|at| wrong.may_have_lasted(*at))
    });
    let right = !wrongs
        .iter()
        .any(|wrong| wrong.surely_lasted(written) && !wrong.offsets.contains(&0));
    let possible: Vec<_> = off.chain(right.then_some(written)).collect();
    (
        possible.iter().copied().min().unwrap_or(written),
        possible.iter().copied().max().unwrap_or(written),
    )
}

/// Whether a clock was set between these two.
pub(crate) fn was_set_between(wrongs: &[Wrong], from: OffsetDateTime, to: OffsetDateTime) -> bool {
    let changes = wrongs.iter().flat_map(|wrong| [wrong.from, wrong.to]);
    changes
        .into_iter()
        .any(|at| at + NOTICED >= from && at <= to)
}
