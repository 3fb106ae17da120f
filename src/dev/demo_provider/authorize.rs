//! The authorization endpoint: the consent page, and the redirect back once somebody has decided.

use std::sync::LazyLock;

use askama::Template;
use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::{
        HeaderMap, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::{
    DemoProvider,
    grants::{Code, Consent},
    people::{self, PEOPLE, Person},
    wire::{Fields, is_form},
};

/// base64url of a SHA-256 digest, without padding.
const CODE_CHALLENGE_CHARACTERS: usize = 43;

const STYLE: &str = include_str!("../../../templates/dev/demo_provider/style.css");
static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| BASE64_STANDARD.encode(Sha256::digest(STYLE)));

#[derive(Template)]
#[template(path = "dev/demo_provider/consent.html")]
struct ConsentPage<'a> {
    style: &'static str,
    client_id: &'a str,
    redirect_uri: &'a str,
    scopes: Vec<(&'a str, &'static str)>,
    people: &'static [Person],
    query: &'a str,
}

#[derive(Template)]
#[template(path = "dev/demo_provider/refusal.html")]
struct RefusalPage<'a> {
    style: &'static str,
    reason: &'a str,
}

/// A failure before consent. It stays on this page, as Matrica's do: no callback ever tells the application.
pub(super) struct Refusal(String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let page = RefusalPage {
            style: STYLE,
            reason: &self.0,
        }
        .render();
        html(StatusCode::BAD_REQUEST, "'none'", page)
    }
}

/// A valid authorization request.
struct AuthorizationRequest {
    client_id: String,
    redirect_uri: String,
    scope: String,
    code_challenge: String,
    state: Option<String>,
}

pub(super) async fn page(
    State(provider): State<DemoProvider>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let request = AuthorizationRequest::parse(&provider, &query)?;
    let page = ConsentPage {
        style: STYLE,
        client_id: &request.client_id,
        redirect_uri: &request.redirect_uri,
        scopes: request
            .scope
            .split(' ')
            .map(|scope| (scope, in_words(scope)))
            .collect(),
        people: &*PEOPLE,
        query: &query,
    };
    // Chromium applies form-action to the redirect after the form post as well, so the way back is on the list.
    let back = Url::parse(&request.redirect_uri)
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default();
    Ok(html(
        StatusCode::OK,
        &format!("'self' {back}"),
        page.render(),
    ))
}

pub(super) async fn decide(
    State(provider): State<DemoProvider>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request = AuthorizationRequest::parse(&provider, &query.unwrap_or_default())?;
    if !is_form(&headers) {
        return Err(Refusal("Send application/x-www-form-urlencoded".into()));
    }
    let form = Fields::parse(&body).map_err(Refusal)?;
    let choice = form.get("person").unwrap_or_default();
    let person = people::find(choice);
    let state = &mut *provider.state();
    match person {
        Some(person) if !person.always_denies => {
            let AuthorizationRequest {
                client_id,
                redirect_uri,
                scope,
                code_challenge,
                state: echoed,
            } = request;
            let code = Code {
                consent: Consent {
                    client_id,
                    scope,
                    person,
                },
                redirect_uri: redirect_uri.clone(),
                code_challenge,
            };
            let code = state.grants.issue_code(&state.settings, code);
            Ok(redirect(&redirect_uri, ("code", &code), echoed.as_deref()))
        }
        None if choice != "deny" => Err(Refusal("There is no such person".into())),
        _ => {
            let echoed = request
                .state
                .as_deref()
                .filter(|_| state.settings.deny_with_state);
            Ok(redirect(
                &request.redirect_uri,
                ("error", "access_denied"),
                echoed,
            ))
        }
    }
}

impl AuthorizationRequest {
    fn parse(provider: &DemoProvider, query: &str) -> Result<Self, Refusal> {
        let refuse = |reason: &str| Refusal(reason.to_owned());
        let fields = Fields::parse(query.as_bytes()).map_err(Refusal)?;
        let value = |name: &str| fields.get(name).unwrap_or_default();
        let client = provider
            .client(value("client_id"))
            .ok_or_else(|| refuse("The client_id is missing or unknown"))?;
        if !client
            .redirect_uris
            .iter()
            .any(|registered| registered == value("redirect_uri"))
        {
            return Err(refuse(
                "The redirect_uri is not registered for this application, character by character",
            ));
        }
        if value("response_type") != "code" {
            return Err(refuse("The response_type must be code"));
        }
        if value("code_challenge_method") != "S256" {
            return Err(refuse("The code_challenge_method must be S256"));
        }
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let code_challenge = value("code_challenge");
        if code_challenge.len() != CODE_CHALLENGE_CHARACTERS
            || !code_challenge.bytes().all(base64url)
        {
            return Err(refuse(
                "The code_challenge must be 43 characters of base64url",
            ));
        }
        // RFC 6749, section 3.3: printable ASCII without space, quote and backslash.
        let scope_character = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let scope_token = |token: &str| !token.is_empty() && token.bytes().all(scope_character);
        if !value("scope").split(' ').all(scope_token) {
            return Err(refuse(
                "The scope must name at least one scope, separated by single spaces",
            ));
        }
        Ok(Self {
            client_id: client.client_id.clone(),
            redirect_uri: value("redirect_uri").to_owned(),
            scope: value("scope").to_owned(),
            code_challenge: code_challenge.to_owned(),
            state: fields.get("state").map(str::to_owned),
        })
    }
}

fn redirect(redirect_uri: &str, (name, value): (&str, &str), state: Option<&str>) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair(name, value);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    let location = format!("{redirect_uri}{separator}{}", query.finish());
    (
        StatusCode::SEE_OTHER,
        [(LOCATION, location), (CACHE_CONTROL, "no-store".into())],
    )
        .into_response()
}

/// A page with a policy of its own: one inline style sheet by hash, forms to `form_action`, nothing else.
fn html(status: StatusCode, form_action: &str, page: askama::Result<String>) -> Response {
    let Ok(page) = page else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'",
        *STYLE_HASH
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, &policy),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, page).into_response()
}

fn in_words(scope: &str) -> &'static str {
    match scope {
        "profile" => "Who you are: name, picture, banner",
        "wallets" => "Your wallets, which ones are primary, and their token balances",
        "nfts" => "Your NFTs",
        "email" => "Your e-mail address",
        "socials.twitter" => "Your Twitter account",
        "socials.discord" => "Your Discord account",
        "socials.telegram" => "Your Telegram account",
        "roles" => "Your roles",
        "domains" => "Your domains",
        _ => "A scope the demo provider has no data for",
    }
}
