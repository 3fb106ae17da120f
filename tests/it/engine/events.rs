//! What the log tells an operator: which events there are, and whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Browser, Process, TestApp, eventually, process};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| {
        if path.is_dir() {
            sources(&path)
        } else {
            vec![path]
        }
    });
    files.collect()
}

#[test]
fn every_event_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut logged = BTreeSet::new();
    for path in sources(&root.join("src")) {
        let text = fs::read_to_string(path).unwrap();
        let parts = text.split("event = \"").skip(1);
        logged.extend(parts.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    let page = fs::read_to_string(root.join("docs/logs.md")).unwrap();
    let (_, table) = page.split_once("## Events").unwrap();
    let names = table.lines().filter(|line| line.starts_with("| `"));
    let names = names.map(|line| line.split(" | ").next().unwrap());
    let names = names.flat_map(|names| names.split('`').skip(1).step_by(2));
    let known: BTreeSet<String> = names.map(str::to_owned).collect();
    let hidden: Vec<_> = logged
        .difference(&known)
        .filter(|name| *name != "event")
        .collect();
    assert!(hidden.is_empty(), "docs/logs.md lacks {hidden:?}");
    // An app may have been made without some parts.
    let app_parts = ["check_while_away"];
    let gone: Vec<_> = known
        .difference(&logged)
        .filter(|name| !app_parts.contains(&name.as_str()))
        .collect();
    assert!(gone.is_empty(), "nothing logs {gone:?}");
}

/// The lines of each event.
fn by_event(log: &str) -> BTreeMap<String, Vec<Value>> {
    let mut events = BTreeMap::<_, Vec<_>>::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let event = line["event"].as_str().unwrap_or_default().to_owned();
        events.entry(event).or_default().push(line);
    }
    events
}

/// Everything that somebody may do to an account, once each.
async fn live(app: &TestApp, origin: &str) -> String {
    let there = |target: &str| target.replace(&app.url, origin);
    let path = |path: &str| format!("{origin}{path}");
    let mut ada = app.browser();
    let callback = ada.start_and_consent(&app.provider, "ada").await;
    let (mut thief, mut again) = (app.browser(), ada.clone());
    thief.get(&there(&callback)).await.assert_refused("expired");
    ada.get(&there(&callback)).await.assert_redirect("/account");
    again
        .get(&there(&callback))
        .await
        .assert_redirect("/account");
    let user_id = app.user_id().await.to_string();
    let pair = format!("sid=x; {}", ada.cookie_header());
    let twice = Browser::new(&app.url).request(Method::GET, &path("/"));
    thief.send(twice.header("cookie", pair)).await;
    let foreign = thief.request(Method::PUT, &path("/account"));
    let foreign = foreign.header("sec-fetch-site", "cross-site");
    thief.send(foreign).await.assert_status(403);
    let unproven = thief.request(Method::PUT, &path("/account"));
    let unproven = unproven.header("origin", "http://evil.test");
    thief.send(unproven).await.assert_status(403);
    app.expire_access_tokens(1).await;
    ada.post(&path("/account/refresh"), &[]).await;
    ada.get(&path("/account/nfts")).await;
    ada.post(&path("/auth/logout"), &[])
        .await
        .assert_redirect("/");
    for _ in 0..500 {
        let start = thief.request(Method::POST, &path("/auth/login"));
        let start = start.header("x-forwarded-for", "203.0.113.7");
        if thief.send(start).await.status == 429 {
            break;
        }
    }
    user_id
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_says_when_who_and_whence() {
    let app = TestApp::with(&[("TRUSTED_PROXY_HOPS", "1")]).await;
    let process = Process::start(&app.settings).await;
    let user_id = live(&app, &process.url).await;
    process.signal("TERM");
    let log = process.ended().await.1;
    let events = by_event(&log);
    let one = |event: &str| {
        let lines = events.get(event);
        &lines.unwrap_or_else(|| panic!("no {event} in {log}"))[0]
    };
    for event in [
        "login_started",
        "login_finished",
        "login_repeated",
        "login_failed",
        "session_cookie_ambiguous",
        "csrf_refused",
        "token_refreshed",
        "logout",
        "rate_limited",
    ] {
        let line = one(event);
        let (time, span) = (line["timestamp"].as_str().unwrap(), &line["span"]);
        assert!(time.ends_with('Z'), "{event}: {time}");
        assert_eq!(
            span["request_id"].as_str().map(str::len),
            Some(10),
            "{line}"
        );
        // The peer, where the header has too few addresses.
        let client = if event == "rate_limited" {
            "203.0.113.7"
        } else {
            "127.0.0.1"
        };
        if event != "login_started" {
            assert_eq!(span["client"], client, "{line}");
        }
    }
    for event in ["login_finished", "logout", "token_refreshed"] {
        assert_eq!(one(event)["span"]["user_id"], user_id, "{event}");
    }
    assert_eq!(one("login_failed")["reason"], "no_attempt");
    assert_eq!(one("rate_limited")["action"], "login_start");
    assert_eq!(
        events["csrf_refused"].len(),
        2,
        "the layer's refusals, and ours"
    );
    let configured = one("configured");
    let names = configured["names"].as_str().unwrap();
    assert!(names.contains("MATRICA_CLIENT_SECRET") && names.contains("TRUSTED_PROXY_HOPS"));
    assert_eq!(configured["keys"], "test");
    assert_eq!(one("client_unknown")["level"], "WARN");
    for event in ["listening", "draining", "stopping", "stopped"] {
        assert_eq!(events[event].len(), 1, "{event}");
    }
}

/// A flood that a limit refuses is a line a second, not one for each request.
#[tokio::test(flavor = "multi_thread")]
async fn refused_requests_do_not_fill_the_log() {
    let app = TestApp::spawn().await;
    let process = Process::start(&app.settings).await;
    let url = format!("{}/auth/login", process.url);
    let (mut browser, mut refused) = (app.browser(), 0);
    let started = Instant::now();
    for _ in 0..1_500 {
        refused += usize::from(browser.post(&url, &[]).await.status == 429);
    }
    assert!(refused > 300, "{refused}");
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    process.signal("TERM");
    let events = by_event(&process.ended().await.1);
    let lines = events["rate_limited"].len();
    assert!((1..=seconds + 1).contains(&lines), "{lines} in {seconds} s");
    let answered = events["request"].iter();
    assert!(answered.clone().all(|line| line["status"] != json!(429)));
}

/// Probes come without a proxy, and a head that is not read costs no count.
#[tokio::test(flavor = "multi_thread")]
async fn neither_probes_nor_endless_heads_fill_the_log() {
    let app = TestApp::with(&[("TRUSTED_PROXY_HOPS", "1")]).await;
    let process = Process::start(&app.settings).await;
    let mut browser = app.browser();
    for path in ["/healthz", "/readyz"] {
        browser
            .get(&format!("{}{path}", process.url))
            .await
            .assert_status(200);
    }
    let address = process.address.clone();
    let started = Instant::now();
    let heads = tokio::task::spawn_blocking(move || {
        for _ in 0..30 {
            let mut stream = TcpStream::connect(&address).unwrap();
            // It may be closed before the end.
            let _ = write!(stream, "GET / HTTP/1.1\r\nx: {}", "x".repeat(80_000));
            let _ = stream.read(&mut [0; 64]);
        }
    });
    heads.await.unwrap();
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    process.signal("TERM");
    let events = by_event(&process.ended().await.1);
    assert!(!events.contains_key("client_unknown"), "{events:?}");
    let lines = events["head_too_large"].len();
    assert!((1..=seconds + 1).contains(&lines), "{lines} in {seconds} s");
}

/// Sends batches of 100 requests on one connection. Returns how long the slowest took.
pub fn slowest_batch(address: &str, batches: usize) -> Duration {
    let mut stream = TcpStream::connect(address).unwrap();
    let requests = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let mut slowest = Duration::ZERO;
    for _ in 0..batches {
        let started = Instant::now();
        stream.write_all(requests.as_bytes()).unwrap();
        let (mut answers, mut buffer) = (Vec::new(), vec![0; 65_536]);
        let end = b"\r\n\r\nok";
        let are_all = |answers: &[u8]| {
            answers.ends_with(end) && answers.windows(6).filter(|ends| ends == end).count() == 100
        };
        while !are_all(&answers) {
            let length = stream.read(&mut buffer).unwrap();
            answers.extend_from_slice(&buffer[..length]);
        }
        slowest = slowest.max(started.elapsed());
    }
    slowest
}

/// A pipe that nobody reads delays nobody. When it is read again, the log says what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn lines_that_were_dropped_are_counted_in_the_log() {
    let app = TestApp::spawn().await;
    let port = process::free_port();
    let mut child = process::command(&app.settings)
        .arg("serve")
        .env("LISTEN_ADDR", format!("127.0.0.1:{port}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (browser, address) = (app.browser(), format!("127.0.0.1:{port}"));
    let health = format!("http://{address}/healthz");
    eventually("listening", async || {
        browser.request(Method::GET, &health).send().await.is_ok()
    })
    .await;
    let slowest = tokio::task::spawn_blocking(move || slowest_batch(&address, 200));
    let slowest = slowest.await.unwrap();
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let id = child.id().to_string();
    let reading = tokio::task::spawn_blocking(move || {
        let (mut log, mut line) = (String::new(), String::new());
        while !line.contains("\"log_lines_dropped\"") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "no report");
            log.push_str(&line);
        }
        let kill = std::process::Command::new("kill").arg(&id).status();
        assert!(kill.unwrap().success());
        output.read_to_string(&mut log).unwrap();
        log
    });
    let log = reading.await.unwrap();
    assert!(child.wait().unwrap().success());
    let events = by_event(&log);
    let dropped = events.get("log_lines_dropped").expect("a report");
    let dropped = dropped.iter().map(|line| line["lines"].as_u64().unwrap());
    assert!(dropped.sum::<u64>() > 1_000);
}
