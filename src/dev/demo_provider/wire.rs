//! OAuth 2.0 on the wire, which is form fields without duplicates and the errors of RFC 6749.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Token responses and errors must not be cached (RFC 6749 section 5.1).
pub const NO_STORE: [(HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::PRAGMA, "no-cache"),
];

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
            .ok_or_else(|| invalid_request(format!("{name} is missing")))
    }
}

/// The fields of a form post to the token or the revocation endpoint.
pub fn client_form(headers: &HeaderMap, body: &[u8]) -> Result<Fields, OAuthError> {
    if !is_form(headers) {
        let mut error = invalid_request("Send application/x-www-form-urlencoded");
        error.status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(error);
    }
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(invalid_request(
            "Clients authenticate by form fields, not by a header",
        ));
    }
    Fields::parse(body).map_err(invalid_request)
}

pub fn is_form(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
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
    pub fn new(error: &'static str, description: impl Into<String>) -> Self {
        let status = match error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        let description = description.into();
        Self {
            status,
            error,
            description,
        }
    }
}

fn invalid_request(description: impl Into<String>) -> OAuthError {
    OAuthError::new("invalid_request", description)
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        (self.status, NO_STORE, Json(body)).into_response()
    }
}
