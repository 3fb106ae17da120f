//! The alerts on values that belong to a whole process, so each server has a process of its own.

use std::collections::BTreeMap;
use std::env;
use std::panic;
use std::process::Command;
use std::time::Duration;

use axum::routing::get;
use futures_util::future::join_all;
use matrica_starter::engine::{
    config::LogFormat,
    http::{Access, Route, log},
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::panics::{in_handler, in_task};
use crate::support::alerts::{self, expect};
use crate::support::browser::client;
use crate::support::scrape::Scrape;
use crate::support::{Answer, Process, TestApp, eventually, eventually_within, process};

const PANICS_HERE: &str = "TEST_PANICS_HERE";
/// The file descriptors of a server, and how many of them its clients take.
const DESCRIPTORS: usize = 400;
const CONNECTIONS: usize = 325;
const _: () = assert!(CONNECTIONS * 10 > DESCRIPTORS * 8, "more than 80 %");
/// Clients at once, and the requests that each sends without waiting for the answers.
const CROWD: usize = 4;
const IN_A_ROW: usize = 250;
/// Longest time until some 17,000 lines have filled the queue.
const FULL: Duration = Duration::from_mins(1);

/// Settings of a server with metrics, and their address.
fn with_metrics(app: &TestApp) -> (BTreeMap<String, String>, String) {
    let mut settings = app.settings.clone();
    let address = format!("127.0.0.1:{}", process::free_port());
    settings.insert("METRICS_ADDR".into(), address.clone());
    settings.insert("RATE_LIMIT".into(), "off".into());
    (settings, address)
}

/// `None` if the server does not listen yet.
async fn scrape(address: &str) -> Option<Scrape> {
    let url = format!("http://{address}/metrics");
    let answer = client().get(url).send().await.ok()?;
    Some(Scrape::parse(&Answer::read(answer).await.body))
}

/// A scrape before the fault. The server has read the lags.
async fn healthy(address: &str) -> Scrape {
    let mut healthy = None;
    eventually("the lags are read", async || {
        healthy = scrape(address).await;
        let read = |scrape: &Scrape| scrape.get("matrica_lags_timestamp_seconds") > 0.0;
        healthy.as_ref().is_some_and(read)
    })
    .await;
    healthy.unwrap()
}

/// Runs itself in a process of its own, because the panics of all tests have one counter.
#[tokio::test]
async fn panics_are_noticed() {
    let app = TestApp::spawn().await;
    if env::var_os(PANICS_HERE).is_none() {
        let mut alone = Command::new(env::current_exe().unwrap());
        alone
            .args(["--exact", "engine::process_alerts::panics_are_noticed"])
            .env(PANICS_HERE, "yes")
            .env("DATABASE_URL", &app.settings["DATABASE_URL"]);
        let alone = tokio::task::spawn_blocking(move || alone.output().unwrap());
        let alone = alone.await.unwrap();
        let output = String::from_utf8_lossy(&alone.stdout);
        assert!(output.contains("1 passed"), "{output}");
        return;
    }
    let routes = vec![
        Route::new("/handler", Access::Public, get(in_handler)),
        Route::new("/task", Access::Public, get(in_task)),
    ];
    let url = app.serve(routes).await;
    let mut browser = app.browser();
    let before = alerts::healthy(&app).await;
    let log = log::init(LogFormat::Json);
    let page = browser.get(&format!("{url}/task")).await;
    assert_eq!(page.assert_status(200).body, "true");
    let task = Scrape::of(&app.engine).await;
    let page = browser.get(&format!("{url}/handler")).await;
    page.assert_status(500);
    let handler = Scrape::of(&app.engine).await;
    drop(log);
    // The hook of the log hides what an assertion says.
    drop(panic::take_hook());
    expect(&before, &task, &["ServerPanicked"]);
    expect(&task, &handler, &["ServerErrors", "ServerPanicked"]);
}

#[tokio::test]
async fn a_log_that_nobody_reads_is_noticed() {
    let app = TestApp::spawn().await;
    let (settings, metrics) = with_metrics(&app);
    let server = Process::serve_unread(&settings);
    let before = healthy(&metrics).await;
    before.expect("matrica_log_lines_dropped_total", 0.0);
    let mut after = before.clone();
    let request = format!("GET /login HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    let requests = request.repeat(IN_A_ROW);
    eventually_within(FULL, "lines are dropped", async || {
        let clients = (0..CROWD).map(async |_| {
            let mut stream = TcpStream::connect(&server.address).await.unwrap();
            let (mut answers, mut questions) = stream.split();
            let asked = async {
                questions.write_all(requests.as_bytes()).await.unwrap();
                questions.shutdown().await.unwrap();
            };
            let mut nowhere = tokio::io::sink();
            let ((), answered) = tokio::join!(asked, tokio::io::copy(&mut answers, &mut nowhere));
            answered.unwrap();
        });
        join_all(clients).await;
        after = scrape(&metrics).await.unwrap();
        after.get("matrica_log_lines_dropped_total") > 0.0
    })
    .await;
    expect(&before, &after, &["LogLinesDropped"]);
}

#[tokio::test]
async fn a_lack_of_file_descriptors_is_noticed() {
    let app = TestApp::spawn().await;
    let (settings, metrics) = with_metrics(&app);
    let server = Process::start(&settings).await;
    server.limit_files(&DESCRIPTORS.to_string());
    let before = healthy(&metrics).await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(TcpStream::connect(&server.address).await.unwrap());
    }
    let mut after = before.clone();
    let connections = f64::from(u32::try_from(CONNECTIONS).unwrap());
    eventually("all are open", async || {
        after = scrape(&metrics).await.unwrap();
        after.get("process_open_fds") >= connections
    })
    .await;
    expect(&before, &after, &["FileDescriptorsLow"]);
}
