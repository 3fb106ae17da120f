//! The HTTP server around the handlers: accept loop, layers and logs.

mod admit;
pub mod client;
pub mod compression;
mod connection;
mod csrf;
pub mod failures;
pub mod files;
mod frame;
pub mod gauges;
pub mod headers;
mod heads;
pub mod health;
pub mod log;
pub mod server;
mod slots;
#[cfg(feature = "otel")]
mod traces;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_extractor_with_state, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use strum::IntoEnumIterator as _;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use self::admit::Admission;
pub use self::failures::{ErrorFormat, FailedRequest, PlainText, RenderFailure};
use self::frame::Frame;
use self::headers::OpenToAll;
pub use self::headers::Policy;
pub use self::log::RequestId;
use crate::engine::gate::{Gate, Holds};
use crate::engine::session::{self, CurrentUser};
use crate::engine::sign_in::Refusal;
use crate::engine::state::Engine;

/// Longest time until a response. Work that must not be cancelled runs in a tracked task.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest request body, in bytes. Our forms have a few short fields.
const BODY_MAX: usize = 16 * 1024;

/// Who may open a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone. Without the session layer, so the handler cannot know who is signed in.
    Plain,
    /// Everyone.
    Public,
    SignedIn,
}

/// One line of the route table.
pub struct Route {
    pub path: &'static str,
    pub access: Access,
    handler: MethodRouter<Engine>,
    has_large_body: bool,
    gate: Option<AddGate>,
}

/// Puts a gate in front of a handler.
type AddGate = fn(MethodRouter<Engine>, Engine) -> MethodRouter<Engine>;

impl Route {
    pub fn new(path: &'static str, access: Access, handler: MethodRouter<Engine>) -> Self {
        Self {
            path,
            access,
            handler,
            has_large_body: false,
            gate: None,
        }
    }

    /// Lets the pages of the route load more than our own pages do.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        let add = move |mut response: Response| async move {
            response.extensions_mut().insert(policy);
            response
        };
        self.handler = self.handler.layer(map_response(add));
        self
    }

    /// Takes bodies up to this size, in bytes, instead of [`BODY_MAX`].
    #[must_use]
    pub fn body_max(mut self, bytes: usize) -> Self {
        self.handler = self.handler.layer(DefaultBodyLimit::max(bytes));
        self.has_large_body = bytes > BODY_MAX;
        self
    }

    /// Opens the route only to people who satisfy the rule of the gate.
    #[must_use]
    pub fn gate<G: Gate + 'static>(mut self) -> Self {
        self.access = Access::SignedIn;
        self.gate = Some(|handler, engine| {
            handler.route_layer(from_extractor_with_state::<Holds<G>, Engine>(engine))
        });
        self
    }
}

/// Puts the routes behind the layers. `render` writes the body of every failed response.
pub fn router(engine: Engine, routes: Vec<Route>, render: RenderFailure) -> Router {
    let exempt = routes.iter().filter(|route| route.access == Access::Plain);
    let exempt: Arc<BTreeSet<_>> = Arc::new(exempt.map(|route| route.path).collect());
    // Every series exists from the start.
    for refusal in Refusal::iter() {
        engine.sign_ins.refused(refusal.name());
    }
    let admission = Admission::new(&engine, exempt.clone(), &routes);
    let paths: Vec<_> = routes.iter().map(|route| route.path).collect();
    let (mut plain, mut with_session) = (Router::new(), Router::new());
    for route in routes {
        let (path, mut handler) = (route.path, route.handler);
        if let Some(add_gate) = route.gate {
            handler = add_gate(handler, engine.clone());
        }
        match route.access {
            Access::Plain => plain = plain.route(path, handler.layer(map_response(open_to_all))),
            Access::Public => {
                let handler = handler.layer(map_response(open_to_all));
                with_session = with_session.route(path, handler);
            }
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
    let frame = Frame::new(
        &engine,
        exempt,
        render,
        engine.requests.routes(paths.iter()),
    );
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIMEOUT);
    // In the order in which a request meets them.
    let layers = ServiceBuilder::new()
        .layer(compression::layer())
        .layer(from_fn_with_state(frame, frame::surround))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(timeout)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(admission, admit::admit))
        .layer(csrf::layer(&engine.config.public_url.origin));
    with_session
        .layer(sessions)
        .merge(plain)
        .fallback(not_found)
        .layer(layers)
        .with_state(engine)
}

/// Requires a sign-in. Tells an error page through the response who the person is.
async fn require_sign_in(user: CurrentUser, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if failures::has_failed(&response) {
        response.extensions_mut().insert(user);
    }
    response
}

async fn open_to_all(mut response: Response) -> Response {
    response.extensions_mut().insert(OpenToAll);
    response
}

async fn not_found(_: Request) -> StatusCode {
    StatusCode::NOT_FOUND
}

/// The panic hook has logged the place.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!(event = "panic", "a handler panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
