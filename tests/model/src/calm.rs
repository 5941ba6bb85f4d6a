//! Nothing is stuck: from any state that faults can lead to, everything that was accepted ends once
//! the faults stop.

use crate::protocol::{Faults, Protocol, Step};
use crate::state::State;

/// More steps than any of the small systems here needs.
const ENOUGH: usize = 200;

impl Protocol {
    /// Goes on without faults. The order is fixed, and fair: CloudFront completes what it has
    /// before anybody asks, and what was begun is done before anything new is begun.
    pub(crate) fn ends_when_calm(&self, state: &State) -> bool {
        let mut state = state.clone();
        let mut steps = Vec::new();
        for _ in 0..ENOUGH {
            if state.has_ended() {
                return true;
            }
            // What is believed to be full is tried again and again: each time, 30 s have passed.
            state.faults = Faults {
                crashes: 0,
                losses: 0,
                expiries: 0,
                refusals: 1,
            };
            steps.clear();
            self.calm_steps(&state, &mut steps);
            let Some(step) = steps.iter().min_by_key(|step| order(**step)) else {
                return false;
            };
            state = self.after(&state, *step);
        }
        false
    }
}

fn order(step: Step) -> u8 {
    match step {
        Step::Complete(_) => 0,
        Step::Handle { .. } => 1,
        Step::Record(_) | Step::StopWaiting(_) => 2,
        Step::Call(_) | Step::StorePlan(_) => 3,
        Step::ExpireLease => 4,
        Step::Poll(_) => 5,
        Step::ClaimStored(..) => 6,
        _ => 7,
    }
}
