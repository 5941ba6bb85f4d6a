//! Where notifications go, and what was sent there.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use time::Duration;

use super::page::{Notice, layout};
use super::tokens::Numbered;
use crate::domain::notification::{EndpointKind, EndpointUrl, Event};
use crate::domain::{AuditAction, HookSecret};
use crate::store::{DeliveryView, EndpointView, MAX_ENDPOINTS, NewEndpoint};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Path, Query};
use crate::web::pages::views::{
    DeliveryRow, EndpointForm, EndpointRow, EventChoice, Field, NotificationsPage, Revealed,
    Section, Span, TryRow,
};
use crate::web::pages::visit::{Visit, html, refused};
use crate::web::pages::words::notifications as words;
use crate::web::state::AppState;

/// What is sent within this, a reader without scripts waits for.
const SOON: Duration = Duration::seconds(10);

/// Fields by name: each event has one of its own.
type Fields = BTreeMap<String, String>;

/// `GET /settings/cdn/notifications`.
pub(crate) async fn show(
    State(state): State<AppState>,
    visit: Visit,
    Query(notice): Query<Notice>,
) -> Result<Response> {
    html(&page(&state, &visit, Some(&notice), blank(), Vec::new()).await?)
}

/// `POST /settings/cdn/notifications`: adds an endpoint, and shows its secret, this once.
pub(crate) async fn create(
    State(state): State<AppState>,
    visit: Visit,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let text = |name| fields.get(name).cloned().unwrap_or_default();
    let url = EndpointUrl::parse(&text("url"), state.allow_private_targets);
    let kind = text("kind").parse().unwrap_or_default();
    let events = chosen(&fields);
    let mut typed = EndpointForm {
        url: Field::typed(text("url"), url.as_ref().err().map(ToString::to_string)),
        kind,
        events: choices(&events),
        events_error: events.is_empty().then(|| words::NO_EVENTS.to_owned()),
    };
    let url = match url {
        Ok(url) if !events.is_empty() => url,
        _ => return refused(page(&state, &visit, None, typed, Vec::new()).await?),
    };
    let secret = (kind == EndpointKind::Standard).then(|| HookSecret::text(*state.clock.random()));
    let endpoint = NewEndpoint {
        id: state.clock.id(),
        kind,
        url,
        secret,
        events,
    };
    let (site, now) = (visit.site.id, state.clock.now());
    if !state.store.add_endpoint(site, &endpoint, now).await? {
        typed.url.error = Some(words::too_many(MAX_ENDPOINTS));
        return refused(page(&state, &visit, None, typed, Vec::new()).await?);
    }
    let detail = Some(endpoint.url.shown());
    visit.audit(AuditAction::AddedEndpoint, detail).await?;
    match &endpoint.secret {
        Some(secret) => reveal(&state, &visit, secret).await,
        None => Ok(visit.see("/settings/cdn/notifications?done=endpoint")),
    }
}

/// `POST /settings/cdn/notifications/{id}`: changes what an endpoint hears of.
pub(crate) async fn choose(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let events = chosen(&fields);
    if events.is_empty() {
        return Ok(visit.see("/settings/cdn/notifications?done=no-events"));
    }
    let shown = state
        .store
        .choose_events(visit.site.id, id, &events)
        .await?;
    done(&visit, AuditAction::ChangedEndpoint, shown, "endpoint").await
}

/// `POST /settings/cdn/notifications/{id}/rotate`: gives it another secret and shows that, this once.
pub(crate) async fn rotate(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let secret = HookSecret::text(*state.clock.random());
    let site = visit.site.id;
    let shown = state
        .store
        .rotate_endpoint_secret(site, id, &secret)
        .await?;
    let detail = Some(shown.ok_or(Error::NotFound)?);
    visit
        .audit(AuditAction::RotatedEndpointSecret, detail)
        .await?;
    reveal(&state, &visit, &secret).await
}

/// `POST /settings/cdn/notifications/{id}/test`: “Send a test”.
pub(crate) async fn test(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let now = state.clock.now();
    let sent = state.store.send_test(visit.site.id, id, now).await?;
    let detail = sent.then(|| id.to_string());
    done(&visit, AuditAction::TestedEndpoint, detail, "test-sent").await
}

/// `POST /settings/cdn/notifications/{id}/switch-on`.
pub(crate) async fn switch_on(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let (site, now) = (visit.site.id, state.clock.now());
    let shown = state.store.switch_on_endpoint(site, id, now).await?;
    done(
        &visit,
        AuditAction::SwitchedOnEndpoint,
        shown,
        "switched-on",
    )
    .await
}

/// `POST /settings/cdn/notifications/{id}/remove`.
pub(crate) async fn remove(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let shown = state.store.remove_endpoint(visit.site.id, id).await?;
    done(
        &visit,
        AuditAction::RemovedEndpoint,
        shown,
        "endpoint-removed",
    )
    .await
}

/// `POST /settings/cdn/deliveries/{id}/again`: “Send again”.
pub(crate) async fn again(
    State(state): State<AppState>,
    visit: Visit,
    Path(Numbered { id }): Path<Numbered>,
) -> Result<Response> {
    let now = state.clock.now();
    let sent = state.store.send_again(visit.site.id, id, now).await?;
    let detail = sent.then(|| id.to_string());
    done(&visit, AuditAction::SentAgain, detail, "sent-again").await
}

/// Back to the page, if there was something to do it to.
async fn done(
    visit: &Visit,
    action: AuditAction,
    detail: Option<String>,
    notice: &str,
) -> Result<Response> {
    let detail = Some(detail.ok_or(Error::NotFound)?);
    visit.audit(action, detail).await?;
    Ok(visit.see(&format!("/settings/cdn/notifications?done={notice}")))
}

async fn reveal(state: &AppState, visit: &Visit, secret: &SecretString) -> Result<Response> {
    let revealed = Revealed {
        is_token: false,
        name: words::SIGNING_SECRET.into(),
        value: secret.expose_secret().to_owned(),
    };
    html(&page(state, visit, None, blank(), vec![revealed]).await?)
}

async fn page(
    state: &AppState,
    visit: &Visit,
    notice: Option<&Notice>,
    form: EndpointForm,
    revealed: Vec<Revealed>,
) -> Result<NotificationsPage> {
    let (store, site) = (&state.store, visit.site.id);
    let endpoints = store.endpoints(site).await?;
    let deliveries = store.deliveries(site).await?;
    let names: HashMap<_, _> = endpoints
        .iter()
        .map(|endpoint| {
            (
                endpoint.id,
                (endpoint.shown.clone(), endpoint.off_at.is_none()),
            )
        })
        .collect();
    let mut layout = layout(visit, Section::Notifications, notice);
    let soon = layout.now + SOON;
    layout.pending = deliveries
        .iter()
        .any(|delivery| delivery.next_at.is_some_and(|at| at <= soon));
    Ok(NotificationsPage {
        revealed,
        endpoints: endpoints.into_iter().map(endpoint_row).collect(),
        form,
        deliveries: deliveries
            .into_iter()
            .map(|delivery| {
                let to = names.get(&delivery.endpoint).cloned().unwrap_or_default();
                delivery_row(delivery, to)
            })
            .collect(),
        layout,
    })
}

/// A form that nobody has filled in: asks for what somebody should look at.
fn blank() -> EndpointForm {
    let trouble = Event::CHOICE.into_iter().filter(|event| event.is_trouble());
    EndpointForm {
        url: Field::default(),
        kind: EndpointKind::default(),
        events: choices(&trouble.collect::<Vec<_>>()),
        events_error: None,
    }
}

fn chosen(fields: &Fields) -> Vec<Event> {
    let is_chosen = |event: &Event| fields.contains_key(event.into_str());
    Event::CHOICE.into_iter().filter(is_chosen).collect()
}

fn choices(chosen: &[Event]) -> Vec<EventChoice> {
    let choice = |event: Event| EventChoice {
        name: event.into_str(),
        label: words::event(event),
        chosen: chosen.contains(&event),
    };
    Event::CHOICE.into_iter().map(choice).collect()
}

fn endpoint_row(endpoint: EndpointView) -> EndpointRow {
    EndpointRow {
        id: endpoint.id.to_string(),
        kind: words::kind(endpoint.kind),
        shown: endpoint.shown,
        events: choices(&endpoint.events),
        signed: endpoint.kind == EndpointKind::Standard,
        last_delivered: endpoint.last_delivered,
        waiting: endpoint.waiting.unsigned_abs(),
        failing_since: endpoint.failing_since,
        off_at: endpoint.off_at,
    }
}

fn delivery_row(delivery: DeliveryView, (to, is_on): (String, bool)) -> DeliveryRow {
    DeliveryRow {
        id: delivery.id.to_string(),
        webhook_id: delivery.webhook_id,
        event: delivery.event.into_str(),
        to,
        happened_at: delivery.happened_at,
        look: words::delivery(delivery.state, !delivery.tries.is_empty()),
        repeatable: is_on && delivery.body.is_some(),
        body: delivery.body.as_deref().map(indented),
        tries: delivery
            .tries
            .into_iter()
            .rev()
            .map(|tried| TryRow {
                at: tried.at,
                answer: words::answer(tried.status, tried.trouble.as_deref()),
                took: Span(took(tried.took_ms)),
                body: tried.body,
            })
            .collect(),
        next_at: delivery.next_at,
    }
}

fn took(milliseconds: u64) -> Duration {
    Duration::milliseconds(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}

/// JSON as people read it.
fn indented(body: &str) -> String {
    serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| body.to_owned())
}
