//! Whether the process answers, and whether it can work. Neither AWS nor a failing purge makes it unready.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::AppState;

/// How long the database may take to give a sign of life: less than common probes wait.
const PATIENCE: Duration = Duration::from_millis(800);

/// `GET /health/live`.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// `GET /health/ready`.
pub(super) async fn ready(State(state): State<AppState>) -> (StatusCode, Json<Value>) {
    let (status, why) = if state.stop.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if !answers(&state).await {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer",
        )
    } else {
        (StatusCode::OK, "ready")
    };
    (status, Json(json!({ "status": why })))
}

async fn answers(state: &AppState) -> bool {
    matches!(
        tokio::time::timeout(PATIENCE, state.store.ping()).await,
        Ok(Ok(()))
    )
}
