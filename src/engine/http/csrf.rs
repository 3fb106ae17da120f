//! Protection against cross-site request forgery (CSRF).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body::Body as _;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::engine::error::is_api;
use crate::engine::form::{JSON, has_media_type};
use crate::engine::session::cookies;
use crate::engine::sign_in::{START_PATH, is_foreign_host};
use crate::engine::state::Engine;

const FORM: &str = "application/x-www-form-urlencoded";

/// Refuses unsafe requests from other sites and from sibling subdomains. `origin` is the one of
/// `PUBLIC_URL`, because a proxy may have rewritten the `Host` that the layer compares with.
pub fn layer(origin: &str) -> CsrfLayer {
    // An origin that does not parse, which `PUBLIC_URL` excludes, makes the layer stricter.
    CsrfLayer::new()
        .add_trusted_origin(origin)
        .unwrap_or_default()
}

/// Closes two gaps of [`layer`], which passes requests without `Sec-Fetch-Site` and `Origin`
/// because programs send neither.
///
/// A session cookie needs one of the two. Without `Sec-Fetch-Site` the whole `Origin` must be ours,
/// because the layer compares only its host and would accept `http` for `https`.
pub fn require_origin_proof(engine: &Engine, request: &Request) -> Result<(), StatusCode> {
    let headers = request.headers();
    let is_silent = fetch_site(headers).is_none() && !headers.contains_key(header::ORIGIN);
    let lacks_proof = is_silent && cookies::has_session(headers, &engine.cookie_names);
    let is_unsafe = !request.method().is_safe();
    if is_unsafe && (lacks_proof || is_foreign(engine, request)) {
        log();
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(())
}

/// Whether the headers say that a page of another site sends this. An unsafe request of that kind is
/// refused, so it must not count as an action of the visitor whose browser sends it.
pub fn is_foreign(engine: &Engine, request: &Request) -> bool {
    let headers = request.headers();
    let origin = headers.get(header::ORIGIN);
    let is_ours = |origin: &HeaderValue| *origin == *engine.config.public_url.origin;
    match (fetch_site(headers), origin) {
        (Some(site), origin) => {
            site != "same-origin" && site != "none" && !origin.is_some_and(is_ours)
        }
        (None, Some(origin)) => {
            // Under another host name the handler only leads to the right one.
            let starts_login = request.uri().path() == START_PATH;
            !(is_ours(origin) || starts_login && is_foreign_host(engine, headers))
        }
        (None, None) => false,
    }
}

fn fetch_site(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers
        .get("sec-fetch-site")
        .filter(|site| !site.is_empty())
}

/// Logs a refusal of [`layer`], which itself does so at `trace`.
pub fn log_refusal(response: &Response) {
    if response.extensions().get::<ProtectionError>().is_some() {
        log();
    }
}

fn log() {
    tracing::warn!(
        event = "csrf_refused",
        "the request does not prove that it comes from our pages"
    );
}

/// Refuses other formats, such as `text/plain`, which needs no CORS preflight. JSON needs one, and
/// is for programs only.
pub fn require_form_encoding(request: &Request) -> Result<(), StatusCode> {
    if request.method().is_safe() || request.body().is_end_stream() {
        return Ok(());
    }
    let is_expected =
        has_media_type(request, FORM) || is_api(request.uri()) && has_media_type(request, JSON);
    if is_expected {
        return Ok(());
    }
    Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}
