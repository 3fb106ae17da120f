//! The `redirect_uri`: every check on the request, and the answer.

use std::time::Instant;

use axum::extract::{OptionalFromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::attempt::{Attempt, AttemptCookies, Intent};
use super::{Refusal, ReturnTo, SETTINGS_PATH, SIGN_IN_PATH, Visitor, exchange, notice_url};
use crate::engine::clock;
use crate::engine::error::Failure;
use crate::engine::limits::{Action, Client, RetryAfter};
use crate::engine::linked::LinkedProvider;
use crate::engine::oauth::{CallbackParameters, Outcome};
use crate::engine::session::{CurrentUser, device};
use crate::engine::state::Engine;

/// The path of the `redirect_uri`. The URL of a request to it may hold an authorization code.
pub const CALLBACK_PATH: &str = "/auth/callback";

/// A refused callback.
pub struct Refused {
    pub refusal: Refusal,
    /// Names the attempt in the log and on the page. Without an attempt it is the request id.
    pub reference: String,
    return_to: Option<ReturnTo>,
    /// The name of the other provider.
    provider: Option<&'static str>,
    intent: Intent,
    /// Removes the cookie of the used attempt.
    removal: Option<HeaderValue>,
}

impl Refused {
    /// A redirect to the sign-in page, or `page` with 400 for a request that no provider causes.
    pub fn into_response(self, page: impl FnOnce(&str) -> Response) -> Response {
        let mut response = match self.refusal.notice() {
            Some(notice) => {
                let return_to = self.return_to.as_ref();
                let reference = Some(self.reference.as_str());
                let path = match self.intent {
                    Intent::SignIn => SIGN_IN_PATH,
                    Intent::Link => SETTINGS_PATH,
                };
                let url = notice_url(path, Some(notice), reference, return_to, self.provider);
                Redirect::to(&url).into_response()
            }
            None => (StatusCode::BAD_REQUEST, page(&self.reference)).into_response(),
        };
        if let Some(removal) = self.removal {
            response.headers_mut().append(header::SET_COOKIE, removal);
        }
        response
    }
}

/// Answers a callback. `Ok` is a redirect to `return_to` with the session cookie, or 204 for a
/// prefetch. A browser that goes away cuts nothing short.
///
/// `request_id` is the reference of a callback without an attempt.
pub async fn complete(
    engine: &Engine,
    provider: Option<&LinkedProvider>,
    request_id: &str,
    request: Request,
) -> Result<Response, Refused> {
    let arrived = Instant::now();
    let (mut parts, _) = request.into_parts();
    if is_speculative(&parts.headers) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let label = provider.map(|provider| provider.name);
    let query = parts.uri.query().unwrap_or_default();
    let accepted = accept(engine, provider, &parts.headers, query);
    // Last, because it may cost a query.
    let user = match &accepted {
        Ok(_) | Err(Refusal::NoAttempt) => {
            let user = <CurrentUser as OptionalFromRequestParts<Engine>>::from_request_parts(
                &mut parts, engine,
            );
            user.await.map_err(|_| Refusal::Unavailable)
        }
        Err(_) => Ok(None),
    };
    let (attempt, outcome, current) = match (accepted, user) {
        (Ok((attempt, outcome)), Ok(current)) => (attempt, outcome, current),
        // A reload or "back" after the login has succeeded.
        (Err(Refusal::NoAttempt), Ok(Some(_))) => return Ok(Redirect::to("/").into_response()),
        (Ok(_), Err(refusal)) | (Err(refusal), _) => {
            engine.sign_ins.refused(refusal.name()).inc();
            let reason = refusal.name();
            tracing::warn!(event = "login_failed", reason, "callback refused");
            return Err(Refused {
                refusal,
                reference: request_id.to_owned(),
                return_to: way_back(engine, &parts, refusal),
                provider: label,
                intent: Intent::SignIn,
                removal: None,
            });
        }
    };
    if let Err(wait) = count(engine, &parts, &outcome) {
        return Ok(Failure::from(wait).into_response());
    }
    let (return_to, state) = (attempt.return_to.clone(), attempt.state.clone());
    let intent = attempt.intent;
    let visitor = Visitor {
        current,
        device: device(&parts.headers),
        arrived,
    };
    let completion = exchange::run_to_completion(engine, attempt, outcome, visitor).await;
    let remove = || AttemptCookies::new(engine).remove(&state);
    let removal = completion.consumed.then(remove);
    match completion.result {
        Ok(session) => {
            let mut response = Redirect::to(return_to.as_str()).into_response();
            let absolute = engine.config.session.absolute;
            let cookie = session.map(|session| engine.cookie_names.session(session, absolute));
            for line in cookie.into_iter().chain(removal) {
                response.headers_mut().append(header::SET_COOKIE, line);
            }
            Ok(response)
        }
        Err(refusal) => Err(Refused {
            refusal,
            reference: completion.reference,
            return_to: Some(return_to),
            provider: label,
            intent,
            removal,
        }),
    }
}

/// Counts a callback. Only a code reaches the provider. If it is refused, the attempt is not burnt,
/// so the same URL works a little later.
fn count(engine: &Engine, parts: &Parts, outcome: &Outcome) -> Result<(), RetryAfter> {
    let client = Client::of(&parts.extensions);
    match outcome {
        Outcome::Code(_) => engine.limits.count_exchange(client),
        Outcome::Error(_) => engine.limits.count(Action::Callback, client),
    }
}

/// Where a login that took too long was to lead. The cookie still proves that it is this browser's.
fn way_back(engine: &Engine, parts: &Parts, refusal: Refusal) -> Option<ReturnTo> {
    if refusal != Refusal::AttemptExpired {
        return None;
    }
    let parameters = CallbackParameters::parse(parts.uri.query().unwrap_or_default()).ok()?;
    AttemptCookies::new(engine).way_back(&parameters.state?, &parts.headers)
}

/// Whether a URL is the `redirect_uri` of a provider, also with one slash at the end.
pub fn is_callback(uri: &Uri) -> bool {
    let path = uri.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let rest = path.strip_prefix(CALLBACK_PATH);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Every check that costs neither the database nor the provider anything.
fn accept(
    engine: &Engine,
    provider: Option<&LinkedProvider>,
    headers: &HeaderMap,
    query: &str,
) -> Result<(Attempt, Outcome), Refusal> {
    if !is_top_level(headers) {
        return Err(Refusal::NotANavigation);
    }
    let parameters = CallbackParameters::parse(query)?;
    let Some(state) = parameters.state else {
        return Err(match parameters.outcome {
            Outcome::Error(error) if Refusal::from(error) == Refusal::Denied => {
                Refusal::DeniedWithoutState
            }
            _ => Refusal::MissingState,
        });
    };
    let attempt = AttemptCookies::new(engine).open(&state, headers, clock::now())?;
    // Mix-up: the answer of one provider must not be taken for that of another (RFC 9207).
    if attempt.provider.as_deref() != provider.map(|provider| provider.name) {
        return Err(Refusal::OtherProvider);
    }
    let issuer = provider.and_then(|provider| provider.oauth.settings().issuer.as_ref());
    if issuer.is_some() && parameters.iss.as_ref() != issuer {
        return Err(Refusal::OtherIssuer);
    }
    Ok((attempt, parameters.outcome))
}

fn device(headers: &HeaderMap) -> String {
    let user_agent = headers.get(header::USER_AGENT);
    let user_agent = user_agent.and_then(|value| value.to_str().ok());
    device::describe(user_agent.unwrap_or_default())
}

/// Whether a browser loads the page ahead of a click. That must not use up an attempt.
///
/// A browser may send several of these headers with different values, so each is looked at.
fn is_speculative(headers: &HeaderMap) -> bool {
    let names = ["sec-purpose", "purpose", "x-moz"];
    let mut values = names.iter().flat_map(|name| headers.get_all(*name));
    values.any(|value| {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        value.contains("prefetch") || value.contains("prerender")
    })
}

/// Whether the whole window navigates. A frame or an image that loads the callback is an attack.
///
/// A service worker that passes a navigation on keeps the mode and empties the destination.
fn is_top_level(headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode");
    let dest = headers.get("sec-fetch-dest");
    let navigates = mode.is_none_or(|mode| mode == "navigate");
    let by_service_worker = mode.is_some() && dest.is_some_and(|dest| dest == "empty");
    navigates && (by_service_worker || dest.is_none_or(|dest| dest == "document"))
}
