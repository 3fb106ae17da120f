//! Security headers of every response.

use std::iter;

use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;

use url::Url;

use crate::engine::config::Config;
use crate::engine::matrica::pictures::demo_origin;
use crate::engine::state::Engine;

/// A response extension of the page with the form that starts a login.
#[derive(Debug, Clone, Copy)]
pub struct SignInForm;

/// What the pages of a route may load, beside our own style sheets and pictures. A response
/// extension.
#[derive(Debug, Clone, Copy)]
pub struct Policy(&'static str);

impl Policy {
    /// Scripts, fonts, workers and calls of this site. Inline scripts and other sites stay refused.
    pub const fn own_scripts() -> Self {
        Self(
            "script-src 'self'; connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'",
        )
    }
}

/// A response extension of routes that everyone may open. A page of theirs says itself whether search
/// engines may show it, in `<meta name="robots">`. Everything else they must not show.
#[derive(Debug, Clone, Copy)]
pub struct OpenToAll;

/// Headers that a response gets beside the fixed ones.
const HEADERS_BESIDE: usize = 8;
/// One year, for this host and its subdomains.
const STRICT_TRANSPORT: &str = "max-age=31536000; includeSubDomains";
/// Browser features that our pages do not use.
const PERMISSIONS: &str = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()";

/// The headers, made once.
pub struct SecurityHeaders {
    policy: HeaderValue,
    /// Of the page with the form that starts a login.
    sign_in_policy: HeaderValue,
    others: Vec<(HeaderName, HeaderValue)>,
}

impl SecurityHeaders {
    pub fn new(engine: &Engine) -> Self {
        let config = &*engine.config;
        let others = engine.linked.iter();
        let others = others.map(|provider| &provider.oauth.settings().authorization_endpoint);
        let providers: Vec<&Url> = iter::once(&config.matrica.authorization_endpoint)
            .chain(others)
            .collect();
        let fixed = |name, value| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let mut others = vec![
            fixed("x-content-type-options", "nosniff"),
            fixed("x-frame-options", "DENY"),
            // Some proxies rewrite pages, and a rewritten page breaks under its policy.
            fixed("cache-control", "no-store, no-transform"),
            fixed("cross-origin-opener-policy", "same-origin"),
            fixed("cross-origin-resource-policy", "same-origin"),
            fixed("permissions-policy", PERMISSIONS),
            fixed("x-permitted-cross-domain-policies", "none"),
            fixed("x-dns-prefetch-control", "off"),
        ];
        if config.public_url.secure {
            others.push(fixed("strict-transport-security", STRICT_TRANSPORT));
        }
        Self {
            policy: content_security_policy(config, &[]),
            sign_in_policy: content_security_policy(config, &providers),
            others,
        }
    }

    /// Adds those that the handler did not set itself.
    pub fn add(&self, response: &mut Response, uri: &Uri) {
        let has_form = response.extensions().get::<SignInForm>().is_some();
        let policy = if has_form {
            &self.sign_in_policy
        } else {
            &self.policy
        };
        let wider = response.extensions().get::<Policy>().copied();
        // A URL below /auth/ may hold a code. Elsewhere `no-referrer` would blank our forms' `Origin`.
        let auth = uri.path().starts_with("/auth/");
        let referrer_policy = if auth { "no-referrer" } else { "same-origin" };
        let is_open = response.extensions().get::<OpenToAll>().is_some();
        let is_private = !is_open || response.status() != StatusCode::OK;
        let headers = response.headers_mut();
        headers.reserve(self.others.len() + HEADERS_BESIDE);
        let policy = || with_directives(policy, wider);
        headers
            .entry(CONTENT_SECURITY_POLICY)
            .or_insert_with(policy);
        headers
            .entry(REFERRER_POLICY)
            .or_insert(HeaderValue::from_static(referrer_policy));
        if is_private {
            headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
        }
        for (name, value) in &self.others {
            headers.entry(name).or_insert_with(|| value.clone());
        }
    }
}

/// The policy with the directives of a route.
fn with_directives(policy: &HeaderValue, wider: Option<Policy>) -> HeaderValue {
    let (Some(Policy(directives)), Ok(text)) = (wider, policy.to_str()) else {
        return policy.clone();
    };
    HeaderValue::from_str(&format!("{text}; {directives}")).unwrap_or_else(|_| policy.clone())
}

/// Nothing is allowed but what a line here allows. `providers` are the authorization endpoints that a
/// form of the page leads to.
fn content_security_policy(config: &Config, providers: &[&Url]) -> HeaderValue {
    // Browsers check every redirect after a form against `form-action`. The redirect that starts a
    // login ends at the provider, which may pass the browser on to another host of its own.
    let http = providers.iter().filter(|url| url.scheme() == "http");
    let http: Vec<String> = http.map(|url| url.origin().ascii_serialization()).collect();
    let form_targets = match (providers.is_empty(), http.is_empty()) {
        (true, _) => String::new(),
        (false, true) => " https:".to_owned(),
        (false, false) => format!(" https: {} {}", config.public_url.origin, http.join(" ")),
    };
    let pictures = match demo_origin(&config.matrica) {
        _ if !config.remote_images => String::new(),
        Some(demo) => format!(" https: {demo}"),
        None => " https:".to_owned(),
    };
    let mut policy = vec![
        "default-src 'none'".to_owned(),
        "style-src 'self'".to_owned(),
        // Our icons, and profile pictures from any host.
        format!("img-src 'self'{pictures}"),
        format!("form-action 'self'{form_targets}"),
        "base-uri 'none'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
    ];
    if config.public_url.secure {
        policy.push("upgrade-insecure-requests".to_owned());
    }
    // Every part is made of ASCII, so the default, which allows nothing, is never used.
    HeaderValue::from_str(&policy.join("; "))
        .unwrap_or(HeaderValue::from_static("default-src 'none'"))
}
