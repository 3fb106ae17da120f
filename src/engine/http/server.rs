//! The accept loop, with limits on heads, waits and connections, and a deadline for shutdown.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::TaskTracker;
use tower::Service;

use super::client::Peer;
use super::connection::{Watch, Watched};
use super::slots::Slots;
use crate::engine::limits::throttle::Throttle;
use crate::engine::metrics::requests::Counted;
use crate::engine::state::Engine;
use crate::engine::tasks::Tasks;

/// Most bytes of a request head that are read. `heads::check` refuses far smaller ones.
const HEAD_READ_MAX: usize = 64 * 1024;
/// Most header fields of a request.
const FIELDS_MAX: usize = 256;
/// From the end of `DRAIN_DELAY` to the end of the process. With the default of 5 s that is 23 s after
/// the stop signal. Orchestrators kill after 30 s. For those that kill sooner, shorten the delay.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(18);
/// The part of it for requests. The rest is for work that outlives them.
const DRAIN_REQUESTS: Duration = Duration::from_secs(15);
/// Pause after a failed accept, usually for lack of file descriptors.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` completes. Then `/readyz` fails, and for `DRAIN_DELAY` connections are still
/// accepted, until load balancers have noticed. After that it closes the listener, drains the
/// requests, and drains the tracked tasks.
///
/// axum's own loop has no timeout for a half-sent head, neither while serving nor while stopping.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    engine: Engine,
    stop: impl Future<Output = ()>,
) {
    let (tasks, keep_alive) = (&engine.tasks, engine.config.keep_alive_timeout);
    let connections = TaskTracker::new();
    let config = &engine.config;
    // Behind proxies only they connect.
    let slots = Slots::new(config.rate_limit && config.trusted_proxy_hops == 0);
    let (crowded, oversized) = (Throttle::default(), Arc::new(Throttle::default()));
    let stop = async {
        stop.await;
        tasks.draining.cancel();
        tracing::info!(event = "draining", "stopping: not ready any more");
        sleep(engine.config.drain_delay).await;
    };
    let mut stop = std::pin::pin!(stop);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                failing = false;
                let Some(slot) = slots.take(permit, peer.ip()) else {
                    if let Some(left_out) = crowded.turn() {
                        let client = peer.ip();
                        tracing::warn!(event = "connection_refused", %client, left_out, "an address has too many connections");
                    }
                    continue;
                };
                let service = Guarded {
                    router: router.clone(),
                    watch: Watch::new(),
                    peer: Peer(peer.ip()),
                };
                let connection = drive(
                    stream,
                    service,
                    tasks.clone(),
                    keep_alive,
                    oversized.clone(),
                );
                let counted = Counted::new(&engine.requests.connections);
                connections.spawn(async move {
                    connection.await;
                    drop((slot, counted));
                });
            }
            Err(error) => {
                if !failing {
                    tracing::error!(event = "accept_failed", %error, "connections cannot be accepted");
                }
                failing = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
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

/// Serves one connection until it ends, waits too long, or the process stops.
async fn drive(
    stream: TcpStream,
    service: Guarded,
    tasks: Tasks,
    keep_alive: Duration,
    oversized: Arc<Throttle>,
) {
    let watch = service.watch.clone();
    let service = TowerToHyperService::new(service);
    let stream = TokioIo::new(Watched {
        stream,
        watch: watch.clone(),
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(HEAD_READ_MAX)
        .max_headers(FIELDS_MAX)
        .serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // Other errors of a connection are the client's.
        ended = connection.as_mut() => {
            if ended.is_err_and(|error| error.is_parse_too_large())
                && let Some(left_out) = oversized.turn()
            {
                tracing::warn!(event = "head_too_large", left_out, "a request head was too large to be read");
            }
            return;
        }
        () = tasks.shutdown.cancelled() => {}
        in_head = watch.expired(keep_alive) => if in_head { return },
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = timeout(DRAIN_REQUESTS, connection) => {}
        _ = watch.expired(DRAIN_REQUESTS) => {}
    }
}

/// The router, with a guard around each response. Tells it who is at the other end.
#[derive(Clone)]
struct Guarded {
    router: Router,
    watch: Watch,
    peer: Peer,
}

impl Service<Request<Incoming>> for Guarded {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Router as Service<Request<Incoming>>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let (guard, response) = (self.watch.request_came(), self.router.call(request));
        Box::pin(async move { Ok(guard.around(response.await?)) })
    }
}

/// Waits for a free slot before it accepts.
async fn accept(
    listener: &TcpListener,
    slots: &Slots,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = slots.free().await;
    let permit = permit.ok_or_else(|| io::Error::other("stopped"))?;
    let (stream, peer) = listener.accept().await?;
    // A connection that has been reset may refuse it.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer, permit))
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
