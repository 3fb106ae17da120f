//! The accept loop, with limits on heads, waits and connections, and a deadline for shutdown.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::engine::tasks::Tasks;

/// Longest wait for a complete request head, and for the next request on an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request head, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Most connections at once. Further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// From the stop signal to the end of the process. Orchestrators kill after 30 s, some after 20 s.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(18);
/// The part of it for requests. The rest is for work that outlives them.
const DRAIN_REQUESTS: Duration = Duration::from_secs(15);
/// Age at which a connection is closed. A client that never reads must not hold its slot.
const CONNECTION_AGE_MAX: Duration = Duration::from_mins(5);
/// Pause after a failed accept, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` completes. Then it closes the listener, drains the requests, and drains the
/// tracked tasks.
///
/// axum's own loop has no timeout for a half-sent head, neither while serving nor while stopping.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tasks: Tasks,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX);
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, slot)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let shutdown = tasks.shutdown.clone();
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // Errors of a connection are the client's.
            tokio::select! {
                _ = connection.as_mut() => return,
                () = shutdown.cancelled() => {}
                () = sleep(CONNECTION_AGE_MAX) => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ = timeout(DRAIN_REQUESTS, connection).await;
            drop(slot);
        });
    }
    // `/readyz` fails before the listener closes.
    tasks.shutdown.cancel();
    drop(listener);
    tracing::info!(event = "stopping", "stopping: no new connections");
    let deadline = Instant::now() + SHUTDOWN_DEADLINE;
    connections.close();
    let drained = timeout_at(deadline, connections.wait()).await.is_ok();
    tasks.tracker.close();
    let finished = timeout_at(deadline, tasks.tracker.wait()).await.is_ok();
    tracing::info!(event = "stopped", drained, finished, "stopped");
}

/// Waits for a free slot before it accepts.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await;
    let slot = slot.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

/// Listens for SIGTERM and Ctrl-C from now on. The future completes at the first of them.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
