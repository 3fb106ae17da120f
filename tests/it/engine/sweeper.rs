//! Ended sessions and old attempts are removed in batches, by one server at a time.

use std::time::Duration;

use matrica_starter::engine::{config::SessionLifetime, db::sweep};

use crate::support::{TestApp, eventually_within};

const LIFETIME: SessionLifetime = SessionLifetime {
    idle: Duration::from_hours(24),
    absolute: Duration::from_hours(24 * 30),
};

/// An app whose own sweeper has stopped. Those of its replicas work.
async fn without_workers() -> TestApp {
    TestApp::with_changes(&[], |parts| parts.tasks.shutdown.cancel()).await
}

/// Sessions that are over in either way, and some that are not.
async fn rows(app: &TestApp, over: i32, idle: i32, live: i32) {
    app.sql(
        "insert into users (id, subject, subject_source, display_name) values (gen_random_uuid(), 'x', 'v1.id', 'x')",
    )
    .await;
    for (count, expires, seen) in [
        (over, "-1 hour", "0"),
        (idle, "1 day", "-25 hours"),
        (live, "1 day", "0"),
    ] {
        let statement = format!(
            "insert into sessions (id_hash, user_id, expires_at, last_seen_at)
             select sha256(('{expires}{seen}' || n)::bytea), id, now() + interval '{expires}', now() + interval '{seen}'
             from users, generate_series(1, {count}) n"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&app.database.pool)
            .await
            .unwrap();
    }
    app.sql("insert into login_attempts (state_hash, reference, burnt_at) select sha256(n::text::bytea), n, now() - interval '8 days' from generate_series(1, 30) n").await;
    app.sql("insert into login_attempts (state_hash, reference, burnt_at) select sha256(n::text::bytea), n, now() - interval '6 days' from generate_series(31, 40) n").await;
}

#[tokio::test]
async fn a_new_server_removes_what_is_over_and_nothing_else() {
    let app = without_workers().await;
    rows(&app, 2_500, 300, 50).await;
    let _sweeping = app.replica().await;
    eventually_within(Duration::from_secs(10), "all is swept", async || {
        app.count("select count(*) from sessions").await <= 50
            && app.count("select count(*) from login_attempts").await <= 10
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.count("select count(*) from sessions").await, 50);
    assert_eq!(app.count("select count(*) from login_attempts").await, 10);
}

#[tokio::test]
async fn a_batch_is_bounded_and_says_how_late_it_is() {
    let app = without_workers().await;
    rows(&app, 250, 0, 5).await;
    let swept = sweep::sessions(&app.engine.db, LIFETIME, 100)
        .await
        .unwrap();
    assert_eq!(swept.removed, 100);
    assert!((3_590.0..3_700.0).contains(&swept.lag), "{}", swept.lag);
    let removed = [
        sweep::sessions(&app.engine.db, LIFETIME, 100)
            .await
            .unwrap()
            .removed,
        sweep::sessions(&app.engine.db, LIFETIME, 100)
            .await
            .unwrap()
            .removed,
        sweep::sessions(&app.engine.db, LIFETIME, 100)
            .await
            .unwrap()
            .removed,
    ];
    assert_eq!(removed, [100, 50, 0]);
    assert_eq!(app.count("select count(*) from sessions").await, 5);
}

#[tokio::test]
async fn one_server_sweeps_at_a_time() {
    let app = without_workers().await;
    rows(&app, 10, 0, 0).await;
    let mut other = app.transaction().await;
    sqlx::query("select pg_advisory_xact_lock(x'6d61747269636101'::bigint)")
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(
        sweep::sessions(&app.engine.db, LIFETIME, 100)
            .await
            .unwrap()
            .removed,
        0
    );
    assert_eq!(
        sweep::attempts(&app.engine.db, 7, 100)
            .await
            .unwrap()
            .removed,
        0
    );
    other.rollback().await.unwrap();
    assert_eq!(
        sweep::sessions(&app.engine.db, LIFETIME, 100)
            .await
            .unwrap()
            .removed,
        10
    );
    assert_eq!(
        sweep::attempts(&app.engine.db, 7, 100)
            .await
            .unwrap()
            .removed,
        30
    );
}

#[tokio::test]
async fn a_database_that_fails_for_a_while_only_postpones_it() {
    let app = without_workers().await;
    rows(&app, 10, 0, 1).await;
    app.sql("alter table sessions rename to away").await;
    let _sweeping = app.replica().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    app.sql("alter table away rename to sessions").await;
    assert_eq!(app.count("select count(*) from sessions").await, 11);
    // It tries again after 5 s.
    app.becomes("select count(*) from sessions", 1).await;
}
