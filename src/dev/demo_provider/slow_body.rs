//! Response bodies that are slow, truncated or made of filler.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use futures_util::stream::{self, Stream};
use tokio::time::sleep;

/// Largest real body that can be slowed down or cut.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
const PIECE_BYTES: usize = 16 * 1024;
/// Wait before a cut in mid-body, so that the first half has been sent.
const FLUSH_PAUSE: Duration = Duration::from_millis(20);
static FILLER: [u8; PIECE_BYTES] = [b' '; PIECE_BYTES];

/// How a body is sent.
#[derive(Clone, Copy)]
pub struct SlowBody {
    /// Replaces the body by this many blanks.
    pub filler_bytes: Option<usize>,
    /// Pause halfway through.
    pub delay: Option<Duration>,
    /// Interval between single bytes.
    pub drip: Option<Duration>,
    /// Closes the connection halfway through.
    pub cut: bool,
}

/// A body error makes hyper close the connection.
#[derive(Debug, thiserror::Error)]
#[error("cut on command")]
struct Cut;

impl SlowBody {
    pub async fn apply(self, response: Response) -> Response {
        let slow = self.delay.is_some() || self.drip.is_some() || self.cut;
        if !slow && self.filler_bytes.is_none() {
            return response;
        }
        let (mut head, body) = response.into_parts();
        let content = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
        // The full length, so that a cut body is a truncated one.
        let length = HeaderValue::from(content.len());
        head.headers.insert(CONTENT_LENGTH, length);
        if self.filler_bytes.is_some() {
            head.headers.remove(CONTENT_LENGTH);
        }
        Response::from_parts(head, Body::from_stream(self.pieces(content)))
    }

    fn pieces(self, content: Bytes) -> impl Stream<Item = Result<Bytes, Cut>> {
        stream::try_unfold(0, move |sent| {
            let content = content.clone();
            async move {
                let piece = self.next_piece(&content, sent).await?;
                Ok(piece.map(|piece| (piece.clone(), sent + piece.len())))
            }
        })
    }

    /// The piece after the first `sent` bytes, or `None` at the end.
    async fn next_piece(self, content: &Bytes, sent: usize) -> Result<Option<Bytes>, Cut> {
        let total = self.filler_bytes.unwrap_or(content.len());
        let half = total / 2;
        if let Some(drip) = self.drip.filter(|_| sent > 0) {
            sleep(drip).await;
        }
        if sent == half {
            sleep(self.delay.unwrap_or_default()).await;
            if self.cut {
                sleep(FLUSH_PAUSE).await;
                return Err(Cut);
            }
        }
        if sent == total {
            return Ok(None);
        }
        let most = if self.drip.is_some() { 1 } else { PIECE_BYTES };
        let length = most.min(if sent < half { half } else { total } - sent);
        Ok(Some(match self.filler_bytes {
            Some(_) => Bytes::from_static(&FILLER[..length]),
            None => content.slice(sent..sent + length),
        }))
    }
}
