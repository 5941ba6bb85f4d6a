//! Whether the process answers, and whether it can work. Neither AWS nor a failing purge makes it
//! unready.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::api::openapi::OPERATIONS;
use crate::web::state::AppState;

/// How long the database may take to give a sign of life: less than common probes wait.
const TIMEOUT: Duration = Duration::from_millis(800);

/// Whether it is well.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthBody {
    /// `live`, `ready`, `stopping`, or what is wrong.
    status: &'static str,
}

/// Whether the process answers
#[utoipa::path(
    get,
    path = "/health/live",
    tag = OPERATIONS,
    responses((status = 200, description = "The process answers.", body = HealthBody, example = json!({ "status": "live" }))),
    security(())
)]
pub(crate) async fn live() -> Json<HealthBody> {
    Json(HealthBody { status: "live" })
}

/// Whether it can take publishes
///
/// Neither AWS nor a failing purge makes the service unready.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = OPERATIONS,
    responses(
        (status = 200, description = "It can take publishes.", body = HealthBody, example = json!({ "status": "ready" })),
        (
            status = 503,
            description = "The database is not responding, or the service is stopping.",
            body = HealthBody,
            example = json!({ "status": "stopping" })
        ),
    ),
    security(())
)]
pub(crate) async fn ready(State(state): State<AppState>) -> (StatusCode, Json<HealthBody>) {
    let (code, status) = if state.stop.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if let Ok(Ok(())) = tokio::time::timeout(TIMEOUT, state.store.ping()).await {
        (StatusCode::OK, "ready")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer",
        )
    };
    (code, Json(HealthBody { status }))
}
