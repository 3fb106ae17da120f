//! `AppError`: the only error that becomes a response. People see our words, a way on and a reference, never a source.

use axum::{
    Extension,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use url::form_urlencoded;

use crate::{db, holds::Requirement, return_to::ReturnTo, user_data::DataError};

/// Seconds after which trying again makes sense when the database or the provider cannot answer.
const RETRY_AFTER_SECONDS: u64 = 5;

/// A request that ends without what it asked for.
#[derive(Debug)]
pub enum AppError {
    /// The page is for people who are signed in. Holds the way to the sign-in page, or none for what is no navigation.
    SignInRequired(Option<String>),
    /// There is no such page.
    NotFound,
    /// The database cannot answer. Nothing was changed, nobody was signed out.
    Unavailable,
    /// The provider has failed too often just now to send anybody there.
    ProviderDown,
    /// Matrica does not answer, and there is no earlier answer that would do.
    DataUnavailable,
    /// We have no access to the person's data any more.
    Reconnect,
    /// The app does not ask for what this scope stands for.
    NotAsked(&'static str),
    /// The person does not share what this scope stands for.
    NotShared(&'static str),
    /// The person does not own what the page is for.
    NotHeld(Requirement),
    /// A query parameter, by its name, has a value that cannot be.
    InvalidParameter(&'static str),
    /// This needs a sign-in that is minutes old. Holds where to go on afterwards.
    FreshSignInRequired(&'static str),
    /// Signed out in this browser, but the server could not write it down.
    LogoutUnconfirmed(HeaderValue),
    /// Our own mistake; the text is for the log.
    Internal(&'static str),
}

impl AppError {
    /// Why data of this scope cannot be had.
    #[must_use]
    pub fn no_data(error: DataError, scope: &'static str) -> Self {
        match error {
            DataError::Reconnect => Self::Reconnect,
            DataError::NotAsked => Self::NotAsked(scope),
            DataError::NotShared => Self::NotShared(scope),
            DataError::Rejected => Self::InvalidParameter("query"),
            DataError::Unavailable => Self::DataUnavailable,
            DataError::Database => Self::Unavailable,
        }
    }

    /// A browser's navigation is sent to the sign-in page and comes back; anything else, and the JSON API, gets 401.
    #[must_use]
    pub fn sign_in_required(parts: &Parts) -> Self {
        let page = is_navigation(&parts.headers) && !is_api(&parts.uri);
        let target = page.then(|| {
            let here = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            let return_to = if parts.method == Method::GET { ReturnTo::parse(here) } else { ReturnTo::home() };
            let query: String = form_urlencoded::byte_serialize(return_to.as_str().as_bytes()).collect();
            format!("/login?return_to={query}")
        });
        Self::SignInRequired(target)
    }
}

/// Whether an address belongs to the JSON API, which never answers with a page or a redirect.
#[must_use]
pub fn is_api(uri: &Uri) -> bool {
    uri.path().starts_with("/api/")
}

/// Modern browsers say so; of others it is assumed when they ask for a page.
#[must_use]
pub fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => accepts_html(headers),
    }
}

/// Whether the other side would show a page.
#[must_use]
pub fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

impl From<db::Error> for AppError {
    fn from(_: db::Error) -> Self {
        Self::Unavailable
    }
}

impl IntoResponse for AppError {
    /// Only status and headers: the body is written by `web::error_pages`, the same for every failure.
    fn into_response(self) -> Response {
        match self {
            Self::SignInRequired(Some(target)) => Redirect::to(&target).into_response(),
            Self::SignInRequired(None) => StatusCode::UNAUTHORIZED.into_response(),
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Unavailable => unavailable(None),
            Self::ProviderDown => unavailable(Some(Cause::ProviderDown)),
            Self::DataUnavailable => unavailable(Some(Cause::DataUnavailable)),
            Self::Reconnect => caused(StatusCode::FORBIDDEN, Cause::Reconnect),
            Self::NotAsked(scope) => caused(StatusCode::FORBIDDEN, Cause::NotAsked(scope)),
            Self::NotShared(scope) => caused(StatusCode::FORBIDDEN, Cause::NotShared(scope)),
            Self::NotHeld(requirement) => caused(StatusCode::FORBIDDEN, Cause::NotHeld(requirement)),
            Self::InvalidParameter(name) => caused(StatusCode::BAD_REQUEST, Cause::InvalidParameter(name)),
            Self::FreshSignInRequired(return_to) => {
                let return_to: String = form_urlencoded::byte_serialize(return_to.as_bytes()).collect();
                Redirect::to(&format!("/login?e=confirm&return_to={return_to}")).into_response()
            }
            Self::LogoutUnconfirmed(removal) => {
                let mut response = unavailable(Some(Cause::LogoutUnconfirmed));
                response.headers_mut().insert(header::SET_COOKIE, removal);
                response
            }
            Self::Internal(what) => {
                tracing::error!(event = "internal_error", what, "a request failed through our own fault");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// A response extension: which words `web::error_pages` uses, if not those for the status alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    LogoutUnconfirmed,
    ProviderDown,
    DataUnavailable,
    Reconnect,
    NotAsked(&'static str),
    NotShared(&'static str),
    NotHeld(Requirement),
    InvalidParameter(&'static str),
}

fn caused(status: StatusCode, cause: Cause) -> Response {
    (status, Extension(cause)).into_response()
}

fn unavailable(cause: Option<Cause>) -> Response {
    let retry_after = [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)];
    match cause {
        Some(cause) => (StatusCode::SERVICE_UNAVAILABLE, retry_after, Extension(cause)).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, retry_after).into_response(),
    }
}
