//! Traces by OTLP over HTTP (docs/traces.md). The SDK reads the standard variables itself.
//!
//! All that leaves the process passes [`Exporter`], which knows what may be told.

use std::env;
use std::fmt::{self, Debug, Formatter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{self as sdk, Sampler, SdkTracerProvider, SpanData};
use reqwest::redirect::Policy;
use tracing::field::display;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::log;
use crate::engine::spans;

/// Turns traces on. Names the collector.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Share of the traces that are kept, unless `OTEL_TRACES_SAMPLER` or its argument says otherwise.
const RATIO: f64 = 0.05;
/// For a call of the collector.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait at the end for the last spans to be sent.
const LAST_SPANS: Duration = Duration::from_secs(2);

const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const STATUS: &str = "http.response.status_code";
/// The fields that are exported, with their names there. All others stay here, such as the address
/// of the client and the id of the user.
const EXPORTED: [(&str, &str); 5] = [
    ("method", METHOD),
    ("route", ROUTE),
    ("request_id", "request_id"),
    ("endpoint", "endpoint"),
    (STATUS, STATUS),
];

/// Sends the last spans when it is dropped.
pub struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        // Without an answer in time they are lost.
        let _ = self.0.shutdown_with_timeout(LAST_SPANS);
    }
}

/// The layer that sees the spans of requests and their steps. `None` if no collector is configured,
/// or with a reason if it cannot be used.
pub fn start<S>() -> (Option<impl Layer<S>>, Result<Option<Traces>, String>)
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    if setting(ENDPOINT).is_none() {
        return (None, Ok(None));
    }
    let provider = match provider() {
        Ok(provider) => provider,
        Err(reason) => return (None, Err(reason)),
    };
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
        // The SDK's own notion of a current span is not used.
        .with_context_activation(false)
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_traced).with_max_level_hint(LevelFilter::DEBUG));
    (Some(layer), Ok(Some(Traces(provider))))
}

/// No other span, such as one of the exporter's own client. No event either, because its text is
/// free.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && [spans::TARGET, log::TARGET].contains(&metadata.target())
}

/// An empty variable counts as not set.
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn provider() -> Result<SdkTracerProvider, String> {
    // A blocking client starts a runtime, which must not happen within one.
    let building = thread::spawn(|| {
        let client = client().map_err(|error| error.to_string())?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client);
        exporter.build().map_err(|error| error.to_string())
    });
    let inner = building.join().map_err(|_| "the exporter panicked")??;
    let exporter = Exporter {
        inner,
        failing: AtomicBool::new(false),
    };
    let mut builder = SdkTracerProvider::builder()
        .with_resource(resource())
        .with_batch_exporter(exporter);
    if setting("OTEL_TRACES_SAMPLER").is_none() {
        let ratio = setting("OTEL_TRACES_SAMPLER_ARG").and_then(|ratio| ratio.parse().ok());
        let sampler = Sampler::TraceIdRatioBased(ratio.unwrap_or(RATIO));
        builder = builder.with_sampler(Sampler::ParentBased(Box::new(sampler)));
    }
    Ok(builder.build())
}

/// The SDK's own client follows redirects and obeys `HTTP_PROXY`, which must not reroute its
/// headers.
fn client() -> reqwest::Result<reqwest::blocking::Client> {
    reqwest::blocking::Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .timeout(CALL_TIMEOUT)
        .build()
}

fn resource() -> Resource {
    let builder = Resource::builder_empty()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match setting("OTEL_SERVICE_NAME") {
        Some(name) => builder.with_service_name(name).build(),
        None => builder.build(),
    }
}

/// Begins the trace of a request, or joins that of a trusted proxy. Writes the id of a trace that
/// is kept to the log.
pub fn begin(span: &Span, headers: &HeaderMap, trusted_proxy_hops: u8) {
    if trusted_proxy_hops > 0 {
        let context = Context::new();
        let header = TraceParent(headers);
        let parent = TraceContextPropagator::new().extract_with_context(&context, &header);
        // Fails only without the layer.
        let _ = span.set_parent(parent);
    }
    let context = span.context();
    let own = context.span();
    let own = own.span_context();
    if own.is_sampled() {
        span.record("trace_id", display(own.trace_id()));
    }
}

/// Adds the status to the span of the request, which the log has in a line of its own. Call it
/// inside.
pub fn answered(status: u16) {
    Span::current().set_attribute(STATUS, i64::from(status));
}

/// Without `tracestate`, which is free text.
struct TraceParent<'a>(&'a HeaderMap);

impl Extractor for TraceParent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let header = Some(key).filter(|key| *key == "traceparent")?;
        self.0.get(header)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// The last door. Passes on what [`EXPORTED`] names, and logs when the collector stops taking it.
struct Exporter {
    inner: SpanExporter,
    failing: AtomicBool,
}

impl Debug for Exporter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter")
    }
}

impl sdk::SpanExporter for Exporter {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(restrict);
        let result = self.inner.export(batch).await;
        let (failing, failed) = (result.is_err(), &self.failing);
        if failed.swap(failing, Ordering::Relaxed) != failing {
            if failing {
                tracing::warn!(event = "traces_lost", "the collector does not take traces");
            } else {
                tracing::info!(event = "traces_taken", "the collector takes traces again");
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Leaves what may be told, and says it in the words of OpenTelemetry.
fn restrict(span: &mut SpanData) {
    span.events = sdk::SpanEvents::default();
    span.links = sdk::SpanLinks::default();
    span.attributes.retain_mut(|attribute| {
        let known = |(field, _): &&(&str, &str)| *field == attribute.key.as_str();
        let Some((_, name)) = EXPORTED.iter().find(known) else {
            return false;
        };
        attribute.key = (*name).into();
        true
    });
    for attribute in &mut span.attributes {
        // A client may send any word.
        if attribute.key.as_str() == METHOD && !is_usual(&attribute.value) {
            attribute.value = "_OTHER".into();
        }
    }
    let value = |name| {
        let mut all = span.attributes.iter();
        let found = all.find(|attribute| attribute.key.as_str() == name)?;
        Some(found.value.clone())
    };
    let status = match value(STATUS) {
        Some(Value::I64(status)) => Some(status),
        _ => None,
    };
    let failed = match (value(METHOD), value(ROUTE)) {
        (Some(method), Some(route)) => {
            span.span_kind = SpanKind::Server;
            span.name = format!("{method} {route}").into();
            status.is_some_and(|status| status >= 500)
        }
        _ if span.name == "provider_call" => {
            span.span_kind = SpanKind::Client;
            status.is_none_or(|status| status >= 400)
        }
        _ => false,
    };
    span.status = if failed {
        Status::error("")
    } else {
        Status::Unset
    };
}

fn is_usual(method: &Value) -> bool {
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    methods
        .iter()
        .any(|usual| usual.as_str() == method.as_str())
}
