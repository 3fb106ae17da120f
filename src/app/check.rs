//! `GET /auth/check`, which a proxy asks before it passes a request on to another app.
//!
//! The app behind the proxy may be written in any language. It reads the person from the headers
//! below. [How to set up nginx and Caddy](../../docs/behind-a-proxy.md).

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::holders::Holders;
use super::parameters;
use crate::engine::sign_in::{ReturnTo, sign_in_url};
use crate::engine::{CurrentUser, Engine, Failure, Gate as _, Rule, clock, gate};

const USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// Percent-encoded UTF-8, because a header holds ASCII only.
const USER_NAME: HeaderName = HeaderName::from_static("x-user-name");
/// A signed JSON Web Token (RFC 7519), so that the app need not trust the network. Only with
/// `AUTH_CHECK_KEY`.
const USER_TOKEN: HeaderName = HeaderName::from_static("x-user-token");
/// How long the token is valid, in seconds. The proxy asks for a new one at each request.
const TOKEN_SECONDS: i64 = 60;
/// The address for signing in and coming back, beside a 401.
const SIGN_IN_URL: HeaderName = HeaderName::from_static("x-sign-in-url");
/// The path and query that the browser asked for, as Caddy and Traefik say it, and as nginx is told to.
const ASKED_FOR: [&str; 2] = ["x-forwarded-uri", "x-original-uri"];

/// What the token says.
#[derive(Serialize)]
struct Claims<'a> {
    /// `PUBLIC_URL`
    iss: &'a str,
    /// The same as `X-User-Id`.
    sub: String,
    name: &'a str,
    /// The gate that was open. A token of another gate proves nothing.
    gate: Option<&'a str>,
    iat: i64,
    exp: i64,
}

/// An empty name is a name, and no gate has it.
#[derive(Default, Deserialize)]
#[serde(from = "String")]
struct GateName(Option<String>);

impl From<String> for GateName {
    fn from(name: String) -> Self {
        Self(Some(name))
    }
}

/// A mistyped name must not open anything, so others are refused.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CheckQuery {
    gate: GateName,
}

/// 204 with who is signed in. 401 without a sign-in, 403 at a gate that stays shut, and 503 while
/// the answer is not known. Never a page, and never a redirect.
pub async fn check(
    State(engine): State<Engine>,
    user: Result<Option<CurrentUser>, Failure>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let CheckQuery {
        gate: GateName(name),
    } = parameters::parse(&query.unwrap_or_default())?;
    // A proxy with a mistyped gate must not open it, nor one whose variable is empty.
    let gate = name.as_deref();
    let gate = gate.map(|name| find(&engine, name)).transpose()?;
    let Some(user) = user? else {
        return Ok(sign_in_required(&engine, &headers));
    };
    if let Some(rule) = gate {
        let verdict = gate::check(&engine, user.user_id, &rule).await;
        verdict.require()?;
    }
    let token = engine.config.app.get::<Config>().check_key.as_ref();
    let token = token.map(|key| sign(key, &engine, &user, name.as_deref()));
    let id = HeaderValue::try_from(user.user_id.to_string());
    let user_name = utf8_percent_encode(&user.display_name, NON_ALPHANUMERIC).to_string();
    let (Ok(id), Ok(name)) = (id, HeaderValue::try_from(user_name)) else {
        return Err(Failure::Internal("a name that fits no header"));
    };
    let headers = [(USER_ID, id), (USER_NAME, name)];
    let mut response = (StatusCode::NO_CONTENT, headers).into_response();
    if let Some(token) = token.transpose()? {
        response.headers_mut().insert(USER_TOKEN, token);
    }
    Ok(response)
}

fn sign(
    key: &SecretString,
    engine: &Engine,
    user: &CurrentUser,
    gate: Option<&str>,
) -> Result<HeaderValue, Failure> {
    let iat = clock::now().unix_timestamp();
    let claims = Claims {
        iss: &engine.config.public_url.origin,
        sub: user.user_id.to_string(),
        name: &user.display_name,
        gate,
        iat,
        exp: iat + TOKEN_SECONDS,
    };
    let key = EncodingKey::from_secret(key.expose_secret().as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    let token = token.ok().and_then(|token| token.try_into().ok());
    let mut token: HeaderValue = token.ok_or(Failure::Internal("a token cannot be signed"))?;
    token.set_sensitive(true);
    Ok(token)
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
