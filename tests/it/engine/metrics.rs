//! The metrics that operators see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use matrica_starter::engine::http::gauges;
use matrica_starter::engine::sign_in::Refusal;
use matrica_starter::engine::workers::census;
use reqwest::Method;
use serde_json::json;
use strum::IntoEnumIterator as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::browser::client;
use crate::support::scrape::Scrape;
use crate::support::{Answer, Process, TestApp, process};

/// Connections that the listener of metrics serves at once.
const PLACES: usize = 16;

/// One line of the catalogue for each metric: name, type, labels and meaning.
fn catalogue(text: &str) -> String {
    let mut labels = BTreeMap::<&str, BTreeSet<&str>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, of_series) = series.split_once('{').unwrap_or((series, ""));
        let pairs = of_series.trim_end_matches('}').split("\",");
        let names = pairs.filter_map(|pair| Some(pair.split_once("=\"")?.0));
        let known = labels.entry(name).or_default();
        known.extend(names.filter(|name| *name != "le"));
    }
    let mut rows = Vec::new();
    let mut lines = text.lines().filter(|line| line.starts_with("# "));
    while let Some(help) = lines.next().and_then(|line| line.strip_prefix("# HELP ")) {
        let (name, meaning) = help.split_once(' ').unwrap();
        let kind = lines.next().unwrap().rsplit(' ').next().unwrap();
        let series = match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            "histogram" => format!("{name}_bucket"),
            _ => name.to_owned(),
        };
        let names = labels.get(series.as_str()).into_iter().flatten();
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let shown = series.trim_end_matches("_bucket");
        let meaning = meaning.trim_end_matches('.');
        rows.push(format!(
            "| `{shown}` | {kind} | {} | {meaning} |",
            names.join(", ")
        ));
    }
    rows.sort();
    rows.join("\n")
}

#[tokio::test]
async fn the_catalogue_lists_every_metric() {
    let app = TestApp::spawn().await;
    census::count(&app.engine).await.unwrap();
    let expected = catalogue(&gauges::text(&app.engine).await.unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = fs::read_to_string(path).unwrap();
    let (page, _) = page.split_once("## Alerts").unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let listed: Vec<_> = rows.collect();
    assert_eq!(
        listed.join("\n"),
        expected,
        "the table should be:\n{expected}"
    );
}

#[tokio::test]
async fn every_outcome_is_there_from_the_start() {
    let app = TestApp::spawn().await;
    let metrics = Scrape::of(&app.engine).await;
    for refusal in Refusal::iter() {
        let reason = refusal.name();
        let series = format!("matrica_sign_ins_refused_total{{reason=\"{reason}\"}}");
        metrics.expect(&series, 0.0);
    }
    for outcome in [
        "rotated",
        "renewed",
        "ended",
        "outdated",
        "failed",
        "unanswered",
        "superseded",
        "lost",
    ] {
        let series = format!("matrica_refreshes_total{{outcome=\"{outcome}\"}}");
        metrics.expect(&series, 0.0);
    }
    let last = r#"matrica_provider_last_success_timestamp_seconds{provider="matrica",endpoint="exchange"}"#;
    metrics.expect(last, 0.0);
    metrics.expect("matrica_ready", 1.0);
}

#[tokio::test]
async fn a_sign_in_is_counted_with_its_calls() {
    let app = TestApp::spawn().await;
    let before = Scrape::of(&app.engine).await;
    app.provider
        .fault("token", json!({ "delay_ms": 300, "times": 1 }))
        .await;
    app.signed_in("ada").await;
    let after = Scrape::of(&app.engine).await;
    let growth = after.growth_since(&before);
    for series in [
        "matrica_sign_ins_started_total",
        "matrica_sign_ins_finished_total",
        r#"matrica_provider_calls_total{provider="matrica",endpoint="exchange",class="success"}"#,
        r#"matrica_provider_calls_total{provider="matrica",endpoint="identity",class="success"}"#,
        r#"matrica_http_requests_total{route="/auth/callback",class="3xx"}"#,
        r#"matrica_callback_duration_seconds_count{part="own"}"#,
    ] {
        assert_eq!(growth.get(series), Some(&1.0), "{series} in {growth:#?}");
    }
    let sum = |part: &str| {
        after.get(&format!(
            "matrica_callback_duration_seconds_sum{{part=\"{part}\"}}"
        ))
    };
    assert!(
        sum("provider") >= 0.3,
        "the provider took {}",
        sum("provider")
    );
    let callback =
        after.get(r#"matrica_http_request_duration_seconds_sum{route="/auth/callback"}"#);
    assert!(
        sum("own") < callback - 0.29,
        "our part is {} of {callback}",
        sum("own")
    );
}

#[tokio::test]
async fn refreshes_are_counted_by_outcome() {
    let app = TestApp::without_cache(&[]).await;
    app.signed_in("ada").await;
    let user_id = app.user_id().await;
    let outcomes = [
        (json!({ "status": 503 }), "failed"),
        (json!({ "close": "before_headers" }), "unanswered"),
        (
            json!({ "status": 400, "body": r#"{"error":"invalid_grant"}"# }),
            "ended",
        ),
    ];
    let mut before = Scrape::of(&app.engine).await;
    let mut refresh = async |outcome: &str| {
        app.sql("update grants set access_expires_at = now(), retry_at = null")
            .await;
        // The log of the test has the error.
        let _ = app.engine.vault.access_token(user_id).await;
        let after = Scrape::of(&app.engine).await;
        let series = format!("matrica_refreshes_total{{outcome=\"{outcome}\"}}");
        let growth = after.growth_since(&before);
        assert!(
            growth.contains_key(series.as_str()),
            "{series} in {growth:#?}"
        );
        before = after;
    };
    refresh("rotated").await;
    for (fault, outcome) in outcomes {
        app.provider.fault("refresh", fault).await;
        refresh(outcome).await;
        app.provider.mend().await;
    }
}

#[tokio::test]
async fn stored_rows_are_counted() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.sql(
        "insert into sessions (id_hash, user_id, data, device, expires_at)
         select sha256('old'), user_id, data, device, now() - interval '3 hours' from sessions limit 1",
    )
    .await;
    census::count(&app.engine).await.unwrap();
    let metrics = Scrape::of(&app.engine).await;
    metrics.expect("matrica_users", 1.0);
    metrics.expect("matrica_sessions", 1.0);
    let sealed = metrics
        .0
        .iter()
        .find(|(name, _)| name.starts_with("matrica_sealed_tokens{key="));
    assert_eq!(sealed.map(|(_, tokens)| *tokens), Some(2.0));
    assert!(metrics.get("matrica_sweeper_lag_seconds") > 10_000.0);
    assert!(metrics.get("matrica_counted_timestamp_seconds") > 0.0);
}

#[tokio::test]
async fn metrics_have_an_address_of_their_own() {
    let app = TestApp::spawn().await;
    let port = process::free_port();
    let address = format!("127.0.0.1:{port}");
    let mut settings = app.settings.clone();
    settings.insert("METRICS_ADDR".to_owned(), address.clone());
    settings.insert("DRAIN_DELAY".to_owned(), "2s".to_owned());
    let server = Process::start(&settings).await;
    server.logged("metrics_listening").await;
    let ask = async |path: &str| {
        let url = format!("http://{address}{path}");
        Answer::read(client().get(url).send().await.unwrap()).await
    };
    let answer = ask("/metrics").await;
    let media_type = answer.headers["content-type"].to_str().unwrap();
    assert!(
        media_type.starts_with("application/openmetrics-text; version=1.0.0"),
        "{media_type}"
    );
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    Scrape::parse(&answer.body).expect("matrica_ready", 1.0);
    assert!(
        answer.body.contains("matrica_build_info{version="),
        "{}",
        answer.body
    );
    assert_eq!(ask("/account").await.status, 404);
    let public = app
        .browser()
        .request(Method::GET, "/metrics")
        .send()
        .await
        .unwrap();
    assert_eq!(public.status(), 404, "the public address must not have it");
    // The last scrape sees the drain.
    server.signal("TERM");
    server.logged("draining").await;
    Scrape::parse(&ask("/metrics").await.body).expect("matrica_ready", 0.0);
    let (status, log) = server.ended().await;
    assert!(status.success(), "{log}");
}

#[tokio::test]
async fn a_refusal_counts_even_if_the_grant_stays() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    app.signed_in("ada").await;
    let user_id = app.user_id().await;
    app.expire_access_tokens(1).await;
    let refusal = json!({ "status": 400, "body": r#"{"error":"invalid_grant"}"# });
    app.provider.fault("refresh", refusal).await;
    let before = Scrape::of(&app.engine).await;
    wire.quiet().await;
    // No statement is prepared, so its text is on the wire.
    app.engine.db.renew();
    wire.cut_within("delete from grants where id");
    let refused = app.engine.vault.access_token(user_id).await;
    assert!(refused.is_err());
    wire.is_cut().await;
    wire.mend();
    assert_eq!(app.count("select count(*) from grants").await, 1);
    let after = Scrape::of(&app.engine).await;
    let growth = after.growth_since(&before);
    let ended = growth.get(r#"matrica_refreshes_total{outcome="ended"}"#);
    assert_eq!(ended, Some(&1.0), "{growth:#?}");
}

/// Silent connections fill the places, and each is closed after 10 s.
#[tokio::test]
async fn silent_connections_hold_a_scrape_up_and_end() {
    let app = TestApp::spawn().await;
    let port = process::free_port();
    let address = format!("127.0.0.1:{port}");
    let listening = gauges::listen(address.parse().unwrap(), &app.engine);
    listening.await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..PLACES {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    let started = Instant::now();
    let scrape = client().get(format!("http://{address}/metrics")).send();
    let answer = tokio::time::timeout(Duration::from_secs(20), scrape).await;
    let answer = answer.expect("an answer in time").unwrap();
    assert_eq!(answer.status(), 200);
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(8), "{waited:?}");
    for mut connection in silent {
        let read = connection.read(&mut [0; 1]).await;
        assert!(matches!(read, Ok(0)), "{read:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_stops_the_start() {
    let app = TestApp::spawn().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut settings = app.settings.clone();
    settings.insert("METRICS_ADDR".to_owned(), address);
    let server = Process::serve(&settings);
    let ended = tokio::time::timeout(Duration::from_secs(20), server.ended());
    let (status, log) = ended.await.expect("the server runs without its metrics");
    assert!(!status.success());
    assert!(log.contains("METRICS_ADDR"), "{log}");
}
