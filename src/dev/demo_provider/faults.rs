//! Faults on command. Responses are replaced, delayed or endless, and connections are cut.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, json};
use tokio::time::sleep;

use super::DemoProvider;
use super::connection::{Connection, End, Last};
use super::endpoint::Endpoint;
use super::slow_body::SlowBody;

const REQUEST_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// How often it strikes. `null` means until it is removed.
    times: Option<u32>,
    probability: Option<f64>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    /// The same in base64, for bodies that are not UTF-8.
    body_base64: Option<String>,
    /// Sends this many blanks, chunked, without `Content-Length`.
    body_bytes: Option<usize>,
    /// Delays the headers, after the request was processed.
    delay_ms: Option<u64>,
    /// Delays the second half of the body.
    delay_body_ms: Option<u64>,
    /// Interval between single bytes of the body.
    drip_ms: Option<u64>,
    close: Option<Close>,
    /// Bytes that are sent as they are instead of a response, before the connection ends.
    raw: Option<String>,
    redirect: Option<String>,
    /// Whether the request is processed although its response is replaced or lost. Defaults to
    /// `true` for `after_processing`, and where the real response is delayed, dripped or truncated.
    process: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Close {
    BeforeHeaders,
    MidBody,
    AfterProcessing,
    Reset,
    Half,
}

impl Fault {
    /// The error names a field with a value that cannot be sent.
    pub fn check(&self) -> Result<(), String> {
        let probability = self.probability.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&probability) {
            return Err("probability must be between 0 and 1".into());
        }
        if self.decoded_body().is_none() {
            return Err("body_base64 is not base64".into());
        }
        if !(200..=599).contains(&self.status.unwrap_or(200)) {
            return Err("status must be between 200 and 599".into());
        }
        let ordered = self.headers.len() + usize::from(self.redirect.is_some());
        if self.extra_headers().count() < ordered {
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
        let location = self.redirect.iter().map(|url| (LOCATION.as_str(), url));
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| (name.as_str(), value))
            .chain(location)
            .filter_map(|(name, value)| Some((name.try_into().ok()?, value.try_into().ok()?)))
    }

    /// `None` if the real response is sent.
    fn replacement(&self) -> Option<Response> {
        let status = self.status.or(self.redirect.as_ref().map(|_| 307));
        let body = self.body.is_some() || self.body_base64.is_some() || self.body_bytes.is_some();
        if status.is_none() && !body {
            return None;
        }
        let status = StatusCode::from_u16(status.unwrap_or(200)).unwrap_or_default();
        Some((status, self.decoded_body().unwrap_or_default()).into_response())
    }

    /// `None` if it is not base64.
    fn decoded_body(&self) -> Option<Vec<u8>> {
        match (&self.body, &self.body_base64) {
            (_, Some(encoded)) => STANDARD.decode(encoded).ok(),
            (body, None) => Some(body.clone().unwrap_or_default().into()),
        }
    }

    /// How the connection ends, if it ends without a response.
    fn last(&self) -> Option<Last> {
        let end = match self.close {
            Some(Close::BeforeHeaders | Close::AfterProcessing) => End::Close,
            Some(Close::Reset) => End::Reset,
            Some(Close::Half) => End::HalfClose,
            Some(Close::MidBody) | None => self.raw.as_ref().map(|_| End::Close)?,
        };
        let bytes = self.raw.clone().unwrap_or_default();
        Some(Last { bytes, end })
    }

    fn slow_body(&self) -> SlowBody {
        SlowBody {
            filler_bytes: self.body_bytes,
            delay: self.delay_body_ms.map(Duration::from_millis),
            drip: self.drip_ms.map(Duration::from_millis),
            cut: self.close == Some(Close::MidBody),
        }
    }
}

impl DemoProvider {
    /// Counts the call, and returns the fault that strikes it.
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
        let faults = state.faults.get_mut(&endpoint)?;
        faults.iter_mut().find_map(Fault::strike)
    }
}

pub async fn inject(
    State(provider): State<DemoProvider>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let endpoint = Endpoint::of(&head.method, head.uri.path(), &body);
    let fault = endpoint.and_then(|endpoint| provider.arrive(endpoint, &head.headers, &body));
    let connection = head.extensions.get::<Connection>().cloned();
    let request = Request::from_parts(head, Body::from(body));
    let Some(fault) = fault else {
        return next.run(request).await;
    };
    let replacement = fault.replacement();
    let process = fault.process.unwrap_or(match fault.close {
        Some(Close::AfterProcessing) => true,
        Some(Close::BeforeHeaders | Close::Reset | Close::Half) => false,
        _ => replacement.is_none() && fault.raw.is_none(),
    });
    // Processed before the delay, so that a client that times out loses the response only.
    let real = if process {
        Some(next.run(request).await)
    } else {
        None
    };
    sleep(Duration::from_millis(fault.delay_ms.unwrap_or_default())).await;
    if let Some(last) = fault.last() {
        let Some(connection) = connection else {
            let reason = "This fault needs DemoProvider::serve";
            return (StatusCode::NOT_IMPLEMENTED, reason).into_response();
        };
        match connection.cut(last).await {}
    }
    let response = replacement.or(real);
    let mut response = response.unwrap_or_else(|| String::new().into_response());
    response.headers_mut().extend(fault.extra_headers());
    fault.slow_body().apply(response).await
}
