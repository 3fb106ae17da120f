//! Security headers of every response.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;

use crate::engine::state::Engine;

/// A response extension of the page with the form that starts a login.
#[derive(Debug, Clone, Copy)]
pub struct SignInForm;

/// One year, for this host and its subdomains.
const STRICT_TRANSPORT: &str = "max-age=31536000; includeSubDomains";
/// Browser features that our pages do not use.
const PERMISSIONS: &str = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()";

/// Adds the headers that the handler did not set itself.
pub async fn add(State(engine): State<Engine>, request: Request, next: Next) -> Response {
    // A URL below /auth/ may hold a code. Elsewhere `no-referrer` would blank our forms' `Origin`.
    let auth = request.uri().path().starts_with("/auth/");
    let referrer_policy = if auth { "no-referrer" } else { "same-origin" };
    let mut response = next.run(request).await;
    let sign_in_form = response.extensions().get::<SignInForm>().is_some();
    let policy = content_security_policy(&engine, sign_in_form);
    let headers = response.headers_mut();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.entry(name).or_insert(value);
        }
    };
    add("content-security-policy", &policy);
    add("x-content-type-options", "nosniff");
    add("x-frame-options", "DENY");
    add("referrer-policy", referrer_policy);
    // Some proxies rewrite pages, and a rewritten page breaks under its policy.
    add("cache-control", "no-store, no-transform");
    add("cross-origin-opener-policy", "same-origin");
    add("cross-origin-resource-policy", "same-origin");
    add("permissions-policy", PERMISSIONS);
    add("x-permitted-cross-domain-policies", "none");
    if engine.config.public_url.secure {
        add("strict-transport-security", STRICT_TRANSPORT);
    }
    response
}

/// Nothing is allowed but what a line here allows.
fn content_security_policy(engine: &Engine, sign_in_form: bool) -> String {
    let provider = &engine.config.matrica.authorization_endpoint;
    // Browsers check every redirect after a form against `form-action`. The redirect that starts a
    // login ends at the provider, which may pass the browser on to another host of its own.
    let form_targets = match (sign_in_form, provider.scheme()) {
        (false, _) => String::new(),
        (true, "http") => {
            let (ours, provider) = (&engine.config.public_url.origin, provider.origin());
            format!(" https: {ours} {}", provider.ascii_serialization())
        }
        (true, _) => " https:".to_owned(),
    };
    let remote = engine.config.remote_images;
    let pictures = if remote { " https:" } else { "" };
    let mut policy = vec![
        "default-src 'none'".to_owned(),
        "style-src 'self'".to_owned(),
        // Our icons, and profile pictures from any host.
        format!("img-src 'self'{pictures}"),
        format!("form-action 'self'{form_targets}"),
        "base-uri 'none'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
    ];
    if engine.config.public_url.secure {
        policy.push("upgrade-insecure-requests".to_owned());
    }
    policy.join("; ")
}
