//! How connections are served.

use std::time::Duration;

/// How many connections, and how long each step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// For the next request's head to arrive, whether its client is idle or slow. Longer than the
    /// 60 s for which common load balancers keep a connection, which would otherwise send a
    /// request just as it is being closed.
    pub head: Duration,
    /// For a request's body to arrive.
    pub body: Duration,
    /// For an answer to be ready, including the minute that `Prefer: wait` may ask for.
    pub answer: Duration,
    /// From one look to the next whether the session of a live page has ended.
    pub session_check: Duration,
    /// After a stop, for load balancers to notice.
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
