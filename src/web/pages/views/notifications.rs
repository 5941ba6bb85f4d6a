use askama::Template;
use time::Duration;
use uuid::Uuid;

use super::layout::Layout;
use super::paging::{ListPage, Paging};
use super::parts::{Field, Span};
use super::settings::Revealed;
use crate::domain::notification::{EndpointKind, Event};
use crate::store::{DeliveryState, DeliveryView, EndpointView};
use crate::web::pages::words::notifications as words;

/// Where a site's notifications go, and what was sent there.
#[derive(Template)]
#[template(path = "settings/notifications.html")]
pub struct NotificationsPage {
    pub layout: Layout,
    /// A signing secret that was just created, shown only this once.
    pub revealed: Vec<Revealed>,
    /// Oldest first.
    pub endpoints: ListPage<EndpointView>,
    /// All of them, including those on other pages.
    pub known: Vec<EndpointView>,
    pub form: EndpointForm,
    /// Newest first.
    pub deliveries: Vec<DeliveryView>,
    pub paging: Paging,
    /// The last delivery of the previous page.
    pub before: Option<Uuid>,
    /// The delivery that is shown with its request and answers.
    pub opened: Option<Uuid>,
    /// The endpoint whose events can be chosen.
    pub endpoint: Option<Uuid>,
}

impl NotificationsPage {
    fn endpoint_of(&self, delivery: &DeliveryView) -> Option<&EndpointView> {
        let mut endpoints = self.known.iter();
        endpoints.find(|endpoint| endpoint.id == delivery.endpoint)
    }

    fn is_opened(&self, delivery: &DeliveryView) -> bool {
        self.opened == Some(delivery.id)
    }

    /// The query that opens or closes a delivery.
    fn query(&self, delivery: Option<&Uuid>) -> String {
        let ids = [("before", self.before.as_ref()), ("delivery", delivery)];
        let ids = ids
            .iter()
            .filter_map(|(name, id)| Some((name, id.as_ref()?.to_string())));
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(ids)
            .finish()
    }

    /// What was given up may never have been tried: it waited when its endpoint was switched off.
    fn is_repeatable(&self, delivery: &DeliveryView) -> bool {
        let has_had_its_turn = delivery.body.is_some() || delivery.state == DeliveryState::GivenUp;
        let endpoint = self.endpoint_of(delivery);
        has_had_its_turn && endpoint.is_some_and(|endpoint| endpoint.off_at.is_none())
    }
}

/// The form of a new endpoint, as typed.
#[derive(Clone, Debug)]
pub struct EndpointForm {
    pub url: Field,
    pub kind: EndpointKind,
    pub events: Vec<Event>,
    pub events_error: Option<String>,
}

fn took(milliseconds: &u64) -> Span {
    let milliseconds = i64::try_from(*milliseconds).unwrap_or(i64::MAX);
    Span(Duration::milliseconds(milliseconds))
}

/// JSON, indented for people.
fn indented(body: &str) -> String {
    serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| body.to_owned())
}
