//! The alert rules. Each fires on its fault, measured on a real server, and none without a fault.
//!
//! A scenario scrapes a server before and after a fault. promtool then evaluates the rules over half
//! an hour in which the fault goes on.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use matrica_starter::engine::seal::Keyring;
use matrica_starter::engine::session::SessionId;
use matrica_starter::engine::workers::census;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::alerts::{RULES, expect, firing, healthy, promtool};
use crate::support::scrape::Scrape;
use crate::support::{TestApp, eventually, folder::Folder};

const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana/dashboard.json");

/// More than `ServerOverloaded` tolerates.
const REQUESTS: usize = 905;
/// More than the pool has connections.
const VISITS: usize = 10;

fn alerts() -> Vec<String> {
    let rules = fs::read_to_string(RULES).unwrap();
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

#[test]
fn the_rules_pass_their_own_tests() {
    let path = Path::new(RULES).with_file_name("alerts_test.yml");
    let (passed, output) = promtool(&["test", "rules"], &path);
    assert!(passed, "{output}");
    let tests = fs::read_to_string(path).unwrap();
    for alert in alerts() {
        let count = tests.matches(&format!("alertname=\"{alert}\"")).count();
        assert!(
            count >= 2,
            "{alert} must fire in one test and be silent in another"
        );
    }
}

#[test]
fn the_catalogue_explains_every_alert() {
    let page = include_str!("../../../docs/metrics.md");
    for alert in alerts() {
        assert!(page.contains(&format!("| `{alert}` |")), "{alert}");
    }
}

#[tokio::test]
async fn healthy_visits_fire_nothing() {
    let app = TestApp::without_cache(&[("RATE_LIMIT", "off")]).await;
    app.signed_in("ada").await;
    let before = healthy(&app).await;
    for person in ["ada", "collector", "empty"] {
        let mut browser = app.signed_in(person).await;
        for path in ["/", "/settings", "/login", "/no-such-page"] {
            browser.get(path).await;
        }
        app.sql("update grants set access_expires_at = now()").await;
        browser.get("/account/wallets").await;
        browser.post("/logout", &[]).await;
    }
    // Somebody cancels.
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let (_, query) = callback.split_once('?').unwrap();
    let state = query
        .split('&')
        .find(|pair| pair.starts_with("state="))
        .unwrap();
    browser
        .get(&format!("/auth/callback?error=access_denied&{state}"))
        .await;
    census::count(&app.engine).await.unwrap();
    expect(&before, &Scrape::of(&app.engine).await, &[]);
}

#[tokio::test]
async fn a_database_that_is_away_is_noticed() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut browser = app.signed_in("ada").await;
    let before = healthy(&app).await;
    wire.cut();
    tokio::time::sleep(Duration::from_millis(300)).await;
    browser.get("/settings").await;
    let after = Scrape::of(&app.engine).await;
    expect(
        &before,
        &after,
        &["DatabaseDown", "ServerErrors", "ServerNotReady"],
    );
}

#[tokio::test]
async fn foreign_keys_are_noticed() {
    let new_key = || Keyring::generate("k1").expose_secret().to_owned();
    let app = TestApp::with(&[("TOKEN_KEYS", &new_key())]).await;
    app.signed_in("ada").await;
    app.signed_in("collector").await;
    let other = app.replica_with(&[("TOKEN_KEYS", &new_key())]).await;
    let before = healthy(&other).await;
    eventually("the key is wrong", async || {
        other.engine.vault.check_keys().await;
        Scrape::of(&other.engine)
            .await
            .get("matrica_token_keys_right")
            == 0.0
    })
    .await;
    let after = Scrape::of(&other.engine).await;
    let alerts = firing(&before, Some(&after));
    assert!(
        alerts.contains("TokenKeysWrong") && alerts.contains("ServerNotReady"),
        "{alerts:?}"
    );
}

#[tokio::test]
async fn a_refused_application_is_noticed() {
    let app = TestApp::spawn().await;
    let before = healthy(&app).await;
    let refusal = json!({ "status": 401, "body": r#"{"error":"invalid_client"}"# });
    app.provider.fault("token", refusal).await;
    app.browser().sign_in(&app.provider, "ada").await;
    let after = Scrape::of(&app.engine).await;
    expect(
        &before,
        &after,
        &["ApplicationRefused", "NoSignInSucceeds", "SignInsFail"],
    );
}

#[tokio::test]
async fn people_who_never_come_back_are_noticed() {
    let app = TestApp::spawn().await;
    let before = healthy(&app).await;
    app.browser().start("/").await;
    expect(
        &before,
        &Scrape::of(&app.engine).await,
        &["NoSignInSucceeds"],
    );
}

#[tokio::test]
async fn foreign_callbacks_are_noticed() {
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    let before = healthy(&app).await;
    let mut browser = app.browser();
    for number in 0..70 {
        browser
            .get(&format!("/auth/callback?code=junk&state=junk-{number}"))
            .await;
    }
    expect(
        &before,
        &Scrape::of(&app.engine).await,
        &["ForeignCallbacks"],
    );
}

#[tokio::test]
async fn a_provider_that_fails_is_noticed() {
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    let before = healthy(&app).await;
    app.provider.fault("token", json!({ "status": 503 })).await;
    // The breaker refuses the last one.
    for _ in 0..10 {
        app.browser().sign_in(&app.provider, "ada").await;
    }
    let alerts = firing(&before, Some(&Scrape::of(&app.engine).await));
    assert!(
        alerts.contains("ProviderBreakerOpen") && alerts.contains("SignInsFail"),
        "{alerts:?}"
    );
}

#[tokio::test]
async fn a_slow_provider_is_noticed() {
    let app = TestApp::spawn().await;
    let before = healthy(&app).await;
    app.provider
        .fault("profile", json!({ "delay_ms": 2_500 }))
        .await;
    app.signed_in("ada").await;
    expect(&before, &Scrape::of(&app.engine).await, &["ProviderSlow"]);
}

#[tokio::test]
async fn refreshes_that_fail_are_noticed() {
    for (fault, alert) in [
        (json!({ "status": 503 }), "RefreshesFail"),
        (
            json!({ "status": 400, "body": r#"{"error":"invalid_grant"}"# }),
            "GrantsEnd",
        ),
    ] {
        let app = TestApp::spawn().await;
        app.signed_in("ada").await;
        app.expire_access_tokens(1).await;
        let before = healthy(&app).await;
        app.provider.fault("refresh", fault).await;
        let token = app.engine.vault.access_token(app.user_id().await).await;
        token.expect_err("the refresh succeeds");
        expect(&before, &Scrape::of(&app.engine).await, &[alert]);
    }
}

#[tokio::test]
async fn work_that_falls_behind_is_noticed() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let before = healthy(&app).await;
    app.sql("update sessions set expires_at = now() - interval '3 hours'")
        .await;
    app.sql("insert into jobs (name) values ('late')").await;
    app.sql(
        "insert into job_turns (user_id, job, due_at)
         select id, 'late', now() - interval '3 hours' from users",
    )
    .await;
    app.sql(
        "insert into revocations (grant_id, user_id, generation, access_token, provider, due_at)
         select id, user_id, generation, access_token, provider, now() - interval '3 hours' from grants",
    )
    .await;
    census::count(&app.engine).await.unwrap();
    let after = Scrape::of(&app.engine).await;
    let alerts = firing(&before, Some(&after));
    for alert in ["RevocationsLate", "SweeperLate", "JobsLate"] {
        assert!(alerts.contains(alert), "{alerts:?}");
    }
}

#[tokio::test]
async fn rows_that_nobody_counts_are_noticed() {
    let app = TestApp::spawn().await;
    let metrics = Scrape::of(&app.engine).await;
    expect(&metrics, &metrics, &["CountsMissing"]);
}

#[tokio::test]
async fn calls_that_wait_for_a_connection_are_noticed() {
    let app = TestApp::with(&[("DATABASE_MAX_CONNECTIONS", "2"), ("RATE_LIMIT", "off")]).await;
    let before = healthy(&app).await;
    let mut locked = app.transaction().await;
    let lock = sqlx::query("lock table sessions in access exclusive mode");
    lock.execute(&mut *locked).await.unwrap();
    let cookie = || {
        let (session, day) = (SessionId::generate(), Duration::from_hours(24));
        let cookie = app.engine.cookie_names.session(session, day);
        cookie
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    };
    let visits = (0..VISITS).map(|_| {
        let request = app.browser().request(Method::GET, "/settings");
        request.header("cookie", cookie()).send()
    });
    let visits = futures_util::future::join_all(visits);
    let scrape = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        Scrape::of(&app.engine).await
    };
    let (_, after) = tokio::join!(visits, scrape);
    let alerts = firing(&before, Some(&after));
    assert!(alerts.contains("DatabasePoolExhausted"), "{alerts:?}");
}

/// Their bodies do not come.
#[tokio::test]
async fn requests_that_pile_up_are_noticed() {
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    let before = healthy(&app).await;
    let address = app.url.trim_start_matches("http://");
    let mut waiting = Vec::new();
    for _ in 0..REQUESTS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /auth/login HTTP/1.1\r\nhost: {address}\r\norigin: {origin}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: 9\r\n\r\n",
            origin = app.url,
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    eventually("requests wait", async || {
        Scrape::of(&app.engine)
            .await
            .get("matrica_http_requests_in_flight")
            > 900.0
    })
    .await;
    expect(
        &before,
        &Scrape::of(&app.engine).await,
        &["ServerOverloaded"],
    );
}

#[tokio::test]
async fn a_server_that_is_gone_is_noticed() {
    let app = TestApp::spawn().await;
    let alerts = firing(&healthy(&app).await, None);
    assert_eq!(alerts.into_iter().collect::<Vec<_>>(), ["ServerMissing"]);
}

#[test]
fn every_query_of_the_dashboard_is_valid() {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(DASHBOARD).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len(), "two panels have the same id");
    let catalogue = include_str!("../../../docs/metrics.md");
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{title}"
        );
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title} has no unit"
        );
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            let query = target["expr"].as_str().unwrap();
            // Grafana puts it in.
            let query = query
                .replace("$__rate_interval", "5m")
                .replace("$instance", ".*");
            assert!(
                query.contains("instance=~"),
                "{title} shows other instances too"
            );
            writeln!(
                rules,
                "      - {{ record: \"a:b\", expr: {} }}",
                json!(query)
            )
            .unwrap();
            for name in query.split(|c: char| !c.is_alphanumeric() && c != '_') {
                if !name.starts_with("matrica_") && !name.starts_with("process_") {
                    continue;
                }
                let parts = ["_bucket", "_sum", "_count"];
                let family = parts.iter().find_map(|part| name.strip_suffix(part));
                let family = family.unwrap_or(name);
                assert!(
                    catalogue.contains(&format!("| `{family}` |")),
                    "{title}: {name}"
                );
            }
        }
    }
    let folder = Folder::new();
    let path = folder.path().join("rules.yml");
    fs::write(&path, rules).unwrap();
    let (passed, output) = promtool(&["check", "rules"], &path);
    assert!(passed || output.contains("duplicate"), "{output}");
}
