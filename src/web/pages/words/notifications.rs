//! Settings → CDN → Notifications.

use std::borrow::Cow;

use super::look::look;
use super::{Look, Question, Tone, WARNING};
use crate::domain::notification::{EndpointKind, Event, Tried};
use crate::store::{DeliveryState, DeliveryView};

pub const SIGNING_SECRET: &str = "Signing secret of the endpoint";

pub const NO_EVENTS: &str = "Choose at least one event.";

pub const NONE_CHOSEN: Look =
    WARNING.means("Not saved: choose at least one event, or remove the endpoint.");

pub fn too_many(most: usize) -> String {
    format!("A site can have at most {most} endpoints. Remove one first.")
}

pub fn rotate(shown: &str) -> Question {
    Question {
        title: Cow::Owned(format!("Give {shown} a new signing secret?")),
        text: Cow::Borrowed("Its receiver has to be told the new one."),
        consequences: &[
            "The secret it has now stops working at once: until its receiver has the new one, it will refuse what is sent.",
            "The new one is shown only once.",
        ],
        action: "Create the new secret",
    }
}

pub fn remove(shown: &str) -> Question {
    Question {
        title: Cow::Owned(format!("Remove the endpoint {shown}?")),
        text: Cow::Borrowed("Nothing is sent there any more."),
        consequences: &[
            "What is waiting to be sent is dropped.",
            "Its deliveries disappear from this page.",
        ],
        action: "Remove the endpoint",
    }
}

pub const fn kind(kind: &EndpointKind) -> &'static str {
    match kind {
        EndpointKind::Standard => "Standard Webhooks",
        EndpointKind::Slack => "Slack",
    }
}

pub const fn event(event: &Event) -> &'static str {
    match event {
        Event::PublishCompleted => "A publish completed",
        Event::PublishFailed => "A publish failed",
        Event::PublishUnconfirmed => "A publish ended unconfirmed",
        Event::PublishStale => "Readers still get an old page",
        Event::SitePaused => "Purging is paused",
        Event::SiteResumed => "Purging resumed",
        Event::MonthNear => "80% of the monthly limit is used",
        Event::MonthReached => "The monthly limit is reached",
        Event::Test => "A test",
    }
}

pub const fn delivery(delivery: &DeliveryView) -> Look {
    match (delivery.state, !delivery.tries.is_empty()) {
        (DeliveryState::Delivered, _) => {
            look("Delivered", Tone::Good, "check").means("The endpoint accepted it.")
        }
        (DeliveryState::Waiting, true) => look("Retrying", Tone::Warn, "progress")
            .means("The endpoint has not accepted it yet. It will be sent again."),
        (DeliveryState::Waiting, false) => {
            look("Waiting", Tone::Quiet, "queued").means("It is sent next.")
        }
        (DeliveryState::GivenUp, _) => look("Given up", Tone::Bad, "cross")
            .means("The endpoint did not accept it for a day, or was switched off."),
    }
}

/// How an attempt ended.
pub fn answer(tried: &Tried) -> String {
    match (tried.status, &tried.trouble) {
        (Some(status), _) => format!("answered {status}"),
        (None, Some(trouble)) => trouble.clone(),
        (None, None) => "no answer".to_owned(),
    }
}
