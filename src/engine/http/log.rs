//! Logs: one line per request and per event, with a request id, without anything secret.

use std::{convert::Infallible, io::IsTerminal, time::Instant};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    http::{HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::engine::{config::LogFormat, random};

/// tower-sessions warns about every stale cookie, which anybody can send, and puts a span of its own between ours and
/// the events of a handler; tower-http prints whole paths at `trace`; Postgres tells each migration that its table is there. `RUST_LOG` can
/// still name them.
const QUIET: &str =
    "tower_sessions=error,tower_sessions_core=error,tower_http=info,sqlx::postgres::notice=warn";
/// What is logged when `RUST_LOG` says nothing.
const DEFAULT_LEVEL: &str = "info";

/// Sets up logging for the process. `RUST_LOG` filters; a filter that cannot be read falls back to the default.
pub fn init(format: LogFormat) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV)
        .ok()
        .filter(|wanted| !wanted.is_empty());
    let wanted = wanted.unwrap_or_else(|| DEFAULT_LEVEL.to_owned());
    let filter = EnvFilter::try_new(filter(&wanted))
        .unwrap_or_else(|_| EnvFilter::new(filter(DEFAULT_LEVEL)));
    let registry = tracing_subscriber::registry().with(filter);
    // A panic's text may hold anything, so only its place is logged.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(event = "panic", place, "a task panicked");
    }));
    // A second call, in tests, changes nothing.
    let _ = match format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_span_list(false),
            )
            .try_init(),
        LogFormat::Pretty => registry
            .with(
                fmt::layer()
                    .compact()
                    .with_target(false)
                    .with_ansi(std::io::stdout().is_terminal()),
            )
            .try_init(),
    };
}

/// The filter for what `RUST_LOG` asks for.
pub fn filter(wanted: &str) -> String {
    format!("{QUIET},{wanted}")
}

/// Names a request in logs, in `x-request-id` and on error pages.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl RequestId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| Self(random::reference(random::bytes()))))
    }
}

/// Gives every request its id and its line. The route's pattern is logged, never the address: that may hold a code.
pub async fn request(mut request: Request, next: Next) -> Response {
    let id = RequestId(random::reference(random::bytes()));
    let header = HeaderValue::from_str(id.as_str()).ok();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let span =
        tracing::info_span!("request", request_id = id.as_str(), method = %request.method(), route);
    request.extensions_mut().insert(id);
    let started = Instant::now();
    async move {
        let mut response = next.run(request).await;
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        tracing::info!(
            event = "request",
            status = response.status().as_u16(),
            duration_ms,
            "request answered"
        );
        if let Some(header) = header {
            response
                .headers_mut()
                .insert(HeaderName::from_static("x-request-id"), header);
        }
        response
    }
    .instrument(span)
    .await
}
