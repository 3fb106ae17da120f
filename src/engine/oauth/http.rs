//! How we talk to the provider: every limit set, nothing followed, nothing repeated, nothing from the environment.

use std::time::Duration;

use reqwest::{Client, Response, redirect::Policy};
use time::OffsetDateTime;

use crate::engine::clock;

/// Longest wait for a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest silence between two bytes of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest a whole call may take when it names no shorter time.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that keeps at most `idle_connections` open for later. Fails when no certificate authority is installed.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the door that the lint points to"
)]
pub fn client(idle_connections: usize) -> Result<Client, reqwest::Error> {
    Client::builder()
        // A redirected POST would carry code, verifier and secret to wherever the answer points.
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        // Otherwise HTTPS_PROXY in the environment would route tokens through whoever set it.
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .pool_max_idle_per_host(idle_connections)
        .user_agent(concat!("matrica-starter/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// `Retry-After` as seconds or as a date (RFC 9110 section 10.2.3); whoever waits for so long sets the bounds.
pub fn retry_after(response: &Response) -> Option<Duration> {
    let text = response
        .headers()
        .get(reqwest::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::from(httpdate::parse_http_date(text).ok()?);
    Some(Duration::try_from(date - clock::now()).unwrap_or_default())
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the answer is too long")]
    TooLong,
    #[error("the answer broke off")]
    BrokenOff,
}

/// Reads a body of at most `limit` bytes; a longer one is dropped as soon as that shows.
pub async fn read_capped(mut response: Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| ReadError::BrokenOff)? {
        if body.len() + chunk.len() > limit {
            return Err(ReadError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
