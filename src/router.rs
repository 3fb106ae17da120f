//! The whole route table, and the layers around it in the order in which a request meets them.

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

use crate::{
    app::App,
    session::{self, CurrentUser, cookies},
    telemetry,
    web::{
        account, api, assets, callback, csrf, error_pages, form, headers, health, holders, home, login, logout,
        settings,
    },
};

/// Longest wait for an answer. Work that must not be cut short runs in tasks of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest body of a request, in bytes. Our forms have a handful of short fields.
const BODY_MAX: usize = 16 * 1024;

/// Who may see a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, and it knows nothing of sessions.
    Plain,
    /// Everybody.
    Public,
    /// Only people who are signed in.
    SignedIn,
}

/// One line of the route table.
pub struct Route {
    pub path: &'static str,
    pub access: Access,
    handler: MethodRouter<App>,
}

impl Route {
    #[must_use]
    pub fn new(path: &'static str, access: Access, handler: MethodRouter<App>) -> Self {
        Self { path, access, handler }
    }
}

/// Every route there is.
#[must_use]
pub fn table() -> Vec<Route> {
    use Access::{Plain, Public, SignedIn};
    let route = Route::new;
    vec![
        route("/", Public, get(home::home)),
        route("/login", Public, get(login::login_page)),
        route("/auth/login", Public, post(login::start)),
        // axum answers HEAD with the handler of GET, and a link checker's HEAD must not use up a code.
        route(callback::PATH, Public, get(callback::callback).head(only_get)),
        route("/auth/logout", Public, post(logout::logout)),
        route("/account", SignedIn, get(account::account)),
        route("/account/wallets", SignedIn, get(account::wallets::wallets)),
        route("/account/nfts", SignedIn, get(account::nfts::nfts)),
        route("/account/tokens", SignedIn, get(account::tokens::tokens)),
        route("/account/domains", SignedIn, get(account::domains::domains)),
        route("/account/refresh", SignedIn, post(account::refresh)),
        route("/holders", SignedIn, get(holders::holders)),
        route("/settings", SignedIn, get(settings::settings)),
        route("/settings/sessions/{id}/end", SignedIn, post(settings::end_session)),
        route("/settings/sessions/end-others", SignedIn, post(settings::end_others)),
        route("/settings/sessions/end-all", SignedIn, post(settings::end_all)),
        route("/settings/export", SignedIn, get(settings::export)),
        route("/settings/disconnect", SignedIn, post(settings::disconnect)),
        route("/settings/delete", SignedIn, post(settings::delete)),
        route("/api/me", SignedIn, get(api::me)),
        route("/api/wallets", SignedIn, get(api::wallets)),
        route("/api/nfts", SignedIn, get(api::nfts)),
        route("/api/tokens", SignedIn, get(api::tokens)),
        route("/api/domains", SignedIn, get(api::domains)),
        route("/api/openapi.json", Plain, get(api::openapi)),
        route("/assets/{name}", Plain, get(assets::asset)),
        route("/healthz", Plain, get(health::healthz)),
        route("/readyz", Plain, get(health::readyz)),
    ]
}

/// The application as one service.
pub fn router(app: App) -> Router {
    assemble(app, table())
}

/// These routes behind every layer. A route refuses everybody who is not signed in unless it says otherwise.
pub fn assemble(app: App, routes: Vec<Route>) -> Router {
    let (mut plain, mut with_session) = (Router::new(), Router::new());
    for Route { path, access, handler } in routes {
        match access {
            Access::Plain => plain = plain.route(path, handler),
            Access::Public => with_session = with_session.route(path, handler),
            Access::SignedIn => {
                let gate = from_fn_with_state(app.clone(), signed_in);
                with_session = with_session.route(path, handler.route_layer(gate));
            }
        }
    }
    let sessions = session::layer(app.db.clone(), app.sessions.clone(), &app.cookie_names, app.config.session);
    let layers = ServiceBuilder::new()
        .layer(from_fn(telemetry::request))
        .layer(from_fn_with_state(app.clone(), headers::add))
        .layer(from_fn_with_state(app.clone(), error_pages::render))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIMEOUT))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(app.cookie_names.clone(), cookies::guard))
        .layer(csrf::layer(&app.config.public_url.origin))
        .layer(from_fn_with_state(app.clone(), csrf::refuse_vague))
        .layer(from_fn(form::only_forms));
    with_session.layer(sessions).merge(plain).fallback(not_found).layer(layers).with_state(app)
}

/// Lets in people who are signed in, and tells the page about a failure who they are.
async fn signed_in(user: CurrentUser, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        response.extensions_mut().insert(user);
    }
    response
}

async fn only_get() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, Method::GET.as_str())]).into_response()
}

async fn not_found(_: Request) -> StatusCode {
    StatusCode::NOT_FOUND
}

/// The hook has logged where it happened.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!(event = "panic", "a handler panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
