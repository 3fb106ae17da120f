//! Cookie names and attributes, and workarounds for browsers and tower-sessions.
//!
//! * [`clean_request`] drops cookies that a sibling subdomain can forge or break.
//! * [`clean_response`] drops the session cookies and removals that tower-sessions adds.
//! * [`CookieNames::evict_bfcache`] keeps Chromium's "back" from showing account pages after a
//!   sign-out.

use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderValue, header};
use time::Duration;

use super::SessionId;

/// Most login cookies in a request. With more of them none counts, and the response removes all.
const ATTEMPTS_MAX: usize = 16;
/// Long enough for a redirect on a slow line.
const FLASH_MAX_AGE: Duration = Duration::MINUTE;
/// Pairs of cookie changes at a sign-out. One sign-in makes up to four changes.
const BFCACHE_EVICTION_PAIRS: usize = 3;

/// The names of our cookies, and whether they are `Secure`. Both follow from `PUBLIC_URL`.
#[derive(Clone)]
pub struct CookieNames {
    pub session: String,
    /// Followed by eight hexadecimal digits of the hash of `state`.
    pub attempt_prefix: String,
    flash: String,
    pub secure: bool,
}

impl CookieNames {
    /// Over https the names have the prefix `__Host-`. Browsers then refuse a cookie that another
    /// subdomain sets.
    pub fn new(secure: bool) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        Self {
            session: format!("{prefix}sid"),
            attempt_prefix: format!("{prefix}login-"),
            flash: format!("{prefix}flash"),
            secure,
        }
    }

    /// A `Set-Cookie` value that sets the session cookie.
    pub fn session(&self, id: SessionId, max_age: std::time::Duration) -> HeaderValue {
        let max_age = Duration::try_from(max_age).unwrap_or(Duration::MAX);
        self.set(&self.session, &id.expose(), max_age)
    }

    /// A `Set-Cookie` value that removes the session cookie.
    pub fn remove_session(&self) -> HeaderValue {
        self.remove(&self.session)
    }

    /// Further cookie changes for [`Self::remove_session`]. They leave no cookie behind.
    ///
    /// Chromium evicts a `no-store` page from its bfcache when an `HttpOnly` cookie changes. For
    /// the page after a sign-in it ignores as many changes as that sign-in made, so one removal has
    /// no effect. "Back" would then show the account to the next user of the browser.
    pub fn evict_bfcache(&self) -> impl Iterator<Item = HeaderValue> {
        let name = format!("{}00000000", self.attempt_prefix);
        [Duration::MINUTE, Duration::ZERO]
            .repeat(BFCACHE_EVICTION_PAIRS)
            .into_iter()
            .map(move |age| self.set(&name, "x", age))
    }

    /// Sets a cookie that lets the next page say what has just happened. A link alone must not.
    pub fn flash(&self, what: &str) -> HeaderValue {
        self.set(&self.flash, what, FLASH_MAX_AGE)
    }

    /// Whether there is a session cookie. It may have ended.
    pub fn has_session(&self, headers: &HeaderMap) -> bool {
        read(headers, &self.session).any(|(name, _)| name == self.session)
    }

    /// Whether [`Self::flash`] set this within the last minute.
    pub fn has_flash(&self, headers: &HeaderMap, what: &str) -> bool {
        read(headers, &self.flash).any(|(name, value)| name == self.flash && value == what)
    }

    /// Removes a cookie. Browsers refuse the removal of a `__Host-` cookie without `Secure`.
    pub fn remove(&self, name: &str) -> HeaderValue {
        self.set(name, "", Duration::ZERO)
    }

    pub fn set(&self, name: &str, value: &str, max_age: Duration) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let max_age = max_age.whole_seconds();
        let cookie =
            format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn is_ours(&self, name: &str) -> bool {
        name == self.session || name.starts_with(&self.attempt_prefix)
    }
}

/// Name and value of the cookies whose names begin with `prefix`, behind [`clean_request`].
pub fn read<'a>(
    headers: &'a HeaderMap,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split("; "))
        .filter_map(|pair| pair.split_once('='))
        .filter(move |(name, _)| name.starts_with(prefix))
}

/// Whether the request carries a session cookie. The session may have ended.
pub fn has_session(headers: &HeaderMap, names: &CookieNames) -> bool {
    read(headers, &names.session).any(|(name, _)| name == names.session)
}

/// Drops cookies that are not plain ASCII, and cookies of ours that occur more than once.
///
/// The parsers behind this layer percent-decode and trim names, and let the last cookie win. A
/// sibling subdomain could override a `__Host-` cookie with `%5F%5FHost-sid`, which browsers do not
/// protect. One byte that is not text makes a parser drop the whole header, so a foreign cookie
/// could sign people out.
///
/// Returns the names of login cookies that are too many.
pub fn clean_request(headers: &mut HeaderMap, names: &CookieNames) -> Vec<String> {
    let mut surplus = Vec::new();
    if headers.contains_key(header::COOKIE) {
        let clean = clean(headers, names, &mut surplus);
        headers.remove(header::COOKIE);
        if let Some(clean) = clean {
            headers.insert(header::COOKIE, clean);
        }
    }
    surplus
}

/// Removes the surplus of [`clean_request`], and keeps only our own changes of the session cookie.
pub fn clean_response(headers: &mut HeaderMap, names: &CookieNames, surplus: &[String]) {
    if headers.contains_key(header::SET_COOKIE) {
        keep_own_changes(headers, names);
    }
    for name in surplus {
        headers.append(header::SET_COOKIE, names.remove(name));
    }
}

/// The `Cookie` header for the layers and handlers. `surplus` gets the names of
/// login cookies that are too many.
fn clean(
    headers: &HeaderMap,
    names: &CookieNames,
    surplus: &mut Vec<String>,
) -> Option<HeaderValue> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let plain = lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair.trim_ascii()).ok())
        .filter(|pair| is_plain(pair));
    let (ours, mut kept): (Vec<&str>, Vec<&str>) =
        plain.partition(|pair| names.is_ours(name_of(pair)));
    // Counted in one pass, because a header has room for a thousand of them.
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for pair in &ours {
        *counts.entry(name_of(pair)).or_default() += 1;
    }
    if counts
        .get(names.session.as_str())
        .is_some_and(|count| *count > 1)
    {
        tracing::warn!(
            event = "session_cookie_ambiguous",
            "a request has several session cookies, so none counts"
        );
    }
    let (session, attempts): (Vec<&str>, Vec<&str>) = ours
        .iter()
        .filter(|pair| counts.get(name_of(pair)) == Some(&1))
        .partition(|pair| name_of(pair) == names.session);
    kept.extend(session);
    if attempts.len() <= ATTEMPTS_MAX {
        kept.extend(attempts);
    } else {
        surplus.extend(attempts.iter().map(|pair| name_of(pair).to_owned()));
    }
    let clean = HeaderValue::from_str(&kept.join("; ")).ok();
    clean.filter(|value| !value.is_empty())
}

fn name_of(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

/// Whether every parser reads the name alike, and the value is printable ASCII.
fn is_plain(pair: &str) -> bool {
    let name = name_of(pair);
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(token)
        && pair.bytes().all(|byte| (0x20..=0x7E).contains(&byte))
}

/// Drops changes of the session cookie that are not our own. Only a login sets it, and only a sign-out
/// removes it.
///
/// tower-sessions sets the cookie again after each write. Of a slow page, that would replace the cookie
/// of a login that has just succeeded in another tab. It also removes the cookie of a dead session on
/// every page. Browsers refuse this removal for a `__Host-` cookie, because it lacks `Secure`.
fn keep_own_changes(headers: &mut HeaderMap, names: &CookieNames) {
    let prefix = format!("{}=", names.session);
    let foreign = |cookie: &HeaderValue| {
        cookie.as_bytes().starts_with(prefix.as_bytes()) && !is_own(cookie, names)
    };
    let cookies = headers.get_all(header::SET_COOKIE).into_iter();
    let kept: Vec<HeaderValue> = cookies.filter(|cookie| !foreign(cookie)).cloned().collect();
    headers.remove(header::SET_COOKIE);
    for cookie in kept {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Whether [`CookieNames::set`] has made this.
fn is_own(cookie: &HeaderValue, names: &CookieNames) -> bool {
    let parts = || {
        let (pair, attributes) = cookie.to_str().ok()?.split_once("; Path=/; Max-Age=")?;
        let (name, value) = pair.split_once('=')?;
        let max_age = attributes.split(';').next()?.parse().ok()?;
        Some(names.set(name, value, Duration::seconds(max_age)))
    };
    parts().as_ref() == Some(cookie)
}
