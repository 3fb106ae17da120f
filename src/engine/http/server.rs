//! The accept loop: bounded heads, bounded waits, bounded connections, and an end that comes in time.

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    time::Instant,
};
use tokio_util::task::TaskTracker;

use crate::engine::tasks::Tasks;

/// Longest wait for a complete request head, and for the next request on an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request head, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// Most connections at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// From the signal to stop until the process ends, come what may. Orchestrators kill after 30 s, some after 20.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(18);
/// Of that, how much requests may take; the rest is for work that outlives them.
const DRAIN_REQUESTS: Duration = Duration::from_secs(15);
/// After this a connection is asked to end: one whose client never reads would hold its place forever.
const CONNECTION_AGE_MAX: Duration = Duration::from_mins(5);
/// Pause after a failed accept: usually the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` completes, then drains: no new connections, requests, tracked work.
///
/// axum's own loop waits for a half-sent head forever, while serving as well as while stopping.
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
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let shutdown = tasks.shutdown.clone();
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // How a connection ends is the other side's business.
            tokio::select! {
                _ = connection.as_mut() => return,
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(DRAIN_REQUESTS, connection).await;
            drop(slot);
        });
    }
    // Not ready first, then no new connections.
    tasks.shutdown.cancel();
    drop(listener);
    tracing::info!(event = "stopping", "stopping: no new connections");
    let deadline = Instant::now() + SHUTDOWN_DEADLINE;
    connections.close();
    let drained = tokio::time::timeout_at(deadline, connections.wait())
        .await
        .is_ok();
    tasks.tracker.close();
    let finished = tokio::time::timeout_at(deadline, tasks.tracker.wait())
        .await
        .is_ok();
    tracing::info!(event = "stopped", drained, finished, "stopped");
}

/// Takes a connection only when there is room for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots
        .clone()
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}

/// Listens for SIGTERM and Ctrl-C from now on; the future completes at the first of them.
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
