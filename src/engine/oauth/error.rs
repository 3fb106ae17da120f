//! What can go wrong at the token endpoint, told apart by what it means for the person and for us.

use std::time::Duration;

use serde_json::Value;

use super::breaker::BreakerRefusal;

/// A failed call to the token or revocation endpoint. Holds no secret and no foreign text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Refused, unresolvable or without TLS: surely nothing was sent.
    #[error("the provider cannot be reached")]
    NotSent,
    /// Nothing was sent: too many calls failed just now, or are under way.
    #[error(transparent)]
    NotAdmitted(#[from] BreakerRefusal),
    /// Sent, but no readable answer came back in time.
    #[error("the answer was lost")]
    Lost,
    /// `invalid_grant`: this code or refresh token is no good.
    #[error("the provider refused the grant")]
    InvalidGrant,
    /// 400 or 401 for another reason: our registration or configuration is wrong, not the person.
    #[error("the provider refused this application: {code}")]
    Misconfigured { code: &'static str },
    /// 429 or 5xx: later, perhaps; `retry_after` is the provider's wish.
    #[error("the provider is unavailable (status {status})")]
    Unavailable {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// A status that the protocol does not know, redirects included.
    #[error("the provider answered with status {status}")]
    Unexpected { status: u16 },
    /// 200, but not a token answer.
    #[error("the provider's answer makes no sense: {0}")]
    Unreadable(&'static str),
}

impl TokenError {
    /// Only a failure to connect is sure to have sent nothing; the source's text holds the URL and is dropped.
    #[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
    pub(super) fn from_transport(error: reqwest::Error) -> Self {
        if error.is_connect() {
            Self::NotSent
        } else {
            Self::Lost
        }
    }

    /// Whether the provider did its part. Refusing one code, token or request is no failure of its own: otherwise a few
    /// made-up codes would keep everybody from signing in.
    pub(super) fn is_healthy(&self) -> bool {
        match self {
            Self::InvalidGrant => true,
            Self::Misconfigured { code } => {
                !matches!(*code, "invalid_client" | "unauthorized_client")
            }
            _ => false,
        }
    }
}

/// The error codes of RFC 6749 section 5.2 that mean our own mistake. Others are reported as `unknown`.
const OUR_MISTAKES: [&str; 5] = [
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// By status first, then by the body, which may be anything.
pub(super) fn classify(status: u16, retry_after: Option<Duration>, body: &[u8]) -> TokenError {
    match status {
        400 | 401 => match error_code(body).as_deref() {
            Some("invalid_grant") => TokenError::InvalidGrant,
            code => TokenError::Misconfigured {
                code: OUR_MISTAKES
                    .into_iter()
                    .find(|known| Some(*known) == code)
                    .unwrap_or("unknown"),
            },
        },
        429 | 500..600 => TokenError::Unavailable {
            status,
            retry_after,
        },
        _ => TokenError::Unexpected { status },
    }
}

/// Whether a refused revocation is over all the same: the token is unknown, already dead, or of a kind that this provider
/// does not revoke (RFC 7009 section 2.2.1).
pub(super) fn nothing_to_revoke(status: u16, body: &[u8]) -> bool {
    match status {
        404 => true,
        400 | 401 => {
            matches!(
                error_code(body).as_deref(),
                Some("unsupported_token_type" | "invalid_grant" | "invalid_token")
            )
        }
        _ => false,
    }
}

/// `error` as a string, or as an object with a code of its own; servers differ.
fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    let code = error
        .as_str()
        .or_else(|| error.get("code")?.as_str())
        .or_else(|| error.get("error")?.as_str())?;
    Some(code.to_owned())
}
