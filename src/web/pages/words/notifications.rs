//! Settings → CDN → Notifications.

use super::look::look;
use super::{Look, Tone};
use crate::domain::notification::{EndpointKind, Event};
use crate::store::DeliveryState;

/// The name of a signing secret that is shown once.
pub const SIGNING_SECRET: &str = "Signing secret of the endpoint";

/// Nothing was chosen to hear of.
pub const NO_EVENTS: &str = "Choose at least one.";

/// As many endpoints as there may be.
pub fn too_many(most: usize) -> String {
    format!("A site can have {most} endpoints. Remove one first.")
}

/// How an endpoint is told.
pub const fn kind(kind: EndpointKind) -> &'static str {
    match kind {
        EndpointKind::Standard => "Standard Webhooks",
        EndpointKind::Slack => "Slack",
    }
}

/// What an event means.
pub const fn event(event: Event) -> &'static str {
    match event {
        Event::PublishCompleted => "A publish is completed",
        Event::PublishFailed => "A publish failed",
        Event::PublishUnconfirmed => "A publish is unconfirmed",
        Event::PublishStale => "Readers still get an old page",
        Event::SitePaused => "Purging is paused",
        Event::SiteResumed => "Purging goes on",
        Event::MonthNear => "Four fifths of the monthly limit are used",
        Event::MonthReached => "The monthly limit is reached",
        Event::Test => "A test",
    }
}

/// Where a message stands.
pub const fn delivery(state: DeliveryState, tried: bool) -> Look {
    match (state, tried) {
        (DeliveryState::Delivered, _) => {
            look("Delivered", Tone::Good, "check", "The endpoint took it.")
        }
        (DeliveryState::Waiting, true) => look(
            "Tried again",
            Tone::Warn,
            "progress",
            "The endpoint has not taken it yet. It is sent again.",
        ),
        (DeliveryState::Waiting, false) => {
            look("Waiting", Tone::Quiet, "queued", "It is sent next.")
        }
        (DeliveryState::GivenUp, _) => look(
            "Given up",
            Tone::Bad,
            "cross",
            "The endpoint did not take it for a day, or was switched off.",
        ),
    }
}

/// How an attempt ended.
pub fn answer(status: Option<u16>, trouble: Option<&str>) -> String {
    match (status, trouble) {
        (Some(status), _) => format!("answered {status}"),
        (None, Some(trouble)) => trouble.to_owned(),
        (None, None) => "no answer".to_owned(),
    }
}
