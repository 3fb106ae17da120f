//! One page for every failure: what happened, whether anything was changed, what to do, and a reference.

use askama::Template;
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    callback::{self, BarePage},
    page::{Layout, page},
};
use crate::{
    app::App,
    error::{Cause, accepts_html},
    return_to::ReturnTo,
    telemetry::RequestId,
};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    layout: Layout,
    title: &'a str,
    text: &'a str,
    changed: &'a str,
    action_href: &'a str,
    action_label: &'a str,
    reference: &'a str,
    status: u16,
}

/// What people read about a status.
struct Words {
    title: &'static str,
    text: &'static str,
    changed: &'static str,
    action: Action,
}

/// The way on.
#[derive(Clone, Copy)]
enum Action {
    Home,
    SignIn,
    /// A link to the same address; only for what may be repeated.
    Again,
}

const NOTHING: &str = "Nothing was changed.";

/// Writes the body of every failed response, also of those that a library answered with a bare line.
pub async fn render(State(app): State<App>, request_id: RequestId, request: Request, next: Next) -> Response {
    let html = accepts_html(request.headers());
    let safe = request.method().is_safe();
    let bare = request.uri().path() == callback::PATH;
    let here = ReturnTo::parse(request.uri().path_and_query().map_or("/", |path| path.as_str())).to_string();
    let response = next.run(request).await;
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    let has_page =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if !failed || has_page || response.extensions().get::<ForMachines>().is_some() {
        return response;
    }
    let words = words(status, response.extensions().get().copied());
    let body = if html && bare {
        page(&BarePage { title: words.title, text: words.text, reference: request_id.as_str() })
    } else if html {
        let (action_href, action_label) = match words.action {
            Action::Again if safe => (&*here, "Try again"),
            Action::Again | Action::Home => ("/", "Go to the front page"),
            Action::SignIn => ("/login", "Go to the sign-in page"),
        };
        page(&ErrorPage {
            layout: Layout::new(&app, None),
            title: words.title,
            text: words.text,
            changed: words.changed,
            action_href,
            action_label,
            reference: request_id.as_str(),
            status: status.as_u16(),
        })
    } else {
        problem(status, words.title, request_id.as_str())
    };
    replace_body(response, body)
}

/// A response extension: the plain text is the answer.
#[derive(Debug, Clone, Copy)]
pub struct ForMachines;

/// RFC 9457, for programs.
fn problem(status: StatusCode, title: &str, reference: &str) -> Response {
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "reference": reference });
    let problem_json = HeaderValue::from_static("application/problem+json");
    ([(header::CONTENT_TYPE, problem_json)], Json(body).into_response().into_body()).into_response()
}

/// Keeps status and headers of the failure, such as `Allow`, `Retry-After` and a cookie's removal.
fn replace_body(failure: Response, body: Response) -> Response {
    let (mut parts, _) = failure.into_parts();
    let (new, body) = body.into_parts();
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        parts.headers.remove(name);
    }
    let mut headers: HeaderMap = new.headers;
    headers.extend(parts.headers);
    parts.headers = headers;
    Response::from_parts(parts, body)
}

fn words(status: StatusCode, cause: Option<Cause>) -> Words {
    let (title, text, changed, action) = match status.as_u16() {
        _ if cause == Some(Cause::ProviderDown) => (
            "Matrica does not answer",
            "It has failed several times in a row just now, so we did not send you there.",
            NOTHING,
            Action::SignIn,
        ),
        _ if cause == Some(Cause::LogoutUnconfirmed) => (
            "You are signed out in this browser only",
            "Our database does not answer right now, so the server could not end the session for good.",
            "This browser has forgotten the session. Sign in and out again later to be sure.",
            Action::Home,
        ),
        401 => ("Please sign in", "This page is for people who are signed in.", NOTHING, Action::SignIn),
        403 => (
            "This request came from elsewhere",
            "It was not sent by a page of this site, so we did not act on it.",
            NOTHING,
            Action::Home,
        ),
        404 => ("There is no such page", "The address may be mistyped, or the page is gone.", NOTHING, Action::Home),
        405 => ("This address works differently", "It cannot be opened in this way.", NOTHING, Action::Home),
        413 => ("That was too much", "The request is larger than anything this site takes.", NOTHING, Action::Home),
        415 => ("This format is not taken", "Forms are accepted as a browser sends them.", NOTHING, Action::Home),
        503 => (
            "Temporarily unavailable",
            "Our database does not answer right now. You stay signed in.",
            NOTHING,
            Action::Again,
        ),
        504 => (
            "That took too long",
            "The answer was not ready in time.",
            "Work under way is finished all the same.",
            Action::Again,
        ),
        500.. => {
            ("Something went wrong on our side", "It is in our log under the reference below.", NOTHING, Action::Again)
        }
        _ => {
            ("This request cannot be understood", "It may be incomplete, or altered on the way.", NOTHING, Action::Home)
        }
    };
    Words { title, text, changed, action }
}
