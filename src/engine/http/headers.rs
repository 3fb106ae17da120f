//! Security headers on every response, whatever it is.

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::engine::state::Engine;

/// A response extension: this page holds the form that starts a login.
#[derive(Debug, Clone, Copy)]
pub struct SignInForm;

/// One year, for this host and those below it.
const STRICT_TRANSPORT: &str = "max-age=31536000; includeSubDomains";
/// Features of the browser that no page of ours uses.
const PERMISSIONS: &str = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()";

/// Adds what is missing; a handler that set a header itself knows better.
pub async fn add(State(engine): State<Engine>, request: Request, next: Next) -> Response {
    let auth = request.uri().path().starts_with("/auth/");
    let mut response = next.run(request).await;
    let sign_in_form = response.extensions().get::<SignInForm>().is_some();
    let policy = content_security_policy(&engine, sign_in_form);
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.entry(name).or_insert(value);
        }
    };
    add(header::CONTENT_SECURITY_POLICY, &policy);
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(header::X_FRAME_OPTIONS, "DENY");
    // Below /auth/ an address may hold a code. Elsewhere our own forms need `Origin`, which `no-referrer` would blank.
    add(
        header::REFERRER_POLICY,
        if auth { "no-referrer" } else { "same-origin" },
    );
    add(header::CACHE_CONTROL, "no-store");
    add(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    add(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    add(HeaderName::from_static("permissions-policy"), PERMISSIONS);
    add(
        HeaderName::from_static("x-permitted-cross-domain-policies"),
        "none",
    );
    if engine.config.public_url.secure {
        add(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    response
}

/// Nothing is allowed but what a line here allows.
fn content_security_policy(engine: &Engine, sign_in_form: bool) -> String {
    let provider = &engine.config.matrica.authorization_endpoint;
    let mut policy = vec![
        "default-src 'none'".to_owned(),
        // Our own style sheet.
        "style-src 'self'".to_owned(),
        // Our icons; profile pictures come from anywhere, over https only.
        format!(
            "img-src 'self'{}",
            if engine.config.remote_images {
                " https:"
            } else {
                ""
            }
        ),
        // Browsers apply this to every redirect after a form: the one that starts a login ends at the provider, which
        // may pass people on to a host of its own.
        match (sign_in_form, provider.scheme()) {
            (false, _) => "form-action 'self'".to_owned(),
            (true, "http") => format!(
                "form-action 'self' https: {}",
                provider.origin().ascii_serialization()
            ),
            (true, _) => "form-action 'self' https:".to_owned(),
        },
        "base-uri 'none'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
    ];
    if engine.config.public_url.secure {
        policy.push("upgrade-insecure-requests".to_owned());
    }
    policy.join("; ")
}
