//! What the provider sends back through the browser (RFC 6749 section 4.1.2), read from the raw query.

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use super::State;

/// Longest authorization code, in bytes. Matrica's are 350 to 480 today and grow with the scopes.
const CODE_MAX: usize = 4096;

/// The one-minute code. Opaque: no alphabet is assumed.
#[derive(Clone)]
pub struct AuthorizationCode(SecretString);

impl AuthorizationCode {
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// What the provider decided.
pub enum Outcome {
    Code(AuthorizationCode),
    /// `error=access_denied`: the person said no.
    Denied,
    /// Any other `error`. Its description is foreign text and is neither shown nor logged.
    Error,
}

/// The callback's parameters, after every check that needs no secret.
pub struct CallbackParameters {
    pub outcome: Outcome,
    /// Absent, or not of the shape that we send.
    pub state: Option<State>,
}

/// A query that no provider sends. Nothing is looked up or consumed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    #[error("a parameter is given twice")]
    Duplicate,
    #[error("both a code and an error")]
    CodeAndError,
    #[error("neither a code nor an error")]
    CodeMissing,
    #[error("a parameter holds impossible characters or is too long")]
    Malformed,
}

impl CallbackParameters {
    /// Parses by RFC 3986: `+` stays `+`, because codes contain it and may arrive unescaped. Decoded exactly once.
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
            // RFC 6749 appendix A: 1*VSCHAR.
            if value.len() > CODE_MAX || !value.bytes().all(|byte| (0x20..=0x7E).contains(&byte)) {
                return Err(CallbackError::Malformed);
            }
            *slot = Some(value.into_owned());
        }
        // An empty parameter counts as absent.
        let [code, state, error] =
            [code, state, error].map(|value| value.filter(|value| !value.is_empty()));
        let outcome = match (code, error) {
            (Some(_), Some(_)) => return Err(CallbackError::CodeAndError),
            (Some(code), None) => Outcome::Code(AuthorizationCode(code.into())),
            (None, Some(error)) if error == "access_denied" => Outcome::Denied,
            (None, Some(_)) => Outcome::Error,
            (None, None) => return Err(CallbackError::CodeMissing),
        };
        Ok(Self {
            outcome,
            state: state.as_deref().and_then(State::parse),
        })
    }
}
