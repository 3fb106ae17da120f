//! What goes over the wire in OAuth 2.0: form fields without duplicates, and RFC 6749 errors.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;

/// RFC 6749, section 5.1: answers with tokens, and errors next to them, are not for caches.
pub(super) const NO_STORE: [(axum::http::HeaderName, &str); 2] =
    [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];

/// Form or query parameters, each at most once.
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Parameters sent twice are refused by name (RFC 6749, section 3.1).
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(encoded).into_owned() {
            if fields.contains_key(&name) {
                return Err(format!("The parameter {name} was sent more than once"));
            }
            fields.insert(name, value);
        }
        Ok(Self(fields))
    }

    /// A parameter; one without a value counts as omitted (RFC 6749, section 3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(super) fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name)
            .ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }
}

/// The fields of a form post to the token or the revocation endpoint.
pub(super) fn client_form(headers: &HeaderMap, body: &[u8]) -> Result<Fields, OAuthError> {
    if !is_form(headers) {
        let description = "Send application/x-www-form-urlencoded".into();
        return Err(OAuthError {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            error: "invalid_request",
            description,
        });
    }
    if headers.contains_key(AUTHORIZATION) {
        return Err(OAuthError::invalid_request(
            "Clients authenticate by form fields, not by a header".into(),
        ));
    }
    Fields::parse(body).map_err(OAuthError::invalid_request)
}

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// An error answer of RFC 6749, section 5.2.
pub(super) struct OAuthError {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl OAuthError {
    pub(super) fn invalid_request(description: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_request",
            description,
        }
    }

    pub(super) fn invalid_grant(description: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_grant",
            description: description.into(),
        }
    }

    pub(super) fn unsupported_grant_type() -> Self {
        let description = "Use authorization_code or refresh_token".into();
        Self {
            status: StatusCode::BAD_REQUEST,
            error: "unsupported_grant_type",
            description,
        }
    }

    pub(super) fn invalid_client(description: &str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            description: description.into(),
        }
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "error_description": self.description });
        (self.status, NO_STORE, Json(body)).into_response()
    }
}
