//! Everything around the handlers: the accept loop, the layers and the logs.

pub mod csrf;
pub mod failures;
pub mod forms;
pub mod headers;
pub mod health;
pub mod log;
pub mod server;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::StatusCode,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

pub use self::{
    failures::{ErrorFormat, FailedRequest, PlainText, RenderFailure},
    log::RequestId,
};
use crate::engine::{
    session::{self, CurrentUser, cookies},
    state::Engine,
};

/// Longest time until an answer. Work that must not be cut short runs in a tracked task.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest body of a request, in bytes. Our forms have a handful of short fields.
const BODY_MAX: usize = 16 * 1024;

/// Who may open a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody. The session layer does not run, so the handler cannot know who is signed in.
    Plain,
    /// Everybody.
    Public,
    /// People who are signed in.
    SignedIn,
}

/// One line of the route table.
pub struct Route {
    pub path: &'static str,
    pub access: Access,
    handler: MethodRouter<Engine>,
}

impl Route {
    pub fn new(path: &'static str, access: Access, handler: MethodRouter<Engine>) -> Self {
        Self {
            path,
            access,
            handler,
        }
    }
}

/// Puts the routes behind every layer, in the order in which a request meets them.
///
/// `render` writes the body of every failed response.
pub fn router(engine: Engine, routes: Vec<Route>, render: RenderFailure) -> Router {
    let (mut plain, mut with_session) = (Router::new(), Router::new());
    for Route {
        path,
        access,
        handler,
    } in routes
    {
        match access {
            Access::Plain => plain = plain.route(path, handler),
            Access::Public => with_session = with_session.route(path, handler),
            Access::SignedIn => {
                let gate = from_fn_with_state(engine.clone(), require_sign_in);
                with_session = with_session.route(path, handler.route_layer(gate));
            }
        }
    }
    let sessions = session::layer(
        &engine.sessions,
        &engine.cookie_names,
        engine.config.session,
    );
    let layers = ServiceBuilder::new()
        .layer(from_fn(log::request))
        .layer(from_fn_with_state(engine.clone(), headers::add))
        .layer(from_fn_with_state(
            (engine.clone(), render),
            failures::render_body,
        ))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            REQUEST_TIMEOUT,
        ))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(
            engine.cookie_names.clone(),
            cookies::guard,
        ))
        .layer(csrf::layer(&engine.config.public_url.origin))
        .layer(from_fn_with_state(
            engine.clone(),
            csrf::require_origin_proof,
        ))
        .layer(from_fn(forms::require_form_encoding));
    with_session
        .layer(sessions)
        .merge(plain)
        .fallback(not_found)
        .layer(layers)
        .with_state(engine)
}

/// Lets in people who are signed in. An error page learns from the response who they are.
async fn require_sign_in(user: CurrentUser, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        response.extensions_mut().insert(user);
    }
    response
}

async fn not_found(_: Request) -> StatusCode {
    StatusCode::NOT_FOUND
}

/// The panic hook has logged where it happened.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!(event = "panic", "a handler panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
