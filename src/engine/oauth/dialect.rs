//! The words of a refusal, for providers that do not answer as RFC 6749 section 5.2 says.

use serde_json::Value;

/// Longest text that is looked at, in bytes.
const TEXT_MAX: usize = 512;
/// Error codes of other dialects for a code or refresh token that is not valid.
const CODES: [&str; 8] = [
    "invalid_token",
    "expired_token",
    "token_expired",
    "invalid_refresh_token",
    "invalid_code",
    "invalid_authorization_code",
    "bad_verification_code",
    "bad_refresh_token",
];
/// A refusal of the grant names the fault and the thing, in whole words.
const FAULTS: [&str; 7] = [
    "invalid",
    "expired",
    "revoked",
    "unknown",
    "not valid",
    "not found",
    "already used",
];
const GRANTS: [&str; 13] = [
    "token",
    "refresh_token",
    "refreshtoken",
    "grant",
    "authorization code",
    "authorization_code",
    "auth code",
    "invalid code",
    "unknown code",
    "expired code",
    "code is",
    "code has",
    "code not found",
];
/// Other things with such names, whose refusal is no refusal of the grant.
const OTHERS: [&str; 18] = [
    "client",
    "client_id",
    "client_secret",
    "grant type",
    "grant_type",
    "verifier",
    "code_verifier",
    "challenge",
    "code_challenge",
    "redirect",
    "redirect_uri",
    "csrf",
    "json",
    "unexpected",
    "status code",
    "error code",
    "access token",
    "access_token",
];

/// `error` as a string, or as an object that holds the code, as some servers send it. Empty is
/// none.
pub(super) fn error_code(body: &Value) -> Option<&str> {
    let error = body.get("error")?;
    let code = error
        .as_str()
        .or_else(|| error.get("code")?.as_str())
        .or_else(|| error.get("error")?.as_str())?;
    Some(code).filter(|code| !code.is_empty())
}

/// Whether the words say that the code or refresh token is not valid.
pub(super) fn refuses_grant(body: &Value) -> bool {
    let error = body.get("error").unwrap_or(&Value::Null);
    let texts = [
        Some(error),
        body.get("error_description"),
        body.get("message"),
        error.get("message"),
    ];
    let texts = texts.into_iter().flatten().flat_map(|text| match text {
        Value::Array(texts) => texts.iter().collect(),
        text => vec![text],
    });
    let code = error_code(body);
    code.is_some_and(|code| CODES.contains(&code))
        || texts.filter_map(Value::as_str).any(words_refuse_grant)
}

fn words_refuse_grant(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c)).filter(|word| !word.is_empty());
    let words = words.collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let words = format!(" {words} ");
    let has = |phrases: &[&str]| {
        let mut phrases = phrases.iter();
        phrases.any(|phrase| words.contains(&format!(" {phrase} ")))
    };
    text.len() <= TEXT_MAX && has(&FAULTS) && has(&GRANTS) && !has(&OTHERS)
}
