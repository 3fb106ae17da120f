//! The authorization request, and its validation.

use super::DemoProvider;
use super::wire::Fields;

/// base64url of a SHA-256 digest, without padding.
const CODE_CHALLENGE_CHARACTERS: usize = 43;

/// A valid authorization request.
#[derive(Clone)]
pub struct AuthorizationRequest {
    pub client_id: String,
    pub redirect_uri: String,
    pub scope: String,
    pub code_challenge: String,
    pub state: Option<String>,
}

impl AuthorizationRequest {
    /// The error is the sentence that the consent page shows.
    pub fn parse(provider: &DemoProvider, query: &str) -> Result<Self, String> {
        let fields = Fields::parse(query.as_bytes())?;
        let value = |name: &str| fields.get(name).unwrap_or_default().to_owned();
        let request = Self {
            client_id: value("client_id"),
            redirect_uri: value("redirect_uri"),
            scope: value("scope"),
            code_challenge: value("code_challenge"),
            state: fields.get("state").map(str::to_owned),
        };
        let client = provider
            .client(&request.client_id)
            .ok_or("The client_id is missing or unknown")?;
        if !client.redirect_uris.contains(&request.redirect_uri) {
            return Err(
                "The redirect_uri is not registered for this application, character by character"
                    .into(),
            );
        }
        if value("response_type") != "code" {
            return Err("The response_type must be code".into());
        }
        if value("code_challenge_method") != "S256" {
            return Err("The code_challenge_method must be S256".into());
        }
        if !is_code_challenge(&request.code_challenge) {
            return Err("The code_challenge must be 43 characters of base64url".into());
        }
        if !request.scope.split(' ').all(is_scope_token) {
            return Err(
                "The scope must name at least one scope, separated by single spaces".into(),
            );
        }
        Ok(request)
    }
}

fn is_code_challenge(text: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == CODE_CHALLENGE_CHARACTERS && text.bytes().all(base64url)
}

/// Printable ASCII without space, quote and backslash (RFC 6749 section 3.3).
fn is_scope_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(allowed)
}
