//! A failover of the database costs seconds and no restart.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use matrica_starter::engine::{
    config::{Database, Source},
    db::schema,
};

use crate::support::{
    TestApp,
    cluster::{Address, Cluster},
    eventually_within,
};

/// Longest that sign-ins may fail after the database takes writes again.
const RECOVERY: Duration = Duration::from_secs(5);

async fn migrate(url: &str) {
    let variables = BTreeMap::from([("DATABASE_URL".to_owned(), url.to_owned())]);
    let settings = Database::from_source(Source::new(&variables)).unwrap();
    schema::migrate(&settings).await.unwrap();
}

/// Whether a person can sign in, from the start to a page of theirs.
async fn signs_in(app: &TestApp, person: &str) -> bool {
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, person).await;
    let callback = callback.replace(&app.settings["PUBLIC_URL"], &app.url);
    browser.get(&callback).await.location() == "/account"
        && browser.get("/settings").await.status == 200
}

/// The status and the text of `/readyz`.
async fn readyz(app: &TestApp) -> (u16, String) {
    let answer = app.browser().get("/readyz").await;
    (answer.status, answer.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_takes_over_behind_the_same_address_is_used_within_seconds() {
    let (primary, standby) = tokio::task::spawn_blocking(|| {
        let primary = Cluster::primary();
        let standby = primary.standby();
        (primary, standby)
    })
    .await
    .unwrap();
    migrate(&Cluster::url(primary.port)).await;
    let address = Address::of(primary.port).await;
    let app = TestApp::with(&[("DATABASE_URL", &Cluster::url(address.port))]).await;
    assert!(signs_in(&app, "ada").await);
    assert_eq!(readyz(&app).await.0, 200);
    // A server that vanishes does not keep its connections for hours.
    let keepalive = "select current_setting('tcp_keepalives_idle') || ' ' || current_setting('tcp_user_timeout')";
    let keepalive = sqlx::query_scalar::<_, String>(keepalive).fetch_one(&app.engine.db);
    assert_eq!(keepalive.await.unwrap(), "30 30000");

    // The address moves before the promotion, so new connections find a read-only server first.
    let (primary, standby) = tokio::task::spawn_blocking(move || {
        primary.stop();
        (primary, standby)
    })
    .await
    .unwrap();
    address.lead_to(standby.port);
    eventually_within(RECOVERY, "the standby is seen", async || {
        readyz(&app).await == (503, "the database is read-only".to_owned())
    })
    .await;
    assert!(!signs_in(&app, "collector").await);
    let standby = tokio::task::spawn_blocking(move || {
        standby.promote();
        standby
    })
    .await
    .unwrap();
    let promoted = Instant::now();
    eventually_within(RECOVERY, "sign-ins work again", async || {
        signs_in(&app, "collector").await
    })
    .await;
    println!("recovered after {:?}", promoted.elapsed());
    eventually_within(RECOVERY, "ready", async || readyz(&app).await.0 == 200).await;
    drop((primary, standby));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_a_primary_that_was_demoted_are_left_for_the_new_one() {
    let app = TestApp::with(&[("DATABASE_MAX_CONNECTIONS", "2")]).await;
    assert!(signs_in(&app, "ada").await);
    // These two stay read-only for ever, and a new one is not.
    let read_only = async || {
        let both = "set default_transaction_read_only = on; select pg_sleep(0.3)";
        let work = async |connection: &mut sqlx::PgConnection| {
            Ok(sqlx::raw_sql(both).execute(connection).await.map(drop)?)
        };
        app.engine.db.run(work).await.unwrap();
    };
    tokio::join!(read_only(), read_only());
    eventually_within(RECOVERY, "sign-ins work again", async || {
        signs_in(&app, "ada").await
    })
    .await;
    eventually_within(RECOVERY, "ready", async || readyz(&app).await.0 == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_a_read_only_database_is_not_ready_until_it_takes_writes_again() {
    let app = TestApp::spawn().await;
    assert!(signs_in(&app, "ada").await);
    app.sql("do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$")
        .await;
    // New connections are read-only, as they are at a server that was demoted.
    app.engine.db.renew();
    eventually_within(RECOVERY, "not ready", async || {
        readyz(&app).await == (503, "the database is read-only".to_owned())
    })
    .await;
    assert!(!signs_in(&app, "ada").await);
    let mut admin = app.database.pool.acquire().await.unwrap();
    for statement in [
        // One that the pool has made since is read-only itself.
        "set default_transaction_read_only = off",
        "do $$ begin execute format('alter database %I reset default_transaction_read_only', current_database()); end $$",
    ] {
        sqlx::query(statement).execute(&mut *admin).await.unwrap();
    }
    eventually_within(RECOVERY, "ready again", async || {
        readyz(&app).await.0 == 200 && signs_in(&app, "ada").await
    })
    .await;
}
