use askama::Template;
use time::OffsetDateTime;

use super::{
    assets::VERSION,
    layout::Layout,
    parts::{Aria, Field, Span},
    settings_parts::Revealed,
};
use crate::domain::notification::EndpointKind;
use crate::web::pages::words::Look;

/// Where a site's notifications go, and what was sent there.
///
/// Forms: `POST …/settings/cdn/notifications` (`url`, `kind`, and a field per event),
/// `…/notifications/{id}` (a field per event), `…/{id}/test`, `…/{id}/rotate`, `…/{id}/switch-on`,
/// `…/{id}/remove`, and `POST …/settings/cdn/deliveries/{id}/again`.
#[derive(Template)]
#[template(path = "settings/notifications.html")]
pub struct NotificationsPage {
    /// What every page shares.
    pub layout: Layout,
    /// A signing secret that was just made; shown this once.
    pub revealed: Vec<Revealed>,
    /// Oldest first.
    pub endpoints: Vec<EndpointRow>,
    /// The form of a new one.
    pub form: EndpointForm,
    /// Newest first.
    pub deliveries: Vec<DeliveryRow>,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub struct EndpointRow {
    /// Its id in addresses.
    pub id: String,
    pub kind: &'static str,
    /// As much of its address as may be shown.
    pub shown: String,
    pub events: Vec<EventChoice>,
    /// It has a signing secret.
    pub signed: bool,
    pub last_delivered: Option<OffsetDateTime>,
    /// How many messages wait for it.
    pub waiting: u64,
    pub failing_since: Option<OffsetDateTime>,
    /// When it was switched off.
    pub off_at: Option<OffsetDateTime>,
}

/// What an endpoint may hear of.
#[derive(Clone, Debug)]
pub struct EventChoice {
    /// `publish.failed`.
    pub name: &'static str,
    pub label: &'static str,
    pub chosen: bool,
}

/// The form of a new endpoint, as typed.
#[derive(Clone, Debug)]
pub struct EndpointForm {
    pub url: Field,
    pub kind: EndpointKind,
    pub events: Vec<EventChoice>,
    pub events_error: Option<String>,
}

impl EndpointForm {
    fn is(&self, kind: EndpointKind) -> bool {
        self.kind == kind
    }

    fn events_aria(&self) -> Aria {
        Aria::new("events", self.events_error.is_some())
    }
}

/// A message to an endpoint.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    /// Its id in addresses.
    pub id: String,
    pub webhook_id: String,
    pub event: &'static str,
    /// The endpoint, as far as it may be shown.
    pub to: String,
    pub happened_at: OffsetDateTime,
    pub look: Look,
    /// What is posted, indented; none: it is not put into words yet.
    pub body: Option<String>,
    pub tries: Vec<TryRow>,
    /// When it is tried again.
    pub next_at: Option<OffsetDateTime>,
    /// It can be sent again.
    pub repeatable: bool,
}

/// An attempt.
#[derive(Clone, Debug)]
pub struct TryRow {
    pub at: OffsetDateTime,
    /// How it ended.
    pub answer: String,
    pub took: Span,
    /// What the endpoint said.
    pub body: String,
}
