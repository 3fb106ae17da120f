//! The session cache saves the query of a page view, and never admits a session that has ended.

use std::{
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use axum::routing::get;
use futures_util::FutureExt as _;
use matrica_starter::{
    app::{error_page, routes::table},
    engine::{
        db::{logins::NewSession, sessions::SessionHash},
        http::{self, Access, Route},
        matrica::{Identity, SubjectSource},
        notifier::Notifier,
    },
};
use reqwest::Method;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::support::{Answer, Browser, Process, TestApp, Wire, eventually_within};

/// How long other processes may accept an ended session, with a notification of the database and
/// without.
const TOLD: Duration = Duration::from_secs(1);
const UNTOLD: Duration = Duration::from_secs(5);

async fn is_let_in(browser: &Browser, url: &str) -> bool {
    browser.clone().get(&format!("{url}/settings")).await.status == 200
}

#[tokio::test]
async fn a_signed_in_page_view_asks_the_database_nothing() {
    let first = TestApp::spawn().await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_with(&[("DATABASE_URL", &wire.url)]).await;
    let mut browser = first.signed_in("ada").await;
    let home = format!("{}/", app.url);
    app.listening(2).await;
    wire.quiet().await;
    browser.get(&home).await.assert_contains("Hello");
    wire.quiet().await;
    let before = wire.round_trips();
    for _ in 0..50 {
        browser.get(&home).await.assert_contains("Hello");
    }
    assert_eq!(wire.round_trips() - before, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_on_one_process_ends_on_the_other_within_a_second() {
    let app = TestApp::spawn().await;
    let process = Process::start(&app.settings).await;
    app.listening(2).await;
    for (way, form) in [
        ("/auth/logout", &[][..]),
        ("/settings/sessions/end-all", &[]),
        ("/settings/delete", &[("confirm", "yes")]),
    ] {
        let mut browser = app.signed_in("ada").await;
        let stolen = browser.clone();
        assert!(is_let_in(&stolen, &process.url).await, "known there now");
        browser.post(way, form).await.assert_status(303);
        let ended = Instant::now();
        assert!(
            !is_let_in(&stolen, &app.url).await,
            "{way}: let in where it ended"
        );
        let what = format!("{way}: no longer let in elsewhere");
        eventually_within(TOLD.saturating_sub(ended.elapsed()), &what, async || {
            !is_let_in(&stolen, &process.url).await
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_notifications_a_session_ends_elsewhere_within_five_seconds() {
    let app = TestApp::spawn().await;
    let process = Process::start(&app.settings).await;
    // As behind a PgBouncer, or on a connection that died without a word.
    for statement in [
        "drop trigger session_ended on sessions",
        "drop trigger session_changed on sessions",
    ] {
        app.sql(statement).await;
    }
    let mut browser = app.signed_in("ada").await;
    let stolen = browser.clone();
    assert!(is_let_in(&stolen, &process.url).await && is_let_in(&stolen, &app.url).await);
    browser.post("/auth/logout", &[]).await.assert_redirect("/");
    let ended = Instant::now();
    assert!(!is_let_in(&stolen, &app.url).await, "let in where it ended");
    assert!(
        is_let_in(&stolen, &process.url).await,
        "nobody told it, so the cache is still used: otherwise this proves nothing"
    );
    let limit = UNTOLD + Duration::from_millis(200);
    eventually_within(
        limit.saturating_sub(ended.elapsed()),
        "no longer let in",
        async || !is_let_in(&stolen, &process.url).await,
    )
    .await;
    assert!(!is_let_in(&stolen, &app.url).await);
}

#[tokio::test]
async fn a_listener_that_is_cut_off_listens_again_and_forgets_what_it_may_have_missed() {
    let app = TestApp::spawn().await;
    app.listening(1).await;
    let browser = app.signed_in("ada").await;
    assert!(is_let_in(&browser, &app.url).await);
    // The session ends without a notification.
    app.sql("alter table sessions disable trigger all").await;
    app.sql("delete from sessions").await;
    assert!(
        is_let_in(&browser, &app.url).await,
        "the cache was not told"
    );
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'LISTEN%'";
    app.sql(cut).await;
    eventually_within(Duration::from_secs(3), "the cache is emptied", async || {
        !is_let_in(&browser, &app.url).await
    })
    .await;
    app.listening(1).await;
}

#[tokio::test]
async fn a_query_under_way_during_signing_out_does_not_bring_the_session_into_the_cache() {
    let first = TestApp::spawn().await;
    let wire = Wire::to(&first.database.url).await;
    let app = first
        .replica_with(&[
            ("DATABASE_URL", &wire.url),
            ("DATABASE_MAX_CONNECTIONS", "2"),
        ])
        .await;
    let browser = first.signed_in("ada").await;
    // Both connections have asked for a session before, so that asking again is one question.
    let strangers = (0..20).map(|number| {
        let mut stranger = browser.clone();
        stranger
            .cookies
            .insert("sid".to_owned(), format!("{number:021}A"));
        let url = app.url.clone();
        async move { is_let_in(&stranger, &url).await }
    });
    assert!(
        !futures_util::future::join_all(strangers)
            .await
            .contains(&true)
    );
    wire.quiet().await;

    // The session ends while the answer that it lives is on its way.
    wire.hold_next_answer();
    let (stolen, url) = (browser.clone(), app.url.clone());
    let slow = tokio::spawn(async move { is_let_in(&stolen, &url).await });
    wire.holds().await;
    let logout = browser
        .clone()
        .post(&format!("{}/auth/logout", app.url), &[])
        .await;
    logout.assert_redirect("/");
    wire.mend();
    assert!(!slow.await.unwrap(), "let in although it had ended");
    assert!(
        !is_let_in(&browser, &app.url).await,
        "a late answer let the session in again"
    );
}

#[tokio::test]
async fn a_query_under_way_while_the_session_changes_is_asked_again() {
    let first = TestApp::spawn().await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_on(&wire).await;
    let browser = first.signed_in("ada").await;
    assert!(is_let_in(&browser, &app.url).await);
    app.listening(2).await;
    let hash = session_of(&first).await;
    app.engine.sessions.forget(hash);
    wire.quiet().await;
    let before = wire.round_trips();
    wire.hold_next_answer();
    let (slow, url) = (browser.clone(), format!("{}/", app.url));
    let slow = tokio::spawn(async move { slow.clone().get(&url).await.status });
    wire.holds().await;
    app.engine.sessions.forget(hash);
    wire.mend();
    assert_eq!(slow.await.unwrap(), 200);
    wire.quiet().await;
    assert_eq!(wire.round_trips() - before, 2);
    assert!(is_let_in(&browser, &app.url).await);
}

/// Rounds of a race. A cache that is written without care loses some of them.
const ROUNDS: u32 = 5_000;

#[tokio::test]
async fn a_session_that_ends_while_a_lookup_caches_it_stays_ended() {
    let app = TestApp::spawn().await;
    app.listening(1).await;
    let sessions = &app.engine.sessions;
    let identity = Identity {
        subjects: Vec::new(),
        source: SubjectSource::V2Id,
        display_name: "Ada".to_owned(),
        picture_url: None,
    };
    let session = NewSession {
        public_id: Uuid::nil(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        expires_at: OffsetDateTime::UNIX_EPOCH,
    };
    let hash = |round: u32| SessionHash::new(Sha256::digest(round.to_be_bytes()).into());
    let begin = |round, since| sessions.begin(hash(round), Uuid::nil(), &identity, session, since);
    let (start, end) = (Barrier::new(2), Barrier::new(2));
    let revived = std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                start.wait();
                sessions.forget(hash(round));
                end.wait();
            }
        });
        let is_revived = |round: &u32| {
            let since = sessions.changes(hash(*round));
            start.wait();
            begin(*round, since);
            end.wait();
            // The database has no such session, so one that is found comes from the cache.
            let found = sessions.find(hash(*round)).now_or_never();
            matches!(found, Some(Ok(Some(_))))
        };
        (0..ROUNDS).filter(is_revived).count()
    });
    assert_eq!(revived, 0, "of {ROUNDS} rounds");
}

/// Pages that write into the session, behind all our layers.
struct Extended {
    url: String,
    /// The page `/slow` has read the session, and may go on to write.
    arrived: Arc<Notify>,
    go_on: Arc<Notify>,
}

async fn extended(app: &TestApp) -> Extended {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (has_arrived, may_go_on) = (arrived.clone(), go_on.clone());
    let slow = get(move |session: tower_sessions::Session| async move {
        let known = session.get::<i64>("visits").await.unwrap();
        has_arrived.notify_one();
        may_go_on.notified().await;
        session
            .insert("visits", known.unwrap_or_default() + 1)
            .await
            .unwrap();
        "written"
    });
    let failing = get(|session: tower_sessions::Session| async move {
        session.insert("visits", 99).await.unwrap();
        axum::http::StatusCode::BAD_GATEWAY
    });
    let mut routes = table();
    routes.push(Route::new("/slow", Access::Public, slow));
    routes.push(Route::new("/failing", Access::Public, failing));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = http::router(app.engine.clone(), routes, error_page::render);
    tokio::spawn(async move { axum::serve(listener, service).await });
    Extended {
        url,
        arrived,
        go_on,
    }
}

impl Extended {
    fn visit(&self, browser: &Browser) -> tokio::task::JoinHandle<Answer> {
        let request = browser.request(Method::GET, &format!("{}/slow", self.url));
        tokio::spawn(async move { Answer::read(request.send().await.unwrap()).await })
    }
}

#[tokio::test]
async fn a_request_that_writes_after_signing_out_does_not_bring_the_session_back() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let extended = extended(&app).await;
    // In the normal case the next request finds the written value.
    for visits in 1..=2 {
        extended.go_on.notify_one();
        extended.visit(&browser).await.unwrap().assert_status(200);
        extended.arrived.notified().await;
        assert_eq!(
            app.text("select data::text from sessions").await,
            format!("{{\"visits\": {visits}}}")
        );
    }
    let slow = extended.visit(&browser);
    extended.arrived.notified().await;
    browser
        .clone()
        .post("/auth/logout", &[])
        .await
        .assert_redirect("/");
    extended.go_on.notify_one();
    slow.await.unwrap();
    assert_eq!(
        app.count("select count(*) from sessions").await,
        0,
        "the session came back"
    );
    assert!(!is_let_in(&browser, &app.url).await);
    // An anonymous visitor gets no row, even if a page writes.
    browser.cookies.clear();
    extended.go_on.notify_one();
    let anonymous = extended.visit(&browser).await.unwrap();
    assert!(anonymous.cookies("").is_empty());
    assert_eq!(app.count("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn what_a_failing_page_wrote_is_not_kept_so_nothing_may_depend_on_it() {
    let app = TestApp::spawn().await;
    let browser = app.signed_in("ada").await;
    let extended = extended(&app).await;
    let failed = browser
        .clone()
        .get(&format!("{}/failing", extended.url))
        .await
        .assert_status(502);
    failed.assert_contains("<h1>");
    assert_eq!(app.text("select data::text from sessions").await, "{}");
    assert!(is_let_in(&browser, &app.url).await);
}

#[tokio::test]
async fn a_failure_inside_the_session_layer_is_a_page_with_every_header() {
    let app = TestApp::spawn().await;
    let browser = app.signed_in("ada").await;
    let extended = extended(&app).await;
    assert!(is_let_in(&browser, &extended.url).await);
    for statement in [
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$",
        "create trigger refuse before update of data on sessions for each row execute function refuse()",
    ] {
        app.sql(statement).await;
    }
    extended.go_on.notify_one();
    let answer = extended.visit(&browser).await.unwrap().assert_status(500);
    for header in [
        "content-security-policy",
        "x-content-type-options",
        "x-frame-options",
        "referrer-policy",
        "x-request-id",
    ] {
        assert!(!answer.header(header).is_empty(), "{header} is missing");
    }
    assert_eq!(answer.header("cache-control"), "no-store, no-transform");
    assert!(answer.cookies("").is_empty(), "a failure signs nobody out");
    answer.assert_contains("Something went wrong on our side");
    assert!(is_let_in(&browser, &extended.url).await);
}

#[tokio::test]
async fn values_that_this_version_cannot_read_sign_nobody_out_and_break_no_page() {
    for data in [
        "'[]'",
        "'\"text\"'",
        "'{\"signed_in\": 7}'",
        "'null'",
        "'{\"version\": 99}'",
    ] {
        let app = TestApp::spawn().await;
        let mut browser = app.signed_in("ada").await;
        let statement = format!("update sessions set data = {data}");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&app.database.pool)
            .await
            .unwrap();
        browser
            .get("/account")
            .await
            .assert_status(200)
            .assert_contains("Ada Lindqvist");
    }
}

#[tokio::test]
async fn the_first_page_after_a_sign_in_asks_the_database_for_no_session() {
    let app = TestApp::spawn().await;
    // The listener forgets every cached session when it begins.
    app.listening(1).await;
    let mut browser = app.signed_in("ada").await;
    app.sql("alter table sessions rename to away").await;
    browser
        .get("/")
        .await
        .assert_status(200)
        .assert_contains("Ada Lindqvist");
}

/// Sends a signal to the server process behind the listener's connection.
fn signal(name: &str, pid: i64) {
    let mut kill = std::process::Command::new("kill");
    let sent = kill.args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn a_listener_whose_connection_died_silently_is_renewed() {
    let app = TestApp::with_changes(&[], |parts| {
        parts.probe_after = Duration::from_millis(300);
    })
    .await;
    app.listening(1).await;
    let pid = "select pid::bigint from pg_stat_activity where datname = current_database() and query like 'LISTEN%'";
    let pid = app.count(pid).await;
    // Probes of a connection that lives change nothing.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let listening =
        "select count(*) from pg_stat_activity where datname = current_database() and pid = ";
    let listening = sqlx::AssertSqlSafe(format!("{listening}{pid}"));
    let listening = sqlx::query_scalar::<_, i64>(listening);
    assert_eq!(listening.fetch_one(&app.database.pool).await.unwrap(), 1);
    // It keeps the connection and answers no more, as behind a firewall that forgot it.
    signal("STOP", pid);
    let renewed = "select count(*) from pg_stat_activity where datname = current_database() and query like 'LISTEN%' and pid <> ";
    let renewed = format!("{renewed}{pid}");
    eventually_within(Duration::from_secs(15), "a second listener", async || {
        let count = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(renewed.clone()));
        count.fetch_one(&app.database.pool).await.unwrap() == 1
    })
    .await;
    signal("CONT", pid);
}

#[tokio::test]
async fn a_sign_in_tells_other_servers_after_its_commit_what_it_has_ended() {
    let app = TestApp::spawn().await;
    let replica = app.replica().await;
    app.listening(2).await;
    let mut browser = app.signed_in("ada").await;
    let mut old = browser.clone();
    old.origin.clone_from(&replica.url);
    old.get("/settings").await.assert_status(200);
    // A trigger that notified inside the login's transaction would fail here.
    for function in ["session_ended", "grant_changed"] {
        let broken = format!(
            "create or replace function {function}() returns trigger language plpgsql as $$ begin raise exception 'notified'; end $$"
        );
        let broken = sqlx::query(sqlx::AssertSqlSafe(broken));
        broken.execute(&app.database.pool).await.unwrap();
    }
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    eventually_within(Duration::from_secs(1), "signed out there", async || {
        old.get("/settings").await.status == 303
    })
    .await;
}

#[tokio::test]
async fn a_notification_that_cannot_be_sent_goes_with_the_next_batch() {
    let app = TestApp::spawn().await;
    let wire = Wire::to(&app.database.url).await;
    let cut_off = app.replica_with(&[("DATABASE_URL", &wire.url)]).await;
    app.listening(2).await;
    let mut browser = app.signed_in("ada").await;
    browser.get("/settings").await.assert_status(200);
    wire.cut();
    let notifier = Notifier::default();
    notifier.session_ended(session_of(&app).await);
    // The session ends without another notification.
    app.sql("alter table sessions disable trigger all").await;
    app.sql("delete from sessions").await;
    notifier.send_pending(&cut_off.engine.db).await.unwrap_err();
    notifier.send_pending(&app.engine.db).await.unwrap();
    eventually_within(Duration::from_secs(1), "signed out", async || {
        browser.get("/settings").await.status == 303
    })
    .await;
}

/// The hash of the only session.
async fn session_of(app: &TestApp) -> SessionHash {
    let hash = app
        .text("select encode(id_hash, 'hex') from sessions")
        .await;
    SessionHash::from_hex(&hash).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_ends_during_the_drain_still_tells_other_servers() {
    let app = TestApp::spawn().await;
    let process = Process::start(&app.settings).await;
    app.listening(2).await;
    let mut old = app.signed_in("ada").await;
    app.provider
        .fault("profile", serde_json::json!({ "delay_ms": 1000 }))
        .await;
    let callback = old.start_and_consent(&app.provider, "ada").await;
    let callback = callback.replace(&app.url, &process.url);
    let reads = app.provider.calls("profile").await + 1;
    let mut arriving = old.clone();
    let (answer, ()) = tokio::join!(arriving.get(&callback), async {
        app.provider.called("profile", reads).await;
        process.signal("TERM");
        // Cached here for the next 5 s.
        app.engine.sessions.forget_all();
        old.get("/settings").await.assert_status(200);
    });
    answer.assert_redirect("/account");
    eventually_within(Duration::from_secs(2), "signed out here", async || {
        old.get("/settings").await.status == 303
    })
    .await;
}
