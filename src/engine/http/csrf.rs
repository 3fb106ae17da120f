//! Requests that change something must come from our own pages.

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::csrf::CsrfLayer;

use crate::engine::{session::cookies, state::Engine};

/// Refuses what a browser says comes from elsewhere, siblings on our own domain included.
/// `origin` is `PUBLIC_URL`: a proxy may have rewritten `Host`, which the layer would compare with otherwise.
pub fn layer(origin: &str) -> CsrfLayer {
    // The origin was parsed at the start; without it the layer is only stricter.
    CsrfLayer::new()
        .add_trusted_origin(origin)
        .unwrap_or_default()
}

/// The layer lets requests pass that say nothing of where they come from, because programs do not. Somebody's session
/// cookie without either header is no such program.
///
/// It also compares `Origin` with `Host` only, so `http` would pass for `https` where a browser says no more than that.
pub async fn require_origin_proof(
    State(engine): State<Engine>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let says_site = headers
        .get("sec-fetch-site")
        .is_some_and(|site| !site.is_empty());
    let vague = match headers.get(header::ORIGIN) {
        _ if says_site => false,
        Some(origin) => origin.as_bytes() != engine.config.public_url.origin.as_bytes(),
        None => cookies::has_session(headers, &engine.cookie_names),
    };
    if !request.method().is_safe() && vague {
        tracing::warn!(
            event = "csrf_refused",
            "a request does not say that it comes from here"
        );
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}
