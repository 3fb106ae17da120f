//! Metrics of requests and connections.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::{Durations, Labels, Registry, durations, gauge, registered};

/// The label of requests that match no route.
const NO_ROUTE: &str = "none";
/// Classes of statuses, by their first digit.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The families. [`RequestMetrics::routes`] makes the handles.
#[derive(Clone)]
pub struct RequestMetrics {
    requests: Family<Labels<2>, Counter>,
    seconds: Durations<1>,
    pub in_flight: Gauge,
    pub connections: Gauge,
}

impl RequestMetrics {
    pub fn new(registry: &mut Registry) -> Self {
        Self {
            requests: registered(
                registry,
                "matrica_http_requests",
                "Requests by route and class of the status",
                Family::default(),
            ),
            seconds: registered(
                registry,
                "matrica_http_request_duration_seconds",
                "Time to the response by route",
                Family::new_with_constructor(durations as fn() -> Histogram),
            ),
            in_flight: gauge(
                registry,
                "matrica_http_requests_in_flight",
                "Requests that wait for their response",
            ),
            connections: gauge(
                registry,
                "matrica_http_connections",
                "Open connections of clients and proxies",
            ),
        }
    }

    /// The handles of these routes.
    pub fn routes<'a>(&self, paths: impl Iterator<Item = &'a &'static str>) -> RouteMetrics {
        let known = paths.copied().map(|path| (path, self.route(path)));
        RouteMetrics {
            routes: known.collect(),
            other: self.route(NO_ROUTE),
        }
    }

    fn route(&self, path: &'static str) -> OneRoute {
        let label = ("route", path);
        OneRoute {
            classes: CLASSES.map(|class| {
                let labels = [label, ("class", class)];
                self.requests.get_or_create_owned(&labels)
            }),
            seconds: self.seconds.get_or_create_owned(&[label]),
        }
    }
}

/// The handles of all routes.
pub struct RouteMetrics {
    routes: BTreeMap<&'static str, OneRoute>,
    other: OneRoute,
}

struct OneRoute {
    classes: [Counter; CLASSES.len()],
    seconds: Histogram,
}

impl RouteMetrics {
    /// Counts a response. `route` is the matched path.
    pub fn answered(&self, route: Option<&str>, status: StatusCode, duration: Duration) {
        let known = route.and_then(|route| self.routes.get(route));
        let metrics = known.unwrap_or(&self.other);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = metrics.classes.get(class) {
            counter.inc();
        }
        metrics.seconds.observe(duration.as_secs_f64());
    }
}

/// Counts one more while it lives.
pub struct Counted(Gauge);

impl Counted {
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
