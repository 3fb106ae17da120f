//! The HTTP client for the provider. It sets every limit and follows no redirect.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use rustls::crypto::aws_lc_rs;
use rustls::{CertificateError, ClientConfig};
use rustls_platform_verifier::BuilderVerifierExt as _;
use time::OffsetDateTime;

use crate::engine::clock;

/// For a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two reads of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// For a whole call that sets no shorter one.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No certificate authority is installed.
    #[error("no TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("no HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// The TLS settings of every client. Reading the certificate authorities takes most of a start, so
/// make it once.
pub struct Tls(ClientConfig);

impl Tls {
    pub fn new() -> Result<Self, ClientError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?;
        Ok(Self(config.with_no_client_auth()))
    }
}

/// Keeps at most `idle_connections` open, each for `idle_max`.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the door that the lint points to"
)]
pub fn client(
    tls: &Tls,
    idle_connections: usize,
    idle_max: Duration,
) -> Result<Client, ClientError> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls.0.clone())
        // A redirected POST would send code, verifier and secret to a URL that the answer chose.
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        // HTTPS_PROXY in the environment must not reroute tokens.
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .pool_max_idle_per_host(idle_connections)
        .pool_idle_timeout(idle_max)
        .user_agent(concat!("matrica-starter/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(client?)
}

/// Errors of this machine: no free file descriptor in the system (`ENFILE`) or process (`EMFILE`).
const LOCAL_ERRORS: [i32; 2] = [23, 24];

/// Whether a call failed because of this machine. That says nothing about the provider.
pub fn is_local(error: &reqwest::Error) -> bool {
    let sources = std::iter::successors(error.source(), |error| (*error).source());
    sources
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .filter_map(io::Error::raw_os_error)
        .any(|code| LOCAL_ERRORS.contains(&code))
}

/// Logs a connection that failed because of TLS. Then either the provider's certificate or the
/// authorities of this machine are wrong, or an attacker is in between. Nothing was sent.
pub fn report_tls(error: &reqwest::Error) {
    if let Some(reason) = tls_failure(error) {
        tracing::error!(event = "tls_failed", reason, "no secure connection");
    }
}

/// Why a connection could not be secured. `None` for every other failure.
pub fn tls_failure(error: &reqwest::Error) -> Option<&'static str> {
    let mut sources = std::iter::successors(error.source(), |error| source_of(*error));
    let tls = sources.find_map(|error| error.downcast_ref::<rustls::Error>());
    tls.map(tls_reason)
}

/// `io::Error::source` skips the error inside.
fn source_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|inner| inner as _),
        None => error.source(),
    }
}

/// In words of our own, because the names in a certificate are foreign text.
fn tls_reason(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return "the handshake failed";
    };
    match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another host"
        }
        CertificateError::UnknownIssuer => "the certificate is of an unknown authority",
        CertificateError::Revoked => "the certificate is revoked",
        _ => "the certificate is not accepted",
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3). The caller bounds it.
pub fn retry_after(response: &Response) -> Option<Duration> {
    let header = response.headers().get(reqwest::header::RETRY_AFTER)?;
    parse_retry_after(header.to_str().ok()?)
}

/// The value of `Retry-After`. A date in the past is zero.
pub fn parse_retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::from(httpdate::parse_http_date(text).ok()?);
    Some(Duration::try_from(date - clock::now()).unwrap_or_default())
}

/// A body that was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the answer is too long")]
    TooLong,
    #[error("the answer broke off")]
    BrokenOff,
}

/// Reads a body of at most `limit` bytes.
pub async fn read_capped(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let announced = response.content_length();
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(BodyError::TooLong);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| BodyError::BrokenOff)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
