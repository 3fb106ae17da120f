//! One function per kind of setting. Takes the text, returns the value or the broken rule.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use super::LogFormat;

/// Longest `APP_NAME`, in characters.
const APP_NAME_MAX: usize = 60;
/// Most connections one process may open.
const MAX_CONNECTIONS: u32 = 1_000;
/// Bounds of a session's lifetime.
const LIFETIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 400);
/// Bounds of the time that an idle connection stays open.
const KEEP_ALIVE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
/// Longest time that connections are still accepted after the stop signal.
const MAX_DRAIN_DELAY: Duration = Duration::from_mins(5);
/// Most proxies in a row.
const MAX_HOPS: u8 = 10;

/// The origin that people see, such as `https://app.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host and port as a browser writes them in `Origin`, without a slash at the end.
    pub origin: String,
    /// `https`. Cookies are `Secure` and carry the `__Host-` prefix.
    pub secure: bool,
}

impl PublicUrl {
    /// Whether a `Host` header names this origin, in any letter case and with or without the
    /// default port.
    pub fn is_host(&self, host: &str) -> bool {
        let (scheme, own) = self.origin.split_once("://").unwrap_or_default();
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(default_port).unwrap_or(host);
        host.trim_end_matches('.').eq_ignore_ascii_case(own)
    }
}

pub fn public_url(text: &str) -> Result<PublicUrl, String> {
    let url = endpoint(text)?;
    if url.path() != "/" || url.query().is_some() {
        return Err("must be an origin: scheme, host and port, without a path or a query".into());
    }
    Ok(PublicUrl {
        origin: url.origin().ascii_serialization(),
        secure: url.scheme() == "https",
    })
}

/// A URL that secrets are sent to.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let url = any_url(text)?;
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(host) || host.ends_with(".localhost") => {}
        _ => return Err("must start with https:// (http:// only on loopback)".into()),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("must not have a user, a password or a fragment".into());
    }
    Ok(url)
}

pub fn endpoint_or_off(text: &str) -> Result<Option<Url>, String> {
    if text == "off" {
        Ok(None)
    } else {
        endpoint(text).map(Some)
    }
}

pub fn any_url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("must be a URL ({error})"))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A name for titles and headers.
pub fn app_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let is_plain = name.chars().all(|c| !c.is_control());
    if name.is_empty() || !is_plain || name.chars().count() > APP_NAME_MAX {
        return Err(format!("must be 1 to {APP_NAME_MAX} visible characters"));
    }
    Ok(name.to_owned())
}

/// A page for people.
pub fn page_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|_| "must be a URL such as https://example.com/privacy")?;
    let is_page = url.scheme() == "https" && url.has_host();
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if !is_page || has_credentials {
        return Err("must be an https URL without a user name or password".into());
    }
    Ok(url.into())
}

/// A page for people, or an e-mail address after `mailto:`.
pub fn support_url(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("mailto:");
    match address {
        Some(address) if address.contains('@') && Url::parse(text).is_ok() => Ok(text.to_owned()),
        Some(_) => Err("must name an e-mail address after mailto:".into()),
        None => page_url(text),
    }
}

pub fn socket_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "must be an address and a port, such as 0.0.0.0:3000".into())
}

/// Whether TLS to the database may be left out.
pub fn database_tls(text: &str) -> Result<bool, String> {
    one_of(text, [("verify-full", false), ("insecure", true)])
}

pub fn database_url(url: &SecretString, insecure: bool) -> Result<PgConnectOptions, String> {
    let text = url.expose_secret();
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err("must start with postgres://".into());
    }
    // The parser's own error may quote the password.
    let options = PgConnectOptions::from_str(text).map_err(|_| database_url_hint(text))?;
    let host = options.get_host();
    let is_local = options.get_socket().is_some() || host.starts_with('/') || is_loopback(host);
    if is_local || insecure || matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
        Ok(options)
    } else {
        Err("needs sslmode=verify-full outside this machine \
            (or DATABASE_TLS=insecure, if the network is yours)"
            .into())
    }
}

/// Why a Postgres URL may not be valid. Holds nothing of it.
fn database_url_hint(text: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (credentials, _) = rest.rsplit_once('@').unwrap_or_default();
    let has_odd = |odd: &[char]| credentials.contains(odd);
    if rest.contains("/cloudsql/") || rest.contains("@/") && rest.contains(':') {
        "is not a valid Postgres URL: write a socket as ?host=/cloudsql/project:region:instance"
    } else if has_odd(&['#', '/', '?', '%', '@', '[', ']', ' ']) {
        "is not a valid Postgres URL: in the password write % as %25, # as %23, / as %2F, ? as %3F, \
         @ as %40"
    } else {
        "is not a valid Postgres URL, such as postgres://user:password@host:5432/database"
    }
    .to_owned()
}

pub fn connection_count(text: &str) -> Result<u32, String> {
    number(text, 1..=MAX_CONNECTIONS)
}

pub fn hops(text: &str) -> Result<u8, String> {
    number(text, 0..=MAX_HOPS)
}

pub fn port(text: &str) -> Result<u16, String> {
    number(text, 1..=u16::MAX)
}

pub fn keep_alive(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "must be a duration such as 75s or 10m".to_owned())?;
    if KEEP_ALIVE.contains(&duration) {
        Ok(duration)
    } else {
        Err("must be between 1s and 1h".into())
    }
}

pub fn drain_delay(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "must be a duration such as 5s, or 0s".to_owned())?;
    if duration <= MAX_DRAIN_DELAY {
        Ok(duration)
    } else {
        Err("must be at most 5m".into())
    }
}

pub fn client_id(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("must be printable ASCII without spaces".into())
    }
}

/// Whether the application is a public client (RFC 6749 section 2.1).
pub fn client_type(text: &str) -> Result<bool, String> {
    one_of(text, [("private", false), ("public", true)])
}

pub fn client_secret(secret: &SecretString) -> Result<SecretString, String> {
    let text = secret.expose_secret();
    if text.trim().is_empty() || text.starts_with('<') {
        Err("must not be blank, nor a placeholder".into())
    } else {
        Ok(secret.clone())
    }
}

/// The scopes that Matrica documents.
pub const KNOWN_SCOPES: [&str; 9] = [
    "profile",
    "wallets",
    "nfts",
    "email",
    "socials.twitter",
    "socials.discord",
    "socials.telegram",
    "roles",
    "domains",
];

pub fn scopes(text: &str) -> Result<Vec<String>, String> {
    // RFC 6749 section 3.3: printable ASCII without quotation mark and backslash.
    let is_legal = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let scopes: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    if !scopes.iter().all(|scope| scope.bytes().all(is_legal)) {
        Err("must be scope names separated by spaces".into())
    } else if !scopes.iter().any(|scope| scope == "profile") {
        Err("must contain profile, which says who signs in".into())
    } else {
        Ok(scopes)
    }
}

pub fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "must be a duration such as 30m, 24h or 30d".to_owned())?;
    if LIFETIME.contains(&duration) {
        Ok(duration)
    } else {
        Err("must be between 1s and 400d".into())
    }
}

pub fn boolean(text: &str) -> Result<bool, String> {
    one_of(text, [("true", true), ("false", false)])
}

pub fn on_off(text: &str) -> Result<bool, String> {
    one_of(text, [("on", true), ("off", false)])
}

pub fn log_format(text: &str) -> Result<LogFormat, String> {
    one_of(
        text,
        [("json", LogFormat::Json), ("pretty", LogFormat::Pretty)],
    )
}

fn one_of<T>(text: &str, [(first, a), (second, b)]: [(&str, T); 2]) -> Result<T, String> {
    if text == first {
        Ok(a)
    } else if text == second {
        Ok(b)
    } else {
        Err(format!("must be {first} or {second}"))
    }
}

fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
}
