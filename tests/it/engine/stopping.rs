//! A stop loses nothing that was accepted, and begins nothing new. An overloaded server says so at
//! once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use matrica_starter::app::App;
use matrica_starter::engine::{Application as _, http};
use serde_json::json;
use tower::ServiceExt as _;

use crate::support::{Process, TestApp, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn during_the_delay_it_is_not_ready_and_still_lets_people_in() {
    let app = TestApp::with(&[("DRAIN_DELAY", "3s")]).await;
    let process = Process::start(&app.settings).await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let stopped = Instant::now();
    process.signal("TERM");
    let ready = format!("{}/readyz", process.url);
    eventually("not ready", async || {
        app.browser().get(&ready).await.status == 503
    })
    .await;
    let callback = callback.replace(&app.url, &process.url);
    browser.get(&callback).await.assert_redirect("/account");
    let front = app.browser().get(&process.url).await;
    front.assert_status(200);
    let (status, log) = process.ended().await;
    assert!(status.success(), "{status}: {log}");
    let took = stopped.elapsed();
    let range = Duration::from_secs(3)..Duration::from_secs(20);
    assert!(range.contains(&took), "{took:?}");
}

/// Clients send until the server is not ready, as a balancer lets them.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_loses_no_request() {
    let app = TestApp::with(&[("DRAIN_DELAY", "5s")]).await;
    let process = Process::start(&app.settings).await;
    let token = json!({ "delay_ms": 300 });
    app.provider.fault("token", token).await;
    let (ready, signed_in) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients = (0..6).map(|client| {
        let (origin, url) = (app.url.clone(), process.url.clone());
        let (provider, mut browser) = (app.provider.clone(), app.browser());
        let (ready, signed_in) = (ready.clone(), signed_in.clone());
        tokio::spawn(async move {
            for turn in 0.. {
                if !ready.load(Ordering::SeqCst) {
                    break;
                }
                let person = format!("crowd-{}", client * 1_000 + turn);
                browser.cookies.clear();
                browser.origin.clone_from(&origin);
                let form = [("return_to", "/account")];
                let start = browser.post(&format!("{url}/auth/login"), &form).await;
                let callback = provider.consent(start.location(), &person).await;
                let callback = callback.replace(&origin, &url);
                browser.get(&callback).await.assert_redirect("/account");
                signed_in.fetch_add(1, Ordering::SeqCst);
                let account = browser.get(&format!("{url}/account")).await;
                account.assert_status(200);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    eventually("load", async || signed_in.load(Ordering::SeqCst) >= 12).await;
    let stopped = Instant::now();
    process.signal("TERM");
    let readyz = format!("{}/readyz", process.url);
    eventually("not ready", async || {
        app.browser().get(&readyz).await.status == 503
    })
    .await;
    ready.store(false, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let (status, log) = process.ended().await;
    assert!(status.success(), "{status}: {log}");
    assert!(stopped.elapsed() < Duration::from_secs(25));
    let people = i64::try_from(signed_in.load(Ordering::SeqCst)).unwrap();
    assert_eq!(app.count("select count(*) from sessions").await, people);
    assert_eq!(app.count("select count(*) from grants").await, people);
}

/// The second request comes on the connection of the first, after the stop signal.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_too_late_starts_nothing() {
    let app = TestApp::spawn().await;
    let ada = app.signed_in("ada").await;
    let process = Process::start(&app.settings).await;
    let slow = json!({ "delay_ms": 1_500 });
    app.provider.fault("wallets", slow).await;
    let (before, cookie) = (app.provider.calls("profile").await, ada.cookie_header());
    let request = move |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nCookie: {cookie}\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(&process.address).unwrap();
    stream
        .write_all(request("/api/wallets").as_bytes())
        .unwrap();
    app.provider.called("wallets", 1).await;
    process.signal("TERM");
    // Until the signal has arrived.
    eventually("a closed listener", async || {
        TcpStream::connect(&process.address).is_err()
    })
    .await;
    stream.write_all(request("/api/me").as_bytes()).unwrap();
    let answers = tokio::task::spawn_blocking(move || {
        let mut answers = String::new();
        // The rest of what we sent may be refused with a reset.
        let _ = stream.read_to_string(&mut answers);
        answers
    });
    let answers = answers.await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!(answers.starts_with("HTTP/1.1 200"), "{answers}");
    assert!(process.ended().await.0.success());
    assert_eq!(app.provider.calls("profile").await, before);
}

/// Past the accept loop, which closes idle connections.
#[tokio::test]
async fn after_the_stop_signal_no_code_and_no_refresh_token_is_sent() {
    let app = TestApp::without_cache(&[]).await;
    let ada = app.signed_in("ada").await;
    app.expire_access_tokens(1).await;
    let mut visitor = app.browser();
    let callback = visitor.start_and_consent(&app.provider, "collector").await;
    let router = http::router(app.engine.clone(), App::routes(), App::error_page);
    app.engine.tasks.shutdown.cancel();
    let callback = callback.replace(&app.url, "");
    for (path, cookie) in [
        (callback.as_str(), visitor.cookie_header()),
        ("/api/wallets", ada.cookie_header()),
    ] {
        let request = Request::get(path).header("cookie", cookie);
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert!(!response.status().is_success(), "{path}");
        assert!(!response.headers().contains_key("set-cookie"), "{path}");
    }
    assert_eq!(app.provider.calls("token").await, 1);
    assert_eq!(app.provider.calls("refresh").await, 0);
    assert_eq!(app.count("select count(*) from sessions").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_at_once_are_refused_at_once() {
    let app = TestApp::with_changes(&[], |parts| parts.requests_max = 2).await;
    let mut ada = app.signed_in("ada").await;
    let slow = json!({ "delay_ms": 4_000 });
    app.provider.fault("wallets", slow).await;
    let waiting = [1, 2].map(|skip| {
        let mut ada = ada.clone();
        tokio::spawn(async move { ada.get(&format!("/api/wallets?skip={skip}")).await })
    });
    app.provider.called("wallets", 1).await;
    let refused_at = Instant::now();
    eventually("refused", async || ada.get("/").await.status == 503).await;
    let page = ada.get("/").await.assert_status(503);
    assert_eq!(page.header("retry-after"), "5");
    assert_eq!(page.header("cache-control"), "no-store, no-transform");
    page.assert_contains("very busy")
        .assert_contains("Try again");
    let problem = ada.get("/api/me").await.assert_status(503);
    problem.assert_contains("urn:matrica-starter:problem:overloaded\"");
    for path in ["/healthz", "/readyz", "/robots.txt"] {
        ada.get(path).await.assert_status(200);
    }
    assert!(refused_at.elapsed() < Duration::from_millis(3_900));
    for answer in waiting {
        answer.await.unwrap().assert_status(200);
    }
    ada.get("/").await.assert_status(200);
}
