//! The sign-in flow: `begin` sends a browser to the provider, `complete` takes it back in.

pub mod attempt;
mod burn;
mod callback;
mod exchange;
mod linked;
mod progress;
mod refusal;
mod repeat;
mod return_to;
mod store;

use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

pub use self::attempt::Intent;
use self::attempt::{Attempt, AttemptCookies};
pub use self::callback::{CALLBACK_PATH, Refused, complete, is_callback};
pub use self::refusal::{Refusal, SignInNotice};
pub use self::return_to::ReturnTo;
use crate::engine::clock;
use crate::engine::error::Failure;
use crate::engine::linked::LinkedProvider;
use crate::engine::oauth::{CodeVerifier, OAuthState};
use crate::engine::session::{CurrentUser, SessionId};
use crate::engine::state::Engine;

/// The browser that comes back.
pub struct Visitor {
    /// The user who is signed in in this browser.
    pub current: Option<CurrentUser>,
    /// Browser and operating system in words, for the list of sessions.
    pub device: String,
    /// Arrival of the callback.
    pub arrived: Instant,
}

/// The page with the button, and with the notice about a sign-in that was refused.
pub const SIGN_IN_PATH: &str = "/login";
/// The page with the notice about an account that was not linked.
pub const SETTINGS_PATH: &str = "/settings";
/// The path of the form that starts a login.
pub const START_PATH: &str = "/auth/login";

/// Starts a login with a redirect to the authorization endpoint and the cookie of the attempt.
///
/// Under another host name than `PUBLIC_URL` it redirects to the sign-in page there instead.
/// `provider` is another provider than Matrica. Writes nothing to the database. Fails with [`Failure::ProviderDown`] while the circuit breaker
/// of the token endpoint or of `/profile` is open, because the login could not be finished. Fails
/// with [`Failure::Unavailable`] while `TOKEN_KEYS` do not open the stored tokens.
pub fn begin(
    engine: &Engine,
    provider: Option<&LinkedProvider>,
    intent: Intent,
    return_to: ReturnTo,
    current: Option<&CurrentUser>,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    if is_foreign_host(engine, headers) {
        let path = sign_in_url(None, None, Some(&return_to));
        let url = format!("{}{path}", engine.config.public_url.origin);
        return Ok(Redirect::to(&url).into_response());
    }
    if engine.vault.key_problem().is_some() {
        return Err(Failure::Unavailable);
    }
    let oauth = provider.map_or(&engine.oauth, |provider| &provider.oauth);
    if oauth.is_down() || provider.is_none() && engine.user_api.is_down() {
        return Err(Failure::ProviderDown);
    }
    let attempt = Attempt {
        state: OAuthState::generate(),
        code_verifier: CodeVerifier::generate(),
        return_to,
        issued_at: clock::now(),
        user_id: current.map(|user| user.user_id),
        provider: provider.map(|provider| provider.name.to_owned()),
        intent,
        session: SessionId::generate(),
    };
    let (state, code_verifier) = (&attempt.state, &attempt.code_verifier);
    let url = oauth.authorization_url(state, code_verifier);
    let location = HeaderValue::from_str(url.as_str());
    let location = location.map_err(|_| Failure::Internal("the authorization URL"))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    for cookie in AttemptCookies::new(engine).start(&attempt, headers, attempt.issued_at) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    engine.sign_ins.started.inc();
    let reference = attempt.state.reference();
    tracing::info!(event = "login_started", reference, "login started");
    Ok(response)
}

/// Whether the form was opened under another host name than `PUBLIC_URL`. The callback would miss
/// the cookie of such a login. A proxy may rewrite `Host`, so our own `Origin` counts more.
pub fn is_foreign_host(engine: &Engine, headers: &HeaderMap) -> bool {
    let public_url = &engine.config.public_url;
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let is_own_origin = |origin: &str| {
        let (scheme, host) = origin.split_once("://").unwrap_or_default();
        public_url.origin.starts_with(&format!("{scheme}://")) && public_url.is_host(host)
    };
    let own_origin = text(header::ORIGIN).is_some_and(is_own_origin);
    !own_origin && text(header::HOST).is_some_and(|host| !public_url.is_host(host))
}

/// The URL of the sign-in page: `/login?e=…&ref=…&return_to=…`.
pub fn sign_in_url(
    notice: Option<SignInNotice>,
    reference: Option<&str>,
    return_to: Option<&ReturnTo>,
) -> String {
    notice_url(SIGN_IN_PATH, notice, reference, return_to, None)
}

/// The same for another page with notices. `provider` is the name of another provider than Matrica.
fn notice_url(
    path: &str,
    notice: Option<SignInNotice>,
    reference: Option<&str>,
    return_to: Option<&ReturnTo>,
    provider: Option<&str>,
) -> String {
    let path = format!("{path}?");
    let start = path.len();
    let mut query = form_urlencoded::Serializer::for_suffix(path, start);
    let pairs = [
        ("e", notice.map(SignInNotice::slug)),
        ("ref", reference),
        ("return_to", return_to.map(ReturnTo::as_str)),
        ("provider", provider),
    ];
    let given = pairs
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)));
    query.extend_pairs(given);
    query.finish().trim_end_matches('?').to_owned()
}
