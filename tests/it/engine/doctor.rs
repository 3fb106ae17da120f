//! `doctor` finds each planted fault by the right check and names the remedy.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Output,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::support::{
    Folder, TestApp,
    process::{command, free_port},
    tls_front::{Shows, TlsFront},
};

pub type Settings = BTreeMap<String, String>;

/// Longest run with several endpoints that do not answer.
const BOUND: Duration = Duration::from_secs(45);

pub async fn run(settings: &Settings, arguments: &'static [&'static str]) -> Output {
    let mut command = command(settings);
    command.arg("doctor").args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    output.await.unwrap()
}

/// The findings of `doctor --json`, as check, `ok`, detail and remedy.
pub async fn findings(settings: &Settings) -> Vec<(String, Option<bool>, String, String)> {
    let output = run(settings, &["--json"]).await;
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings: Vec<_> = found
        .iter()
        .map(|found| {
            assert_eq!(found.as_object().unwrap().len(), 4);
            assert!(found["ok"].is_boolean() || found["ok"].is_null());
            let [check, detail, remedy] =
                ["check", "detail", "remedy"].map(|name| text(&found[name]));
            (check, found["ok"].as_bool(), detail, remedy)
        })
        .collect();
    let failed = findings.iter().any(|(_, ok, ..)| *ok == Some(false));
    assert_eq!(output.status.code(), Some(i32::from(failed)));
    findings
}

/// The app of a fault, and what belongs to it.
pub struct Patient {
    pub app: TestApp,
    pub settings: Settings,
    pub folder: Folder,
}

impl Patient {
    pub async fn new() -> Self {
        let app = TestApp::spawn().await;
        let settings = app.settings.clone();
        let folder = Folder::new();
        Self {
            app,
            settings,
            folder,
        }
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    /// The check that fails, with words of its detail and of its remedy. Checks that the fault
    /// takes along may not be done, but no other check fails.
    pub async fn assert_only(&self, fails: &str, detail: &str, remedy: &str) {
        self.assert_fails(&[fails], detail, remedy).await;
    }

    pub async fn assert_fails(&self, fails: &[&str], detail: &str, remedy: &str) {
        let all = findings(&self.settings).await;
        let failed: Vec<_> = all
            .iter()
            .filter(|(_, ok, ..)| *ok == Some(false))
            .collect();
        let (_, _, found, advice) = failed.first().unwrap_or_else(|| panic!("{all:#?}"));
        assert!(found.contains(detail), "no {detail:?} in {all:#?}");
        assert!(advice.contains(remedy), "no {remedy:?} in {all:#?}");
        for (check, _, _, advice) in &failed {
            assert!(
                fails.iter().any(|it| check.starts_with(it)),
                "{check} fails: {all:#?}"
            );
            assert!(!advice.is_empty(), "{check} has no remedy");
        }
    }

    /// Leads one endpoint to an address where every request gets this answer.
    pub async fn answer(&mut self, name: &str, path: &str, answer: &'static str) {
        let address = stand_in(answer).await;
        self.set(name, format!("http://{address}{path}"));
    }
}

/// A server that gives every client the same answer.
pub async fn stand_in(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 8192]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_healthy_configuration_passes_every_check() {
    let patient = Patient::new().await;
    patient.app.signed_in("ada").await;
    let output = run(&patient.settings, &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(!text.contains('✗') && !text.contains('–'), "{text}");
    for check in [
        "configuration: complete",
        "secret files",
        &format!("redirect URI: {}/auth/callback", patient.app.url),
        "cookies: sid=…; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax",
        "proxy",
        "DNS of 127.0.0.1",
        "TCP to 127.0.0.1",
        "HTTP of 127.0.0.1",
        "clock of 127.0.0.1",
        "authorization request: accepted",
        "client id and secret: accepted",
        "revocation endpoint: answers",
        "user API: answers",
        "user API version 1: answers",
        "database: answers, as role postgres",
        "database encoding: UTF8",
        "database writable: yes",
        "migrations: all are applied",
        "rights of the role",
        "connection limit: each server opens up to 12",
        "clock of the database: agrees",
        "keys: TOKEN_KEYS has the keys of all 2 stored tokens",
    ] {
        assert!(
            text.contains(&format!("✓ {check}")),
            "no {check:?} in {text}"
        );
    }
    let found = findings(&patient.settings).await;
    assert_eq!(
        found.len(),
        text.lines().filter(|it| it.starts_with('✓')).count()
    );
    // An https address, as in production.
    let mut settings = patient.settings.clone();
    settings.insert("PUBLIC_URL".to_owned(), "https://app.example".to_owned());
    settings.insert("MATRICA_REVOCATION_ENDPOINT".to_owned(), "off".to_owned());
    let found = findings(&settings).await;
    let of = |check: &str| found.iter().find(|(found, ..)| found == check).unwrap();
    assert_eq!(of("redirect URI").2, "https://app.example/auth/callback");
    let cookie = "__Host-sid=…; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure";
    assert_eq!(of("cookies").2, cookie);
    assert!(of("proxy").3.contains("TRUSTED_PROXY_HOPS=1"));
    assert!(of("revocation endpoint").2.contains("off"));
    // Not registered at the provider.
    assert!(
        of("authorization request")
            .3
            .contains("https://app.example/auth/callback")
    );
}

#[tokio::test]
async fn mistakes_of_the_configuration_are_listed_and_the_rest_is_checked() {
    let mut patient = Patient::new().await;
    patient
        .set("MATRICA_CLIENT_ID", "")
        .set("PUBLIC_URL", "http://app.example")
        .set("MATRICA_CLEINT_ID", "test-app");
    let all = findings(&patient.settings).await;
    let has = |check: &str, ok: Option<bool>, words: &str| {
        let mut all = all.iter();
        all.any(|(found, is, detail, remedy)| {
            found == check && *is == ok && format!("{detail} {remedy}").contains(words)
        })
    };
    for (check, ok, words) in [
        (
            "configuration",
            Some(false),
            "MATRICA_CLIENT_ID is required",
        ),
        (
            "configuration",
            Some(false),
            "PUBLIC_URL must start with https://",
        ),
        ("configuration", Some(false), "docs/configuration.md"),
        ("configuration", None, "MATRICA_CLEINT_ID is not a variable"),
        ("redirect URI", None, "PUBLIC_URL has failed"),
        ("client id and secret", None, "configuration has failed"),
        ("HTTP of 127.0.0.1", None, ""),
        ("migrations", Some(true), ""),
        ("keys", Some(true), "0 stored tokens"),
    ] {
        let found = has(check, ok, words)
            || ok.is_none()
                && all
                    .iter()
                    .any(|it| it.0.starts_with(check) && it.1 == Some(true));
        assert!(found, "no {check} {words:?} in {all:#?}");
    }
    // With nothing at all, the real provider is not asked.
    let nothing = ["AUTHORIZATION", "TOKEN", "REVOCATION"].map(|name| format!("{name}_ENDPOINT"));
    let names = nothing
        .iter()
        .map(String::as_str)
        .chain(["USER_API", "USER_API_V1"]);
    let names = names.map(|name| (format!("MATRICA_{name}"), "http://localhost:1".to_owned()));
    let all = findings(&names.collect()).await;
    let missing = all
        .iter()
        .filter(|(_, ok, detail, _)| *ok == Some(false) && detail.contains("is required"));
    assert_eq!(missing.count(), 5, "{all:#?}");
}

#[tokio::test]
async fn faults_of_the_provider_are_found() {
    let mut patient = Patient::new().await;
    patient.set("MATRICA_CLIENT_SECRET", "another secret");
    patient
        .assert_only(
            "client id and secret",
            "invalid_client",
            "MATRICA_CLIENT_SECRET",
        )
        .await;

    let mut patient = Patient::new().await;
    patient.set("MATRICA_CLIENT_ID", "another-app");
    let both = ["client id and secret", "authorization request"];
    patient.assert_fails(&both, "", "MATRICA_CLIENT_ID").await;

    let mut patient = Patient::new().await;
    let closed = format!("http://127.0.0.1:{}/oauth2/token", free_port());
    patient.set("MATRICA_TOKEN_ENDPOINT", closed);
    patient
        .assert_only("TCP to", "connection refused", "MATRICA_TOKEN_ENDPOINT")
        .await;

    let mut patient = Patient::new().await;
    patient.set("MATRICA_USER_API", "https://no-such-host.invalid/user");
    patient
        .assert_only(
            "DNS of no-such-host.invalid",
            "no address",
            "MATRICA_USER_API",
        )
        .await;

    let mut patient = Patient::new().await;
    let old = "HTTP/1.1 401 \r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    patient.answer("MATRICA_USER_API", "/user", old).await;
    patient
        .assert_only("clock of", "s behind ours", "NTP")
        .await;

    let mut patient = Patient::new().await;
    let page = json!({ "status": 200, "body": "<html>Log in</html>" });
    patient.app.provider.fault("token", page).await;
    patient
        .assert_only(
            "client id and secret",
            "not a JSON object",
            "MATRICA_TOKEN_ENDPOINT",
        )
        .await;
    patient
        .app
        .provider
        .fault("token", json!({ "status": 503 }))
        .await;
    patient
        .assert_only("client id and secret", "503", "Try again later")
        .await;
    // A refusal without a reason proves nothing.
    patient
        .app
        .provider
        .fault("token", json!({ "status": 400, "body": "no" }))
        .await;
    let all = findings(&patient.settings).await;
    let found = all
        .iter()
        .find(|(check, ..)| check == "client id and secret")
        .unwrap();
    assert_eq!(found.1, None, "{found:?}");

    patient.set(
        "MATRICA_REVOCATION_ENDPOINT",
        format!("{}/nowhere", patient.app.provider.url),
    );
    patient
        .assert_only("revocation endpoint", "404", "MATRICA_REVOCATION_ENDPOINT")
        .await;

    let mut patient = Patient::new().await;
    patient.set(
        "MATRICA_USER_API",
        format!("{}/nowhere", patient.app.provider.url),
    );
    patient
        .assert_only("user API", "404", "MATRICA_USER_API")
        .await;

    let mut patient = Patient::new().await;
    patient.set(
        "MATRICA_AUTHORIZATION_ENDPOINT",
        format!("{}/nowhere", patient.app.provider.url),
    );
    patient
        .assert_only(
            "authorization request",
            "no such page",
            "MATRICA_AUTHORIZATION_ENDPOINT",
        )
        .await;
}

#[tokio::test]
async fn faults_of_tls_are_found_within_a_bound() {
    let mut patient = Patient::new().await;
    let front = TlsFront::spawn(patient.folder.path(), &patient.app.provider.url).await;
    front.change(&mut patient.settings);
    assert!(
        findings(&patient.settings)
            .await
            .iter()
            .all(|(_, ok, ..)| *ok == Some(true))
    );
    for (shows, reason) in [
        (Shows::AnotherHost, "the certificate is for another host"),
        (Shows::Expired, "the certificate has expired"),
        (Shows::UnknownAuthority, "unknown authority"),
        (Shows::Plain, "the handshake failed"),
        (Shows::Silence, ""),
    ] {
        front.show(shows);
        let started = Instant::now();
        patient
            .assert_only("TLS of", reason, "MATRICA_TOKEN_ENDPOINT")
            .await;
        assert!(
            started.elapsed() < BOUND,
            "{shows:?} took {:?}",
            started.elapsed()
        );
    }
}
