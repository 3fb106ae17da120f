//! Health checks. Neither asks the provider.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::PlainText;
use crate::engine::db::schema::{self, Schema};
use crate::engine::state::Engine;

/// `GET /healthz`. The process is alive.
pub async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`. The server is not stopping, its keys open the stored tokens, the database takes
/// writes, and its schema is current.
pub async fn readyz(State(engine): State<Engine>) -> Response {
    let problem = if engine.tasks.draining.is_cancelled() {
        "stopping"
    } else if let Some(problem) = engine.vault.key_problem() {
        problem
    } else {
        match schema::check(&engine.health_db).await {
            Ok(Schema::Current) => return "ready".into_response(),
            Ok(Schema::ReadOnly) => {
                // The address may lead to another server by now.
                engine.db.renew();
                engine.health_db.renew();
                "the database is read-only"
            }
            Ok(_) => "the schema does not match",
            Err(_) => "the database does not answer",
        }
    };
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Extension(PlainText),
        problem,
    )
        .into_response()
}
