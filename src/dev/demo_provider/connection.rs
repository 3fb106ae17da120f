//! The accept loop: every request can reach the connection it came on, so that a fault can cut it.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// After a failed accept (out of file descriptors, say), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Request extension: cancelling it closes the socket without another byte.
#[derive(Clone)]
pub(super) struct Connection(CancellationToken);

impl Connection {
    /// Closes the connection. Never returns, because the future is dropped together with it.
    pub(super) async fn cut(self) -> Infallible {
        self.0.cancel();
        std::future::pending().await
    }
}

pub(super) async fn accept(router: Router, listener: TcpListener, shutdown: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Nagle's algorithm would hold back the small writes that a slow-body fault is made of.
        let _ = stream.set_nodelay(true);
        let (router, open) = (router.clone(), shutdown.child_token());
        tokio::spawn(async move {
            let connection = Connection(open.clone());
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(connection.clone());
                router.clone().oneshot(request.map(Body::new))
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                biased;
                () = open.cancelled() => {}
                _ = served => {}
            }
        });
    }
}
