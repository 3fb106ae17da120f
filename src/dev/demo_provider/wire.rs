//! OAuth 2.0 on the wire, which is form fields without duplicates and the errors of RFC 6749.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Token responses and errors must not be cached (RFC 6749 section 5.1).
pub const NO_STORE: [(HeaderName, &str); 2] = [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];

/// Form or query parameters, each at most once.
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// A duplicate is refused by name (RFC 6749 section 3.1).
    pub fn parse(encoded: &[u8]) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(encoded).into_owned() {
            if fields.contains_key(&name) {
                return Err(format!("The parameter {name} was sent more than once"));
            }
            fields.insert(name, value);
        }
        Ok(Self(fields))
    }

    /// A parameter with an empty value counts as omitted (RFC 6749 section 3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    pub fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name)
            .ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }
}

/// The fields of a form post to the token or the revocation endpoint.
pub fn client_form(headers: &HeaderMap, body: &[u8]) -> Result<Fields, OAuthError> {
    if !is_form(headers) {
        return Err(OAuthError {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ..OAuthError::invalid_request("Send application/x-www-form-urlencoded")
        });
    }
    if headers.contains_key(AUTHORIZATION) {
        let description = "Clients authenticate by form fields, not by a header";
        return Err(OAuthError::invalid_request(description));
    }
    Fields::parse(body).map_err(OAuthError::invalid_request)
}

pub fn is_form(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// An error response (RFC 6749 section 5.2).
pub struct OAuthError {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl OAuthError {
    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self {
            status,
            error,
            description,
        }
    }

    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub fn invalid_grant(description: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    pub fn unsupported_grant_type() -> Self {
        let description = "Use authorization_code or refresh_token";
        Self::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            description,
        )
    }

    pub fn invalid_client(description: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        (self.status, NO_STORE, Json(body)).into_response()
    }
}
