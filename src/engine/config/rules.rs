//! One function per kind of setting: text in, value or broken rule out.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::{Host, Url};

use super::{LogFormat, source::is_blank};

/// Most connections one process may open.
const MAX_CONNECTIONS: u32 = 1_000;
/// Shortest and longest lifetime of a session.
const LIFETIME: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(24 * 400);
/// Most proxies that can stand in a row.
const MAX_HOPS: u8 = 10;

/// The origin that people see, such as `https://app.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host and port as a browser writes them in `Origin`: no path, no trailing slash.
    pub origin: String,
    /// `https`: cookies are `Secure` and carry the `__Host-` prefix.
    pub secure: bool,
}

pub(super) fn public_url(text: &str) -> Result<PublicUrl, String> {
    let url = endpoint(text)?;
    if url.path() != "/" || url.query().is_some() {
        return Err("must be an origin: scheme, host and port, without a path or a query".into());
    }
    Ok(PublicUrl {
        origin: url.origin().ascii_serialization(),
        secure: url.scheme() == "https",
    })
}

/// An address that secrets are sent to.
pub(super) fn endpoint(text: &str) -> Result<Url, String> {
    let url = any_url(text)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        _ => return Err("must start with https:// (http:// only on loopback)".into()),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("must not have a user, a password or a fragment".into());
    }
    Ok(url)
}

pub(super) fn endpoint_or_off(text: &str) -> Result<Option<Url>, String> {
    if text == "off" {
        Ok(None)
    } else {
        endpoint(text).map(Some)
    }
}

pub(super) fn any_url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("must be a URL ({error})"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(super) fn socket_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "must be an address and a port, such as 0.0.0.0:3000".into())
}

/// Whether TLS to the database may be left out.
pub(super) fn database_tls(text: &str) -> Result<bool, String> {
    match text {
        "verify-full" => Ok(false),
        "insecure" => Ok(true),
        _ => Err("must be verify-full or insecure".into()),
    }
}

pub(super) fn database_url(url: &SecretString, insecure: bool) -> Result<PgConnectOptions, String> {
    let text = url.expose_secret();
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err("must start with postgres://".into());
    }
    // The parser's own error may quote the password.
    let options =
        PgConnectOptions::from_str(text).map_err(|_| "is not a valid Postgres URL".to_owned())?;
    let local = options.get_socket().is_some() || options.get_host().starts_with('/') || {
        let host = options.get_host().trim_matches(['[', ']']);
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    };
    let verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
    if local || insecure || verified {
        Ok(options)
    } else {
        Err("needs sslmode=verify-full outside this machine (or DATABASE_TLS=insecure, if the network is yours)".into())
    }
}

pub(super) fn connection_count(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=MAX_CONNECTIONS).contains(count))
        .ok_or_else(|| format!("must be a number from 1 to {MAX_CONNECTIONS}"))
}

pub(super) fn client_id(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("must be printable ASCII without spaces".into())
    }
}

/// `true` for a public application.
pub(super) fn client_type(text: &str) -> Result<bool, String> {
    match text {
        "private" => Ok(false),
        "public" => Ok(true),
        _ => Err("must be private or public".into()),
    }
}

pub(super) fn client_secret(secret: &SecretString) -> Result<SecretString, String> {
    if is_blank(secret) || secret.expose_secret().starts_with('<') {
        Err("must not be blank, nor a placeholder".into())
    } else {
        Ok(secret.clone())
    }
}

pub(super) fn scopes(text: &str) -> Result<Vec<String>, String> {
    // RFC 6749 section 3.3: printable ASCII without quotation mark and backslash.
    let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let scopes: Vec<String> = text
        .split(' ')
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    if !scopes.iter().all(|scope| scope.bytes().all(legal)) {
        return Err("must be scope names separated by spaces".into());
    }
    if !scopes.iter().any(|scope| scope == "profile") {
        return Err("must contain profile: without it nobody can be recognised".into());
    }
    Ok(scopes)
}

pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "must be a duration such as 30m, 24h or 30d".to_owned())?;
    if LIFETIME.contains(&duration) {
        Ok(duration)
    } else {
        Err("must be between 1s and 400d".into())
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".into())
}

pub(super) fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".into()),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    text.parse().map_err(|_| "must be json or pretty".into())
}

pub(super) fn hops(text: &str) -> Result<u8, String> {
    text.parse()
        .ok()
        .filter(|hops| *hops <= MAX_HOPS)
        .ok_or_else(|| format!("must be a number from 0 to {MAX_HOPS}"))
}
