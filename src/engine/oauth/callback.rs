//! The authorization response (RFC 6749 section 4.1.2), parsed from the raw query of the callback.

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use strum::{EnumString, IntoStaticStr};

use super::OAuthState;

/// Longest parameter, in bytes. Matrica's codes have 350 to 480 and grow with the scopes.
const PARAMETER_MAX: usize = 4096;

/// `code`. Opaque, and valid for one minute.
#[derive(Clone)]
pub struct AuthorizationCode(SecretString);

impl AuthorizationCode {
    /// SHA-256.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.expose().as_bytes()).into()
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The provider's decision.
pub enum Outcome {
    Code(AuthorizationCode),
    /// `error`. Its description is foreign text, never shown nor logged.
    Error(AuthorizationError),
}

/// The registered values of `error`, from RFC 6749 section 4.1.2.1 and `OpenID` Connect Core
/// section 3.1.2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AuthorizationError {
    InvalidRequest,
    UnauthorizedClient,
    AccessDenied,
    UnsupportedResponseType,
    InvalidScope,
    ServerError,
    TemporarilyUnavailable,
    LoginRequired,
    ConsentRequired,
    InteractionRequired,
    AccountSelectionRequired,
    /// None of these.
    Other,
}

impl AuthorizationError {
    /// The name for the log, which is never the provider's own text.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The callback's parameters, after every check that needs no secret.
pub struct CallbackParameters {
    pub outcome: Outcome,
    /// `None` when absent or not of the shape that we send.
    pub state: Option<OAuthState>,
    /// The issuer (RFC 9207).
    pub iss: Option<String>,
}

/// A query that no provider sends. It must not consume an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    #[error("a parameter is given twice")]
    Duplicate,
    #[error("both a code and an error")]
    CodeAndError,
    #[error("neither a code nor an error")]
    CodeMissing,
    #[error("a parameter is too long or has illegal characters")]
    Malformed,
}

impl CallbackParameters {
    /// Decodes percent-encoding once. `+` stays `+`, because a code may contain it unescaped.
    pub fn parse(query: &str) -> Result<Self, CallbackError> {
        let (mut code, mut state, mut error, mut iss) = (None, None, None, None);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match &*percent_decode_str(name).decode_utf8_lossy() {
                "code" => &mut code,
                "state" => &mut state,
                "error" => &mut error,
                "iss" => &mut iss,
                _ => continue,
            };
            if slot.is_some() {
                return Err(CallbackError::Duplicate);
            }
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| CallbackError::Malformed)?;
            // VSCHAR of RFC 6749 appendix A.
            if value.len() > PARAMETER_MAX || value.bytes().any(|byte| !matches!(byte, 0x20..=0x7E))
            {
                return Err(CallbackError::Malformed);
            }
            *slot = Some(value.into_owned());
        }
        let present = |value: Option<String>| value.filter(|value| !value.is_empty());
        let [code, state, error, iss] = [code, state, error, iss].map(present);
        let outcome = match (code, error) {
            (Some(_), Some(_)) => return Err(CallbackError::CodeAndError),
            (Some(code), None) => Outcome::Code(AuthorizationCode(code.into())),
            (None, Some(error)) => {
                Outcome::Error(error.parse().unwrap_or(AuthorizationError::Other))
            }
            (None, None) => return Err(CallbackError::CodeMissing),
        };
        Ok(Self {
            outcome,
            state: state.as_deref().and_then(OAuthState::parse),
            iss,
        })
    }
}
