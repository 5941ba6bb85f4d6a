//! Where notifications go, and what was sent there.

use std::collections::BTreeMap;

use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use time::Duration;
use uuid::Uuid;

use super::section::{ask, confirmed, layout};
use crate::domain::notification::{EndpointKind, EndpointUrl, Event};
use crate::domain::{AuditAction, HookSecret};
use crate::store::{MAX_ENDPOINTS, NewEndpoint};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Query};
use crate::web::pages::once::{Button, Ending, OnceKey};
use crate::web::pages::views::{
    EndpointForm, Field, ListPage, NotificationsPage, Paging, Revealed, Section,
};
use crate::web::pages::visit::{Id, Visit, html, not_accepted};
use crate::web::pages::words::notifications as words;
use crate::web::pages::words::settings::GONE_SINCE;

/// Without scripts, the page reloads itself while a delivery is due within this.
const SOON: Duration = Duration::seconds(10);

/// Fields by name, since each event has its own.
type Fields = BTreeMap<String, String>;

/// How many endpoints and deliveries the page lists.
const ENDPOINTS: usize = 6;
const DELIVERIES: usize = 10;

#[derive(Default, PartialEq, Deserialize)]
pub(crate) struct PageQuery {
    /// Only deliveries older than this one.
    before: Option<Uuid>,
    /// The delivery whose request and answers are shown.
    delivery: Option<Uuid>,
    /// The endpoint whose events are shown.
    endpoint: Option<Uuid>,
    /// The page of the endpoints, counted from 1.
    endpoints: Option<usize>,
}

/// `GET /settings/cdn/notifications`.
pub(crate) async fn show(visit: Visit, Query(query): Query<PageQuery>) -> Result<Response> {
    html(&page(&visit, query).await?)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewFields {
    url: String,
    kind: String,
    once: OnceKey,
    #[serde(flatten)]
    events: Fields,
}

/// `POST /settings/cdn/notifications`: adds an endpoint and shows its secret, only this once.
pub(crate) async fn create(visit: Visit, Form(new): Form<NewFields>) -> Result<Response> {
    let state = &visit.state;
    let url = EndpointUrl::parse(&new.url, state.allow_private_targets);
    let url = url.map_err(|error| error.to_string());
    let kind = new.kind.parse().unwrap_or_default();
    let events = chosen(&new.events);
    let mut typed = EndpointForm {
        url: Field::read(&new.url, &url),
        kind,
        events: events.clone(),
        events_error: events.is_empty().then(|| words::NO_EVENTS.to_owned()),
    };
    let url = match url {
        Ok(url) if !events.is_empty() => url,
        _ => return refuse(&visit, typed).await,
    };
    let names: Vec<&str> = events.iter().map(Event::into_str).collect();
    let (site, names) = (visit.site.name.as_str(), names.join(" "));
    let values = ["endpoint", site, &new.url, kind.into_str(), &names];
    let form = new.once.form(state, &values);
    let is_signed = kind == EndpointKind::Standard;
    let endpoint = NewEndpoint {
        id: state.clock.id(),
        kind,
        url,
        secret: is_signed.then(|| HookSecret::text(*state.clock.random())),
        events,
    };
    let added = state
        .store
        .add_endpoint(visit.site.id, &endpoint, &form, state.clock.now())
        .await?;
    let Some((secret, is_first)) = added else {
        let endpoints = state.store.endpoints(visit.site.id).await?;
        typed.url.error = Some(if endpoints.len() < MAX_ENDPOINTS {
            GONE_SINCE.to_owned()
        } else {
            words::too_many(MAX_ENDPOINTS)
        });
        return refuse(&visit, typed).await;
    };
    if is_first {
        let detail = Some(endpoint.url.shown());
        visit.audit(AuditAction::AddedEndpoint, detail).await;
    }
    if is_signed {
        reveal(&visit, &secret).await
    } else {
        Ok(visit.see("/settings/cdn/notifications?done=endpoint"))
    }
}

/// `POST /settings/cdn/notifications/{id}`: changes the events that an endpoint is sent.
pub(crate) async fn choose(
    visit: Visit,
    Id { id }: Id,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let events = chosen(&fields);
    if events.is_empty() {
        let query = PageQuery {
            endpoint: Some(id),
            ..PageQuery::default()
        };
        let mut page = page(&visit, query).await?;
        let mut rows = page.endpoints.rows.iter_mut();
        let row = rows.find(|row| row.id == id).ok_or(Error::NotFound)?;
        row.events = events;
        page.layout.flash = Some(words::NONE_CHOSEN);
        let path = Section::Notifications.path();
        page.layout.address = Some(format!("{path}?endpoint={id}").into());
        return not_accepted(page);
    }
    let store = &visit.state.store;
    let shown = store.choose_events(visit.site.id, id, &events).await?;
    done(&visit, AuditAction::ChangedEndpoint, shown, "endpoint").await
}

/// `POST /settings/cdn/notifications/{id}/rotate`: asks first, then gives the endpoint a new secret
/// and shows that, only this once.
pub(crate) async fn rotate(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    let state = &visit.state;
    if button.confirmed.is_none() {
        let shown = shown(&visit, id).await?.ok_or(Error::NotFound)?;
        let question = words::rotate(&shown);
        let mut fields = confirmed();
        fields.push(("once", state.clock.id().to_string()));
        let path = format!("/settings/cdn/notifications/{id}/rotate");
        return ask(&visit, Section::Notifications, question, &path, fields);
    }
    let form = button.once.form(state, &["rotate", &id.to_string()]);
    let (site, now) = (visit.site.id, state.clock.now());
    let secret = HookSecret::text(*state.clock.random());
    let rotated = state
        .store
        .rotate_endpoint_secret(site, id, secret, &form, now)
        .await?;
    let (secret, is_first) = rotated.ok_or(Error::NotFound)?;
    if is_first {
        let detail = shown(&visit, id).await?;
        visit
            .audit(AuditAction::RotatedEndpointSecret, detail)
            .await;
    }
    reveal(&visit, &secret).await
}

/// `POST /settings/cdn/notifications/{id}/test`: “Send a test”.
pub(crate) async fn test(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    let (state, id_text) = (&visit.state, id.to_string());
    let form = button.once.form(state, &["test", &id_text]);
    let (site, now) = (visit.site.id, state.clock.now());
    let sent = state.store.send_test(site, id, &form, now).await?;
    let sent = sent.map(|is_first| (id_text, is_first));
    done(&visit, AuditAction::TestedEndpoint, sent, "test-sent").await
}

/// `POST /settings/cdn/notifications/{id}/switch-on`.
pub(crate) async fn switch_on(visit: Visit, Id { id }: Id) -> Result<Response> {
    let (store, now) = (&visit.state.store, visit.state.clock.now());
    let shown = store.switch_on_endpoint(visit.site.id, id, now).await?;
    let action = AuditAction::SwitchedOnEndpoint;
    done(&visit, action, shown, "switched-on").await
}

/// `POST /settings/cdn/notifications/{id}/remove`: asks first.
pub(crate) async fn remove(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    let (state, site) = (&visit.state, visit.site.id);
    let ending = Ending::of(&["endpoint", &visit.site.name, &id.to_string()]);
    if button.confirmed.is_none()
        && let Some(shown) = shown(&visit, id).await?
    {
        let path = format!("/settings/cdn/notifications/{id}/remove");
        let (section, question) = (Section::Notifications, words::remove(&shown));
        return ask(&visit, section, question, &path, confirmed());
    }
    let (ended, now) = (ending.form(), state.clock.now());
    match state.store.remove_endpoint(site, id, ended, now).await? {
        None => ending.confirm(state).await?,
        removed => visit.audit(AuditAction::RemovedEndpoint, removed).await,
    }
    Ok(visit.see("/settings/cdn/notifications?done=endpoint-removed"))
}

/// The part of an endpoint's address that may be shown.
async fn shown(visit: &Visit, id: Uuid) -> Result<Option<String>> {
    let endpoints = visit.state.store.endpoints(visit.site.id).await?;
    let mut endpoints = endpoints.into_iter();
    let endpoint = endpoints.find(|endpoint| endpoint.id == id);
    Ok(endpoint.map(|endpoint| endpoint.shown))
}

/// `POST /settings/cdn/deliveries/{id}/again`: “Send again”.
pub(crate) async fn again(visit: Visit, Id { id }: Id, button: Button) -> Result<Response> {
    let (state, id_text) = (&visit.state, id.to_string());
    let form = button.once.form(state, &["again", &id_text]);
    let (site, now) = (visit.site.id, state.clock.now());
    let sent = state.store.send_again(site, id, &form, now).await?;
    let sent = sent.map(|is_first| (id_text, is_first));
    done(&visit, AuditAction::SentAgain, sent, "sent-again").await
}

/// Records what was done, and to what, unless an earlier press had done it, and leads back to the
/// page. `None` if there was nothing to do it to.
async fn done(
    visit: &Visit,
    action: AuditAction,
    to: Option<(String, bool)>,
    notice: &str,
) -> Result<Response> {
    let (what, is_first) = to.ok_or(Error::NotFound)?;
    if is_first {
        visit.audit(action, Some(what)).await;
    }
    Ok(visit.see(&format!("/settings/cdn/notifications?done={notice}")))
}

async fn refuse(visit: &Visit, typed: EndpointForm) -> Result<Response> {
    let mut page = page(visit, PageQuery::default()).await?;
    page.form = typed;
    not_accepted(page)
}

async fn reveal(visit: &Visit, secret: &SecretString) -> Result<Response> {
    let mut page = page(visit, PageQuery::default()).await?;
    let secret = secret.expose_secret();
    page.revealed = vec![Revealed::new(words::SIGNING_SECRET, secret)];
    // It is shown only this once, and stays.
    page.layout.pending = false;
    html(&page)
}

async fn page(visit: &Visit, query: PageQuery) -> Result<NotificationsPage> {
    let (store, site) = (&visit.state.store, visit.site.id);
    let mut deliveries = store.deliveries(site).await?;
    let mut layout = layout(visit, Section::Notifications);
    let soon = layout.now + SOON;
    layout.pending = deliveries
        .iter()
        .any(|delivery| delivery.next_at.is_some_and(|at| at <= soon));
    if query != PageQuery::default() {
        layout.address = None;
    }
    let before = query.before;
    if let Some(before) = before {
        let place = deliveries.iter().position(|other| other.id == before);
        deliveries.drain(..place.map_or(deliveries.len(), |place| place + 1));
    }
    let known = store.endpoints(site).await?;
    let opened = known.iter().position(|one| Some(one.id) == query.endpoint);
    let page = opened.map(|at| at / ENDPOINTS + 1).or(query.endpoints);
    Ok(NotificationsPage {
        revealed: Vec::new(),
        endpoints: ListPage::of(known.clone(), page, ENDPOINTS),
        known,
        form: blank(),
        paging: Paging::cut(&mut deliveries, DELIVERIES, before, |delivery| delivery.id),
        before,
        opened: query.delivery,
        endpoint: query.endpoint,
        deliveries,
        layout,
    })
}

/// An empty form: the events that somebody should look into are chosen.
fn blank() -> EndpointForm {
    let choice = Event::CHOICE.iter().copied();
    EndpointForm {
        url: Field::default(),
        kind: EndpointKind::default(),
        events: choice.filter(|event| event.is_trouble()).collect(),
        events_error: None,
    }
}

fn chosen(fields: &Fields) -> Vec<Event> {
    let is_chosen = |event: &Event| fields.contains_key(event.into_str());
    Event::CHOICE.iter().copied().filter(is_chosen).collect()
}
