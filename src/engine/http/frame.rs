//! What surrounds every handler: the log line and id of the request, the body of a failed response,
//! and the security headers. One layer, because each one costs every request.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::client;
use super::compression::Asked;
use super::failures::{FailureContext, RenderFailure};
use super::headers::SecurityHeaders;
use super::{RequestId, log};
use crate::engine::limits::Client;
use crate::engine::limits::throttle::Throttle;
use crate::engine::metrics::requests::{Counted, RouteMetrics};
use crate::engine::state::Engine;

/// What the layer needs. Made once.
#[derive(Clone)]
pub struct Frame(Arc<Parts>);

struct Parts {
    engine: Engine,
    render: RenderFailure,
    headers: SecurityHeaders,
    /// Plain routes, which probes ask without a proxy.
    plain: Arc<BTreeSet<&'static str>>,
    metrics: RouteMetrics,
    unforwarded: Throttle,
}

impl Parts {
    /// The address of the client. Warns if the proxies do not say it as configured.
    fn client(&self, request: &Request) -> Client {
        let hops = self.engine.config.trusted_proxy_hops;
        client::of(request, hops).unwrap_or_else(|peer| {
            let route = request.extensions().get::<MatchedPath>();
            if route.is_some_and(|route| self.plain.contains(route.as_str())) {
                return peer;
            }
            if let Some(left_out) = self.unforwarded.turn() {
                tracing::warn!(
                    event = "client_unknown",
                    left_out,
                    "X-Forwarded-For does not fit TRUSTED_PROXY_HOPS, so the proxy counts as the client"
                );
            }
            peer
        })
    }
}

impl Frame {
    /// `render` writes the body of every failed response.
    pub fn new(
        engine: &Engine,
        plain: Arc<BTreeSet<&'static str>>,
        render: RenderFailure,
        metrics: RouteMetrics,
    ) -> Self {
        Self(Arc::new(Parts {
            engine: engine.clone(),
            render,
            plain,
            metrics,
            headers: SecurityHeaders::new(engine),
            unforwarded: Throttle::default(),
        }))
    }
}

/// The layer.
pub async fn surround(State(frame): State<Frame>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let _in_flight = Counted::new(&frame.0.engine.requests.in_flight);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let id = RequestId::generate();
    let client = frame.0.client(&request);
    let span = log::span(&request, &id, client);
    #[cfg(feature = "otel")]
    super::traces::begin(
        &span,
        request.headers(),
        frame.0.engine.config.trusted_proxy_hops,
    );
    let context = FailureContext::of(&request, &frame.0.engine.cookie_names);
    let asked = Asked::of(&request);
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(client);
    async move {
        let Parts {
            engine,
            render,
            headers,
            metrics,
            ..
        } = &*frame.0;
        let response = next.run(request).await;
        let mut response = context.with_body(response, engine, *render, &id);
        headers.add(&mut response, context.uri());
        asked.mark(&mut response);
        let route = route.as_ref().map(MatchedPath::as_str);
        metrics.answered(route, response.status(), started.elapsed());
        log::answered(started, &response);
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert("x-request-id", id);
        }
        response
    }
    .instrument(span)
    .await
}
