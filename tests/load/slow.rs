//! Floods and slow clients must not delay other people.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use matrica_starter::engine::random;
use tokio::io::{AsyncWriteExt as _, copy, sink};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::resident;
use crate::support::{Browser, Process, TestApp, eventually, process};

/// Junk callbacks per second. A debug build cannot answer as many.
const JUNK: u32 = if cfg!(debug_assertions) {
    1_000
} else {
    10_000
};
/// Requests whose lines fill the pipe and the buffer.
const LINES: u64 = 25_000;
/// How long nobody reads the log, if it takes so long to fill them.
const SILENCE: Duration = Duration::from_mins(1);
/// Clients and server share the machine, so a request also waits for the clients' turns.
const TURN: Duration = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 20 });
/// Memory that one crowd may take beyond that of the one before, in bytes.
const KEPT: u64 = 8 * 1024 * 1024;

async fn connect(from: [u8; 4], to: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to.parse().unwrap()).await.unwrap()
}

/// The 99th percentile of this many requests, one after the other, and the slowest.
async fn latency(browser: &mut Browser, url: &str, requests: usize) -> (Duration, Duration) {
    let mut times = Vec::new();
    for _ in 0..requests {
        let started = Instant::now();
        browser.get(url).await.assert_status(200);
        times.push(started.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    times.sort_unstable();
    (times[requests * 99 / 100], times[requests - 1])
}

/// Callbacks with made-up parameters and cookies, on one connection after the other.
async fn junk(from: [u8; 4], to: String, per_second: u32, sent: Arc<AtomicU64>) {
    const BATCH: u32 = 10;
    let requests = (0..BATCH).map(|_| {
        let (state, code) = (random::token::<32>(), random::token::<32>());
        let name = &state[..8];
        format!("GET /auth/callback?state={state}&code={code} HTTP/1.1\r\nHost: x\r\nCookie: login-{name}={code}\r\n\r\n")
    });
    let requests: String = requests.collect();
    let mut turns = interval(Duration::from_secs(1) * BATCH / per_second);
    loop {
        let (mut answers, mut out) = connect(from, &to).await.into_split();
        let reading = tokio::spawn(async move { copy(&mut answers, &mut sink()).await });
        while out.write_all(requests.as_bytes()).await.is_ok() {
            sent.fetch_add(BATCH.into(), Ordering::Relaxed);
            turns.tick().await;
        }
        reading.abort();
    }
}

/// Sends `head`, then a byte a second, and begins anew when the server closes.
async fn drip(from: [u8; 4], to: String, head: &'static str) {
    loop {
        let mut stream = connect(from, &to).await;
        let mut open = stream.write_all(head.as_bytes()).await.is_ok();
        while open {
            sleep(Duration::from_secs(1)).await;
            open = stream.write_all(b"x").await.is_ok();
        }
    }
}

/// A thousand connections that sent half a head.
async fn half_open(address: &str) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        let mut stream = connect([127, 0, 3, 1], address).await;
        let half = b"GET / HTTP/1.1\r\nX-Half: ";
        stream.write_all(half).await.unwrap();
        silent.push(stream);
    }
    silent
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_and_slow_clients_leave_other_people_alone() {
    let _alone = crate::alone().await;
    let app = TestApp::with(&[("RATE_LIMIT", "on")]).await;
    let process = Process::start(&app.settings).await;
    let url = format!("{}/login", process.url);
    let mut browser = app.browser();
    latency(&mut browser, &url, 200).await;
    let (idle, _) = latency(&mut browser, &url, 500).await;
    let before = resident(&process);

    let mut clients = JoinSet::new();
    let sent = Arc::new(AtomicU64::new(0));
    for number in 0..4 {
        let (from, to) = ([127, 0, 2, number], process.address.clone());
        clients.spawn(junk(from, to, JUNK / 4, sent.clone()));
    }
    let silent = half_open(&process.address).await;
    for _ in 0..50 {
        let (from, to) = ([127, 0, 4, 1], process.address.clone());
        clients.spawn(drip(from, to.clone(), "GET / HTTP/1.1\r\nX-Slow: "));
        clients.spawn(drip(from, to, "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 8192\r\n\r\n"));
    }
    let started = Instant::now();
    let (busy, _) = latency(&mut browser, &url, 1_000).await;
    let (sent, seconds) = (
        sent.load(Ordering::Relaxed),
        started.elapsed().as_secs().max(1),
    );
    let peak = resident(&process);
    clients.shutdown().await;
    drop(silent);
    println!(
        "p99 {idle:?} idle, {busy:?} under {} callbacks/s. Memory {before} before, {peak} under load",
        sent / seconds
    );
    assert!(busy < idle * 2 + TURN, "{busy:?}, idle {idle:?}");
    assert_eq!(app.count("select count(*) from login_attempts").await, 0);
    assert_eq!(app.provider.calls("token").await, 0);
    // The allocator keeps what was freed, so a second crowd must fit into it.
    let again = half_open(&process.address).await;
    sleep(Duration::from_secs(1)).await;
    let after = resident(&process);
    println!("memory {after} with a second crowd");
    assert!(after < peak + KEPT, "{after}, at first {peak}");
    drop(again);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_delays_no_request() {
    let _alone = crate::alone().await;
    let app = TestApp::spawn().await;
    let address = format!("127.0.0.1:{}", process::free_port());
    let mut server = process::command(&app.settings)
        .arg("serve")
        .env("LISTEN_ADDR", &address)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut browser, url) = (app.browser(), format!("http://{address}/login"));
    eventually("listening", async || {
        browser
            .request(reqwest::Method::GET, &url)
            .send()
            .await
            .is_ok()
    })
    .await;
    let (idle, _) = latency(&mut browser, &url, 300).await;
    let (done, requests) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let crowd = (0..4).map(|_| {
        let (mut browser, url) = (app.browser(), url.clone());
        let (done, requests) = (done.clone(), requests.clone());
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                browser.get(&url).await.assert_status(200);
                requests.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let crowd: Vec<_> = crowd.collect();
    let (started, mut slowest) = (Instant::now(), Duration::ZERO);
    while started.elapsed() < SILENCE && requests.load(Ordering::Relaxed) < LINES {
        slowest = slowest.max(latency(&mut browser, &url, 200).await.1);
    }
    done.store(true, Ordering::Relaxed);
    for client in crowd {
        client.await.unwrap();
    }
    let requests = requests.load(Ordering::Relaxed);
    println!("{requests} requests, p99 {idle:?} idle, slowest of one client {slowest:?}");
    assert!(requests > 20_000, "too few to fill the buffer: {requests}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let id = server.id().to_string();
    std::process::Command::new("kill")
        .arg(&id)
        .status()
        .unwrap();
    let ended = tokio::task::spawn_blocking(move || server.wait()).await;
    assert!(ended.unwrap().unwrap().success());
}
