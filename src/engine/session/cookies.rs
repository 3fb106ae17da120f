//! Cookie names and attributes, and the guard in front of every cookie parser.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use time::Duration;

use super::SessionId;

/// More cookies with names of ours than any browser of ours has; then none of them counts.
const OURS_MAX: usize = 16;
/// Pairs of changes; one sign-in makes up to four changes.
const BFCACHE_EVICTION_PAIRS: usize = 3;

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
    pub fn new(secure: bool) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        Self {
            session: format!("{prefix}sid"),
            attempt_prefix: format!("{prefix}login-"),
            secure,
        }
    }

    /// The session cookie for a new session.
    pub fn session(&self, id: SessionId, max_age: std::time::Duration) -> HeaderValue {
        self.set(
            &self.session,
            &id.expose(),
            Duration::seconds(max_age.as_secs().try_into().unwrap_or(i64::MAX)),
        )
    }

    /// Removes the session cookie.
    pub fn remove_session(&self) -> HeaderValue {
        self.remove(&self.session)
    }

    /// Changes of cookies that leave none behind, to go with [`Self::remove_session`].
    ///
    /// Chromium keeps pages for "back" in spite of `no-store` until an `HttpOnly` cookie changes. For the page that a
    /// sign-in ended on it sets the changes of that sign-in off against later ones, so that the removal of the session
    /// alone goes unnoticed, and "back" would show the account to whoever uses the browser next.
    pub fn evict_bfcache(&self) -> impl Iterator<Item = HeaderValue> {
        let name = format!("{}00000000", self.attempt_prefix);
        [Duration::MINUTE, Duration::ZERO]
            .repeat(BFCACHE_EVICTION_PAIRS)
            .into_iter()
            .map(move |age| self.set(&name, "x", age))
    }

    /// A removal carries all attributes: without `Secure` browsers refuse it for a `__Host-` cookie.
    pub fn remove(&self, name: &str) -> HeaderValue {
        self.set(name, "", Duration::ZERO)
    }

    pub fn set(&self, name: &str, value: &str, max_age: Duration) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = format!(
            "{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
            max_age.whole_seconds()
        );
        HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn is_ours(&self, name: &str) -> bool {
        name == self.session || name.starts_with(&self.attempt_prefix)
    }
}

/// All cookies of ours in a request, as name and value. Call it behind the guard only.
pub fn read<'a>(
    headers: &'a HeaderMap,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let lines = headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split("; "))
        .filter_map(|pair| pair.split_once('='))
        .filter(move |(name, _)| name.starts_with(prefix))
}

/// Whether the request carries a session cookie, live or not.
pub fn has_session(headers: &HeaderMap, names: &CookieNames) -> bool {
    read(headers, &names.session).any(|(name, _)| name == names.session)
}

/// Lets through only cookies with plain names and values, and each of ours only if it is there once.
///
/// The parser behind percent-decodes and trims names, and the last one wins. A sibling subdomain may set
/// `%5F%5FHost-sid`, which no browser protects, and would override a `__Host-` cookie with it. It also gives up on the
/// whole header for one byte that is no text, so a foreign cookie could sign people out.
pub async fn guard(
    State(names): State<Arc<CookieNames>>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.headers().contains_key(header::COOKIE) {
        let clean = clean(request.headers(), &names);
        request.headers_mut().remove(header::COOKIE);
        if let Some(clean) = clean {
            request.headers_mut().insert(header::COOKIE, clean);
        }
    }
    let mut response = next.run(request).await;
    keep_own_removals(response.headers_mut(), &names);
    response
}

/// The `Cookie` header that the rest of the application sees.
fn clean(headers: &HeaderMap, names: &CookieNames) -> Option<HeaderValue> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii);
    let plain = pairs
        .filter_map(|pair| std::str::from_utf8(pair).ok())
        .filter(|pair| is_plain(pair));
    let (ours, mut kept): (Vec<&str>, Vec<&str>) =
        plain.partition(|pair| names.is_ours(name_of(pair)));
    if ours.len() <= OURS_MAX {
        let once = |pair: &&&str| {
            ours.iter()
                .filter(|other| name_of(other) == name_of(pair))
                .count()
                == 1
        };
        kept.extend(ours.iter().filter(once));
    }
    HeaderValue::from_str(&kept.join("; "))
        .ok()
        .filter(|value| !value.is_empty())
}

fn name_of(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

/// A name that every parser reads alike, and a value of printable ASCII.
fn is_plain(pair: &str) -> bool {
    let name = name_of(pair);
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(token)
        && pair.bytes().all(|byte| (0x20..=0x7E).contains(&byte))
}

/// Drops removals of the session cookie that are not our own. tower-sessions removes the cookie of a dead session from
/// any page that sees it: without `Secure`, which browsers refuse for `__Host-` cookies, and late enough to hit the
/// cookie of a login that has just succeeded in another tab. Only signing out removes.
fn keep_own_removals(headers: &mut HeaderMap, names: &CookieNames) {
    let (removal, own) = (format!("{}=;", names.session), names.remove_session());
    let foreign =
        |cookie: &HeaderValue| cookie.as_bytes().starts_with(removal.as_bytes()) && *cookie != own;
    if headers.get_all(header::SET_COOKIE).into_iter().any(foreign) {
        let cookies: Vec<HeaderValue> = headers
            .get_all(header::SET_COOKIE)
            .into_iter()
            .cloned()
            .collect();
        headers.remove(header::SET_COOKIE);
        for cookie in cookies.into_iter().filter(|cookie| !foreign(cookie)) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}
