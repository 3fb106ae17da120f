//! Logs, one line per request and per event. No line holds a secret.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::response::Response;
use tracing::Span;
use tracing::field::Empty;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::engine::config::LogFormat;
use crate::engine::error::Failure;
use crate::engine::limits::Client;
use crate::engine::random;

/// tower-sessions warns about every stale cookie, which anyone can send. Its span would hide ours.
/// tower-http prints whole paths at `trace`. Postgres sends a notice in each migration. A line
/// inside a span of `traces` would show that span instead of the request's.
const QUIET: &str = "tower_sessions=error,tower_sessions_core=error,tower_http=info,sqlx::postgres::notice=warn,traces=off";
/// Used without `RUST_LOG`.
const DEFAULT_LEVEL: &str = "info";
/// The target of the span of a request.
#[cfg(feature = "otel")]
pub(super) const TARGET: &str = module_path!();

/// Lines that wait for the writer. Above that they are dropped, because a reader that blocks must not
/// stop the server.
const LINES_MAX: usize = 16_384;
/// Longest wait at the end for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(2);
/// How long lines gather before they are written.
const GATHERED: Duration = Duration::from_millis(5);

/// Sets up logging, filtered by `RUST_LOG`. An invalid filter falls back to the default.
///
/// A thread writes the lines, many at once under load. Keep the guard until the process ends. It
/// writes the rest. With the feature `otel` traces begin and end here too.
#[must_use = "without the guard nothing is logged"]
pub fn init(format: LogFormat) -> LogGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(output());
    // A second call, which only tests make, changes nothing.
    let _ = DROPPED.set(writer.error_counter());
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let wanted = wanted.as_deref().filter(|wanted| !wanted.is_empty());
    let wanted = wanted.unwrap_or(DEFAULT_LEVEL);
    let filter = EnvFilter::try_new(filter(wanted))
        .unwrap_or_else(|_| EnvFilter::new(filter(DEFAULT_LEVEL)));
    // The text of a panic may hold a secret, so only its place is logged.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        PANICS.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            event = "panic",
            place = place.unwrap_or_default(),
            "a task panicked"
        );
    }));
    let layer = fmt::layer().with_writer(writer);
    let layer = match format {
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Pretty => {
            let is_terminal = std::io::stdout().is_terminal();
            let layer = layer.compact().with_target(false);
            layer.with_ansi(is_terminal).boxed()
        }
    };
    // Not a filter of all layers, because traces have their own.
    let registry = tracing_subscriber::registry().with(layer.with_filter(filter));
    #[cfg(feature = "otel")]
    let (layer, traces) = super::traces::start();
    // Both fail at a second call. A layer that is `None` would confuse the filter of the log.
    #[cfg(feature = "otel")]
    let _ = match layer {
        Some(layer) => registry.with(layer).try_init(),
        None => registry.try_init(),
    };
    #[cfg(not(feature = "otel"))]
    let _ = registry.try_init();
    LogGuard {
        #[cfg(feature = "otel")]
        traces: traces.unwrap_or_else(|reason| {
            tracing::warn!(event = "traces_off", reason, "there are no traces");
            None
        }),
        writer: Some(guard),
    }
}

/// Writes the rest when it is dropped.
pub struct LogGuard {
    #[cfg(feature = "otel")]
    traces: Option<super::traces::Traces>,
    writer: Option<WorkerGuard>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        // First, because it may log that they are lost.
        #[cfg(feature = "otel")]
        drop(self.traces.take());
        report_dropped();
        let guard = self.writer.take();
        let (ended, end) = mpsc::channel();
        // With a full queue the library's guard prints, which blocks while the pipe is not read.
        let last = thread::Builder::new().spawn(move || {
            drop(guard);
            // The process does not wait any more.
            let _ = ended.send(());
        });
        // Late or not at all, the process ends.
        let _ = last.map(|_| end.recv_timeout(LAST_LINES));
    }
}

/// How many lines were dropped, and how many of them the log has told.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();
static REPORTED: AtomicUsize = AtomicUsize::new(0);

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics since the start.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Log lines that were dropped since the start.
pub fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, ErrorCounter::dropped_lines) as u64
}

/// Logs how many lines were dropped since the last time.
fn report_dropped() {
    let count = || DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    let dropped = count();
    let reported = REPORTED.swap(dropped, Ordering::Relaxed);
    let lines = dropped.saturating_sub(reported);
    if lines > 0 {
        tracing::error!(
            event = "log_lines_dropped",
            lines,
            "the log was not read fast enough"
        );
        // The report may have been dropped as well. Then the next one tells it.
        if count() > dropped {
            REPORTED.store(reported, Ordering::Relaxed);
        }
    }
}

/// Standard output. The library's own handle would write each line by itself.
fn output() -> Box<dyn Write + Send> {
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(stdout) => Box::new(Gathering(BufWriter::new(File::from(stdout)))),
        Err(_) => Box::new(io::stdout()),
    }
}

/// Waits after each flush, so that lines gather. To wake the thread costs more than to write a line.
struct Gathering<W>(W);

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        std::thread::sleep(GATHERED);
        // No line waits, so there is room for this one.
        report_dropped();
        Ok(())
    }
}

/// The filter for a value of `RUST_LOG`, which can still name the quiet targets.
pub fn filter(wanted: &str) -> String {
    format!("{QUIET},{wanted}")
}

/// Identifies a request in logs, in `x-request-id` and on error pages.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl RequestId {
    pub fn generate() -> Self {
        Self(random::reference(rand::random()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let id = parts.extensions.get::<Self>().cloned();
        Ok(id.unwrap_or_else(Self::generate))
    }
}

/// The span of a request. Names the route, because the URL may hold a code.
pub fn span(request: &Request, id: &RequestId, client: Client) -> Span {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str);
    let (id, method, client) = (id.as_str(), request.method(), client.0);
    tracing::info_span!("request", request_id = id, %method, route, %client, user_id = Empty, trace_id = Empty)
}

/// Logs that a request was answered. Call it inside its span.
///
/// A request that a limit refused has no line of its own. Otherwise a flood would fill the log.
pub fn answered(started: Instant, response: &Response) {
    let status = response.status().as_u16();
    #[cfg(feature = "otel")]
    super::traces::answered(status);
    let failure = response.extensions().get::<Failure>();
    if let Some(Failure::TooManyRequests(_) | Failure::Overloaded) = failure {
        return;
    }
    let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
    tracing::info!(event = "request", status, duration_ms, "request answered");
}
