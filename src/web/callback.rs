//! `redirect_uri`: the browser comes back from the provider.

use std::time::Instant;

use askama::Template;
use axum::{
    extract::{OptionalFromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};

use super::{notices, page::page};
use crate::{
    app::App,
    clock,
    login::{self, LoginError, Visitor},
    provider::{CallbackParameters, Outcome},
    return_to::ReturnTo,
    session::{CurrentUser, attempt::Attempt, device},
    telemetry::RequestId,
};

/// The address of this page may hold a code.
pub const PATH: &str = "/auth/callback";

/// The one page under that address: it refers to nothing.
#[derive(Template)]
#[template(path = "callback_refused.html")]
pub(super) struct BarePage<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a str,
    pub(super) reference: &'a str,
}

/// `GET /auth/callback`
pub async fn callback(State(app): State<App>, request_id: RequestId, request: Request) -> Response {
    let arrived = Instant::now();
    let (mut parts, _) = request.into_parts();
    if is_speculative(&parts.headers) {
        return StatusCode::NO_CONTENT.into_response();
    }
    let accepted = accept(&app, &parts.headers, parts.uri.query().unwrap_or_default());
    // Only now, because it may ask the database.
    let user = match &accepted {
        Ok(_) | Err(LoginError::NoAttempt) => {
            <CurrentUser as OptionalFromRequestParts<App>>::from_request_parts(&mut parts, &app).await
        }
        Err(_) => Ok(None),
    };
    let (attempt, outcome) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(event = "login_failed", reason = error.name(), "callback refused");
            return match (error, user) {
                // A reload or "back" after the login succeeded.
                (LoginError::NoAttempt, Ok(Some(_))) => Redirect::to("/").into_response(),
                _ => refuse(error, request_id.as_str(), None),
            };
        }
    };
    let Ok(user) = user else {
        let error = LoginError::Unavailable;
        tracing::warn!(event = "login_failed", reason = error.name(), "callback refused");
        return refuse(error, request_id.as_str(), None);
    };
    let (return_to, state) = (attempt.return_to.clone(), attempt.state.clone());
    let visitor = Visitor { current: user, device: device(&parts.headers), arrived };
    let ended = login::complete(app.clone(), attempt, outcome, visitor).await;
    let mut response = match ended.result {
        Ok(session) => {
            let mut response = Redirect::to(return_to.as_str()).into_response();
            if let Some(session) = session {
                let cookie = app.cookie_names.session(session, app.config.session.absolute);
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            response
        }
        Err(error) => refuse(error, &ended.reference, Some(&return_to)),
    };
    if ended.consumed {
        response.headers_mut().append(header::SET_COOKIE, app.attempt_cookies.remove(&state));
    }
    response
}

fn device(headers: &HeaderMap) -> String {
    device::describe(headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default())
}

/// Every check that costs no database and no provider.
fn accept(app: &App, headers: &HeaderMap, query: &str) -> Result<(Attempt, Outcome), LoginError> {
    if !is_top_level(headers) {
        return Err(LoginError::NotANavigation);
    }
    let parameters = CallbackParameters::parse(query)?;
    let state = match (parameters.state, &parameters.outcome) {
        (Some(state), _) => state,
        (None, Outcome::Denied) => return Err(LoginError::DeniedWithoutState),
        (None, _) => return Err(LoginError::MissingState),
    };
    let attempt = app.attempt_cookies.open(&state, headers, clock::now())?;
    Ok((attempt, parameters.outcome))
}

/// A redirect to the page that explains; or, for what no provider sends, a bare page.
fn refuse(error: LoginError, reference: &str, return_to: Option<&ReturnTo>) -> Response {
    let Some(slug) = notices::slug(error.reason()) else {
        let mut response = page(&BarePage {
            title: "This sign-in link cannot be used",
            text: "It is incomplete or was altered on the way. Nothing was changed.",
            reference,
        });
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("e", slug).append_pair("ref", reference);
    if let Some(return_to) = return_to {
        query.append_pair("return_to", return_to.as_str());
    }
    Redirect::to(&format!("/login?{}", query.finish())).into_response()
}

/// Browsers load ahead what they expect to be opened; that must not use up a login. Each header is looked at on its
/// own, because a browser may send several that differ.
fn is_speculative(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-moz"].iter().flat_map(|name| headers.get_all(*name)).any(|value| {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        value.contains("prefetch") || value.contains("prerender")
    })
}

/// Only a navigation of the whole window is somebody coming back; a frame or an image is somebody else's trick.
fn is_top_level(headers: &HeaderMap) -> bool {
    let is = |name: &str, expected: &str| headers.get(name).is_none_or(|value| value == expected);
    is("sec-fetch-dest", "document") && is("sec-fetch-mode", "navigate")
}
