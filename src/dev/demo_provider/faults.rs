//! Misbehaviour on command: wrong answers, slow answers, endless answers, and connections that are cut.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, LOCATION},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::{Map, json};
use tokio::{sync::mpsc, time::sleep};

use super::{DemoProvider, connection::Connection, endpoint::Endpoint};

/// Largest request body that is read.
const REQUEST_BODY_BYTES: usize = 64 * 1024;
/// Largest real answer that a fault can slow down or cut.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Body bytes sent in one piece.
const PIECE_BYTES: u64 = 16 * 1024;
/// Before a cut in mid-body, so that the first half has left.
const FLUSH_PAUSE: Duration = Duration::from_millis(20);
static FILLER: [u8; 16 * 1024] = [b' '; 16 * 1024];

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// How often it strikes; `null` until it is removed.
    times: Option<u32>,
    probability: Option<f64>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    /// That many filler bytes, chunked, without `Content-Length`.
    body_bytes: Option<u64>,
    /// Before the headers, but after the request was carried out.
    delay_ms: Option<u64>,
    /// Halfway through the body.
    delay_body_ms: Option<u64>,
    /// The body goes out one byte per so many milliseconds.
    drip_ms: Option<u64>,
    close: Option<Close>,
    redirect: Option<String>,
    /// Whether the request is carried out although the answer is replaced or lost. Default: for
    /// `after_processing`, and wherever the real answer is what gets delayed, dripped or cut in mid-body.
    process: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Close {
    BeforeHeaders,
    MidBody,
    AfterProcessing,
}

impl Fault {
    /// What could not be sent as ordered, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        if self
            .probability
            .is_some_and(|probability| !(0.0..=1.0).contains(&probability))
        {
            return Err("probability must be between 0 and 1".into());
        }
        if self
            .status
            .is_some_and(|status| !(200..=599).contains(&status))
        {
            return Err("status must be between 200 and 599".into());
        }
        let headers = self.extra_headers().count();
        if headers < self.headers.len() + usize::from(self.redirect.is_some()) {
            return Err("headers or redirect hold something that is not a valid header".into());
        }
        Ok(())
    }

    /// A copy if it strikes this time.
    fn strike(&mut self) -> Option<Self> {
        if !rand::random_bool(self.probability.unwrap_or(1.0)) {
            return None;
        }
        if let Some(times) = &mut self.times {
            *times = times.checked_sub(1)?;
        }
        Some(self.clone())
    }

    fn extra_headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let location = self
            .redirect
            .iter()
            .map(|target| (LOCATION.as_str(), target));
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value));
        headers
            .chain(location)
            .filter_map(|(name, value)| Some((name.try_into().ok()?, value.try_into().ok()?)))
    }

    fn answers_itself(&self) -> bool {
        self.status.is_some()
            || self.body.is_some()
            || self.body_bytes.is_some()
            || self.redirect.is_some()
    }

    fn own_answer(&self) -> Response {
        let default = if self.redirect.is_some() {
            StatusCode::TEMPORARY_REDIRECT
        } else {
            StatusCode::OK
        };
        let status = self
            .status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(default);
        (status, self.body.clone().unwrap_or_default()).into_response()
    }
}

impl DemoProvider {
    /// Counts the call and takes the fault that strikes it, if any.
    fn arrive(&self, endpoint: Endpoint, headers: &HeaderMap, body: &[u8]) -> Option<Fault> {
        let state = &mut *self.state();
        *state.calls.entry(endpoint).or_default() += 1;
        if matches!(endpoint, Endpoint::Token | Endpoint::Refresh) {
            let fields: Map<_, _> = url::form_urlencoded::parse(body)
                .map(|(name, value)| (name.into(), json!(value)))
                .collect();
            let headers: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
            state.last_token_request = json!({ "fields": fields, "headers": headers });
        }
        state
            .faults
            .get_mut(&endpoint)?
            .iter_mut()
            .find_map(Fault::strike)
    }
}

pub(super) async fn inject(
    State(provider): State<DemoProvider>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let endpoint = Endpoint::of(&head.method, head.uri.path(), &body);
    let fault = endpoint.and_then(|endpoint| provider.arrive(endpoint, &head.headers, &body));
    let connection = head.extensions.get::<Connection>().cloned();
    let request = Request::from_parts(head, Body::from(body));
    let Some(fault) = fault else {
        return next.run(request).await;
    };
    let loses_answer = fault.close.is_some_and(|close| close != Close::MidBody);
    let process = fault.process.unwrap_or(match fault.close {
        Some(Close::AfterProcessing) => true,
        Some(Close::BeforeHeaders) => false,
        _ => !fault.answers_itself(),
    });
    // Carried out before the delay, so that a client which gives up waiting has lost an answer, not prevented the act.
    let real = if process {
        Some(next.run(request).await)
    } else {
        None
    };
    sleep(Duration::from_millis(fault.delay_ms.unwrap_or_default())).await;
    if loses_answer {
        return match connection {
            Some(connection) => match connection.cut().await {},
            None => (
                StatusCode::NOT_IMPLEMENTED,
                "This fault needs DemoProvider::serve",
            )
                .into_response(),
        };
    }
    let mut answer = real
        .filter(|_| !fault.answers_itself())
        .unwrap_or_else(|| fault.own_answer());
    answer.headers_mut().extend(fault.extra_headers());
    paced(answer, &fault).await
}

/// The answer with its body sent at the fault's pace.
async fn paced(answer: Response, fault: &Fault) -> Response {
    let cut = fault.close == Some(Close::MidBody);
    if !cut
        && fault.body_bytes.is_none()
        && fault.delay_body_ms.is_none()
        && fault.drip_ms.is_none()
    {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let content = to_bytes(body, ANSWER_BYTES).await.unwrap_or_default();
    // Announced in full, so that a cut body is a truncated one.
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    if fault.body_bytes.is_some() {
        head.headers.remove(CONTENT_LENGTH);
    }
    let (pieces, body) = mpsc::channel(1);
    tokio::spawn(feed(pieces, content, fault.clone(), cut));
    Response::from_parts(head, Body::new(Pieces(body)))
}

/// Sends `content`, or the fault's filler; halfway through it waits or cuts. Ends early when the client has gone.
async fn feed(
    pieces: mpsc::Sender<Result<Frame<Bytes>, Cut>>,
    content: Bytes,
    fault: Fault,
    cut: bool,
) {
    let total = fault.body_bytes.unwrap_or(content.len() as u64);
    let largest = if fault.drip_ms.is_some() {
        1
    } else {
        PIECE_BYTES
    };
    let (half, mut sent) = (total / 2, 0);
    loop {
        if sent == half {
            sleep(Duration::from_millis(
                fault.delay_body_ms.unwrap_or_default(),
            ))
            .await;
            if cut {
                sleep(FLUSH_PAUSE).await;
                let _ = pieces.send(Err(Cut)).await;
                return;
            }
        }
        if sent == total {
            return;
        }
        let length = largest.min(if sent < half { half } else { total } - sent);
        let piece = match (
            fault.body_bytes,
            usize::try_from(sent),
            usize::try_from(length),
        ) {
            (None, Ok(start), Ok(length)) => content.slice(start..start + length),
            (Some(_), _, Ok(length)) => Bytes::from_static(&FILLER[..length]),
            _ => return,
        };
        if pieces.send(Ok(Frame::data(piece))).await.is_err() {
            return;
        }
        sent += length;
        if let Some(pause) = fault.drip_ms {
            sleep(Duration::from_millis(pause)).await;
        }
    }
}

/// A body error makes hyper close the connection.
#[derive(Debug, thiserror::Error)]
#[error("cut on command")]
struct Cut;

struct Pieces(mpsc::Receiver<Result<Frame<Bytes>, Cut>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.0.poll_recv(context)
    }
}
