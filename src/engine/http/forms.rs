//! The one format of our forms.

use axum::{
    body::Body,
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body::Body as _;

const FORM: &str = "application/x-www-form-urlencoded";

/// Refuses bodies in other formats, such as the `text/plain` that a foreign page can send without a
/// CORS preflight.
pub async fn require_form_encoding(request: Request<Body>, next: Next) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = content_type
        .and_then(|value| value.to_str().ok()?.split(';').next())
        .unwrap_or_default();
    let is_form = media_type.trim().eq_ignore_ascii_case(FORM);
    if request.method().is_safe() || is_form || request.body().is_end_stream() {
        return next.run(request).await;
    }
    StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response()
}
