//! Forms: one format, short fields, nothing twice.

use axum::{
    body::Body,
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body::Body as _;

/// The only format that a form of ours arrives in.
const FORM: &str = "application/x-www-form-urlencoded";

/// Refuses every other format: a page elsewhere can send `text/plain` without asking. A request without a body needs none.
pub async fn require_form_encoding(request: Request<Body>, next: Next) -> Response {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let is_form = kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM));
    if request.method().is_safe() || is_form || request.body().is_end_stream() {
        return next.run(request).await;
    }
    StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response()
}
