//! What all handlers share: the state and the only clock.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use time::OffsetDateTime;

use crate::state::{Start, State};

/// A handle on the sandbox.
#[derive(Clone)]
pub(crate) struct App {
    start: Arc<Start>,
    state: Arc<Mutex<State>>,
}

impl App {
    pub(crate) fn new(start: Start) -> Self {
        let state = State::new(start.clone(), fastrand::Rng::new());
        Self {
            start: Arc::new(start),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The state, locked. Never held across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Back to how it started.
    pub(crate) fn reset(&self) {
        *self.state() = State::new((*self.start).clone(), fastrand::Rng::new());
    }

    /// The one place that reads the clock.
    pub(crate) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}
