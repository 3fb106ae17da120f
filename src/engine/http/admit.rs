//! Refuses requests that no handler may see, and cleans the cookies of the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Route, csrf, heads};
use crate::engine::error::Failure;
use crate::engine::limits::throttle::Throttle;
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
    exempt: Arc<BTreeSet<&'static str>>,
    /// Routes whose bodies may be large. The handler reads them, and holds a place for it.
    large: BTreeSet<&'static str>,
    slots: Semaphore,
    overloaded: Throttle,
}

impl Admission {
    pub fn new(engine: &Engine, plain: Arc<BTreeSet<&'static str>>, routes: &[Route]) -> Self {
        let large = routes.iter().filter(|route| route.has_large_body);
        Self(Arc::new(Parts {
            exempt: plain,
            large: large.map(|route| route.path).collect(),
            slots: Semaphore::new(engine.requests_max),
            engine: engine.clone(),
            overloaded: Throttle::default(),
        }))
    }
}

impl Parts {
    /// Whether the route of a request is one of these.
    fn is_among(routes: &BTreeSet<&'static str>, request: &Request) -> bool {
        let route = request.extensions().get::<MatchedPath>();
        route.is_some_and(|route| routes.contains(route.as_str()))
    }

    /// Counts the request against the limits of its client.
    fn count(&self, request: &Request) -> Result<(), Failure> {
        let client = Client::of(request.extensions());
        let action = self.action(request);
        Ok(self.engine.limits.count(action, client)?)
    }

    fn action(&self, request: &Request) -> Action {
        let rest = request.uri().path().strip_prefix(START_PATH);
        let is_start = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match *request.method() {
            ref method if method.is_safe() || csrf::is_foreign(&self.engine, request) => {
                Action::Read
            }
            Method::POST if is_start => Action::LoginStart,
            _ => Action::Change,
        }
    }

    /// The request with its whole body. A client that sends it slowly must not hold a place for that.
    async fn with_body(&self, request: Request) -> Result<Request, Failure> {
        if request.method().is_safe() || Self::is_among(&self.large, &request) {
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        let read = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await;
        let body = read.map_err(|refused| Failure::from_status(refused.status()))?;
        Ok(Request::from_parts(parts, Body::from(body)))
    }

    /// A place among the requests that are worked on.
    fn enter(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.slots.try_acquire().map_err(|_| {
            if let Some(left_out) = self.overloaded.turn() {
                tracing::error!(
                    event = "overloaded",
                    left_out,
                    "too many requests are being worked on"
                );
            }
            Failure::Overloaded
        })
    }

    /// Runs the handler, within a place if the route needs one. The place is held until the response
    /// begins. What is sent later costs a connection, not a place.
    async fn run(
        &self,
        request: Request,
        is_exempt: bool,
        next: Next,
    ) -> Result<Response, Failure> {
        if is_exempt {
            return Ok(next.run(request).await);
        }
        let request = self.with_body(request).await?;
        let _slot = self.enter()?;
        Ok(next.run(request).await)
    }
}

/// The layer. One for all checks, because each one costs every request.
pub async fn admit(
    State(admission): State<Admission>,
    mut request: Request,
    next: Next,
) -> Response {
    let parts = &*admission.0;
    let (engine, names) = (&parts.engine, &parts.engine.cookie_names);
    let is_exempt = Parts::is_among(&parts.exempt, &request);
    let counted = if is_exempt {
        Ok(())
    } else {
        parts.count(&request)
    };
    if let Err(failure) = counted.and_then(|()| heads::check(&request)) {
        return failure.into_response();
    }
    let surplus = cookies::clean_request(request.headers_mut(), names);
    let checked = csrf::require_origin_proof(engine, &request)
        .and_then(|()| csrf::require_form_encoding(&request));
    let mut response = match checked {
        Ok(()) => {
            let response = parts.run(request, is_exempt, next).await;
            response.unwrap_or_else(Failure::into_response)
        }
        Err(refusal) => refusal.into_response(),
    };
    csrf::log_refusal(&response);
    cookies::clean_response(response.headers_mut(), names, &surplus);
    response
}
