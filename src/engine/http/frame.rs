//! What surrounds every handler: the log line and id of the request, the body of a failed response,
//! and the security headers. One layer, because each one costs every request.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::client;
use super::compression::Asked;
use super::failures::{FailureContext, RenderFailure};
use super::headers::SecurityHeaders;
use super::throttle::Throttle;
use super::{RequestId, log};
use crate::engine::limits::Client;
use crate::engine::state::Engine;

/// What the layer needs. Made once.
#[derive(Clone)]
pub struct Frame(Arc<Parts>);

struct Parts {
    engine: Engine,
    render: RenderFailure,
    headers: SecurityHeaders,
    unforwarded: Throttle,
}

impl Parts {
    /// The address of the client. Warns if the proxies do not say it as configured.
    fn client(&self, request: &Request) -> Client {
        let hops = self.engine.config.trusted_proxy_hops;
        client::of(request, hops).unwrap_or_else(|peer| {
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
    pub fn new(engine: &Engine, render: RenderFailure) -> Self {
        Self(Arc::new(Parts {
            engine: engine.clone(),
            render,
            headers: SecurityHeaders::new(engine),
            unforwarded: Throttle::default(),
        }))
    }
}

/// The layer.
pub async fn surround(State(frame): State<Frame>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::generate();
    let client = frame.0.client(&request);
    let span = log::span(&request, &id, client);
    let context = FailureContext::of(&request, &frame.0.engine.cookie_names);
    let asked = Asked::of(&request, &frame.0.engine.cookie_names);
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(client);
    async move {
        let Parts {
            engine,
            render,
            headers,
            ..
        } = &*frame.0;
        let response = next.run(request).await;
        let mut response = context.with_body(response, engine, *render, &id);
        headers.add(&mut response, context.uri());
        asked.mark(&mut response);
        log::answered(started, &response);
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert("x-request-id", id);
        }
        response
    }
    .instrument(span)
    .await
}
