//! The listener for `/metrics`, and the values that are read when it is asked.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::log;
use super::server::ACCEPT_PAUSE;
use crate::engine::error::Failure;
use crate::engine::state::Engine;

/// The media type of the answer. Prometheus refuses an answer without one.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Longest wait for the database. Scrapes often have 5 s.
const DATABASE_WAIT: Duration = Duration::from_secs(2);

/// Most connections at once. Further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 16;
/// Longest connection, from its start to the end of its only answer.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(10);

/// Sets the values that are read at each scrape.
async fn read(engine: &Engine) {
    let gauges = &engine.gauges;
    let asked = engine.readiness.check(&engine.db, &engine.health_db);
    let database = timeout(DATABASE_WAIT, asked).await;
    let database = database.is_ok_and(|answer| answer.is_ok());
    let keys = engine.vault.key_problem().is_none();
    let draining = engine.tasks.draining.is_cancelled();
    gauges.database_up.set(database.into());
    gauges.keys_right.set(keys.into());
    gauges.ready.set((database && keys && !draining).into());
    let pool = engine.db.usage();
    let in_use = pool.size.saturating_sub(pool.available);
    gauges.in_use.set(as_gauge(in_use));
    gauges.idle.set(as_gauge(pool.available));
    // A call that makes a connection counts as waiting too, but only a full pool holds calls up.
    let is_full = pool.size >= pool.max_size;
    let waiting = if is_full { pool.waiting } else { 0 };
    gauges.waiting.set(as_gauge(waiting));
    gauges.connections_max.set(as_gauge(pool.max_size));
    let runtime = Handle::current().metrics();
    gauges.tasks.set(as_gauge(runtime.num_alive_tasks()));
    gauges
        .queued_tasks
        .set(as_gauge(runtime.global_queue_depth()));
    if let Some(bytes) = resident_memory() {
        gauges.memory.set(bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauges.open_fds.set(as_gauge(open.count()));
    }
    if let Ok((soft, _)) = rlimit::Resource::NOFILE.get() {
        gauges.max_fds.set(i64::try_from(soft).unwrap_or(i64::MAX));
    }
    set(&gauges.lines_dropped, log::dropped_lines());
    set(&gauges.panics, log::panics());
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
    tokio::spawn(accept(listener, router));
    Ok(())
}

async fn accept(listener: TcpListener, router: Router) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let service = TowerToHyperService::new(router);
    while let Ok(permit) = free.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // One answer for each connection, so that no idle one takes a place.
        let connection = http1::Builder::new()
            .keep_alive(false)
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            // Errors are the client's.
            let _ = timeout(CONNECTION_AGE_MAX, connection).await;
            drop(permit);
        });
    }
}

/// All metrics as text.
pub async fn text(engine: &Engine) -> Result<String, std::fmt::Error> {
    read(engine).await;
    let mut text = String::new();
    encode(&mut text, &engine.metrics)?;
    Ok(text)
}

async fn metrics(State(engine): State<Engine>) -> Result<Response, Failure> {
    let text = text(&engine).await;
    let text = text.map_err(|_| Failure::Internal("the metrics"))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
