//! Gives every failed response a body: a page for people, a problem (RFC 9457) for programs.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::RequestId;
use crate::engine::{
    error::{Failure, accepts_html, is_api},
    session::CurrentUser,
    sign_in::{CALLBACK_PATH, ReturnTo},
    state::Engine,
};

/// Writes the body of a failed response. Status and headers stay those of the failure.
pub type RenderFailure = fn(&FailedRequest<'_>) -> Response;

/// A request that failed, with everything that its error page shows.
pub struct FailedRequest<'a> {
    pub engine: &'a Engine,
    pub failure: &'a Failure,
    pub format: ErrorFormat,
    /// The person who is signed in, if the failure came from behind the sign-in check.
    pub user: Option<&'a CurrentUser>,
    /// The path of this request, for a link or form that leads back to it.
    pub here: &'a str,
    /// The request may be repeated: GET or HEAD.
    pub is_safe: bool,
    /// Names this request in the log.
    pub reference: &'a str,
}

/// What the client can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorFormat {
    /// A page of the app.
    Page,
    /// A page that loads nothing, because its URL may hold an authorization code. See [`bare_page`].
    BarePage,
    /// JSON by RFC 9457.
    Problem,
}

/// A response extension: the plain text is the answer, also of a failure.
#[derive(Debug, Clone, Copy)]
pub struct PlainText;

/// Writes the body of every failed response, also of those that a library answered with a bare line.
pub async fn render_body(
    State((engine, render)): State<(Engine, RenderFailure)>,
    request_id: RequestId,
    request: Request,
    next: Next,
) -> Response {
    let is_safe = request.method().is_safe();
    let format = match accepts_html(request.headers()) && !is_api(request.uri()) {
        false => ErrorFormat::Problem,
        true if request.uri().path() == CALLBACK_PATH => ErrorFormat::BarePage,
        true => ErrorFormat::Page,
    };
    let here = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let here = ReturnTo::parse(here).to_string();
    let response = next.run(request).await;
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let has_page = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if !failed || has_page || response.extensions().get::<PlainText>().is_some() {
        return response;
    }
    let known = response.extensions().get().cloned();
    let body = render(&FailedRequest {
        engine: &engine,
        failure: &known.unwrap_or_else(|| Failure::from_status(response.status())),
        format,
        user: response.extensions().get(),
        here: &here,
        is_safe,
        reference: request_id.as_str(),
    });
    replace_body(response, body)
}

/// Keeps status and headers of the failure, such as `Allow`, `Retry-After` and the removal of a cookie.
fn replace_body(failure: Response, body: Response) -> Response {
    let (mut parts, _) = failure.into_parts();
    let (new, body) = body.into_parts();
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        parts.headers.remove(name);
    }
    let mut headers: HeaderMap = new.headers;
    headers.extend(parts.headers);
    parts.headers = headers;
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

/// The one page that may stand under a URL with an authorization code. It loads nothing, so no request can carry that
/// URL away as its `Referer`.
pub fn bare_page(title: &str, text: &str, reference: &str) -> Response {
    let html = BarePage {
        title,
        text,
        reference,
    }
    .render()
    .unwrap_or_default();
    let html_type = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, html_type)], html).into_response()
}
