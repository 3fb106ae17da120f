//! Errors of the token and revocation endpoints, classified by their consequence.

use std::time::Duration;

use serde_json::Value;

use super::breaker::{BreakerRefusal, Health};
use super::calls::CallClass;
use super::token::StrayTokens;
use super::{dialect, json, transport};

/// A failed call to the token or revocation endpoint. Holds no secret and no foreign text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Failed to connect, so certainly nothing was sent.
    #[error("the provider cannot be reached")]
    NotSent,
    #[error(transparent)]
    NotAdmitted(#[from] BreakerRefusal),
    /// This machine could not open a connection. Nothing was sent.
    #[error("no connection can be opened here")]
    Local,
    /// Ambiguous. The request may have been processed, but no answer was read in time.
    #[error("the answer was lost")]
    Lost,
    /// `invalid_grant`. The code or refresh token is not valid.
    #[error("the provider refused the grant")]
    InvalidGrant,
    /// 400 or 401 for another reason. Our registration or configuration is wrong.
    #[error("the provider refused this application: {code}")]
    Misconfigured { code: &'static str },
    /// 400 or 401 without a known reason.
    #[error("the provider refused the request without a known reason (status {status})")]
    Unclear { status: u16 },
    /// 429 or 5xx, with the provider's `Retry-After`.
    #[error("the provider is unavailable (status {status})")]
    Unavailable {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// A status outside the protocol, such as a redirect.
    #[error("the provider answered with status {status}")]
    Unexpected { status: u16 },
    /// 200 without a usable token response.
    #[error("the provider's answer cannot be used: {0}")]
    Unreadable(&'static str),
}

/// A failed exchange or refresh.
#[derive(Debug)]
pub struct FailedTokenRequest {
    pub error: TokenError,
    /// Tokens of the answer, which are not used. Revoking them could end the grant of a refresh.
    pub stray: Option<StrayTokens>,
}

impl From<TokenError> for FailedTokenRequest {
    fn from(error: TokenError) -> Self {
        Self { error, stray: None }
    }
}

impl TokenError {
    /// Drops the source, whose text holds the URL.
    #[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
    pub(super) fn from_transport(error: reqwest::Error) -> Self {
        transport::report_tls(&error);
        if transport::is_local(&error) {
            Self::Local
        } else if error.is_connect() {
            Self::NotSent
        } else {
            Self::Lost
        }
    }

    /// Every answer is a sign of health, or an attacker could open the circuit breaker with made-up
    /// codes. Exceptions are 429, 5xx, and the refusal of this application.
    pub(super) fn health(&self) -> Health {
        match self {
            Self::Misconfigured {
                code: "invalid_client" | "unauthorized_client",
            }
            | Self::NotSent
            | Self::Lost => Health::Failed,
            Self::Unavailable { status, .. } => Health::of_status(*status),
            Self::InvalidGrant
            | Self::Misconfigured { .. }
            | Self::Unclear { .. }
            | Self::Unexpected { .. }
            | Self::Unreadable(_) => Health::Answered,
            Self::NotAdmitted(_) | Self::Local => Health::Unknown,
        }
    }

    /// For the metrics.
    pub(super) fn class(&self) -> CallClass {
        match self {
            Self::NotSent | Self::Lost => CallClass::NoAnswer,
            Self::NotAdmitted(_) => CallClass::NotAdmitted,
            Self::Local => CallClass::LocalError,
            Self::InvalidGrant | Self::Misconfigured { .. } | Self::Unclear { .. } => {
                CallClass::Refused
            }
            Self::Unreadable(_) | Self::Unexpected { status: 200..300 } => CallClass::Unreadable,
            Self::Unavailable { status, .. } | Self::Unexpected { status } => {
                CallClass::of_status(*status)
            }
        }
    }
}

/// Error codes of RFC 6749 section 5.2 that are our own mistake.
const OUR_MISTAKES: [&str; 5] = [
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];
/// Error codes of RFC 6749 section 4.1.2.1 that some providers also send here.
const OUTAGES: [&str; 2] = ["server_error", "temporarily_unavailable"];

/// The error behind a status other than 2xx.
pub fn classify(status: u16, retry_after: Option<Duration>, body: &[u8]) -> TokenError {
    match status {
        400 | 401 => classify_refusal(status, &json::parse(body).unwrap_or_default()),
        429 | 500..600 => TokenError::Unavailable {
            status,
            retry_after,
        },
        _ => TokenError::Unexpected { status },
    }
}

/// A refusal with 400 or 401, or an error that came with 200.
pub(super) fn classify_refusal(status: u16, body: &Value) -> TokenError {
    let code = dialect::error_code(body);
    let mistake = OUR_MISTAKES.into_iter().find(|known| Some(*known) == code);
    match mistake {
        _ if code == Some("invalid_grant") => TokenError::InvalidGrant,
        // The one code that providers also use for a refresh token that has expired.
        None | Some("invalid_request") if dialect::refuses_grant(body) => TokenError::InvalidGrant,
        Some(code) => TokenError::Misconfigured { code },
        None if code.is_some_and(|code| OUTAGES.contains(&code)) => TokenError::Unavailable {
            status: 503,
            retry_after: None,
        },
        None => TokenError::Unclear { status },
    }
}

/// Whether there is nothing left to revoke. The token is unknown, dead, or of a type that the
/// provider does not revoke (RFC 7009 section 2.2.1).
pub(super) fn nothing_to_revoke(status: u16, body: &[u8]) -> bool {
    let body: Value = json::parse(body).unwrap_or_default();
    match status {
        404 => true,
        400 | 401 => matches!(
            dialect::error_code(&body),
            Some("unsupported_token_type" | "invalid_grant" | "invalid_token")
        ),
        _ => false,
    }
}
