//! Refuses requests that no handler may see, and cleans the cookies of the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::throttle::Throttle;
use super::{Access, Route, csrf, heads};
use crate::engine::error::Failure;
use crate::engine::limits::{Action, Client};
use crate::engine::session::cookies;
use crate::engine::sign_in::START_PATH;
use crate::engine::state::Engine;

/// What the layer needs. Made once.
#[derive(Clone)]
pub struct Admission(Arc<Parts>);

struct Parts {
    engine: Engine,
    /// Health checks and static files, which no limit holds up.
    exempt: BTreeSet<&'static str>,
    slots: Semaphore,
    overloaded: Throttle,
    limited: Throttle,
}

impl Admission {
    pub fn new(engine: &Engine, routes: &[Route]) -> Self {
        let plain = routes.iter().filter(|route| route.access == Access::Plain);
        Self(Arc::new(Parts {
            exempt: plain.map(|route| route.path).collect(),
            slots: Semaphore::new(engine.requests_max),
            engine: engine.clone(),
            overloaded: Throttle::default(),
            limited: Throttle::default(),
        }))
    }
}

impl Parts {
    /// A place among the requests that are worked on, if the client may have one. `None` for a route
    /// that needs none.
    fn enter(&self, request: &Request) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        let route = request.extensions().get::<MatchedPath>();
        if route.is_some_and(|route| self.exempt.contains(route.as_str())) {
            return Ok(None);
        }
        let client = Client::of(request.extensions());
        let action = action(request);
        self.engine.limits.count(action, client).inspect_err(|_| {
            if let Some(left_out) = self.limited.turn() {
                let action = <&str>::from(action);
                tracing::warn!(
                    event = "rate_limited",
                    action,
                    left_out,
                    "a client sends too many requests"
                );
            }
        })?;
        let slot = self.slots.try_acquire().map_err(|_| {
            if let Some(left_out) = self.overloaded.turn() {
                tracing::error!(
                    event = "overloaded",
                    left_out,
                    "too many requests are being worked on"
                );
            }
            Failure::Overloaded
        })?;
        Ok(Some(slot))
    }
}

fn action(request: &Request) -> Action {
    let rest = request.uri().path().strip_prefix(START_PATH);
    let is_start = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match *request.method() {
        Method::POST if is_start => Action::LoginStart,
        ref method if method.is_safe() => Action::Read,
        _ => Action::Change,
    }
}

/// The layer. One for all checks, because each one costs every request.
pub async fn admit(
    State(admission): State<Admission>,
    mut request: Request,
    next: Next,
) -> Response {
    let Parts { engine, .. } = &*admission.0;
    // Held until the response begins. What is sent later costs a connection, not a place.
    let _slot = match admission.0.enter(&request) {
        Ok(slot) => slot,
        Err(failure) => return failure.into_response(),
    };
    if let Err(failure) = heads::check(&request) {
        return failure.into_response();
    }
    let names = &engine.cookie_names;
    let surplus = cookies::clean_request(request.headers_mut(), names);
    let checked = csrf::require_origin_proof(engine, &request)
        .and_then(|()| csrf::require_form_encoding(&request));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    csrf::log_refusal(&response);
    cookies::clean_response(response.headers_mut(), names, &surplus);
    response
}
