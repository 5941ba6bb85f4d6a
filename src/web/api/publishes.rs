//! The publish hook, and what became of a publish.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::edge::EdgeCheck;
use crate::domain::{
    Canonical, Item, PublishRequest, PublishState, WaitReason, Widened, canonicalize,
};
use crate::store::{AcceptedPublish, Items, NewPublish, Publish, Site};
use crate::web::api::caller::{Call, Caller};
use crate::web::api::dry_run::{self, DryRunBody};
use crate::web::api::invalidations::InvalidationBody;
use crate::web::api::openapi::{
    self, MAX_WAIT_SECONDS, OfPublish, OfPublishing, PreferWait, SitePath, examples,
};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Path, Query};
use crate::web::http::turns::{LARGE_BYTES, LARGE_ITEMS};
use crate::web::publishing::{accept, accepted_before};
use crate::web::state::AppState;

/// A publish, and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Publish)]
struct PublishBody {
    id: Uuid,
    /// The site it belongs to.
    site: String,
    state: PublishState,
    /// When it came.
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
    /// What is purged for it, in CloudFront's terms.
    #[schema(value_type = Vec<Item>)]
    items: Vec<String>,
    /// Paths that can only be purged by purging more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    widened: Vec<Widened>,
    /// Why it is held, while no invalidation covers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = WaitReason)]
    waiting_for: Option<WaitReason>,
    /// More about why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
    /// What was not purged of a publish that failed: the rest of its items was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_items: Vec<Item>,
    /// The invalidations that cover it. Publishes that come together share them.
    invalidations: Vec<InvalidationBody>,
    /// What readers get of its pages, fetched at the site's public address after it completed. Empty
    /// while nothing was looked at.
    edge: Vec<EdgeCheck>,
}

impl PublishBody {
    /// The publish as it was accepted, before anything came of it.
    fn as_accepted(site: &Site, accepted: AcceptedPublish) -> Self {
        Self {
            id: accepted.id,
            site: site.name.clone(),
            state: PublishState::Queued,
            received_at: accepted.received_at,
            items: accepted.items,
            widened: accepted.widened,
            waiting_for: None,
            note: None,
            failed_items: Vec::new(),
            invalidations: Vec::new(),
            edge: Vec::new(),
        }
    }

    fn of(state: &AppState, site: &Site, view: Publish) -> Result<Self> {
        let now = state.clock.now();
        Ok(Self {
            failed_items: view.failed_items()?,
            id: view.id,
            site: site.name.clone(),
            state: view.state,
            received_at: view.received_at,
            items: view.items,
            widened: view.widened,
            waiting_for: view.waiting_for,
            note: view.note.and_then(|note| note.sentence(now, &state.limits)),
            invalidations: view
                .invalidations
                .into_iter()
                .map(InvalidationBody::of)
                .collect(),
            edge: view.edge,
        })
    }

    /// Whether it takes much memory to keep.
    fn is_large(&self) -> bool {
        let widened = self.widened.iter().map(|widened| widened.from.len());
        let lengths = || self.items.iter().map(String::len).chain(widened.clone());
        lengths().count() > LARGE_ITEMS || lengths().sum::<usize>() > LARGE_BYTES
    }

    /// The answer to a publish that is durable.
    fn into_answer(self, state: &AppState) -> Response {
        let prefix = &state.public.prefix;
        let location = format!("{prefix}/api/sites/{}/publishes/{}", self.site, self.id);
        let location = [(header::LOCATION, location)];
        (StatusCode::ACCEPTED, location, Json(self)).into_response()
    }
}

/// The query of `POST …/publishes`.
///
/// A parameter that is not known is refused: `?dryRun=true` would otherwise publish.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CreateOptions {
    /// Only tell what would be sent, and store nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Publish
///
/// Says which pages and tags have changed. It is answered as soon as it is durable, and purged
/// afterwards. It cannot be lost then: it ends `completed`, `unconfirmed`, or `failed` with a
/// reason.
#[utoipa::path(
    post,
    path = "/api/sites/{site}/publishes",
    operation_id = "publish",
    tag = openapi::PUBLISHING,
    params(
        SitePath,
        CreateOptions,
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Makes a repeat safe: the same key and body are answered as the first time, and purge nothing \
                           again. For a signed call, `webhook-id` serves this purpose, and this header is ignored.",
            nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$", example = "deploy-4711",
        ),
        PreferWait,
        (
            "traceparent" = Option<String>, Header,
            description = "W3C trace context: the trace that the publish belongs to. The log names it at each step, and \
                           the call to CloudFront carries it on. A malformed value is ignored.",
            nullable = false, example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
    ),
    request_body(
        content = PublishRequest,
        examples(
            ("pages" = (summary = "Pages, a directory and a cache tag", value = json!(examples::request()))),
            ("everything" = (summary = "The whole site", value = json!({ "everything": true }))),
        ),
    ),
    responses(
        (
            status = 202,
            description = "It is durable.",
            body = PublishBody,
            headers(
                ("Location" = String, description = "Where to ask how far it is."),
                ("Preference-Applied" = String, description = "How long the answer would have been held."),
            ),
            examples(
                ("accepted" = (summary = "At once", value = json!(examples::accepted()))),
                ("completed" = (summary = "With `Prefer: wait=30`", value = json!(examples::completed()))),
            ),
        ),
        (
            status = 200,
            description = "A dry run: what would be sent, and why. Nothing was stored.",
            body = DryRunBody,
            example = json!(examples::dry_run()),
        ),
        OfPublishing,
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    Query(options): Query<CreateOptions>,
    call: Call,
) -> Result<Response> {
    let Call {
        site,
        publisher,
        body,
        idempotency_key,
        traceparent,
        headers,
        mut turn,
        memory,
    } = call;
    let is_large = turn.is_some();
    let canonical = canonical(&state, &site, body, is_large).await;
    if options.dry_run {
        // Boxed, like the other rare ways below: in place they would make the future of every
        // publish as large as the largest of them, 7.6 kB instead of 1.9 kB.
        return Box::pin(dry_run::answer(&state, &site, canonical?)).await;
    }
    let first = match canonical {
        Ok(canonical) => {
            let publish = NewPublish {
                site: site.id,
                id: state.clock.id(),
                received_at: state.clock.now(),
                items: canonical.items,
                widened: canonical.widened,
                idempotency_key,
                traceparent,
                publisher,
            };
            accept(&state, &site, publish).await?
        }
        Err(refusal) => {
            let key = idempotency_key.as_ref();
            let first = Box::pin(accepted_before(&state, &site, key)).await?;
            first.ok_or(refusal)?
        }
    };
    let mut body = PublishBody::as_accepted(&site, first);
    let mut applied = None;
    if let Some(wait) = preferred_wait(&headers) {
        // Many may wait, and for a minute: few may keep anything large in memory meanwhile.
        let room = body
            .is_large()
            .then(|| state.open_answers.for_large(site.id));
        if let Ok(_room) = room.transpose() {
            turn = None;
            if let Some(memory) = memory {
                memory.give_back();
            }
            (body, applied) = Box::pin(body_after(&state, &site, body, wait)).await;
        }
    }
    let answer = {
        let state = state.clone();
        move || body.into_answer(&state)
    };
    let mut response = state.turns.compute(is_large, answer).await;
    drop(turn);
    add_preference_applied(&mut response, applied);
    Ok(response)
}

/// What was asked for, in CloudFront's terms, or why it cannot be purged.
async fn canonical(
    state: &AppState,
    site: &Arc<Site>,
    asked: PublishRequest,
    is_large: bool,
) -> Result<Canonical> {
    if site.distribution_id.is_none() {
        return Err(Error::NoSettings);
    }
    let site = Arc::clone(site);
    let canonical = state.turns.compute(is_large, move || {
        canonicalize(&asked, &site.publishing, site.partition)
    });
    canonical.await.map_err(Error::BadItems)
}

/// How far an accepted publish is after `wait`, and that preference, if it was applied. Where it
/// cannot be read, the publish as it was accepted: an error would say that it was not, and it would
/// be sent again.
async fn body_after(
    state: &AppState,
    site: &Site,
    accepted: PublishBody,
    wait: Duration,
) -> (PublishBody, Option<Duration>) {
    let id = accepted.id;
    let looked = ended_or_waited(state, site, id, Some(wait)).await;
    let body = looked.and_then(|(view, applied)| {
        let body = PublishBody::of(state, site, view)?;
        Ok((body, applied))
    });
    body.unwrap_or_else(|error| {
        let cause = error.source().map(tracing::field::display);
        let why = error.kind().name;
        tracing::warn!(site = site.name, publish = %id, why, cause, "accepted, but its status could not be read");
        (accepted, None)
    })
}

/// Get a publish's status
#[utoipa::path(
    get,
    path = "/api/sites/{site}/publishes/{id}",
    operation_id = "get_publish",
    tag = openapi::PUBLISHING,
    params(
        SitePath,
        ("id" = Uuid, Path, description = "The publish's `id`.", example = json!(examples::PUBLISH)),
        PreferWait,
    ),
    responses(
        (
            status = 200,
            description = "How far it is now, or at its end.",
            body = PublishBody,
            headers(("Preference-Applied" = String, description = "How long the answer would have been held.")),
            examples(
                ("completed" = (summary = "Completed", value = json!(examples::completed()))),
                ("waiting" = (summary = "AWS rejects the settings", value = json!(examples::waiting()))),
            ),
        ),
        OfPublish,
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
    caller: Caller,
) -> Result<Response> {
    let site = &caller.site;
    let Ok(uuid) = id.parse::<Uuid>() else {
        return Err(Error::NoSuchPublish(id));
    };
    let wait = preferred_wait(&headers);
    let (view, applied) = ended_or_waited(&state, site, uuid, wait).await?;
    let is_large = view.items.len() > LARGE_ITEMS;
    let body = PublishBody::of(&state, site, view)?;
    let answer = move || Json(body).into_response();
    let mut response = state.turns.compute(is_large, answer).await;
    add_preference_applied(&mut response, applied);
    Ok(response)
}

/// The publish as soon as it has ended, or as it is after `wait`; and that preference, if it was
/// applied rather than answered early.
async fn ended_or_waited(
    state: &AppState,
    site: &Site,
    id: Uuid,
    wait: Option<Duration>,
) -> Result<(Publish, Option<Duration>)> {
    let look = || async {
        let _turn = state.turns.reads.acquire(site.id).await?;
        let view = state
            .store
            .publish(site.id, id, Items::First, state.clock.now())
            .await?;
        view.ok_or_else(|| Error::NoSuchPublish(id.to_string()))
    };
    let Some(wait) = wait.filter(|wait| !wait.is_zero()) else {
        return Ok((look().await?, wait));
    };
    // Beyond its share, a site's publishers are answered at once: `wait` is a preference.
    let Ok(_open) = state.open_answers.for_publishers(site.id) else {
        let view = look().await?;
        let has_ended = view.state.has_ended();
        return Ok((view, has_ended.then_some(wait)));
    };
    let ended = state.publish_waiters.add(site.id, id);
    let view = look().await?;
    if view.state.has_ended() {
        return Ok((view, Some(wait)));
    }
    drop(view);
    let is_applied = tokio::select! {
        _ = ended => true,
        () = tokio::time::sleep(wait) => true,
        () = state.stop.cancelled() => false,
    };
    Ok((look().await?, is_applied.then_some(wait)))
}

/// RFC 7240's `wait`, in seconds, at most [`MAX_WAIT_SECONDS`]. What cannot be understood is
/// ignored, as the RFC says.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("wait") {
                return None;
            }
            value.trim().trim_matches('"').parse::<u64>().ok()
        })
        .map(|seconds| Duration::from_secs(seconds.min(MAX_WAIT_SECONDS)))
}

fn add_preference_applied(response: &mut Response, wait: Option<Duration>) {
    if let Some(wait) = wait
        && let Ok(value) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        response.headers_mut().insert("preference-applied", value);
    }
}
