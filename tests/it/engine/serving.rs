//! The server process starts fast and only on its own schema, stays small, and stops in time.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Process, TestApp, TestDatabase, Wire, eventually, process};

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_start_on_a_schema_that_is_not_its_own_and_says_what_to_run() {
    let app = TestApp::spawn().await;
    let empty = TestDatabase::create_empty().await;
    let mut settings = app.settings.clone();
    settings.insert("DATABASE_URL".into(), empty.url.clone());
    let (behind, migrated, again, ready) = {
        let settings = settings.clone();
        blocking(move || {
            let behind = Process::serve(&settings).wait();
            let migrate = || process::command(&settings).arg("migrate").output().unwrap();
            let (migrated, again) = (migrate(), migrate());
            (behind, migrated, again, Process::serve_ready(&settings))
        })
        .await
    };
    assert!(
        !behind.0.success() && behind.1.contains("run `matrica-starter migrate` first"),
        "{}",
        behind.1
    );
    assert!(
        migrated.status.success(),
        "{}",
        String::from_utf8_lossy(&migrated.stderr)
    );
    assert!(String::from_utf8_lossy(&again.stdout).contains("up to date"));
    drop(ready);
    sqlx::query("update _sqlx_migrations set checksum = '\\x00' where version = 1")
        .execute(&empty.pool)
        .await
        .unwrap();
    let different = blocking(move || Process::serve(&settings).wait()).await;
    assert!(
        !different.0.success() && different.1.contains("does not belong to this database"),
        "{}",
        different.1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_migrations_at_once_do_not_disturb_each_other() {
    let app = TestApp::spawn().await;
    let empty = TestDatabase::create_empty().await;
    let mut settings = app.settings.clone();
    settings.insert("DATABASE_URL".into(), empty.url.clone());
    let run = |settings| {
        blocking(move || {
            process::command(&settings)
                .arg("migrate")
                .status()
                .unwrap()
                .success()
        })
    };
    let (a, b, c) = tokio::join!(
        run(settings.clone()),
        run(settings.clone()),
        run(settings.clone())
    );
    assert!(a && b && c);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_readiness_tell_the_truth() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    browser.get("/healthz").await.assert_status(200);
    browser.get("/readyz").await.assert_status(200);
    app.provider.fault("token", json!({ "status": 500 })).await;
    browser.get("/readyz").await.assert_status(200);
    let (settings, url) = (app.settings.clone(), app.url.replace("http://", ""));
    let healthcheck = move || {
        process::command(&settings)
            .arg("healthcheck")
            .env("LISTEN_ADDR", &url)
            .output()
            .unwrap()
    };
    assert!(blocking(healthcheck.clone()).await.status.success());
    app.sql("delete from _sqlx_migrations where version = 4")
        .await;
    eventually("not ready", async || {
        browser.get("/readyz").await.status == 503
    })
    .await;
    browser.get("/healthz").await.assert_status(200);
    let not_ready = blocking(healthcheck).await;
    assert!(!not_ready.status.success());
    assert!(String::from_utf8_lossy(&not_ready.stderr).contains("schema"));
    app.engine.db.close();
    tokio::time::sleep(Duration::from_millis(300)).await;
    browser.get("/readyz").await.assert_status(503);
    browser.get("/healthz").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_a_login_under_way_is_finished_and_the_process_ends_in_time() {
    let app = TestApp::spawn().await;
    let process = Process::start(&app.settings).await;
    app.provider
        .fault("token", json!({ "delay_ms": 1500 }))
        .await;
    let mut browser = app.browser();
    let callback = browser
        .start_and_consent(&app.provider, "ada")
        .await
        .replace(&app.url, &process.url);
    // Three sockets that block a server without limits. One is silent, one sent half a head, one
    // half a body.
    let half = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(&process.address).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let silent = (half(b""), half(b"GET / HTTP/1.1\r\nHost: x\r\nX-Half:"), half(b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nreturn"));
    let login = tokio::spawn(async move { browser.get(&callback).await });
    app.provider.called("token", 1).await;
    let stopped = Instant::now();
    process.signal("TERM");
    login.await.unwrap().assert_redirect("/account");
    let (status, log) = process.ended().await;
    assert!(status.success(), "{status}: {log}");
    assert!(
        stopped.elapsed() < Duration::from_secs(20),
        "took {:?}",
        stopped.elapsed()
    );
    assert_eq!(
        app.count("select count(*) from sessions join grants using (user_id)")
            .await,
        1
    );
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_is_closed_after_a_while() {
    let app = TestApp::spawn().await;
    let address = app.url.replace("http://", "");
    let closed = blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Half:")
            .unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .unwrap();
        let started = Instant::now();
        let _ = stream.read_to_end(&mut Vec::new()).unwrap();
        started.elapsed()
    })
    .await;
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(13)).contains(&closed),
        "{closed:?}"
    );
}

#[test]
fn help_names_every_subcommand() {
    let help = Command::new(process::BINARY)
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for subcommand in [
        "serve",
        "migrate",
        "dev",
        "demo-provider",
        "keys",
        "healthcheck",
    ] {
        assert!(
            help.contains(subcommand),
            "{subcommand} is missing in {help}"
        );
    }
}

/// Strangers may ask as well, and the probe of a balancer must not wait behind them.
#[tokio::test]
async fn a_thousand_questions_for_readiness_are_one_query() {
    let first = TestApp::spawn().await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_on(&wire).await;
    first.listening(2).await;
    app.browser().get("/readyz").await.assert_status(200);
    wire.quiet().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = wire.round_trips();
    let ask = async |_| app.browser().get("/readyz").await.assert_status(200);
    let started = Instant::now();
    futures_util::future::join_all((0..1_000).map(ask)).await;
    let quarters = u64::try_from(started.elapsed().as_millis() / 250).unwrap();
    wire.quiet().await;
    let asked = wire.round_trips() - before;
    assert!((1..=quarters + 1).contains(&asked), "{asked} in {quarters}");
}

#[tokio::test]
async fn readiness_does_not_wait_for_the_pool_that_people_use() {
    let app = TestApp::with(&[("DATABASE_MAX_CONNECTIONS", "1")]).await;
    let busy = sqlx::query("select pg_sleep(2.5)").execute(&app.engine.db);
    let asked = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let started = std::time::Instant::now();
        app.browser().get("/readyz").await.assert_status(200);
        assert!(started.elapsed() < Duration::from_secs(1));
    };
    let (busy, ()) = tokio::join!(busy, asked);
    busy.unwrap();
}
