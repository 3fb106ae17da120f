//! The accept loop. Every request carries a handle on its connection, so that a fault can cut it.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Keeps the loop from spinning after a failed accept, for example without file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Wait before a reset, so that the bytes before it are read.
const RESET_PAUSE: Duration = Duration::from_millis(20);

/// Request extension. Ends the connection without a response.
#[derive(Clone)]
pub struct Connection {
    open: CancellationToken,
    last: Arc<OnceLock<Last>>,
}

/// The last bytes of a connection, as they are, and how it ends.
pub struct Last {
    pub bytes: String,
    pub end: End,
}

#[derive(Clone, Copy, PartialEq)]
pub enum End {
    Close,
    /// RST instead of FIN.
    Reset,
    /// FIN in one direction. The socket stays open.
    HalfClose,
}

impl Connection {
    /// Ends the connection. Never returns, because the future is dropped with the connection.
    pub async fn cut(self, last: Last) -> Infallible {
        let _ = self.last.set(last);
        self.open.cancel();
        std::future::pending().await
    }
}

impl Last {
    async fn send(&self, mut stream: TcpStream, shutdown: &CancellationToken) {
        let _ = stream.write_all(self.bytes.as_bytes()).await;
        match self.end {
            End::Close => {}
            End::Reset => {
                // Time for the client to read the bytes, which a reset discards.
                tokio::time::sleep(RESET_PAUSE).await;
                let _ = stream.set_zero_linger();
            }
            End::HalfClose => {
                let _ = stream.shutdown().await;
                shutdown.cancelled().await;
            }
        }
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
        let (router, shutdown) = (router.clone(), shutdown.clone());
        let open = shutdown.child_token();
        tokio::spawn(async move {
            let last = Arc::new(OnceLock::new());
            let connection = Connection {
                open: open.clone(),
                last: last.clone(),
            };
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(connection.clone());
                router.clone().oneshot(request.map(Body::new))
            });
            let mut served = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                biased;
                () = open.cancelled() => {}
                _ = &mut served => return,
            }
            if let Some(last) = last.get() {
                last.send(served.into_parts().io.into_inner(), &shutdown)
                    .await;
            }
        });
    }
}
