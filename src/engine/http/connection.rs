//! One connection: when it is closed although both sides are silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Longest wait for a complete request head, from its first byte. A new connection has as long for
/// its first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that a response may take. A client that never reads must not hold its slot.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(5);

/// What a connection waits for, since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The next request.
    Idle(Instant),
    /// The rest of a request head.
    Head(Instant),
    /// The response, until its last byte is written.
    Response(Instant),
}

/// The phase of one connection. Clones share it.
#[derive(Clone)]
pub struct Watch(Arc<watch::Sender<Phase>>);

impl Watch {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Head(Instant::now()))))
    }

    /// The first bytes after a silence begin a head.
    fn bytes_came(&self) {
        self.0.send_if_modified(|phase| {
            let begins = matches!(phase, Phase::Idle(_));
            if begins {
                *phase = Phase::Head(Instant::now());
            }
            begins
        });
    }

    /// A head is complete. The guard ends the response when its body is dropped.
    pub fn request_came(&self) -> ResponseGuard {
        self.0.send_replace(Phase::Response(Instant::now()));
        ResponseGuard(self.clone())
    }

    /// Completes when the connection has waited too long. `true` if it waited for a head, so that
    /// there is nothing to finish.
    pub async fn expired(&self, keep_alive: Duration) -> bool {
        let mut phases = self.0.subscribe();
        loop {
            let phase = *phases.borrow_and_update();
            let deadline = match phase {
                Phase::Idle(since) => since + keep_alive,
                Phase::Head(since) => since + HEAD_TIMEOUT,
                Phase::Response(since) => since + RESPONSE_TIMEOUT,
            };
            tokio::select! {
                () = sleep_until(deadline) => return matches!(phase, Phase::Head(_)),
                _ = phases.changed() => {}
            }
        }
    }
}

/// Lives as long as the body of a response.
pub struct ResponseGuard(Watch);

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.0.0.send_replace(Phase::Idle(Instant::now()));
    }
}

impl ResponseGuard {
    /// A response that keeps the guard until its body is written or given up.
    pub fn around(self, response: Response<Body>) -> Response<Body> {
        response.map(|body| Body::new(GuardedBody { body, _guard: self }))
    }
}

struct GuardedBody {
    body: Body,
    _guard: ResponseGuard,
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells a [`Watch`] when bytes come.
pub struct Watched<S> {
    pub stream: S,
    pub watch: Watch,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.watch.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
