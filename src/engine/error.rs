//! `Failure`: the only error that becomes a response. People see the app's words for it.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use strum::IntoStaticStr;

use crate::engine::db;
use crate::engine::limits::RetryAfter;
use crate::engine::mistake::Mistake;
use crate::engine::rule::Rule;

/// `Retry-After` of every 503, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// A failed request.
///
/// The variant decides the status. Its name in kebab case is the end of the problem's `type` (RFC
/// 9457) and never changes. The response carries the failure as an extension, from which
/// `http::failures` writes the body.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Failure {
    /// The page needs a sign-in. `Some(url)`: redirect a browser there. `None`: answer 401.
    SignInRequired(Option<String>),
    /// The page needs a recent sign-in. Redirects to this URL.
    FreshSignInRequired(String),
    /// An unsafe request that did not come from our own pages.
    CrossSiteRequest,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    /// The URL and the header fields together are too large.
    HeadTooLarge,
    UriTooLong,
    /// The body is not a form.
    UnsupportedFormat,
    BadRequest,
    /// The query parameter of this name is unknown, repeated, or has an invalid value.
    InvalidParameter(String),
    /// Fields of a form or a JSON object are wrong. Holds one mistake for each.
    InvalidFields(BTreeMap<&'static str, Mistake>),
    /// The app does not ask for this scope.
    #[strum(serialize = "scope-required")]
    NotAsked(&'static str),
    /// The person does not share this scope.
    #[strum(serialize = "scope-required")]
    NotShared(&'static str),
    /// There is no grant any more. Signing in again makes a new one.
    #[strum(serialize = "reconnect-required")]
    Reconnect,
    /// The person does not satisfy the rule of a gate. Holds the part that is missing.
    NotHeld(Rule),
    /// A rate limit refused the request. Holds the seconds until it may be repeated.
    TooManyRequests(u64),
    /// The server works on as many requests as it takes.
    Overloaded,
    /// The database does not answer. Nothing was changed, and the person stays signed in.
    Unavailable,
    /// The circuit breaker of the token endpoint is open, so a login cannot start.
    #[strum(serialize = "provider-unavailable")]
    ProviderDown,
    /// The user API does not answer, and no earlier answer can stand in.
    #[strum(serialize = "provider-unavailable")]
    DataUnavailable,
    /// The database could not end the session. Holds the removal of the cookie.
    LogoutUnconfirmed(HeaderValue),
    Timeout,
    /// A bug of ours. The text is for the log.
    Internal(&'static str),
}

/// Longest name of a parameter on an error page, in bytes.
const PARAMETER_NAME_MAX: usize = 32;

impl Failure {
    /// Drops a name that looks like no parameter, so that a link cannot put words on the page.
    pub fn invalid_parameter(name: &str) -> Self {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_name = (1..=PARAMETER_NAME_MAX).contains(&name.len()) && name.bytes().all(legal);
        Self::InvalidParameter(if is_name { name } else { "query" }.to_owned())
    }

    /// The end of the problem's `type`.
    pub fn slug(&self) -> &'static str {
        self.into()
    }

    /// The failure for a status that a library chose.
    pub fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::SignInRequired(None),
            StatusCode::FORBIDDEN => Self::CrossSiteRequest,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadTooLarge,
            StatusCode::URI_TOO_LONG => Self::UriTooLong,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedFormat,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            StatusCode::GATEWAY_TIMEOUT => Self::Timeout,
            _ if status.is_server_error() => Self::Internal("a library failed"),
            _ => Self::BadRequest,
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::SignInRequired(Some(_)) | Self::FreshSignInRequired(_) => StatusCode::SEE_OTHER,
            Self::SignInRequired(None) => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::UnsupportedFormat => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::BadRequest | Self::InvalidParameter(_) => StatusCode::BAD_REQUEST,
            Self::InvalidFields(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::CrossSiteRequest
            | Self::NotAsked(_)
            | Self::NotShared(_)
            | Self::Reconnect
            | Self::NotHeld(_) => StatusCode::FORBIDDEN,
            Self::Overloaded
            | Self::Unavailable
            | Self::ProviderDown
            | Self::DataUnavailable
            | Self::LogoutUnconfirmed(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<RetryAfter> for Failure {
    fn from(RetryAfter(seconds): RetryAfter) -> Self {
        Self::TooManyRequests(seconds)
    }
}

impl From<db::Error> for Failure {
    fn from(_: db::Error) -> Self {
        Self::Unavailable
    }
}

impl IntoResponse for Failure {
    /// Status and headers. `http::failures` writes the body.
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = match &self {
            Self::SignInRequired(Some(url)) | Self::FreshSignInRequired(url) => {
                return Redirect::to(url).into_response();
            }
            Self::LogoutUnconfirmed(removal) => {
                (status, [(header::SET_COOKIE, removal.clone())]).into_response()
            }
            Self::Internal(what) => {
                tracing::error!(event = "internal_error", what, "a request failed by a bug");
                status.into_response()
            }
            _ => status.into_response(),
        };
        let retry_after = match self {
            Self::TooManyRequests(seconds) => Some(seconds),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => Some(RETRY_AFTER_SECONDS),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// A proxy asks here before it passes a request on.
pub const CHECK_PATH: &str = "/auth/check";

/// Whether a URL is for programs, which never get a page or a redirect.
pub fn is_api(uri: &Uri) -> bool {
    uri.path().starts_with("/api/") || uri.path() == CHECK_PATH
}

/// Whether a browser loads this as a page. Old browsers are recognised by their `Accept`.
pub fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => accepts_html(headers),
    }
}

/// Whether the client can show a page.
pub fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
