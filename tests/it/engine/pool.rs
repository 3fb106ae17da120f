//! The connection pool, when callers go away and when the network loses packets.

use std::time::{Duration, Instant};

use matrica_starter::engine::db::{self, Db};

use crate::support::{TestApp, Wire, eventually_within};

/// Longest that one lost connection may hold up other callers.
const HELD_UP: Duration = Duration::from_secs(12);

async fn pid(db: &Db) -> Result<i32, sqlx::Error> {
    let pid = sqlx::query_scalar("select pg_backend_pid()");
    pid.fetch_one(db).await
}

/// Starts a call and goes away.
async fn cut_short<T>(call: impl Future<Output = T>) {
    let gone = tokio::time::timeout(Duration::from_millis(150), call).await;
    assert!(gone.is_err(), "the call was too quick");
}

#[tokio::test]
async fn a_caller_who_goes_away_costs_no_connection() {
    let app = TestApp::with(&[("DATABASE_MAX_CONNECTIONS", "1")]).await;
    let db = &app.engine.db;
    let before = pid(db).await.unwrap();
    let fails = "do $$ begin perform pg_sleep(0.3); raise exception 'no'; end $$";
    for statement in ["select pg_sleep(0.3)", fails, fails] {
        cut_short(sqlx::query(statement).execute(db)).await;
        assert_eq!(pid(db).await.unwrap(), before, "{statement}");
    }
}

#[tokio::test]
async fn a_visitor_who_hangs_up_in_the_middle_of_a_page_costs_no_connection() {
    let app = TestApp::with(&[("DATABASE_MAX_CONNECTIONS", "1")]).await;
    let browser = app.signed_in("ada").await;
    app.engine.sessions.forget_all();
    let before = pid(&app.engine.db).await.unwrap();
    let mut busy = app.transaction().await;
    let lock = sqlx::query("lock table sessions in access exclusive mode");
    lock.execute(&mut *busy).await.unwrap();
    let page = browser.request(reqwest::Method::GET, "/settings").send();
    let page = tokio::spawn(page);
    app.waiting_for_locks(1).await;
    page.abort();
    tokio::time::sleep(Duration::from_millis(200)).await;
    busy.rollback().await.unwrap();
    assert_eq!(pid(&app.engine.db).await.unwrap(), before);
}

#[tokio::test]
async fn a_connection_whose_transaction_was_cut_short_is_not_used_again() {
    let app = TestApp::with(&[("DATABASE_MAX_CONNECTIONS", "1")]).await;
    let db = &app.engine.db;
    let before = pid(db).await.unwrap();
    let work = async |connection: &mut sqlx::PgConnection| {
        let statements = "begin; select pg_sleep(0.3)";
        sqlx::raw_sql(statements).execute(connection).await?;
        Ok::<(), db::Error>(())
    };
    cut_short(Box::pin(db.run(work))).await;
    assert_ne!(pid(db).await.unwrap(), before);
}

#[tokio::test]
async fn an_ending_whose_answer_is_lost_holds_up_nobody_for_long() {
    let first = TestApp::spawn().await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_on(&wire).await;
    let mut browser = first.signed_in("ada").await;
    browser.origin.clone_from(&app.url);
    browser.get("/settings").await.assert_status(200);
    wire.quiet().await;
    wire.hold_next_answer();
    let started = Instant::now();
    let mut leaving = browser.clone();
    let leaving = tokio::spawn(async move { leaving.post("/settings/disconnect", &[]).await });
    wire.holds().await;
    eventually_within(HELD_UP, "other calls work again", async || {
        pid(&app.engine.db).await.is_ok()
    })
    .await;
    println!("held up for {:?}", started.elapsed());
    assert!(leaving.await.unwrap().status >= 500);
}

#[tokio::test]
async fn one_idle_connection_that_does_not_answer_condemns_those_that_are_as_old() {
    let first = TestApp::spawn().await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_with(&[("DATABASE_URL", &wire.url)]).await;
    let db = &app.engine.db;
    let busy = async || {
        let pid = sqlx::query_scalar::<_, i32>("select pg_backend_pid() from pg_sleep(0.3)");
        pid.fetch_one(db).await.unwrap()
    };
    let (one, two, three) = tokio::join!(busy(), busy(), busy());
    // Idle for longer than a connection is trusted.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    wire.hold_next_answer();
    let next = pid(db).await.unwrap();
    assert!(
        ![one, two, three].contains(&next),
        "a connection as old was used"
    );
}
