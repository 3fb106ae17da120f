//! The accept loop. Every request carries a handle on its connection, so that a fault can cut it.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Keeps the loop from spinning after a failed accept, for example without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Request extension. Cancelling it closes the socket without another byte.
#[derive(Clone)]
pub struct Connection(CancellationToken);

impl Connection {
    /// Closes the connection. Never returns, because the future is dropped with the connection.
    pub async fn cut(self) -> Infallible {
        self.0.cancel();
        std::future::pending().await
    }
}

pub async fn accept(router: Router, listener: TcpListener, shutdown: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Nagle's algorithm would hold back the small writes of a slow body.
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
