//! Writes the body of every failed response: a page for people, a problem (RFC 9457) for programs.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::RequestId;
use crate::engine::error::{Failure, accepts_html, is_api};
use crate::engine::session::CurrentUser;
use crate::engine::session::cookies::CookieNames;
use crate::engine::sign_in::{ReturnTo, is_callback};
use crate::engine::state::Engine;

/// Returns a body for a failed response, with its headers. The status stays that of the failure.
pub type RenderFailure = fn(&FailedRequest<'_>) -> Response;

/// A failed request with the data for its error page.
pub struct FailedRequest<'a> {
    pub engine: &'a Engine,
    pub failure: &'a Failure,
    /// Of the response. A library or a handler may have chosen one that no failure has.
    pub status: StatusCode,
    pub format: ErrorFormat,
    /// The signed-in person, if the route requires a sign-in.
    pub user: Option<&'a CurrentUser>,
    /// The request has a session cookie, so the person may be signed in.
    pub has_session: bool,
    /// The path and query of this request, for a link that leads back to it.
    pub here: &'a str,
    /// The method is safe (RFC 9110 section 9.2.1), so a link may repeat the request.
    pub is_safe: bool,
    /// The request id.
    pub reference: &'a str,
}

/// The format of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorFormat {
    /// A page in the app's layout.
    Page,
    /// The page of [`bare_page`], for the callback.
    BarePage,
    /// JSON (RFC 9457).
    Problem,
}

/// A response extension. A failed response with it keeps its plain text.
#[derive(Debug, Clone, Copy)]
pub struct PlainText;

/// What a failed response needs to know of its request.
pub struct FailureContext {
    uri: Uri,
    format: ErrorFormat,
    is_safe: bool,
    has_session: bool,
}

impl FailureContext {
    pub fn of(request: &Request, names: &CookieNames) -> Self {
        let uri = request.uri().clone();
        let format = match accepts_html(request.headers()) && !is_api(&uri) {
            false => ErrorFormat::Problem,
            true if is_callback(&uri) => ErrorFormat::BarePage,
            true => ErrorFormat::Page,
        };
        Self {
            uri,
            format,
            is_safe: request.method().is_safe(),
            has_session: names.has_session(request.headers()),
        }
    }

    /// The address of the request.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Writes the body of a failed response. Also replaces the bodies that libraries make.
    pub fn with_body(
        &self,
        response: Response,
        engine: &Engine,
        render: RenderFailure,
        id: &RequestId,
    ) -> Response {
        if !has_failed(&response) {
            return response;
        }
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let has_page = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
        if has_page || response.extensions().get::<PlainText>().is_some() {
            return response;
        }
        let path = self.uri.path_and_query();
        let here = ReturnTo::parse(path.map_or("/", |path| path.as_str())).to_string();
        let known = response.extensions().get().cloned();
        let body = render(&FailedRequest {
            engine,
            failure: &known.unwrap_or_else(|| Failure::from_status(response.status())),
            status: response.status(),
            format: self.format,
            user: response.extensions().get(),
            has_session: self.has_session,
            here: &here,
            is_safe: self.is_safe,
            reference: id.as_str(),
        });
        replace_body(response, body)
    }
}

/// Whether the status is 4xx or 5xx.
pub fn has_failed(response: &Response) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}

/// Keeps the status and headers of the failure, such as `Allow`, `Retry-After` and `Set-Cookie`.
fn replace_body(failure: Response, body: Response) -> Response {
    let (mut parts, _) = failure.into_parts();
    let (mut new, body) = body.into_parts();
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        parts.headers.remove(name);
    }
    new.headers.extend(parts.headers);
    parts.headers = new.headers;
    parts.extensions.extend(new.extensions);
    Response::from_parts(parts, body)
}

#[derive(Template)]
#[template(path = "engine/callback_refused.html")]
struct BarePage<'a> {
    title: &'a str,
    text: &'a str,
    reference: &'a str,
}

/// Written into the page itself.
const STYLE: &str = include_str!("../../../templates/engine/bare_page.css");
/// Allows the style by its hash, and neither forms nor requests.
static BARE_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The page for a URL that may hold an authorization code. It loads no style sheet and no image, so
/// no `Referer` leaks the code.
pub fn bare_page(title: &str, text: &str, reference: &str) -> Response {
    let page = BarePage {
        title,
        text,
        reference,
    };
    let policy = [(header::CONTENT_SECURITY_POLICY, BARE_POLICY.clone())];
    (policy, Html(page.render().unwrap_or_default())).into_response()
}
