//! CloudFront's own invalidation API, so that whatever has an AWS SDK can publish here: a
//! `CreateInvalidation` is a publish of the site, and its identifier is the publish's.

mod answers;
mod batch;
mod call;
mod fault;
mod signature;

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use self::batch::Batch;
use self::call::Call;
pub(crate) use self::fault::{Fault, finish};
use crate::domain::{InvalidationStatus, PublishState, Publisher, canonicalize};
use crate::store::{IdempotencyKey, Items, NewPublish, Publish};
use crate::web::http::extract::Path;
use crate::web::http::turns::LARGE_ITEMS;
use crate::web::publishing::{accept, accepted_before};
use crate::web::state::AppState;

/// The most summaries in one answer, and how many there are unless asked: as at CloudFront.
const MAX_LISTED: u16 = 100;

/// Whether `path`, without the prefix of `PUBLIC_URL`, is one of CloudFront's: its version comes
/// first.
pub(crate) fn is_call(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    segments.next().is_some_and(is_version) && segments.next().is_some()
}

/// A version of the API is a date.
fn is_version(segment: &str) -> bool {
    segment.len() == "2020-05-31".len()
        && segment.bytes().enumerate().all(|(i, byte)| match i {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// `GET /{date}/distribution/{id}`: as much as is known here, which is what s3deploy needs.
pub(crate) async fn distribution(call: Call) -> Result<Response, Fault> {
    Ok(answers::distribution(&call.site, call.distribution()?))
}

pub(crate) async fn create(State(state): State<AppState>, call: Call) -> Result<Response, Fault> {
    let is_large = call.turn.is_some();
    let everything_is_home = call.key_pair.everything_is_home;
    let has_settings = call.distribution().map(|_| ());
    let read = state.turns.compute(is_large, {
        let (site, body) = (Arc::clone(&call.site), call.body.clone());
        move || {
            let batch = Batch::read(&body)?;
            let canonical = has_settings.and_then(|()| {
                let request = batch.request(everything_is_home);
                canonicalize(&request, &site.publishing, site.partition)
                    .map_err(|errors| Fault::invalid_paths(&request, errors))
            });
            Ok::<_, Fault>((batch, canonical))
        }
    });
    let (batch, canonical) = read.await?;
    // It includes the hash of the batch, so that no other batch can come with it.
    let hash = batch.hash(everything_is_home);
    let idempotency_key = IdempotencyKey::of_caller_reference(&batch.caller_reference, hash);
    let accepted = match canonical {
        Ok(canonical) => {
            let publish = NewPublish {
                site: call.site.id,
                id: state.clock.id(),
                received_at: state.clock.now(),
                items: canonical.items,
                widened: canonical.widened,
                idempotency_key: Some(idempotency_key),
                traceparent: None,
                publisher: Publisher::KeyPair(call.key_pair.name.as_str().into()),
            };
            accept(&state, &call.site, publish).await?
        }
        Err(refusal) => accepted_before(&state, &call.site, Some(&idempotency_key))
            .await?
            .ok_or(refusal)?,
    };
    let location = format!(
        "{}/{}/distribution/{}/invalidation/{}",
        state.public, call.address.date, call.address.id, accepted.id
    );
    let answer = move || {
        answers::invalidation(
            accepted.id,
            PublishState::Queued,
            accepted.received_at,
            &batch.caller_reference,
            &accepted.items,
        )
    };
    let mut document = state.turns.compute(is_large, answer).await;
    drop(call.turn);
    *document.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(&location) {
        document.headers_mut().insert(header::LOCATION, location);
    }
    Ok(document)
}

pub(crate) async fn show(
    State(state): State<AppState>,
    Path((_, _, given)): Path<(String, String, String)>,
    call: Call,
) -> Result<Response, Fault> {
    call.distribution()?;
    let Ok(id) = given.parse::<Uuid>() else {
        return Err(Fault::no_such_invalidation(&given));
    };
    let _turn = state.turns.reads.acquire(call.site.id).await?;
    let publish = state
        .store
        .publish(call.site.id, id, Items::First, state.clock.now())
        .await?
        .ok_or_else(|| Fault::no_such_invalidation(&given))?;
    let how_far = publish.state;
    // The only status that stops a waiter is `Completed`: anything else has to be an error.
    if matches!(how_far, PublishState::Failed | PublishState::Unconfirmed) {
        return Err(ended_badly(&publish));
    }
    let reference = publish.caller_reference;
    let reference = reference.unwrap_or_else(|| id.to_string());
    let (received_at, items) = (publish.received_at, publish.items);
    let is_large = items.len() > LARGE_ITEMS;
    let answer = move || answers::invalidation(id, how_far, received_at, &reference, &items);
    Ok(state.turns.compute(is_large, answer).await)
}

fn ended_badly(publish: &Publish) -> Fault {
    let is_failed = publish.state == PublishState::Failed;
    let (end, code) = match is_failed {
        true => (InvalidationStatus::Failed, "InvalidationFailed"),
        false => (InvalidationStatus::Unconfirmed, "InvalidationUnconfirmed"),
    };
    let mut invalidations = publish.invalidations.iter();
    // Others may have an error as well, which is not why it ended so.
    let at_fault = invalidations.find(|invalidation| invalidation.status == end);
    let why = at_fault.and_then(|invalidation| {
        let (error, fix) = (invalidation.error.as_ref()?, &invalidation.fix);
        let fix = fix.as_ref().map(|fix| format!(" {fix}"));
        let fix = fix.unwrap_or_default();
        Some(format!(": {error}{fix}"))
    });
    let why = why.unwrap_or_default();
    let has_id = at_fault.is_some_and(|invalidation| invalidation.cloudfront_id.is_some());
    let said = match (is_failed, has_id) {
        (true, true) => format!("CloudFront no longer knows the invalidation{why}"),
        (true, false) => format!("CloudFront did not accept the invalidation{why}"),
        (false, true) => {
            format!("CloudFront accepted the invalidation, but does not say how far it is{why}")
        }
        (false, false) => {
            "CloudFront accepted the invalidation, but its answer was lost with the connection, so that nobody can ask \
             how far it is"
                .to_owned()
        }
    };
    Fault::bad_request(code, said)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListQuery {
    max_items: Option<String>,
    marker: Option<String>,
}

pub(crate) async fn list(
    State(state): State<AppState>,
    query: Result<Query<ListQuery>, QueryRejection>,
    call: Call,
) -> Result<Response, Fault> {
    call.distribution()?;
    let Query(query) = query.map_err(|rejection| Fault::invalid(rejection.body_text()))?;
    let limit = match query.max_items.as_deref() {
        None | Some("") => MAX_LISTED,
        Some(text) => text
            .parse::<u32>()
            .ok()
            .filter(|limit| *limit > 0)
            .map(|limit| u16::try_from(limit).map_or(MAX_LISTED, |limit| limit.min(MAX_LISTED)))
            .ok_or_else(|| Fault::invalid("MaxItems must be a positive number"))?,
    };
    let marker = query.marker.unwrap_or_default();
    let before = match marker.as_str() {
        "" => None,
        text => Some(text.parse::<Uuid>().map_err(|_| {
            Fault::invalid("Marker must be what an earlier answer gave as NextMarker")
        })?),
    };
    let _turn = state.turns.reads.acquire(call.site.id).await?;
    let page = state
        .store
        .publishes_before(call.site.id, before, limit)
        .await?;
    Ok(answers::list(&page, &marker, limit))
}
