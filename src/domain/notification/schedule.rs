//! When a notification is sent again, and when its endpoint is given up.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use time::{Duration, OffsetDateTime};

use crate::domain::NoAnswer;

/// The pause after each failed attempt: a little more than a day in all, so that an endpoint that
/// has been silent for a day is given up at the end.
const PAUSES: [Duration; 10] = [
    Duration::seconds(5),
    Duration::seconds(30),
    Duration::minutes(2),
    Duration::minutes(10),
    Duration::minutes(30),
    Duration::hours(1),
    Duration::hours(2),
    Duration::hours(4),
    Duration::hours(6),
    Duration::minutes(630),
];
/// An endpoint that failed is tried again after this at the latest, with whatever waits for it, and
/// one that asks for more time gets no more.
pub const MAX_ENDPOINT_PAUSE: Duration = Duration::hours(1);
/// The longest pause of a message.
pub const MAX_MESSAGE_PAUSE: Duration = PAUSES[PAUSES.len() - 1];
/// An endpoint that fails for this long is switched off.
const DEAD_AFTER: Duration = Duration::DAY;
/// After this many failures in a row the endpoint is at fault, and not one message: once it works
/// again, what waits goes at once.
const OUTAGE: u32 = 3;
/// “Gone”: the endpoint wants no more messages.
const GONE: u16 = 410;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The beginning of what it said.
    pub body: String,
}

impl Reply {
    pub const fn is_success(&self) -> bool {
        self.status / 100 == 2
    }
}

/// An attempt, for the page of deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub took_ms: u64,
    /// What the endpoint answered; `None` if nothing.
    pub status: Option<u16>,
    /// The beginning of what it said.
    pub body: String,
    /// Why there was no answer.
    pub trouble: Option<String>,
}

impl Tried {
    pub fn new(
        answer: &Result<Reply, NoAnswer>,
        began: OffsetDateTime,
        ended: OffsetDateTime,
    ) -> Self {
        let took = (ended - began).whole_milliseconds();
        let reply = answer.as_ref().ok();
        Self {
            at: began,
            took_ms: u64::try_from(took).unwrap_or_default(),
            status: reply.map(|reply| reply.status),
            body: reply.map(|reply| reply.body.clone()).unwrap_or_default(),
            trouble: answer.as_ref().err().map(ToString::to_string),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Attempts that failed since the last one that did not.
    pub failures: u32,
    pub failing_since: Option<OffsetDateTime>,
}

impl Health {
    /// The health as of `now`, after a time in which nobody could try: that says nothing about the
    /// endpoint.
    pub fn after_sleep(self, now: OffsetDateTime) -> Self {
        Self {
            failing_since: self.failing_since.map(|_| now),
            ..self
        }
    }
}

/// What follows for a message; by these names, the metrics count attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Next {
    Delivered,
    #[strum(serialize = "failed")]
    Again(OffsetDateTime),
    GivenUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointAfter {
    Works {
        /// It had failed for some time: what waits for another try goes at once.
        recovered: bool,
    },
    /// It is left alone until then.
    Failing {
        health: Health,
        until: OffsetDateTime,
    },
    /// It no longer gets anything.
    SwitchedOff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfterDelivery {
    pub next: Next,
    pub endpoint: EndpointAfter,
}

/// What follows from the `attempt`th attempt, which counts from 1.
pub fn after_delivery(
    attempt: u32,
    health: Health,
    answer: &Result<Reply, NoAnswer>,
    now: OffsetDateTime,
) -> AfterDelivery {
    let reply = answer.as_ref().ok();
    if reply.is_some_and(Reply::is_success) {
        return AfterDelivery {
            next: Next::Delivered,
            endpoint: EndpointAfter::Works {
                recovered: health.failures >= OUTAGE,
            },
        };
    }
    let since = health.failing_since.unwrap_or(now);
    let is_gone = reply.is_some_and(|reply| reply.status == GONE);
    if is_gone || now - since >= DEAD_AFTER {
        return AfterDelivery {
            next: Next::GivenUp,
            endpoint: EndpointAfter::SwitchedOff,
        };
    }
    let health = Health {
        failures: health.failures.saturating_add(1),
        failing_since: Some(since),
    };
    let asked = reply.and_then(|reply| reply.retry_after);
    let asked = asked.unwrap_or_default().min(MAX_ENDPOINT_PAUSE);
    let of_endpoint = pause(health.failures).unwrap_or(MAX_ENDPOINT_PAUSE);
    AfterDelivery {
        next: match pause(attempt) {
            Some(pause) => Next::Again(now + pause.max(asked)),
            None => Next::GivenUp,
        },
        endpoint: EndpointAfter::Failing {
            health,
            until: now + of_endpoint.min(MAX_ENDPOINT_PAUSE).max(asked),
        },
    }
}

/// The pause after the `n`th failure; `None` if there were enough.
fn pause(n: u32) -> Option<Duration> {
    let index = usize::try_from(n.saturating_sub(1)).ok()?;
    PAUSES.get(index).copied()
}
