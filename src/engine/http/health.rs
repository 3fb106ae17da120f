//! Health checks. Neither asks the provider.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::PlainText;
use crate::engine::state::Engine;

/// `GET /healthz`. The process is alive.
pub async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`. The server is not stopping, its keys open the stored tokens, the database takes
/// writes, and its schema is current.
pub async fn readyz(State(engine): State<Engine>) -> Response {
    let checked = if engine.tasks.draining.is_cancelled() {
        Err("stopping")
    } else if let Some(problem) = engine.vault.key_problem() {
        Err(problem)
    } else {
        engine.readiness.check(&engine.db, &engine.health_db).await
    };
    match checked {
        Ok(()) => "ready".into_response(),
        Err(problem) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            (status, Extension(PlainText), problem).into_response()
        }
    }
}
