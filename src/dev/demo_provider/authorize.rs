//! The authorization endpoint, with the consent page and the redirect back to the application.

use std::sync::LazyLock;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::DemoProvider;
use super::grants::Consent;
use super::people::{self, PEOPLE, Person};
use super::request::AuthorizationRequest;
use super::wire::{Fields, is_form};

pub(super) const STYLE: &str = include_str!("../../../templates/dev/demo_provider/style.css");
static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| BASE64_STANDARD.encode(Sha256::digest(STYLE)));

#[derive(Template)]
#[template(path = "dev/demo_provider/consent.html")]
struct ConsentPage<'a> {
    style: &'static str,
    request: &'a AuthorizationRequest,
    people: &'static [Person],
    query: &'a str,
}

#[derive(Template)]
#[template(path = "dev/demo_provider/refusal.html")]
struct RefusalPage<'a> {
    style: &'static str,
    reason: &'a str,
}

/// A failure before consent. Like Matrica's it is shown here, and the application is not told.
pub struct Refusal(String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (style, reason) = (STYLE, &*self.0);
        let page = RefusalPage { style, reason };
        html(StatusCode::BAD_REQUEST, "'none'", page.render())
    }
}

pub async fn page(
    State(provider): State<DemoProvider>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let request = AuthorizationRequest::parse(&provider, &query).map_err(Refusal)?;
    let page = ConsentPage {
        style: STYLE,
        request: &request,
        people: &PEOPLE,
        query: &query,
    };
    // Chromium applies form-action to the redirect after the form post as well.
    let back = Url::parse(&request.redirect_uri).map(|url| url.origin().ascii_serialization());
    let form_action = format!("'self' {}", back.unwrap_or_default());
    Ok(html(StatusCode::OK, &form_action, page.render()))
}

pub async fn decide(
    State(provider): State<DemoProvider>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let request = AuthorizationRequest::parse(&provider, &query).map_err(Refusal)?;
    if !is_form(&headers) {
        return Err(Refusal("Send application/x-www-form-urlencoded".into()));
    }
    let form = Fields::parse(&body).map_err(Refusal)?;
    let choice = form.get("person").unwrap_or_default();
    let person = people::find(choice);
    if person.is_none() && choice != "deny" {
        return Err(Refusal("There is no such person".into()));
    }
    let state = &mut *provider.state();
    let (redirect_uri, echoed) = (request.redirect_uri.clone(), request.state.clone());
    let Some(person) = person.filter(|person| !person.always_denies) else {
        let echoed = echoed.filter(|_| state.settings.deny_with_state);
        let denied = ("error", "access_denied");
        return Ok(redirect(&redirect_uri, denied, echoed.as_deref()));
    };
    let consent = Consent { request, person };
    let code = state.grants.issue_code(&state.settings, consent);
    Ok(redirect(&redirect_uri, ("code", &code), echoed.as_deref()))
}

fn redirect(redirect_uri: &str, (name, value): (&str, &str), state: Option<&str>) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair(name, value);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    let location = format!("{redirect_uri}{separator}{}", query.finish());
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, "no-store".into()),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Its policy allows one inline style sheet by hash and forms to `form_action`.
pub(super) fn html(
    status: StatusCode,
    form_action: &str,
    page: askama::Result<String>,
) -> Response {
    let Ok(page) = page else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action {form_action}; base-uri 'none'; \
         frame-ancestors 'none'",
        *STYLE_HASH
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, &policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, page).into_response()
}
