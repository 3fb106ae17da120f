//! One page for every failure: what happened, whether anything was changed, what to do, and a reference.

use std::borrow::Cow;

use askama::Template;
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    callback::{self, BarePage},
    page::{Layout, page, sign_in_page},
    scopes,
};
use crate::{
    app::App,
    error::{Cause, accepts_html, is_api},
    holds::Requirement,
    return_to::ReturnTo,
    telemetry::RequestId,
};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    layout: Layout,
    words: &'a Words,
    action: Action,
    /// This page, for whatever leads back to it.
    here: &'a str,
    reference: &'a str,
    status: u16,
}

/// What people read about a failure, and what programs know it by.
struct Words {
    /// The end of the problem's `type`, which never changes.
    slug: &'static str,
    title: Cow<'static, str>,
    text: Cow<'static, str>,
    changed: &'static str,
    action: Action,
}

/// The way on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Home,
    SignIn,
    /// A link to the same address; only for what may be repeated.
    Again,
    /// The form that starts a login and leads back here.
    Connect,
    /// The form that asks Matrica for newer data and leads back here.
    CheckAgain,
}

/// Begins the `type` of every problem. It is a name, no address.
const PROBLEM_TYPE: &str = "urn:matrica-starter:problem:";

/// RFC 9457: what programs get instead of a page.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem<'a> {
    /// Names the kind of failure and never changes: `urn:matrica-starter:problem:` and, for one, `sign-in-required`.
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// Names this request in the log.
    reference: &'a str,
}

const NOTHING: &str = "Nothing was changed.";

/// Writes the body of every failed response, also of those that a library answered with a bare line.
pub async fn render(State(app): State<App>, request_id: RequestId, request: Request, next: Next) -> Response {
    let html = accepts_html(request.headers()) && !is_api(request.uri());
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
    let words = &words(status, response.extensions().get().copied());
    let (reference, status) = (request_id.as_str(), status.as_u16());
    let body = if html && bare {
        page(&BarePage { title: &words.title, text: &words.text, reference })
    } else if html {
        let action = if words.action == Action::Again && !safe { Action::Home } else { words.action };
        let layout = Layout::new(&app, response.extensions().get());
        let error = ErrorPage { layout, words, action, here: &here, reference, status };
        if action == Action::Connect { sign_in_page(&error) } else { page(&error) }
    } else {
        problem(words, status, reference)
    };
    replace_body(response, body)
}

/// A response extension: the plain text is the answer.
#[derive(Debug, Clone, Copy)]
pub struct ForMachines;

fn problem(words: &Words, status: u16, reference: &str) -> Response {
    let kind = format!("{PROBLEM_TYPE}{}", words.slug);
    let body = Problem { kind, title: &words.title, status, detail: &words.text, reference };
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
    parts.extensions.extend(new.extensions);
    Response::from_parts(parts, body)
}

fn words(status: StatusCode, cause: Option<Cause>) -> Words {
    if let Some(cause) = cause {
        return words_for(cause);
    }
    let (slug, title, text, changed, action) = match status.as_u16() {
        401 => (
            "sign-in-required",
            "Please sign in",
            "This page is for people who are signed in.",
            NOTHING,
            Action::SignIn,
        ),
        403 => (
            "cross-site-request",
            "This request came from elsewhere",
            "It was not sent by a page of this site, so we did not act on it.",
            NOTHING,
            Action::Home,
        ),
        404 => (
            "not-found",
            "There is no such page",
            "The address may be mistyped, or the page is gone.",
            NOTHING,
            Action::Home,
        ),
        405 => (
            "method-not-allowed",
            "This address works differently",
            "It cannot be opened in this way.",
            NOTHING,
            Action::Home,
        ),
        413 => (
            "too-large",
            "That was too much",
            "The request is larger than anything this site takes.",
            NOTHING,
            Action::Home,
        ),
        415 => (
            "unsupported-format",
            "This format is not taken",
            "Forms are accepted as a browser sends them.",
            NOTHING,
            Action::Home,
        ),
        503 => (
            "unavailable",
            "Temporarily unavailable",
            "Our database does not answer right now. You stay signed in.",
            NOTHING,
            Action::Again,
        ),
        504 => (
            "timeout",
            "That took too long",
            "The answer was not ready in time.",
            "Work under way is finished all the same.",
            Action::Again,
        ),
        500.. => (
            "internal",
            "Something went wrong on our side",
            "It is in our log under the reference below.",
            NOTHING,
            Action::Again,
        ),
        _ => (
            "bad-request",
            "This request cannot be understood",
            "It may be incomplete, or altered on the way.",
            NOTHING,
            Action::Home,
        ),
    };
    Words { slug, title: title.into(), text: text.into(), changed, action }
}

fn words_for(cause: Cause) -> Words {
    let words = |slug, title: &'static str, text: &'static str, changed, action| Words {
        slug,
        title: title.into(),
        text: text.into(),
        changed,
        action,
    };
    match cause {
        Cause::ProviderDown => words(
            "provider-unavailable",
            "Matrica does not answer",
            "It has failed several times in a row just now, so we did not send you there.",
            NOTHING,
            Action::SignIn,
        ),
        Cause::DataUnavailable => words(
            "provider-unavailable",
            "Matrica does not answer",
            "This needs data from there, and it cannot be had right now. You stay signed in.",
            NOTHING,
            Action::Again,
        ),
        Cause::LogoutUnconfirmed => words(
            "logout-unconfirmed",
            "You are signed out in this browser only",
            "Our database does not answer right now, so the server could not end the session for good.",
            "This browser has forgotten the session. Sign in and out again later to be sure.",
            Action::Home,
        ),
        Cause::Reconnect => words(
            "reconnect-required",
            "Please connect to Matrica again",
            "You are signed in, but this app has no access to your data there any more.",
            "",
            Action::Connect,
        ),
        Cause::NotAsked(scope) => {
            let title = format!("This app does not ask for your {}", scopes::noun(scope));
            let text = "So there is nothing that could be shown or checked here. That is for its operator to change.";
            Words { title: title.into(), ..words("scope-required", "", text, "", Action::Home) }
        }
        Cause::NotShared(scope) => {
            let title = format!("You did not share your {}", scopes::noun(scope));
            let text =
                "This cannot be shown or checked without it. Sign in again and allow it if you change your mind.";
            Words { title: title.into(), ..words("scope-required", "", text, "", Action::Connect) }
        }
        Cause::NotHeld(requirement) => {
            let (title, text) = match requirement {
                Requirement::NftOf { collection, .. } => (
                    format!("This page is for holders of {collection}"),
                    format!(
                        "None of the NFTs in your linked wallets belongs to {collection}. If you own one, link its wallet \
                         to your Matrica account and check again."
                    ),
                ),
                Requirement::DiscordRole { role, .. } => (
                    format!("This page is for people with the role {role}"),
                    format!("Your Discord account does not have the role {role}. When you have got it, check again."),
                ),
            };
            Words { slug: "not-held", title: title.into(), text: text.into(), changed: "", action: Action::CheckAgain }
        }
        Cause::InvalidParameter(name) => {
            let text = format!("The value of \u{201c}{name}\u{201d} in the address cannot be used.");
            let words = words("invalid-parameter", "This request cannot be understood", "", NOTHING, Action::Home);
            Words { text: text.into(), ..words }
        }
    }
}
