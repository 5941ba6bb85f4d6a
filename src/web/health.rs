//! Whether the process answers, and whether it can work. Neither AWS nor a failing purge makes it unready.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::AppState;

/// `GET /health/live`.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// `GET /health/ready`.
pub(super) async fn ready(State(state): State<AppState>) -> (StatusCode, Json<Value>) {
    let (status, why) = if state.stop.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if state.store.ping().await.is_err() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer",
        )
    } else {
        (StatusCode::OK, "ready")
    };
    (status, Json(json!({ "status": why })))
}
