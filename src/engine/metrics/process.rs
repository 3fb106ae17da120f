//! Gauges of the process, its runtime and its connections.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;

use super::{Labels, Registry, counter, gauge};
use crate::engine::clock;

/// Values that are read at each scrape.
pub struct Gauges {
    pub ready: Gauge,
    pub database_up: Gauge,
    pub keys_right: Gauge,
    pub in_use: Gauge,
    pub idle: Gauge,
    pub connections_max: Gauge,
    pub waiting: Gauge,
    pub tasks: Gauge,
    pub queued_tasks: Gauge,
    pub memory: Gauge,
    pub open_fds: Gauge,
    pub max_fds: Gauge,
    pub lines_dropped: Counter,
    pub panics: Counter,
}

impl Gauges {
    pub fn new(registry: &mut Registry) -> Self {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("matrica_build", "The version of this server", build);
        let started = gauge(
            registry,
            "process_start_time_seconds",
            "Unix time of the start",
        );
        started.set(clock::now().unix_timestamp());
        let connections = Family::<Labels<1>, Gauge>::default();
        registry.register(
            "matrica_database_connections",
            "Connections of the pool by state",
            connections.clone(),
        );
        let mut gauge = |name, help| gauge(registry, name, help);
        Self {
            ready: gauge("matrica_ready", "1 if /readyz answers 200"),
            database_up: gauge(
                "matrica_database_up",
                "1 if the database answers, can be written, and has the right schema",
            ),
            keys_right: gauge(
                "matrica_token_keys_right",
                "1 if TOKEN_KEYS open the stored tokens",
            ),
            in_use: connections.get_or_create_owned(&[("state", "in_use")]),
            idle: connections.get_or_create_owned(&[("state", "idle")]),
            connections_max: gauge(
                "matrica_database_connections_max",
                "DATABASE_MAX_CONNECTIONS",
            ),
            waiting: gauge(
                "matrica_database_waiting",
                "Calls that wait for a connection of the pool",
            ),
            tasks: gauge("matrica_runtime_tasks", "Tasks that have not ended"),
            queued_tasks: gauge(
                "matrica_runtime_queue",
                "Tasks that wait for a thread in the shared queue",
            ),
            memory: gauge("process_resident_memory_bytes", "Resident memory"),
            open_fds: gauge("process_open_fds", "Open file descriptors"),
            max_fds: gauge("process_max_fds", "Most file descriptors"),
            lines_dropped: counter(
                registry,
                "matrica_log_lines_dropped",
                "Log lines that were dropped because the log was not read fast enough",
            ),
            panics: counter(
                registry,
                "matrica_panics",
                "Tasks and handlers that panicked",
            ),
        }
    }
}
