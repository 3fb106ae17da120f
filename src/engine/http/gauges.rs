//! Gauges of the process and of the database, and the listener for `/metrics`.

use std::fs;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::log;
use crate::engine::clock;
use crate::engine::error::Failure;
use crate::engine::metrics::{Labels, Registry, counter, gauge};
use crate::engine::state::Engine;

/// The media type of the answer. Prometheus refuses an answer without one.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is read when it is asked for.
pub struct Gauges {
    ready: Gauge,
    database_up: Gauge,
    keys_right: Gauge,
    in_use: Gauge,
    idle: Gauge,
    connections_max: Gauge,
    waiting: Gauge,
    tasks: Gauge,
    queued_tasks: Gauge,
    memory: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    lines_dropped: Counter,
    panics: Counter,
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

    async fn read(&self, engine: &Engine) {
        let database = engine.readiness.check(&engine.db, &engine.health_db).await;
        let keys = engine.vault.key_problem().is_none();
        let draining = engine.tasks.draining.is_cancelled();
        self.database_up.set(database.is_ok().into());
        self.keys_right.set(keys.into());
        self.ready
            .set((database.is_ok() && keys && !draining).into());
        let pool = engine.db.usage();
        let in_use = pool.size.saturating_sub(pool.available);
        self.in_use.set(as_gauge(in_use));
        self.idle.set(as_gauge(pool.available));
        self.waiting.set(as_gauge(pool.waiting));
        self.connections_max.set(as_gauge(pool.max_size));
        let runtime = Handle::current().metrics();
        self.tasks.set(as_gauge(runtime.num_alive_tasks()));
        self.queued_tasks
            .set(as_gauge(runtime.global_queue_depth()));
        if let Some(bytes) = resident_memory() {
            self.memory.set(bytes);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            self.open_fds.set(as_gauge(open.count()));
        }
        if let Ok((soft, _)) = rlimit::Resource::NOFILE.get() {
            self.max_fds.set(i64::try_from(soft).unwrap_or(i64::MAX));
        }
        set(&self.lines_dropped, log::dropped_lines());
        set(&self.panics, log::panics());
    }
}

fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// For a total that is counted elsewhere.
fn set(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// In bytes. `None` without `/proc`.
fn resident_memory() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Answers `GET /metrics` until the runtime ends. It is no part of the drain, so that the last
/// scrape still sees it.
pub async fn listen(address: SocketAddr, engine: &Engine) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .with_state(engine.clone());
    tracing::info!(event = "metrics_listening", %address, "metrics are served");
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

/// All metrics in the text format of OpenMetrics.
pub async fn text(engine: &Engine) -> Result<String, std::fmt::Error> {
    engine.gauges.read(engine).await;
    let mut text = String::new();
    encode(&mut text, &engine.metrics)?;
    Ok(text)
}

async fn metrics(State(engine): State<Engine>) -> Result<Response, Failure> {
    let text = text(&engine).await;
    let text = text.map_err(|_| Failure::Internal("the metrics"))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
