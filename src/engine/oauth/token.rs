//! The token response (RFC 6749 section 5.1).

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::json;

/// Longest token, in bytes.
const TOKEN_MAX: usize = 8 * 1024;
/// Lifetime of an access token without a usable `expires_in`, unless the provider has another.
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_hours(1);
/// Longer lifetimes are cut to this.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 30);
const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();
/// Longest scope text, in bytes.
const SCOPE_MAX: usize = 4 * 1024;

/// An access or refresh token. `Debug` redacts it, and it has no `PartialEq`.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    pub fn new(text: impl Into<SecretString>) -> Self {
        Self(text.into())
    }

    /// For sending and sealing only.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A successful token response.
#[derive(Clone)]
pub struct TokenSet {
    pub access_token: Token,
    pub refresh_token: Option<Token>,
    /// Never more than was requested.
    pub scope: Vec<String>,
    /// Lifetime of the access token, counted from `sent`. Zero if it has already expired.
    pub expires_in: Duration,
    /// The time just before the request.
    pub sent: Instant,
}

/// Tokens that are not used, also of an answer that cannot be. Good for revoking only.
#[derive(Debug)]
pub struct StrayTokens {
    pub access_token: Option<Token>,
    pub refresh_token: Option<Token>,
}

impl From<TokenSet> for StrayTokens {
    fn from(tokens: TokenSet) -> Self {
        Self {
            access_token: Some(tokens.access_token),
            refresh_token: tokens.refresh_token,
        }
    }
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: Option<Value>,
    token_type: Option<Value>,
    refresh_token: Option<Value>,
    expires_in: Option<Value>,
    scope: Option<Value>,
}

/// The error says why the response cannot be used.
pub fn parse_token_set(
    body: &[u8],
    requested: &[String],
    default_lifetime: Duration,
    sent: Instant,
) -> Result<TokenSet, &'static str> {
    // serde accepts an array for a struct. It refuses duplicate keys and deep nesting.
    let start = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if !start.trim_ascii_start().starts_with(b"{") {
        return Err("not a JSON object");
    }
    let response: TokenResponse = json::parse(body).map_err(|_| "not valid JSON")?;
    let token_type = response.token_type.as_ref().and_then(Value::as_str);
    if !token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("token_type is not Bearer");
    }
    let lifetime = response.expires_in.as_ref().and_then(parse_lifetime);
    Ok(TokenSet {
        access_token: parse_token(response.access_token)?.ok_or("no access_token")?,
        refresh_token: parse_token(response.refresh_token)?,
        scope: granted_scope(response.scope.as_ref(), requested),
        expires_in: lifetime.unwrap_or(default_lifetime),
        sent,
    })
}

/// Searches the text of an answer that [`parse_token_set`] has refused, JSON or not. `None` if it
/// holds no token.
pub(super) fn find_stray_tokens(body: &[u8]) -> Option<StrayTokens> {
    let text = String::from_utf8_lossy(body);
    let find = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        let value = rest.trim_start().strip_prefix(':')?;
        let mut values = serde_json::Deserializer::from_str(value).into_iter::<String>();
        let token = values.next()?.ok().map(Value::String);
        parse_token(token).unwrap_or_default()
    };
    let (access_token, refresh_token) = (find("\"access_token\""), find("\"refresh_token\""));
    (access_token.is_some() || refresh_token.is_some()).then_some(StrayTokens {
        access_token,
        refresh_token,
    })
}

/// `None` for absent, null and empty. A text that cannot be sent in a header is an error.
fn parse_token(value: Option<Value>) -> Result<Option<Token>, &'static str> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text))
            if text.len() <= TOKEN_MAX && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Some(Token::new(text)))
        }
        Some(_) => Err("a token is no usable text"),
    }
}

/// An absent `scope` is the requested one (RFC 6749 section 5.1), and so is one without any scope.
/// Accepts a list of strings too. Drops anything beyond the request.
fn granted_scope(scope: Option<&Value>, requested: &[String]) -> Vec<String> {
    let texts: Option<Vec<&str>> = match scope {
        Some(Value::String(text)) => Some(vec![text]),
        Some(Value::Array(texts)) => texts.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let texts = texts.unwrap_or_default();
    let short = texts.iter().map(|text| text.len()).sum::<usize>() <= SCOPE_MAX;
    let granted = texts
        .iter()
        .flat_map(|text| text.split([' ', ',', '\t', '\n', '\r']));
    let granted: Vec<&str> = granted.filter(|scope| !scope.is_empty()).collect();
    if granted.is_empty() || !short {
        return requested.to_vec();
    }
    let requested = requested.iter();
    requested
        .filter(|scope| granted.contains(&scope.as_str()))
        .cloned()
        .collect()
}

/// Accepts numbers and digits in a string. A negative lifetime is zero.
fn parse_lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim_matches(' ').parse().ok()?,
        _ => return None,
    };
    if seconds.is_nan() {
        return None;
    }
    let lifetime = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(MAX_LIFETIME);
    Some(lifetime.min(MAX_LIFETIME))
}
