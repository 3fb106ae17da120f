//! The description of the JSON API, made from the handlers and types themselves.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Matrica starter",
        description = "What Matrica knows of the person who is signed in. For scripts on the same origin: the session cookie \
                       is all they need. Errors are problems of RFC 9457 whose `type` never changes."
    ),
    paths(super::me, super::wallets, super::nfts, super::tokens, super::domains)
)]
struct Description;

static JSON: LazyLock<String> = LazyLock::new(|| Description::openapi().to_json().unwrap_or_default());

/// `GET /api/openapi.json`: OpenAPI 3.1.
pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], JSON.as_str()).into_response()
}
