//! Spans of the steps within a request, which only traces show (feature `otel`). Without them a
//! step costs a comparison.

use std::future::Future;

use tracing::field::Empty;
use tracing::instrument::{Instrument, Instrumented};
use tracing::{Span, debug_span};

/// The target of these spans. The log leaves them out, because its lines show the span of the
/// request.
pub const TARGET: &str = "traces";

/// A step of a sign-in or of a refresh.
///
/// Starts no task inside, and calls no `log_user`. Both look for the span of the request, and would
/// find that of the step.
pub fn step<F: Future>(name: &'static str, work: F) -> Instrumented<F> {
    work.instrument(debug_span!(target: TARGET, "step", otel.name = name))
}

/// A call of a provider. The endpoint is a word of the program, so that no id and no address is
/// exported.
pub fn provider_call<F: Future>(endpoint: &'static str, call: F) -> Instrumented<F> {
    let span = debug_span!(
        target: TARGET,
        "provider_call",
        endpoint,
        http.response.status_code = Empty
    );
    call.instrument(span)
}

/// Notes the status of the answer to the current call. Returns it.
pub fn answered(status: u16) -> u16 {
    Span::current().record("http.response.status_code", i64::from(status));
    status
}
