//! Lone publishes, alone and beside what disturbs them, by turns.

use crate::lone::Waits;
use crate::table::{median, verdict};

/// All rounds.
#[derive(Default)]
pub(crate) struct Compared {
    alone: Waits,
    beside: Waits,
    /// How many times longer it took beside, in each round.
    answered: Vec<f64>,
    heard: Vec<f64>,
}

impl Compared {
    /// Adds a round.
    pub(crate) fn add(&mut self, alone: Waits, beside: Waits) {
        let ratio = |of: fn(&Waits, f64) -> f64| of(&beside, 50.0) / of(&alone, 50.0);
        self.answered.push(ratio(Waits::answered_ms));
        self.heard.push(ratio(Waits::heard_ms));
        self.alone.add(alone);
        self.beside.add(beside);
    }

    /// What a publish waits for; for how long alone and beside, p50 and p95 of each, as it is
    /// printed; and the median of the rounds' ratios.
    pub(crate) fn both(&self) -> [(&'static str, [String; 4], f64); 2] {
        let figures = |of: fn(&Waits, f64) -> f64| {
            let (alone, beside) = (&self.alone, &self.beside);
            [(alone, 50.0), (alone, 95.0), (beside, 50.0), (beside, 95.0)]
                .map(|(waits, percent)| format!("{:.2}", of(waits, percent)))
        };
        let ratio = |ratios: &[f64]| median(ratios.iter().copied());
        let (answered, heard) = (figures(Waits::answered_ms), figures(Waits::heard_ms));
        [
            ("202", answered, ratio(&self.answered)),
            ("CreateInvalidation", heard, ratio(&self.heard)),
        ]
    }
}

/// How many times longer than alone it may take, as a row of goals.
pub(crate) fn goal(figure: String, most: f64, ratio: f64) -> Vec<String> {
    vec![
        figure,
        format!("≤ {most} × alone"),
        format!("{ratio:.2}"),
        verdict(ratio <= most).into(),
    ]
}
