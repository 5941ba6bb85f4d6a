//! The sandbox's own API, in JSON under `/sandbox/`.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::app::App;
use crate::edge;
use crate::faults::Rule;
use crate::invalidations::{InvalidationView, Load};
use crate::ledger::{Counters, Entry};
use crate::settings::{self, Config, Distribution, Key};
use crate::state;

/// The routes.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/sandbox/state", get(read_state))
        .route("/sandbox/invalidations", get(read_invalidations))
        .route("/sandbox/ledger", get(read_ledger))
        .route("/sandbox/config", get(read_config).patch(change_config))
        .route(
            "/sandbox/distributions/{id}",
            put(put_distribution).delete(delete_distribution),
        )
        .route("/sandbox/keys/{id}", put(put_key).delete(delete_key))
        .route(
            "/sandbox/faults",
            get(read_faults).post(add_faults).delete(clear_faults),
        )
        .route("/sandbox/edge", get(read_edge).put(put_edge))
        .route("/sandbox/complete", post(complete))
        .route("/sandbox/reset", post(reset))
        .route("/sandbox/{*rest}", any(unknown))
        .method_not_allowed_fallback(unknown)
}

/// A refusal that says how to fix it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: String,
    fix: &'static str,
}

impl Refusal {
    fn bad(error: &dyn std::fmt::Display, fix: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: error.to_string(),
            fix,
        }
    }

    fn missing(what: &str, id: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            error: format!("there is no {what} `{id}`"),
            fix: "GET /sandbox/state lists what there is",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "fix": self.fix });
        (self.status, Json(body)).into_response()
    }
}

async fn read_edge(State(app): State<App>) -> Json<edge::Settings> {
    Json(app.state().edge.settings.clone())
}

async fn put_edge(State(app): State<App>, body: Bytes) -> Result<StatusCode, Refusal> {
    let settings = serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad(&error, "sandbox/README.md lists the fields of the edge"))?;
    app.state().edge.settings = settings;
    Ok(StatusCode::NO_CONTENT)
}

async fn unknown() -> Refusal {
    Refusal {
        status: StatusCode::NOT_FOUND,
        error: "no such route, or not with this method".to_owned(),
        fix: "sandbox/README.md lists the routes of the admin API",
    }
}

/// The query, refused in JSON like everything else here.
struct Params<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let fix = "sandbox/README.md lists the parameters of each route";
        Query::try_from_uri(&parts.uri)
            .map(|Query(params)| Self(params))
            .map_err(|error| Refusal::bad(&error.body_text(), fix))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limit {
    /// How many of the newest invalidations and ledger entries; all when absent.
    limit: Option<usize>,
}

/// Serialised straight from the state: a long run holds hundreds of thousands of rows.
#[derive(Serialize)]
pub(crate) struct StateView<'a> {
    pub(crate) config: &'a Config,
    pub(crate) distributions: &'a BTreeMap<String, Distribution>,
    pub(crate) in_progress: BTreeMap<&'a String, Load>,
    pub(crate) keys: &'a BTreeMap<String, Key>,
    pub(crate) faults: &'a [Rule],
    pub(crate) counters: &'a Counters,
    pub(crate) invalidations: Vec<InvalidationView<'a>>,
    pub(crate) ledger: Vec<&'a Entry>,
}

impl<'a> StateView<'a> {
    /// With the newest `limit` invalidations and ledger entries.
    pub(crate) fn of(state: &'a mut state::State, limit: usize, now: OffsetDateTime) -> Self {
        let ids = state.distributions.keys();
        let in_progress = ids.map(|id| (id, state.invalidations.load(id, now)));
        let in_progress = in_progress.collect();
        let newest = state.invalidations.newest_first().take(limit);
        let mut ledger: Vec<_> = state.ledger.after(0).rev().take(limit).collect();
        ledger.reverse();
        Self {
            config: &state.config,
            distributions: &state.distributions,
            in_progress,
            keys: &state.keys,
            faults: state.faults.rules(),
            counters: state.ledger.counters(),
            invalidations: newest.map(|one| one.view(now)).collect(),
            ledger,
        }
    }
}

async fn read_state(State(app): State<App>, Params(query): Params<Limit>) -> Response {
    let limit = query.limit.unwrap_or(usize::MAX);
    Json(StateView::of(&mut app.state(), limit, app.now())).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct InvalidationFilter {
    distribution: Option<String>,
    status: Option<String>,
    caller_reference: Option<String>,
    limit: Option<usize>,
}

async fn read_invalidations(
    State(app): State<App>,
    Params(filter): Params<InvalidationFilter>,
) -> Json<Value> {
    let now = app.now();
    let state = app.state();
    let fits = |wanted: &Option<String>, value: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted == value)
    };
    let found: Vec<_> = state
        .invalidations
        .newest_first()
        .map(|one| one.view(now))
        .filter(|one| {
            fits(&filter.distribution, one.distribution)
                && fits(&filter.status, one.status)
                && fits(&filter.caller_reference, one.caller_reference)
        })
        .take(filter.limit.unwrap_or(usize::MAX))
        .collect();
    Json(json!({ "invalidations": found }))
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LedgerPage {
    /// The number of the last entry that the caller has seen.
    after: u64,
    limit: usize,
}

impl Default for LedgerPage {
    fn default() -> Self {
        Self {
            after: 0,
            limit: 1_000,
        }
    }
}

async fn read_ledger(State(app): State<App>, Params(page): Params<LedgerPage>) -> Json<Value> {
    let state = app.state();
    let entries: Vec<_> = state.ledger.after(page.after).take(page.limit).collect();
    Json(json!({ "counters": state.ledger.counters(), "ledger": entries }))
}

async fn read_config(State(app): State<App>) -> Json<Config> {
    Json(app.state().config.clone())
}

async fn change_config(State(app): State<App>, body: Bytes) -> Result<Json<Config>, Refusal> {
    const FIX: &str = "send an object with any of the fields that GET /sandbox/config shows";
    let change = object(&body, FIX)?;
    let state = &mut *app.state();
    let config =
        settings::changed(&state.config, change).map_err(|error| Refusal::bad(&error, FIX))?;
    state.config = config
        .checked()
        .map_err(|error| Refusal::bad(&error, FIX))?;
    Ok(Json(state.config.clone()))
}

async fn put_distribution(
    State(app): State<App>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Distribution>, Refusal> {
    const FIX: &str = "send an object with any of kind (distribution, tenant), partition (aws, aws-cn, aws-eusc), \
                       account, cache_tags, in_progress_ms, files_in_progress, wildcards_in_progress";
    let change = object(&body, FIX)?;
    let state = &mut *app.state();
    let current = state.distributions.get(&id).cloned().unwrap_or_default();
    let distribution =
        settings::changed(&current, change).map_err(|error| Refusal::bad(&error, FIX))?;
    state.distributions.insert(id, distribution.clone());
    Ok(Json(distribution))
}

async fn delete_distribution(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    match app.state().distributions.remove(&id) {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(Refusal::missing("distribution", &id)),
    }
}

async fn put_key(
    State(app): State<App>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Key>, Refusal> {
    const FIX: &str = "send an object with secret_access_key (needed for a new key) and any of policy (an IAM policy \
                       document with Effect, Action and Resource, or null), enabled, session_token, expires_at, \
                       user, account";
    let change = object(&body, FIX)?;
    let state = &mut *app.state();
    let key = match state.keys.get(&id) {
        Some(key) => key.changed(change),
        None => serde_json::from_value(Value::Object(change)),
    }
    .map_err(|error| Refusal::bad(&error, FIX))?;
    state.keys.insert(id, key.clone());
    Ok(Json(key))
}

async fn delete_key(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    match app.state().keys.remove(&id) {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(Refusal::missing("key", &id)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFaults {
    rules: Vec<Rule>,
    seed: Option<u64>,
}

async fn read_faults(State(app): State<App>) -> Json<Value> {
    Json(json!({ "rules": app.state().faults.rules() }))
}

async fn add_faults(State(app): State<App>, body: Bytes) -> Result<Json<Value>, Refusal> {
    const FIX: &str = "send {\"rules\": [{\"operation\": \"create\", \"times\": 1, \"fault\": {\"kind\": \"reset\"}}]}; \
                       kinds are error (code, status, message), status (status), hang (ms), reset, drop_answer, \
                       garbage, empty, slow (ms), truncated";
    let faults: NewFaults = serde_json::from_value(Value::Object(object(&body, FIX)?))
        .map_err(|error| Refusal::bad(&error, FIX))?;
    let rules = faults
        .rules
        .into_iter()
        .map(Rule::checked)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Refusal::bad(&error, FIX))?;
    let state = &mut *app.state();
    state.faults.add(rules, faults.seed);
    Ok(Json(json!({ "rules": state.faults.rules() })))
}

async fn clear_faults(State(app): State<App>) -> StatusCode {
    app.state().faults.clear();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scope {
    distribution: Option<String>,
}

async fn complete(State(app): State<App>, Params(scope): Params<Scope>) -> Json<Value> {
    let now = app.now();
    let completed = app
        .state()
        .invalidations
        .complete(scope.distribution.as_deref(), now);
    Json(json!({ "completed": completed }))
}

async fn reset(State(app): State<App>) -> StatusCode {
    app.reset();
    StatusCode::NO_CONTENT
}

/// The body as an object; none at all is an empty one.
fn object(body: &[u8], fix: &'static str) -> Result<Map<String, Value>, Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|error| Refusal::bad(&error, fix))
}
