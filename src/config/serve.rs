//! How connections are served.

use std::time::Duration;

use super::{ConfigError, Variables, error};

/// How many connections, and how long each step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// For the next request's head to arrive, whether its client is idle or slow. Longer than the
    /// 60 s for which common load balancers keep an idle connection: they might send a request just
    /// as it is being closed.
    pub head: Duration,
    /// For a request's body to arrive.
    pub body: Duration,
    /// For an answer to be ready, including the minute that `Prefer: wait` may ask for.
    pub answer: Duration,
    /// Between two checks whether the session of a live page has ended.
    pub session_check: Duration,
    /// After a stop, for load balancers to notice it.
    pub grace: Duration,
    /// After a stop, for all answers under way.
    pub finish: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections: 1_024,
            head: Duration::from_secs(75),
            body: Duration::from_secs(20),
            answer: Duration::from_secs(90),
            session_check: Duration::from_secs(60),
            grace: Duration::from_secs(2),
            finish: Duration::from_secs(8),
        }
    }
}

impl ServeOptions {
    pub(super) fn read(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        const GRACE: &str = "SHUTDOWN_GRACE_SECONDS";
        let default = Self::default();
        let grace = vars.parse(GRACE, "a number of seconds from 0 to 5")?;
        if grace.is_some_and(|seconds: u8| seconds > 5) {
            return Err(error(
                GRACE,
                "must be at most 5: answers under way need time after it",
            ));
        }
        Ok(Self {
            connections: vars
                .positive::<u16>("MAX_CONNECTIONS")?
                .map_or(default.connections, usize::from),
            grace: grace.map_or(default.grace, |seconds| {
                Duration::from_secs(u64::from(seconds))
            }),
            ..default
        })
    }
}
