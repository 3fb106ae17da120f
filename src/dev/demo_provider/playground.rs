//! The page at `/`, for watching the app while Matrica fails.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use strum::VariantArray as _;
use url::Url;

use super::DemoProvider;
use super::authorize::{STYLE, html};
use super::endpoint::Endpoint;
use super::people::PEOPLE;
use super::scenes::{self, SCENES, Scene};

#[derive(Template)]
#[template(path = "dev/demo_provider/playground.html")]
struct Playground {
    style: &'static str,
    /// The address of this provider, as the browser wrote it.
    base: String,
    /// The origin of the app.
    app: Option<String>,
    now: Option<&'static Scene>,
    scenes: &'static [Scene],
    people: Vec<PersonLine>,
    calls: Vec<(&'static str, u64)>,
}

struct PersonLine {
    name: &'static str,
    line: &'static str,
    /// Sign-ins that have not ended.
    grants: usize,
}

/// `GET /`
pub async fn page(State(provider): State<DemoProvider>, headers: HeaderMap) -> Response {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let page = {
        let state = provider.state();
        let people = PEOPLE.iter().map(|person| PersonLine {
            name: person.name,
            line: person.line,
            grants: state.grants.live_grants(person),
        });
        let calls = Endpoint::VARIANTS.iter().map(|endpoint| {
            let calls = state.calls.get(endpoint).copied();
            (endpoint.name(), calls.unwrap_or_default())
        });
        Playground {
            style: STYLE,
            app: app_origin(&provider),
            base: format!("http://{}", host.unwrap_or("localhost")),
            now: state.scene,
            scenes: &SCENES,
            people: people.collect(),
            calls: calls.collect(),
        }
    };
    html(StatusCode::OK, "'self'", page.render())
}

/// The first application that is registered here.
fn app_origin(provider: &DemoProvider) -> Option<String> {
    let redirect_uri = provider.clients.first()?.redirect_uris.first()?;
    let redirect_uri = Url::parse(redirect_uri).ok()?;
    Some(redirect_uri.origin().ascii_serialization())
}

/// `POST /playground/{scene}`
pub async fn play(
    State(provider): State<DemoProvider>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    if comes_from_elsewhere(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(scene) = scenes::find(&key) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match provider.play(scene) {
        Ok(()) => Redirect::to("/").into_response(),
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response(),
    }
}

/// `POST /playground`. Ends the scene.
pub async fn reset(State(provider): State<DemoProvider>, headers: HeaderMap) -> Response {
    if comes_from_elsewhere(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    provider.state().reset();
    Redirect::to("/").into_response()
}

/// Another site sends the request through a visitor's browser. Scripts such as curl send neither
/// header.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    let own = || format!("http://{}", text("host").unwrap_or_default());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => !["same-origin", "none"].contains(&site),
        (None, Some(origin)) => origin != own(),
        (None, None) => false,
    }
}
