//! For machines: is the process alive, may it get traffic. Neither ever asks the provider.

use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::PlainText;
use crate::engine::{
    db::schema::{self, Schema},
    state::Engine,
};

/// `GET /healthz`: the process is alive.
pub async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: not stopping, database reachable, schema current.
pub async fn readyz(State(engine): State<Engine>) -> Response {
    let (status, text) = if engine.tasks.shutdown.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else {
        match schema::check(&engine.db).await {
            Ok(Schema::Current) => (StatusCode::OK, "ready"),
            Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, "the schema does not match"),
            Err(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer",
            ),
        }
    };
    (status, Extension(PlainText), text).into_response()
}
