//! `GET /auth/check`, which a proxy asks before it passes a request on to another app.
//!
//! The app behind the proxy may be written in any language. It reads the person from the headers
//! below. [How to set up nginx and Caddy](../../docs/behind-a-proxy.md).

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::holders::Holders;
use super::parameters::{self, Filter};
use crate::engine::sign_in::{ReturnTo, sign_in_url};
use crate::engine::{CurrentUser, Engine, Failure, Gate as _, Rule, gate};

const USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// Percent-encoded UTF-8, because a header holds ASCII only.
const USER_NAME: HeaderName = HeaderName::from_static("x-user-name");
/// The address for signing in and coming back, beside a 401.
const SIGN_IN_URL: HeaderName = HeaderName::from_static("x-sign-in-url");
/// The path and query that the browser asked for, as Caddy and Traefik say it, and as nginx is told to.
const ASKED_FOR: [&str; 2] = ["x-forwarded-uri", "x-original-uri"];

/// A mistyped name must not open anything, so others are refused.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CheckQuery {
    gate: Filter,
}

/// 204 with who is signed in. 401 without a sign-in, 403 at a gate that stays shut, and 503 while
/// the answer is not known. Never a page, and never a redirect.
pub async fn check(
    State(engine): State<Engine>,
    user: Result<Option<CurrentUser>, Failure>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let CheckQuery { gate: Filter(name) } = parameters::parse(&query.unwrap_or_default())?;
    // A proxy with a mistyped gate must not open it.
    let gate = name.map(|name| find(&engine, &name)).transpose()?;
    let Some(user) = user? else {
        return Ok(sign_in_required(&engine, &headers));
    };
    if let Some(rule) = gate {
        let verdict = gate::check(&engine, user.user_id, &rule).await;
        verdict.require()?;
    }
    let id = HeaderValue::try_from(user.user_id.to_string());
    let name = utf8_percent_encode(&user.display_name, NON_ALPHANUMERIC).to_string();
    let (Ok(id), Ok(name)) = (id, HeaderValue::try_from(name)) else {
        return Err(Failure::Internal("a name that fits no header"));
    };
    Ok((StatusCode::NO_CONTENT, [(USER_ID, id), (USER_NAME, name)]).into_response())
}

/// A gate of `GATES_FILE` or of the code, by its name.
fn find(engine: &Engine, name: &str) -> Result<Rule, Failure> {
    let configured = engine.config.gates.get(name).cloned();
    let rule = configured.or_else(|| match name {
        Holders::NAME => Some(Holders::rule()),
        _ => None,
    });
    rule.ok_or_else(|| Failure::invalid_parameter("gate"))
}

fn sign_in_required(engine: &Engine, headers: &HeaderMap) -> Response {
    let mut asked_for = ASKED_FOR.iter().filter_map(|name| headers.get(*name));
    let asked_for = asked_for.next().and_then(|uri| uri.to_str().ok());
    let return_to = asked_for.map(ReturnTo::parse);
    let path = sign_in_url(None, None, return_to.as_ref());
    let mut response = Failure::SignInRequired(None).into_response();
    let url = format!("{}{path}", engine.config.public_url.origin);
    if let Ok(url) = HeaderValue::try_from(url) {
        response.headers_mut().insert(SIGN_IN_URL, url);
    }
    response
}
