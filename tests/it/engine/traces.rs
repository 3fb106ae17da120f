//! Traces, as a collector gets them (feature `otel`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use data_encoding::HEXLOWER;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::process::free_port;
use crate::support::{ALL_SCOPES, Browser, Process, TestApp};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
/// Milliseconds between two calls of the collector.
const DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;

/// Takes traces over OTLP.
#[derive(Clone)]
struct Collector {
    url: String,
    received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Collector {
    async fn spawn() -> Self {
        Self::at(0, StatusCode::OK, HeaderMap::new()).await
    }

    async fn at(port: u16, status: StatusCode, answer: HeaderMap) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<_>>>::default();
        let taken = received.clone();
        let take = move |headers: HeaderMap, body: Bytes| async move {
            taken.lock().unwrap().push((headers, body));
            (status, answer)
        };
        let router = Router::new().route("/v1/traces", post(take.clone()));
        let router = router.fallback(take);
        tokio::spawn(async move { serve(listener, router).await });
        Self { url, received }
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let all = received.iter().flat_map(|(_, body)| spans(body));
        all.collect()
    }

    /// Whether these bytes were sent, as they are.
    fn got(&self, text: &str) -> bool {
        let received = self.received.lock().unwrap();
        let mut bodies = received.iter().map(|(_, body)| body);
        bodies.any(|body| String::from_utf8_lossy(body).contains(text))
    }

    /// The settings of an app that sends all traces here.
    fn settings(&self, app: &TestApp, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut settings = app.settings.clone();
        let all = [(ENDPOINT, self.url.as_str()), (SAMPLER, "always_on")];
        for (name, value) in all.iter().chain(more) {
            settings.insert((*name).to_owned(), (*value).to_owned());
        }
        settings
    }
}

#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    status: u64,
    fields: BTreeMap<String, String>,
}

impl Span {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// The fields of a protobuf message, each with its number. A value is a number or bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn number(message: &mut &[u8]) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (byte, rest) = message.split_first().unwrap();
            *message = rest;
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return number;
            }
        }
    }
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let (mut value, mut length) = (0, 0);
        match key & 7 {
            0 => value = number(&mut message),
            1 => length = 8,
            2 => length = usize::try_from(number(&mut message)).unwrap(),
            5 => length = 4,
            kind => panic!("wire type {kind}"),
        }
        let (bytes, rest) = message.split_at(length);
        message = rest;
        fields.push((key >> 3, value, bytes));
    }
    fields
}

/// All messages or texts in this field.
fn all(message: &[u8], field: u64) -> Vec<&[u8]> {
    let fields = fields(message).into_iter();
    let found = fields.filter(|(number, ..)| *number == field);
    found.map(|(.., bytes)| bytes).collect()
}

fn text(message: &[u8], field: u64) -> String {
    let text = all(message, field).concat();
    String::from_utf8(text).unwrap()
}

fn number(message: &[u8], field: u64) -> u64 {
    let fields = fields(message).into_iter();
    let mut found = fields.filter(|(number, ..)| *number == field);
    found.next().map_or(0, |(_, value, _)| value)
}

/// The `KeyValue`s in this field.
fn attributes(message: &[u8], field: u64) -> BTreeMap<String, String> {
    let pairs = all(message, field).into_iter().map(|pair| {
        let value = all(pair, 2).concat();
        let integer = number(&value, 3);
        let value = match text(&value, 1) {
            text if text.is_empty() => integer.to_string(),
            text => text,
        };
        (text(pair, 1), value)
    });
    pairs.collect()
}

/// An `ExportTraceServiceRequest`.
fn spans(request: &[u8]) -> Vec<Span> {
    let resources = all(request, 1).into_iter();
    let scopes = resources.flat_map(|resource| all(resource, 2));
    let spans = scopes.flat_map(|scope| all(scope, 2));
    let spans = spans.map(|span| {
        assert!(all(span, 11).is_empty() && all(span, 13).is_empty());
        Span {
            trace: HEXLOWER.encode(&all(span, 1).concat()),
            id: HEXLOWER.encode(&all(span, 2).concat()),
            parent: HEXLOWER.encode(&all(span, 4).concat()),
            name: text(span, 5),
            kind: number(span, 6),
            status: number(&all(span, 15).concat(), 3),
            fields: attributes(span, 9),
        }
    });
    spans.collect()
}

async fn serve(listener: TcpListener, router: Router) {
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(router.clone());
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
    }
}

/// Signs Ada in at the process. Returns her browser and the callback.
async fn sign_in(app: &TestApp, process: &Process) -> (Browser, String) {
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let here = callback.replace(&app.url, &process.url);
    browser.get(&here).await.assert_redirect("/account");
    (browser, callback)
}

/// What the last request to the token endpoint has sent: the client's secret, and the code with its
/// verifier or a refresh token.
async fn sent(app: &TestApp) -> Vec<String> {
    let fields = app.provider.get("calls").await["last_token_request"]["fields"].clone();
    let secrets = ["client_secret", "code", "code_verifier", "refresh_token"];
    let sent = secrets.iter().filter_map(|name| fields[name].as_str());
    let sent: Vec<String> = sent.map(str::to_owned).collect();
    assert!(sent.len() >= 2, "{fields}");
    sent
}

/// The only span of this name.
#[track_caller]
fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

/// The children of a span by name and endpoint.
fn children(spans: &[Span], parent: &Span) -> BTreeSet<String> {
    let children = spans.iter().filter(|span| span.parent == parent.id);
    let names = children.map(|span| {
        assert_eq!(span.trace, parent.trace);
        format!("{} {}", span.name, span.field("endpoint"))
            .trim()
            .to_owned()
    });
    names.collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The span of the log line with this event.
fn logged(log: &str, event: &str) -> Value {
    let mut lines = log.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == event).then(|| line["span"].clone())
    });
    lines
        .next()
        .unwrap_or_else(|| panic!("no {event} in {log}"))
}

#[tokio::test]
async fn a_sign_in_and_a_refresh_are_traced_with_their_provider_calls_and_no_secret() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let collector = Collector::spawn().await;
    // At this level a line inside a step would show it, if the log did not leave it out.
    let process = Process::start(&collector.settings(&app, &[("RUST_LOG", "debug")])).await;
    let (mut ada, callback) = sign_in(&app, &process).await;
    let user_id = app.user_id().await;
    let mut secrets = sent(&app).await;
    app.expire_access_tokens(1).await;
    app.provider.fault("nfts", json!({ "status": 503 })).await;
    let url = |path: &str| format!("{}{path}", process.url);
    let account = ada.get(&url("/account?canary=query")).await;
    account.assert_status(200);
    secrets.extend(sent(&app).await);
    let access = app.engine.vault.access_token(user_id).await.unwrap();
    secrets.push(access.token.expose().to_owned());
    ada.get(&url("/canary-path")).await.assert_status(404);
    let odd = ada.request(Method::from_bytes(b"CANARY").unwrap(), &url("/login"));
    let odd = odd.header("user-agent", "canary-agent");
    ada.send(odd.header("tracestate", "canary=state")).await;
    process.signal("TERM");
    let (status, log) = process.ended().await;
    assert!(status.success());
    let spans = collector.spans();

    let request = only(&spans, "GET /auth/callback");
    assert_eq!((request.kind, request.parent.as_str()), (SERVER, ""));
    assert_eq!(request.field("http.response.status_code"), "303");
    let steps = set(&["burn", "exchange", "profile", "store"]);
    assert_eq!(children(&spans, request), steps);
    let line = logged(&log, "login_finished");
    assert_eq!(line["trace_id"], request.trace.as_str());
    assert_eq!(line["request_id"], request.field("request_id"));
    assert_eq!(line["user_id"], user_id.to_string());
    for (step, endpoint) in [("exchange", "token"), ("profile", "profile")] {
        let call = format!("provider_call {endpoint}");
        assert_eq!(children(&spans, only(&spans, step)), set(&[&call]));
    }

    let account = only(&spans, "GET /account");
    assert!(children(&spans, account).is_superset(&set(&["refresh", "provider_call wallets"])));
    let steps = set(&["lease", "provider_call token", "store"]);
    assert_eq!(children(&spans, only(&spans, "refresh")), steps);
    let line = logged(&log, "token_refreshed");
    assert_eq!(line["trace_id"], account.trace.as_str());
    assert_eq!(line["request_id"], account.field("request_id"));
    for span in spans.iter().filter(|span| span.name == "provider_call") {
        let is_down = span.field("endpoint") == "nfts";
        let expected = if is_down { (ERROR, "503") } else { (0, "200") };
        let found = (span.status, span.field("http.response.status_code"));
        assert_eq!((span.kind, found), (CLIENT, expected), "{span:?}");
    }

    only(&spans, "GET none");
    only(&spans, "_OTHER /login");
    let names = spans.iter().flat_map(|span| span.fields.keys().cloned());
    let exported = set(&[
        "endpoint",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "request_id",
    ]);
    assert_eq!(names.collect::<BTreeSet<_>>(), exported);
    secrets.extend([
        "canary".to_owned(),
        "CANARY".to_owned(),
        "127.0.0.1".to_owned(),
        "Ada".to_owned(),
        user_id.to_string(),
        app.settings["TOKEN_KEYS"][5..].to_owned(),
    ]);
    secrets.extend(ada.cookies.values().cloned());
    let query = callback.split_once('?').unwrap().1.split('&');
    secrets.extend(query.map(|parameter| parameter.split_once('=').unwrap().1.to_owned()));
    assert!(collector.got("/auth/callback") && collector.got(env!("CARGO_PKG_VERSION")));
    for secret in secrets {
        assert!(!collector.got(&secret), "{secret} was exported");
    }
}

#[tokio::test]
async fn a_call_in_vain_is_an_error_and_the_name_of_the_service_can_be_set() {
    let app = TestApp::spawn().await;
    let (own, other) = (Collector::spawn().await, Collector::spawn().await);
    let process = Process::start(&own.settings(&app, &[])).await;
    app.provider
        .fault("token", json!({ "close": "before_headers" }))
        .await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    browser.get(&callback.replace(&app.url, &process.url)).await;
    process.signal("TERM");
    process.ended().await;
    let spans = own.spans();
    assert_eq!(only(&spans, "provider_call").status, ERROR);
    assert_eq!(only(&spans, "GET /auth/callback").status, 0);
    assert!(own.got(env!("CARGO_PKG_NAME")));

    let named = [
        ("OTEL_SERVICE_NAME", "club"),
        ("OTEL_RESOURCE_ATTRIBUTES", "tier=gold"),
    ];
    let process = Process::start(&other.settings(&app, &named)).await;
    process.signal("TERM");
    process.ended().await;
    // The probe of its start.
    let received = other.received.lock().unwrap();
    let resource = all(&all(&received[0].1, 1).concat(), 1).concat();
    let attributes = attributes(&resource, 1);
    assert_eq!(attributes["service.name"], "club");
    assert_eq!(attributes["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(attributes["tier"], "gold");
}

#[tokio::test]
async fn the_trace_of_a_caller_is_joined_behind_a_trusted_proxy_only() {
    let app = TestApp::spawn().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    for (hops, sampler) in [("1", ""), ("0", "always_on")] {
        let collector = Collector::spawn().await;
        let none = ("OTEL_TRACES_SAMPLER_ARG", "0");
        let settings = [("TRUSTED_PROXY_HOPS", hops), (SAMPLER, sampler), none];
        let process = Process::start(&collector.settings(&app, &settings)).await;
        let mut browser = app.browser();
        let request = browser.request(Method::GET, &format!("{}/login", process.url));
        let request = request.header("x-forwarded-for", "192.0.2.1");
        let request = request.header("tracestate", "canary=state");
        let answer = browser.send(request.header("traceparent", &parent)).await;
        answer.assert_status(200);
        process.signal("TERM");
        process.ended().await;
        let spans = collector.spans();
        let request = only(&spans, "GET /login");
        if hops == "1" {
            // Without a parent no trace is kept here.
            assert_eq!(spans.len(), 1, "{spans:?}");
            assert_eq!(request.trace, trace);
            assert_eq!(request.parent, "b7ad6b7169203331");
        } else {
            assert_ne!(request.trace, trace);
            assert_eq!(request.parent, "");
        }
        assert!(!collector.got("canary"));
    }
}

#[tokio::test]
async fn one_trace_in_twenty_is_kept_unless_the_sampler_is_set() {
    let app = TestApp::spawn().await;
    for (argument, expected) in [("", 1..80), ("0", 0..1)] {
        let collector = Collector::spawn().await;
        let settings = [(SAMPLER, ""), ("OTEL_TRACES_SAMPLER_ARG", argument)];
        let process = Process::start(&collector.settings(&app, &settings)).await;
        let mut browser = app.browser();
        for _ in 0..400 {
            browser.get(&format!("{}/healthz", process.url)).await;
        }
        process.signal("TERM");
        process.ended().await;
        let kept = collector.spans().len();
        assert!(expected.contains(&kept), "{kept} of 400");
    }
}

#[tokio::test]
async fn a_collector_that_hangs_delays_neither_answers_nor_the_end() {
    let app = TestApp::spawn().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let more = [(ENDPOINT, url.as_str()), (DELAY, "50")];
    let settings = Collector::spawn().await.settings(&app, &more);
    let process = Process::start(&settings).await;
    let _silent = listener.accept().await.unwrap();
    sign_in(&app, &process).await;
    let asked = Instant::now();
    process.signal("TERM");
    let (status, log) = process.ended().await;
    assert!(status.success());
    // The exporter would try for longer than this.
    assert!(asked.elapsed() < Duration::from_secs(7), "{log}");
}

#[tokio::test]
async fn a_dead_collector_is_reported_once_and_so_is_its_return() {
    let app = TestApp::spawn().await;
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let more = [(ENDPOINT, url.as_str()), (DELAY, "50")];
    let settings = Collector::spawn().await.settings(&app, &more);
    let process = Process::start(&settings).await;
    process.logged("traces_lost").await;
    let (mut ada, _) = sign_in(&app, &process).await;
    // Several calls of the collector fail.
    for _ in 0..4 {
        ada.get(&format!("{}/", process.url))
            .await
            .assert_status(200);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let collector = Collector::at(port, StatusCode::OK, HeaderMap::new()).await;
    ada.get(&format!("{}/", process.url))
        .await
        .assert_status(200);
    process.logged("traces_taken").await;
    process.signal("TERM");
    let (status, log) = process.ended().await;
    assert!(status.success());
    assert_eq!(log.matches("\"event\":\"traces_lost\"").count(), 1, "{log}");
    assert!(!log.contains("traces_off") && !collector.spans().is_empty());
}

#[tokio::test]
async fn neither_a_redirect_nor_a_proxy_variable_reroutes_traces() {
    let app = TestApp::spawn().await;
    let elsewhere = Collector::spawn().await;
    let mut headers = HeaderMap::new();
    let target = format!("{}/v1/traces", elsewhere.url);
    headers.insert("location", target.parse().unwrap());
    let collector = Collector::at(0, StatusCode::TEMPORARY_REDIRECT, headers).await;
    let process = Process::start(&collector.settings(
        &app,
        &[
            ("HTTP_PROXY", elsewhere.url.as_str()),
            ("http_proxy", elsewhere.url.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canary"),
            (DELAY, "50"),
        ],
    ))
    .await;
    process.logged("traces_lost").await;
    process.signal("TERM");
    process.ended().await;
    assert!(elsewhere.received.lock().unwrap().is_empty());
    let received = collector.received.lock().unwrap();
    assert_eq!(received[0].0["authorization"], "canary");
}
