//! The answer of the token endpoint: lenient about what does not matter, strict about what does.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

/// Longest token, in bytes.
const TOKEN_MAX: usize = 8 * 1024;
/// Lifetime of an access token when the answer names none that can be used.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(1);
/// Longest lifetime that is believed.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 30);
/// Longest scope text that is kept, in bytes.
const SCOPE_MAX: usize = 4 * 1024;

/// An access or refresh token. Prints nothing, and cannot be compared by accident.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    pub fn new(text: impl Into<SecretString>) -> Self {
        Self(text.into())
    }

    /// The one way to the text. For sending and sealing only.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A successful token answer (RFC 6749 section 5.1).
#[derive(Clone)]
pub struct TokenSet {
    pub access_token: Token,
    /// Absent when the answer has none, or an empty one.
    pub refresh_token: Option<Token>,
    /// Never more than was asked for.
    pub scope: Vec<String>,
    /// Lifetime of the access token, counted from `sent`. Zero when the provider says it is over already.
    pub expires_in: Duration,
    /// Just before the request went out.
    pub sent: Instant,
}

#[derive(Deserialize)]
struct Wire {
    access_token: Option<Value>,
    token_type: Option<Value>,
    refresh_token: Option<Value>,
    expires_in: Option<Value>,
    scope: Option<Value>,
}

/// The error names the first thing that makes the answer useless.
pub(super) fn parse(
    body: &[u8],
    requested: &[String],
    sent: Instant,
) -> Result<TokenSet, &'static str> {
    // serde would take an array for the struct; it does refuse duplicate keys, a byte order mark and deep nesting.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("not a JSON object");
    }
    let wire: Wire = serde_json::from_slice(body).map_err(|_| "not valid JSON")?;
    let bearer = wire
        .token_type
        .as_ref()
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    if !bearer {
        return Err("token_type is not Bearer");
    }
    let access_token = token(wire.access_token)?.ok_or("no access_token")?;
    let refresh_token = token(wire.refresh_token)?;
    let scope = granted(wire.scope.as_ref(), requested);
    let expires_in = wire
        .expires_in
        .as_ref()
        .and_then(lifetime)
        .unwrap_or(DEFAULT_LIFETIME);
    Ok(TokenSet {
        access_token,
        refresh_token,
        scope,
        expires_in,
        sent,
    })
}

/// Absent, null and empty are none; anything that could not be sent back in a header is an error.
fn token(value: Option<Value>) -> Result<Option<Token>, &'static str> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text))
            if text.len() <= TOKEN_MAX
                && text.bytes().all(|byte| (0x21..=0x7E).contains(&byte)) =>
        {
            Ok(Some(Token::new(text)))
        }
        Some(_) => Err("a token is no usable text"),
    }
}

/// Absent means: as requested (RFC 6749 section 5.1). More than requested is not consent and is dropped.
fn granted(scope: Option<&Value>, requested: &[String]) -> Vec<String> {
    match scope.and_then(Value::as_str) {
        Some(text) if text.len() <= SCOPE_MAX => {
            let granted: Vec<&str> = text.split([' ', ',']).collect();
            requested
                .iter()
                .filter(|scope| granted.contains(&scope.as_str()))
                .cloned()
                .collect()
        }
        _ => requested.to_vec(),
    }
}

/// Integers, whole floats and digits in a string; negative is over already; absurd is clamped; the rest is unknown.
fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim_matches(' ').parse().ok()?,
        _ => return None,
    };
    if seconds.is_nan() {
        return None;
    }
    Some(
        Duration::try_from_secs_f64(seconds.max(0.0))
            .unwrap_or(MAX_LIFETIME)
            .min(MAX_LIFETIME),
    )
}
