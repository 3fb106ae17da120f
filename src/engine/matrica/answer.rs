//! Reads one answer of the user API.

use std::time::Duration;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::ApiError;
use crate::engine::oauth::breaker::Health;
use crate::engine::oauth::calls::CallClass;
use crate::engine::oauth::json;
use crate::engine::oauth::transport::{self, BodyError};
use crate::engine::spans;

/// Longest answer, in bytes.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// Bounds of the provider's `Retry-After`.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// The body and the headers.
pub type Answer = (Value, HeaderMap);

/// The answer, whether it is a sign of health, and its class for the metrics.
pub async fn receive(response: Response) -> (Result<Answer, ApiError>, Health, CallClass) {
    let status = spans::answered(response.status().as_u16());
    let class = CallClass::of_status(status);
    let headers = response.headers().clone();
    let health = match retry_after(&response) {
        Some(pause) => Health::Paused(pause),
        None => Health::of_status(status),
    };
    if health != Health::Answered {
        return (Err(ApiError::Unavailable), health, class);
    }
    match transport::read_capped(response, ANSWER_MAX).await {
        Ok(body) => match parse_answer(status, headers, &body) {
            Err(error @ ApiError::Unreadable(200..300)) => {
                (Err(error), health, CallClass::Unreadable)
            }
            answer => (answer, health, class),
        },
        Err(BodyError::TooLong) => (Err(ApiError::TooLong), health, CallClass::Unreadable),
        Err(BodyError::BrokenOff) => {
            let answer = Err(ApiError::Unavailable);
            (answer, Health::Failed, CallClass::NoAnswer)
        }
    }
}

/// The pause that a 429 asks for.
fn retry_after(response: &Response) -> Option<Duration> {
    let is_limited = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let wish = transport::retry_after(response).filter(|_| is_limited)?;
    Some(wish.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
}

/// 204 and an empty body become null. The provider may send them for an unlinked account.
fn parse_answer(status: u16, headers: HeaderMap, body: &[u8]) -> Result<Answer, ApiError> {
    match status {
        200 | 204 => {}
        400 | 422 => return Err(ApiError::Rejected),
        401 => return Err(ApiError::Unauthorized),
        403 if lacks_scope(&headers) || json::is_document(body) => return Err(ApiError::Forbidden),
        // A firewall's page.
        403 => return Err(ApiError::Unavailable),
        404 if body.trim_ascii().is_empty() || json::is_document(body) => {
            return Err(ApiError::NotFound);
        }
        _ => return Err(ApiError::Unreadable(status)),
    }
    if body.trim_ascii().is_empty() {
        return Ok((Value::Null, headers));
    }
    let answer = json::parse(body).map_err(|_| ApiError::Unreadable(status))?;
    Ok((answer, headers))
}

/// `WWW-Authenticate: Bearer error="insufficient_scope"` (RFC 6750 section 3.1).
fn lacks_scope(headers: &HeaderMap) -> bool {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    let challenges = challenges.filter_map(|challenge| challenge.to_str().ok());
    let mut challenges = challenges.map(str::to_ascii_lowercase);
    challenges.any(|challenge| challenge.contains("insufficient_scope"))
}
