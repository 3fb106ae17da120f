//! The headers of every answer, also of those that no handler gave.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use axum::routing::get;
use matrica_starter::app::App;
use matrica_starter::engine::Application as _;
use matrica_starter::engine::http::{Access, Route};
use matrica_starter::engine::limits::{Action, Client};
use reqwest::Method;

use crate::support::{Answer, Browser, TestApp};

/// Headers with one value everywhere.
const EVERYWHERE: [(&str, &str); 9] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()",
    ),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-dns-prefetch-control", "off"),
    ("cache-control", "no-store, no-transform"),
    (
        "strict-transport-security",
        "max-age=31536000; includeSubDomains",
    ),
];
/// Headers that no answer has. The policy reports to no address, so nobody can fill one.
const NOWHERE: [&str; 6] = [
    "server",
    "x-powered-by",
    "x-xss-protection",
    "report-to",
    "reporting-endpoints",
    "access-control-allow-origin",
];

#[track_caller]
fn check(answer: &Answer, what: &str) {
    for (name, value) in EVERYWHERE {
        assert_eq!(answer.header(name), value, "{what}: {name}");
    }
    for name in NOWHERE {
        assert!(!answer.headers.contains_key(name), "{what}: {name}");
    }
    let policy = answer.header("content-security-policy");
    assert!(
        policy.contains("frame-ancestors 'none'"),
        "{what}: {policy}"
    );
    assert!(!policy.contains("report"), "{what}: {policy}");
}

/// Sends each request once, and checks its status and headers.
async fn answers(browser: &mut Browser) {
    let long = |length: usize| format!("/?x={}", "x".repeat(length));
    for (method, path, status) in [
        (Method::GET, "/", 200),
        (Method::GET, "/healthz", 200),
        (Method::GET, "/readyz", 200),
        (Method::GET, "/auth/login", 303),
        (Method::GET, "/account", 303),
        (Method::GET, "/auth/callback", 400),
        (Method::GET, "/api/me", 401),
        (Method::GET, "/auth/check", 401),
        (Method::GET, "/metrics", 404),
        (Method::GET, "/debug", 404),
        (Method::GET, "/.git/config", 404),
        (Method::GET, "/assets/", 404),
        (Method::TRACE, "/", 405),
        (Method::from_bytes(b"PROPFIND").unwrap(), "/account", 405),
        (Method::DELETE, "/", 405),
        (Method::GET, &long(9_000), 414),
        (Method::GET, &long(20_000), 414),
    ] {
        let request = browser.request(method.clone(), path);
        let answer = browser.send(request).await.assert_status(status);
        check(&answer, &format!("{method} {path:.20} {status}"));
    }
    let large = browser.request(Method::GET, "/");
    let large = large.header("x-large", "x".repeat(17_000));
    let mut many = browser.request(Method::GET, "/");
    for number in 0..101 {
        many = many.header(format!("x-{number}"), "x");
    }
    let form = [("return_to", "x".repeat(20_000))];
    let body = browser.request(Method::POST, "/auth/login").form(&form);
    let foreign = browser.request(Method::PUT, "/auth/logout");
    let foreign = foreign.header("sec-fetch-site", "cross-site");
    for (what, request, status) in [
        ("a large head", large, 431),
        ("many headers", many, 431),
        ("a large body", body, 413),
        ("another site", foreign, 403),
    ] {
        let answer = browser.send(request).await.assert_status(status);
        check(&answer, what);
    }
}

#[tokio::test]
async fn every_answer_over_https_has_every_security_header() {
    let app = TestApp::with(&[("PUBLIC_URL", "https://app.example")]).await;
    let mut browser = app.browser();
    answers(&mut browser).await;
    let broken = Route::new(
        "/broken",
        Access::Public,
        get(async || -> String { panic!() }),
    );
    let url = app.serve(vec![broken]).await;
    let answer = browser.get(&format!("{url}/broken")).await;
    check(&answer.assert_status(500), "a panic");
    let client = Client([127, 0, 0, 1].into());
    let limits = &app.engine.limits;
    while limits.count(Action::LoginStart, client).is_ok() {}
    let answer = browser.post("/auth/login", &[]).await.assert_status(429);
    check(&answer, "429");
    app.engine.db.close();
    app.engine.health_db.close();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = browser.get("/readyz").await.assert_status(503);
    check(&answer, "503");
}

#[tokio::test]
async fn probes_learn_nothing() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    for (path, body) in [("/healthz?verbose", "ok"), ("/readyz?verbose", "ready")] {
        assert_eq!(browser.get(path).await.assert_status(200).body, body);
    }
}

#[tokio::test]
async fn search_engines_find_the_front_page_and_no_more() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    for path in ["/", "/login", "/robots.txt"] {
        let page = app.browser().get(path).await.assert_status(200);
        assert_eq!(page.header("x-robots-tag"), "", "{path}");
        let allows = !page.body.contains("content=\"noindex\"");
        assert_eq!(allows, path != "/login", "{path}");
    }
    for path in [
        "/account",
        "/settings",
        "/settings/export",
        "/api/me",
        "/login",
        "/nothing",
        "/auth/callback",
        "/auth/check",
    ] {
        let page = ada.get(path).await;
        assert_eq!(page.header("x-robots-tag"), "noindex", "{path}");
    }
}

/// Bytes on a socket, because a client would not send them.
fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_from_the_host_of_a_request() {
    let app = TestApp::with(&[("PUBLIC_URL", "https://app.example")]).await;
    let mut browser = app.browser();
    for route in App::routes() {
        let path = route.path.replace("{name}", "x").replace("{provider}", "x");
        let path = path.replace("{id}", "x");
        let request = browser.request(Method::GET, &path);
        let request = request
            .header("host", "evil.test")
            .header("x-forwarded-host", "evil.test")
            .header("forwarded", "host=evil.test;proto=http")
            .header("x-forwarded-proto", "http");
        let answer = browser.send(request).await;
        let all = format!("{:?} {}", answer.headers, answer.body);
        assert!(!all.contains("evil.test"), "{path}: {all}");
    }
    let address = app.url.replace("http://", "");
    let asked = tokio::task::spawn_blocking(move || {
        [
            (
                "GET http://evil.test/account HTTP/1.1\r\nHost: app.example",
                "401",
            ),
            (
                "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443",
                "404",
            ),
            (
                "CONNECT app.example:443 HTTP/1.1\r\nHost: app.example:443",
                "404",
            ),
        ]
        .map(|(head, status)| {
            let answer = raw(&address, &format!("{head}\r\nConnection: close\r\n\r\n"));
            (head, status, answer)
        })
    });
    for (head, status, answer) in asked.await.unwrap() {
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{head}: {answer}"
        );
        assert!(!answer.contains("evil.test"), "{head}: {answer}");
    }
}
