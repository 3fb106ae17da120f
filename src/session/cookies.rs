//! Cookie names and attributes, and the guard in front of every cookie parser.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use percent_encoding::percent_decode_str;
use time::Duration;

use super::SessionId;

/// The names of our cookies and whether they are `Secure`: that follows from `PUBLIC_URL`.
#[derive(Clone)]
pub struct CookieNames {
    pub session: String,
    /// Followed by eight hexadecimal digits of the attempt.
    pub attempt_prefix: String,
    pub secure: bool,
}

impl CookieNames {
    /// Over https the `__Host-` prefix makes browsers refuse the cookie from a subdomain or without `Secure`.
    #[must_use]
    pub fn new(secure: bool) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        Self { session: format!("{prefix}sid"), attempt_prefix: format!("{prefix}login-"), secure }
    }

    /// The session cookie for a new session.
    #[must_use]
    pub fn session(&self, id: SessionId, max_age: std::time::Duration) -> HeaderValue {
        self.set(&self.session, &id.cookie_value(), Duration::seconds(max_age.as_secs().try_into().unwrap_or(i64::MAX)))
    }

    /// Removes the session cookie.
    #[must_use]
    pub fn remove_session(&self) -> HeaderValue {
        self.remove(&self.session)
    }

    /// A removal carries all attributes: without `Secure` browsers refuse it for a `__Host-` cookie.
    pub(super) fn remove(&self, name: &str) -> HeaderValue {
        self.set(name, "", Duration::ZERO)
    }

    pub(super) fn set(&self, name: &str, value: &str, max_age: Duration) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie =
            format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", max_age.whole_seconds());
        HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn is_ours(&self, name: &str) -> bool {
        name == self.session || name.starts_with(&self.attempt_prefix)
    }
}

/// All cookies of ours in a request, as name and value. Call it behind the guard only.
pub(super) fn read<'a>(headers: &'a HeaderMap, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split("; "))
        .filter_map(|pair| pair.split_once('='))
        .filter(move |(name, _)| name.starts_with(prefix))
}

/// Whether the request carries a session cookie, live or not.
#[must_use]
pub fn has_session(headers: &HeaderMap, names: &CookieNames) -> bool {
    read(headers, &names.session).any(|(name, _)| name == names.session)
}

/// Lets through only cookies whose raw name is exactly ours, and each only if it is there once.
///
/// The parser behind percent-decodes and trims names, and the last one wins. A sibling subdomain may set
/// `%5F%5FHost-sid`, which no browser protects, and would override a `__Host-` cookie with it.
pub async fn guard(State(names): State<Arc<CookieNames>>, mut request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::COOKIE) {
        let clean = clean(request.headers(), &names);
        request.headers_mut().remove(header::COOKIE);
        if let Some(clean) = clean {
            request.headers_mut().insert(header::COOKIE, clean);
        }
    }
    let mut response = next.run(request).await;
    mend_removals(response.headers_mut(), &names);
    response
}

/// The `Cookie` header that the rest of the application sees; other applications' cookies pass untouched.
fn clean(headers: &HeaderMap, names: &CookieNames) -> Option<HeaderValue> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs: Vec<&[u8]> =
        lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).map(<[u8]>::trim_ascii).collect();
    let name_of = |pair: &[u8]| pair.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec).unwrap_or_default();
    let mut kept: Vec<&[u8]> = Vec::new();
    for pair in &pairs {
        let name = name_of(pair);
        let raw = String::from_utf8_lossy(&name);
        let read_as = percent_decode_str(&raw).decode_utf8_lossy().trim().to_owned();
        let ours = names.is_ours(&read_as);
        let honest = raw == read_as && pairs.iter().filter(|other| name_of(other) == name).count() == 1;
        if ours && !honest {
            tracing::warn!(event = "cookie_refused", "a cookie imitates or repeats one of ours");
        } else {
            kept.push(pair);
        }
    }
    HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok().filter(|value| !value.is_empty())
}

/// tower-sessions removes the cookie of a dead session without `Secure`, which browsers refuse for `__Host-` cookies,
/// and does so behind the back of a login that has just set a new one.
fn mend_removals(headers: &mut HeaderMap, names: &CookieNames) {
    let session = format!("{}=", names.session);
    let value_of = |cookie: &HeaderValue| {
        let value = cookie.as_bytes().strip_prefix(session.as_bytes())?;
        Some(value.split(|byte| *byte == b';').next().is_some_and(<[u8]>::is_empty))
    };
    let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).into_iter().cloned().collect();
    if !cookies.iter().any(|cookie| value_of(cookie) == Some(true)) {
        return;
    }
    headers.remove(header::SET_COOKIE);
    let replaced = cookies.iter().any(|cookie| value_of(cookie) == Some(false));
    for cookie in cookies.iter().filter(|cookie| value_of(cookie) != Some(true)) {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    if !replaced {
        headers.append(header::SET_COOKIE, names.remove_session());
    }
}
