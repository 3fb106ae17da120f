//! Several servers behind a real proxy, a real pooler, a failover, and two releases at once.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use matrica_starter::engine::{
    config::{Database, Source},
    db::schema,
};
use sqlx::{
    AssertSqlSafe,
    migrate::{Migration, MigrationType},
};

use crate::support::{
    ALL_SCOPES, Browser, Process, TestApp, Wire,
    cluster::{Address, Cluster},
    eventually, eventually_within,
    fleet::Fleet,
    haproxy::Haproxy,
    pgbouncer::PgBouncer,
};

/// Longest that sign-ins may fail after the standby takes writes.
const RECOVERY: Duration = Duration::from_secs(5);
/// Longest that a server lets a session in which has ended on another one, without notifications.
const UNTOLD: Duration = Duration::from_secs(5);

fn database(url: &str) -> Database {
    let variables = BTreeMap::from([("DATABASE_URL".to_owned(), url.to_owned())]);
    Database::from_source(Source::new(&variables)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_each_step_of_a_sign_in_is_answered_by_another_server() {
    let fleet = Fleet::start(&[], "1s").await;
    let mut browser = fleet.browser();
    let served = |path: &str| {
        let route = format!("\"route\":\"{path}\"");
        let servers = fleet.servers.iter().enumerate();
        let served = servers.filter(|(_, server)| server.log_count(&route) > 0);
        served.map(|(number, _)| number).collect::<Vec<_>>()
    };
    let mut answered = Vec::new();
    let callback = browser.start_and_consent(&fleet.provider, "ada").await;
    browser.get(&callback).await.assert_redirect("/account");
    browser.get("/settings").await.assert_status(200);
    for path in ["/auth/login", "/auth/callback", "/settings"] {
        eventually(path, async || !served(path).is_empty()).await;
        answered.extend(served(path));
    }
    answered.sort_unstable();
    assert_eq!(answered, [0, 1, 2], "each server answers one step");
    browser.post("/auth/logout", &[]).await.assert_redirect("/");
    for _ in 0..3 {
        browser.get("/settings").await.assert_status(303);
    }
}

/// A primary, a standby, and the wire between them. The checks of haproxy are admitted.
async fn two_databases() -> (Cluster, Cluster, Wire) {
    let primary = tokio::task::spawn_blocking(|| {
        let primary = Cluster::primary();
        primary.admit_health_checks();
        primary
    });
    let primary = primary.await.unwrap();
    let url = Cluster::url(primary.port);
    schema::migrate(&database(&url)).await.unwrap();
    let wire = Wire::to(&url).await;
    let port = url::Url::parse(&wire.url).unwrap().port().unwrap();
    let following = tokio::task::spawn_blocking(move || {
        let standby = primary.standby_through(port);
        (primary, standby)
    });
    let (primary, standby) = following.await.unwrap();
    (primary, standby, wire)
}

async fn is_let_in(browser: &Browser, url: &str) -> bool {
    let request = browser.request(reqwest::Method::GET, &format!("{url}/settings"));
    request.send().await.unwrap().status() == 200
}

/// A sign-in that starts on one server and comes back on another one.
async fn sign_in_across(app: &TestApp, first: &str, second: &str, person: &str) -> Browser {
    let mut browser = Browser::new(&app.url);
    let start = browser
        .request(reqwest::Method::POST, &format!("{first}/auth/login"))
        .form(&[("return_to", "/account")]);
    let started = browser.send(start).await.assert_status(303);
    let callback = app.provider.consent(started.location(), person).await;
    let callback = callback.replace(&app.url, second);
    browser.get(&callback).await.assert_redirect("/account");
    browser
}

/// A sign-in that may fail. The browser that is signed in.
async fn signs_in(app: &TestApp, person: &str) -> Option<Browser> {
    let mut browser = app.browser();
    let started = browser
        .post("/auth/login", &[("return_to", "/account")])
        .await;
    if started.status != 303 || !started.location().starts_with(&app.provider.url) {
        return None;
    }
    let callback = app.provider.consent(started.location(), person).await;
    let answer = browser.get(&callback).await;
    (answer.location() == "/account").then_some(browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_crashes_under_load_costs_seconds_and_signs_nobody_out() {
    let (primary, standby, wire) = two_databases().await;
    primary.wait_for_standby();
    let proxy = Haproxy::database(primary.port, standby.port).await;
    let app = TestApp::without_cache(&[
        ("DATABASE_URL", &Cluster::url(proxy.port)),
        ("RATE_LIMIT", "off"),
        ALL_SCOPES,
    ])
    .await;
    let done = AtomicBool::new(false);
    let people: Mutex<Vec<Browser>> = Mutex::default();
    let recovered: Mutex<Option<Instant>> = Mutex::default();
    let visitor = async |number: usize| {
        let mut turn = 0;
        while !done.load(Ordering::SeqCst) {
            turn += 1;
            if let Some(browser) = signs_in(&app, &format!("crowd-{}", 100 * number + turn)).await {
                people.lock().unwrap().push(browser);
                *recovered.lock().unwrap() = Some(Instant::now());
            }
        }
    };
    let failover = async {
        eventually("people sign in", async || people.lock().unwrap().len() > 12).await;
        // Their refreshes are answered and stored before the crash.
        let url = Cluster::url(primary.port);
        let admin = sqlx::PgPool::connect(&url).await.unwrap();
        let expire = "update grants set access_expires_at = now()";
        sqlx::query(expire).execute(&admin).await.unwrap();
        let refreshed: Vec<Browser> = people.lock().unwrap()[..8].to_vec();
        for browser in &refreshed {
            let request = browser.request(reqwest::Method::GET, "/account/nfts");
            assert_eq!(request.send().await.unwrap().status(), 200);
        }
        // What people are told from here on must have reached the standby all the same.
        wire.lose_packets();
        tokio::time::sleep(Duration::from_millis(500)).await;
        wire.cut();
        let standby = tokio::task::spawn_blocking(move || {
            primary.crash();
            standby.promote();
            (primary, standby)
        });
        let servers = standby.await.unwrap();
        let promoted = Instant::now();
        eventually_within(RECOVERY, "people sign in again", async || {
            recovered.lock().unwrap().is_some_and(|at| at > promoted)
        })
        .await;
        println!(
            "people sign in {:?} after the promotion",
            promoted.elapsed()
        );
        done.store(true, Ordering::SeqCst);
        (servers, refreshed)
    };
    let (.., (servers, refreshed)) = tokio::join!(visitor(0), visitor(1), visitor(2), failover);
    let people = people.into_inner().unwrap();
    println!("{} people had signed in", people.len());
    // A server that remembers no session.
    let other = app.replica().await;
    for browser in &people {
        let is_in = is_let_in(browser, &other.url).await;
        assert!(is_in, "a person is signed out");
    }
    // A refresh that the failover had taken back would be tried with a token that was replaced.
    let expire = "update grants set access_expires_at = now()";
    sqlx::query(expire).execute(&app.engine.db).await.unwrap();
    for mut browser in refreshed {
        let page = browser.get("/account/nfts").await.assert_status(200);
        assert!(!page.body.contains("Sign in again"), "a refresh is lost");
    }
    assert_eq!(app.provider.get("tokens").await["reused"], 0);
    drop(servers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_a_failover_loses_is_asked_for_again_without_an_error() {
    let (primary, standby, _wire) = two_databases().await;
    let address = Address::of(primary.port).await;
    let app = TestApp::with(&[("DATABASE_URL", &Cluster::url(address.port))]).await;
    let mut kept = signs_in(&app, "ada").await.unwrap();
    // From here on the standby receives nothing.
    let (primary, standby) = tokio::task::spawn_blocking(move || {
        standby.stop();
        (primary, standby)
    })
    .await
    .unwrap();
    let mut lost = signs_in(&app, "collector").await.unwrap();
    let servers = tokio::task::spawn_blocking(move || {
        primary.crash();
        standby.start_alone();
        (primary, standby)
    })
    .await
    .unwrap();
    address.lead_to(servers.1.port);
    eventually_within(RECOVERY, "the database is back", async || {
        kept.get("/settings").await.status == 200
    })
    .await;
    eventually_within(RECOVERY, "the lost session has ended", async || {
        lost.get("/settings").await.status == 303
    })
    .await;
    lost.get("/").await.assert_status(200);
    lost.sign_in(&app.provider, "collector")
        .await
        .assert_redirect("/account");
    lost.get("/settings").await.assert_status(200);
    drop(servers);
}

/// Gives the user of the tests what `deploy/pgbouncer/role.sql` gives a role, in this database only.
async fn limit(app: &TestApp) {
    let role = include_str!("../../../deploy/pgbouncer/role.sql");
    let name = app.text("select current_database()::text").await;
    let settings = role
        .lines()
        .filter_map(|line| line.strip_prefix("alter role :\"app\" set "));
    let mut count = 0;
    for setting in settings {
        let statement = format!("alter database {name} set {setting}");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&app.database.pool)
            .await
            .unwrap();
        count += 1;
    }
    assert_eq!(count, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn through_pgbouncer_everything_works_within_the_ages_of_the_caches() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    limit(&app).await;
    let front = PgBouncer::to(&app.database.url).await;
    let through = [("DATABASE_URL", front.url.as_str())];
    let pooled = app.replica_with(&through).await;
    let process = Process::start(&pooled.settings).await;
    // The limits are there although PgBouncer drops what the server asks for.
    let query = "select current_setting('statement_timeout') || current_setting('enable_seqscan')";
    let limits = sqlx::query_scalar::<_, String>(query).fetch_one(&pooled.engine.db);
    assert_eq!(limits.await.unwrap(), "3soff");

    let mut browser = sign_in_across(&app, &pooled.url, &process.url, "ada").await;
    // More statements at once than PgBouncer has connections to Postgres.
    let pages = (0..40).map(|_| is_let_in(&browser, &process.url));
    let pages = futures_util::future::join_all(pages).await;
    assert!(pages.into_iter().all(|is_in| is_in));
    for _ in 0..2 {
        app.expire_access_tokens(1).await;
        pooled.forget_user_data().await;
        let page = browser.request(
            reqwest::Method::GET,
            &format!("{}/account/nfts", pooled.url),
        );
        let page = browser.send(page).await.assert_status(200);
        assert!(!page.body.contains("Sign in again"));
    }
    assert_eq!(app.provider.calls("refresh").await, 2);

    // A session that ends on one server, and no notification arrives at the other one.
    let stolen = browser.clone();
    assert!(is_let_in(&stolen, &process.url).await);
    let ended = Instant::now();
    let leave = browser.request(
        reqwest::Method::POST,
        &format!("{}/auth/logout", pooled.url),
    );
    let leave = leave.form::<[(&str, &str)]>(&[]);
    browser.send(leave).await.assert_redirect("/");
    assert!(!is_let_in(&stolen, &pooled.url).await);
    let limit = (UNTOLD + Duration::from_millis(500)).saturating_sub(ended.elapsed());
    eventually_within(limit, "no longer let in", async || {
        !is_let_in(&stolen, &process.url).await
    })
    .await;
    // Said once, with the reason.
    process.logged("not_listening").await;
    assert_eq!(process.log_count("passes no notifications on"), 1);
    assert_eq!(process.log_count("\"event\":\"database_error\""), 0);
    process.signal("TERM");
    let (status, _) = process.ended().await;
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_says_once_that_the_database_is_away() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut settings = app.settings.clone();
    settings.insert("DATABASE_URL".to_owned(), wire.url.clone());
    let process = Process::start(&settings).await;
    app.listening(2).await;
    wire.cut();
    process.logged("not_listening").await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(process.log_count("\"event\":\"not_listening\""), 1);
}

/// What a next release may add: a column with a default, a nullable one, a table and a function.
const NEXT_RELEASE: &str = "
    alter table sessions add column next_device text not null default '';
    alter table grants add column note text;
    create table next_release (id uuid primary key, user_id uuid references users on delete cascade);
    create function store_login_next() returns void language sql as 'select';";

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_across_a_release_and_the_next_one() {
    let app = TestApp::spawn().await;
    let older = Process::start(&app.settings).await;
    let before = app.signed_in("ada").await;
    // The next release's `migrate` runs while the older one serves.
    let mut migrator = sqlx::migrate!();
    let next = Migration::new(
        99_999_999_999_999,
        Cow::Borrowed("next release"),
        MigrationType::Simple,
        sqlx::SqlStr::from_static(NEXT_RELEASE),
        false,
    );
    migrator.migrations.to_mut().push(next);
    let settings = database(&app.database.url);
    assert_eq!(schema::apply(&settings, migrator).await.unwrap(), 1);
    let newer = app.replica().await;
    // A rolling deployment may also start an older one again.
    let restarted = Process::start(&app.settings).await;
    let urls = [&older.url, &newer.url, &restarted.url];
    for url in urls {
        assert!(is_let_in(&before, url).await, "signed out by the migration");
    }
    for (first, second) in [(0, 1), (1, 2), (2, 0)] {
        let browser = sign_in_across(&app, urls[first], urls[second], "collector").await;
        for url in urls {
            assert!(is_let_in(&browser, url).await);
        }
    }
    let ready = Browser::new(&older.url).get("/readyz").await;
    ready.assert_status(200);
}
