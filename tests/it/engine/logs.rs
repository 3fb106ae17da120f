//! Logs contain no secret, and every line is JSON.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::events::slowest_batch;
use crate::support::{ALL_SCOPES, CLIENT_SECRET, Process, TestApp, eventually, process};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_the_log_at_any_level() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut settings = app.settings.clone();
    settings.insert(
        "RUST_LOG".into(),
        "trace,tower_sessions=trace,tower_sessions_core=trace".into(),
    );
    let process = Process::start(&settings).await;
    let here = |target: &str| target.replace(&app.url, &process.url);
    app.provider
        .set(json!({ "token_overrides": {
        "access_token": "canary-access-token-0001", "refresh_token": "canary-refresh-token-0002" } }))
        .await;
    let profile = json!({ "profile": { "id": "canary-user-id", "name": "Canary Name", "email": "canary@mail.test" } });
    let mut secrets: Vec<String> = vec![
        CLIENT_SECRET.into(),
        "canary-access".into(),
        "canary-refresh".into(),
    ];
    secrets.extend(
        [
            "canary-user-id",
            "Canary Name",
            "canary@mail",
            "canary-query",
            "canary-wallet",
            "canary-mint",
        ]
        .map(str::to_owned),
    );
    secrets.push(app.settings["TOKEN_KEYS"][5..].to_owned());

    let mut browser = app.browser();
    // Once as it should go, then every kind of failure on the way.
    for fault in [
        json!(null),
        json!({ "status": 500 }),
        json!({ "close": "before_headers" }),
        json!({ "status": 200, "body": "canary-body" }),
    ] {
        app.provider.mend().await;
        for (endpoint, body) in [
            ("profile", &profile),
            (
                "wallets",
                &json!([{ "id": "canary-wallet", "networkSymbol": "canary-network" }]),
            ),
            ("email", &json!("canary@mail.test")),
            (
                "nfts",
                &json!([{ "id": "canary-mint", "ownerId": "canary-wallet" }]),
            ),
            ("roles", &json!("canary-shape")),
        ] {
            app.provider
                .fault(endpoint, json!({ "status": 200, "body": body.to_string() }))
                .await;
        }
        if !fault.is_null() {
            app.provider.fault("token", fault).await;
        }
        browser.origin.clone_from(&app.url);
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        secrets.extend(browser.cookies.values().cloned());
        for parameter in callback.split_once('?').unwrap().1.split('&') {
            let value = parameter.split_once('=').unwrap().1;
            secrets.push(value[..40].to_owned());
            secrets.push(
                percent_encoding::percent_decode_str(value).decode_utf8_lossy()[..40].to_owned(),
            );
        }
        browser.get(&here(&callback)).await;
        secrets.extend(browser.session().cloned());
        // So that the provider is asked again.
        browser
            .post(&here(&format!("{}/account/refresh", app.url)), &[])
            .await;
        browser
            .get(&here(&format!("{}/account?canary-query=1", app.url)))
            .await;
        for path in [
            "account/nfts?collection=canary-query",
            "api/wallets?skip=canary-query",
            "api/me",
            "holders",
        ] {
            browser.get(&here(&format!("{}/{path}", app.url))).await;
        }
        browser
            .get(&here(&format!("{}/canary-query", app.url)))
            .await;
        browser.get(&here(&callback)).await;
    }
    secrets.extend(["canary-body", "canary-shape", "canary-network"].map(str::to_owned));
    process.signal("TERM");
    let (_, log) = process.ended().await;
    assert!(
        log.contains("login_finished") && log.contains("login_failed"),
        "{}",
        log.lines()
            .filter(|line| line.contains("matrica_starter"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_json_and_names_its_request() {
    let app = TestApp::spawn().await;
    let process = Process::start(&app.settings).await;
    let mut browser = app.browser();
    let request = browser.request(
        reqwest::Method::GET,
        &format!("{}/x%0a%7b%22level%22:%22ERROR%22%7d%1b[31m", process.url),
    );
    let answer = browser
        .send(request.header("user-agent", "x\u{9b}31m{\"level\":\"ERROR\"}"))
        .await;
    process.signal("TERM");
    let (_, log) = process.ended().await;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ours = lines
        .iter()
        .filter(|line| line["span"]["request_id"] == answer.header("x-request-id"));
    let ours: Vec<&Value> = ours.collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(
        (&ours[0]["status"], &ours[0]["span"]["route"]),
        (&json!(404), &json!("none"))
    );
    assert!(lines.iter().all(|line| line["level"] != "ERROR"));
}

/// Leaves a pipe without room for a single byte.
fn fill(pipe: &str) {
    const O_NONBLOCK: i32 = 0o4000;
    let mut options = OpenOptions::new();
    let mut pipe = options
        .write(true)
        .custom_flags(O_NONBLOCK)
        .open(pipe)
        .unwrap();
    while pipe.write(b"x").is_ok() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_blocks_stops_neither_the_server_nor_its_end() {
    let app = TestApp::spawn().await;
    let port = process::free_port();
    let mut child = process::command(&app.settings)
        .arg("serve")
        .env("LISTEN_ADDR", format!("127.0.0.1:{port}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut browser = app.browser();
    let url = format!("http://127.0.0.1:{port}/healthz");
    eventually("listening", async || {
        let request = browser.request(reqwest::Method::GET, &url);
        request.send().await.is_ok()
    })
    .await;
    // More lines than the pipe and the queue take.
    let address = format!("127.0.0.1:{port}");
    let flood = tokio::task::spawn_blocking(move || slowest_batch(&address, 200));
    flood.await.unwrap();
    browser.get(&url).await.assert_status(200);
    let id = child.id().to_string();
    fill(&format!("/proc/{id}/fd/1"));
    let stopped = Instant::now();
    Command::new("kill").arg(&id).status().unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait()).await;
    assert!(ended.unwrap().unwrap().success());
    assert!(stopped.elapsed() < Duration::from_secs(5));
}
