//! Clients that are slow, or that open more connections than they need.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::get;
use matrica_starter::engine::Engine;
use matrica_starter::engine::http::{Access, Route};
use reqwest::redirect::Policy;

use crate::support::{Answer, TestApp, eventually, eventually_within, process};

/// Sends `head`, then a byte every half second. Returns how long the server took that, and its answer.
fn drip(address: &str, head: &str) -> (Duration, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let (started, mut answer) = (Instant::now(), Vec::new());
    let mut buffer = [0; 4096];
    while started.elapsed() < Duration::from_secs(40) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if stream.write_all(b"x").is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    (started.elapsed(), String::from_utf8_lossy(&answer).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_bodies_that_drip_are_given_up() {
    let app = TestApp::spawn().await;
    let address = app.url.replace("http://", "");
    let form =
        "Host: x\r\nAccept: text/html\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let drips = [
        ("GET / HTTP/1.1\r\nX-Slow: ".to_owned(), 9..13, ""),
        (
            format!("POST /auth/login HTTP/1.1\r\n{form}Content-Length: 8192\r\n\r\n"),
            14..20,
            "HTTP/1.1 504 ",
        ),
        // This handler reads no body. It is called once there is one.
        (
            format!("POST /auth/logout HTTP/1.1\r\n{form}Content-Length: 8192\r\n\r\n"),
            14..20,
            "HTTP/1.1 504 ",
        ),
    ];
    let drips = drips.map(|(head, seconds, answer)| {
        let address = address.clone();
        let drip = tokio::task::spawn_blocking(move || drip(&address, &head));
        async move {
            let (took, text) = drip.await.unwrap();
            assert!(seconds.contains(&took.as_secs()), "{answer}: {took:?}");
            assert!(text.starts_with(answer), "{text}");
            if answer.contains("504") {
                assert!(text.contains("That took too long"), "{text}");
            }
        }
    });
    futures_util::future::join_all(drips).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_slowly_takes_no_place_from_others() {
    let app = TestApp::with_changes(&[], |parts| parts.requests_max = 2).await;
    let address = app.url.replace("http://", "");
    let slow = |_| {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"return_to").unwrap();
        stream
    };
    let held: Vec<_> = (0..4).map(slow).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.browser().get("/").await.assert_status(200);
    for mut stream in held {
        stream.write_all(b"=%2").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"HTTP/1.1 303");
    }
}

#[derive(Clone, Default)]
struct Finished(Arc<AtomicBool>);

#[tokio::test]
async fn a_handler_that_hangs_is_answered_for_and_its_tracked_work_goes_on() {
    let app = TestApp::spawn().await;
    let finished = Finished::default();
    let work = finished.clone();
    let stuck = async move |State(engine): State<Engine>| {
        let task = engine.tasks.tracker.spawn(async move {
            tokio::time::sleep(Duration::from_secs(16)).await;
            work.0.store(true, Ordering::SeqCst);
        });
        task.await.unwrap();
        "late"
    };
    let route = Route::new("/stuck", Access::Public, get(stuck));
    let url = app.serve(vec![route]).await;
    let started = Instant::now();
    let page = app.browser().get(&format!("{url}/stuck")).await;
    let took = started.elapsed().as_secs();
    assert!((14..18).contains(&took), "{took} s");
    assert_eq!(page.header("x-frame-options"), "DENY");
    page.assert_status(504)
        .assert_contains("That took too long");
    let finished = async || finished.0.load(Ordering::SeqCst);
    eventually_within(Duration::from_secs(10), "the work", finished).await;
}

/// A server with few file descriptors, and where it listens.
struct Few {
    child: Child,
    address: String,
}

impl Few {
    async fn start(app: &TestApp, descriptors: u32) -> Self {
        let address = format!("127.0.0.1:{}", process::free_port());
        let script = format!("ulimit -n {descriptors}; exec {} serve", process::BINARY);
        let child = Command::new("sh")
            .args(["-c", &script])
            .env_clear()
            .envs(&app.settings)
            .env("LISTEN_ADDR", &address)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let few = Self { child, address };
        eventually("listening", async || few.answers([127, 0, 0, 1]).await).await;
        few
    }

    /// Whether a client with this address gets a page.
    async fn answers(&self, from: [u8; 4]) -> bool {
        #[expect(clippy::disallowed_methods, reason = "a browser, not ours")]
        let client = reqwest::Client::builder()
            .local_address(IpAddr::from(from))
            .redirect(Policy::none())
            .no_proxy()
            .tls_certs_only([])
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        let answer = client.get(format!("http://{}/login", self.address)).send();
        match answer.await {
            Ok(answer) => Answer::read(answer).await.status == 200,
            Err(_) => false,
        }
    }

    /// Stops it and returns its log.
    async fn log(mut self) -> Vec<String> {
        let id = self.child.id().to_string();
        Command::new("kill").arg(id).status().unwrap();
        let output = BufReader::new(self.child.stdout.take().unwrap());
        let lines = tokio::task::spawn_blocking(|| output.lines().map(Result::unwrap).collect());
        let lines = lines.await.unwrap();
        assert!(self.child.wait().unwrap().success());
        lines
    }
}

/// Idle connections.
fn connect(address: &str, connections: usize) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect(address).unwrap();
    (0..connections).map(connect).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_have_every_connection() {
    let app = TestApp::spawn().await;
    // 128 of them for clients, half of that for each address.
    let few = Few::start(&app, 256).await;
    let held = connect(&few.address, 100);
    eventually("a refusal", async || !few.answers([127, 0, 0, 1]).await).await;
    assert!(few.answers([127, 0, 0, 2]).await);
    drop(held);
    eventually("a place", async || few.answers([127, 0, 0, 1]).await).await;
    let log = few.log().await;
    let refused = |line: &&String| line.contains("connection_refused");
    let lines = log.iter().filter(refused).count();
    assert!((1..20).contains(&lines), "{lines}");
}

/// The server waits for descriptors and neither ends nor spins.
#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_it_waits_until_there_are_some() {
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    let few = Few::start(&app, 26).await;
    let held = connect(&few.address, 40);
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(held);
    eventually("a page", async || few.answers([127, 0, 0, 1]).await).await;
    let log = few.log().await;
    let failed = log.iter().filter(|line| line.contains("accept_failed"));
    let failed = failed.count();
    assert!((1..20).contains(&failed), "{failed}: {log:?}");
}
