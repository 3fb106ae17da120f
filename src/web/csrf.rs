//! Requests that change something must come from our own pages.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::csrf::CsrfLayer;

use crate::session::cookies::{self, CookieNames};

/// Refuses what a browser says comes from elsewhere, siblings on our own domain included.
/// `origin` is `PUBLIC_URL`: a proxy may have rewritten `Host`, which the layer would compare with otherwise.
pub fn layer(origin: &str) -> CsrfLayer {
    // The origin was parsed at the start; without it the layer is only stricter.
    CsrfLayer::new().add_trusted_origin(origin).unwrap_or_default()
}

/// The layer lets requests pass that say nothing of where they come from, because programs do not. Somebody's session
/// cookie without either header is no such program.
pub async fn refuse_silent(State(names): State<Arc<CookieNames>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let silent = !headers.contains_key(header::ORIGIN) && !headers.contains_key("sec-fetch-site");
    if !request.method().is_safe() && silent && cookies::has_session(headers, &names) {
        tracing::warn!(event = "csrf_refused", "a request with a session does not say where it comes from");
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}
