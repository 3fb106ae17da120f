//! Round trips to the database, and waits for its disk.

use std::time::Duration;

use serde_json::json;

use crate::support::{TestApp, Wire};

/// Round trips of one login: the burn, the storing, and a notification after it, which many logins
/// share.
const LOGIN_ROUND_TRIPS: u64 = 3;

#[tokio::test]
async fn a_login_costs_at_most_three_database_round_trips_and_starting_one_none() {
    let first = TestApp::spawn().await;
    let wire = Wire::to(&first.database.url).await;
    // One connection, so that its statements are prepared after the first login.
    let app = first.replica_on(&wire).await;
    // The worker that revokes tokens looks once at its queue, and not again within this test.
    first.listening(2).await;
    wire.quiet().await;
    for (person, number) in [("ada", 0), ("ada", 1), ("collector", 2), ("ada", 3)] {
        let mut browser = first.browser();
        let before_start = wire.round_trips();
        let start = format!("{}/auth/login", app.url);
        let start = browser.request(reqwest::Method::POST, &start);
        let start = start.form(&[("return_to", "/account")]);
        let answer = browser.send(start).await.assert_status(303);
        let to_provider = answer.location().to_owned();
        wire.quiet().await;
        assert_eq!(
            wire.round_trips(),
            before_start,
            "starting a login asks the database nothing"
        );
        let callback = first.provider.consent(&to_provider, person).await;
        let before = wire.round_trips();
        browser
            .get(&callback.replace(&first.url, &app.url))
            .await
            .assert_redirect("/account");
        wire.quiet().await;
        let cost = wire.round_trips() - before;
        // The first login prepares its statements, and the second one the notification.
        assert!(
            number < 2 || cost <= LOGIN_ROUND_TRIPS,
            "login {number} took {cost} round trips"
        );
        assert!(cost >= 2, "the wire counts: {cost}");
    }
}

#[tokio::test]
async fn burning_an_attempt_does_not_wait_for_the_disk_and_storing_the_login_does() {
    let app = TestApp::spawn().await;
    app.sql("create table commits (what text, synchronous_commit text)")
        .await;
    for statement in [
        "create function note() returns trigger language plpgsql as $$ begin
             insert into commits values (tg_table_name || ' ' || tg_op, current_setting('synchronous_commit')); return null; end $$",
        "create trigger note after insert or update on login_attempts for each row execute function note()",
        "create trigger note after insert on sessions for each row execute function note()",
        "create trigger note after insert on grants for each row execute function note()",
        // The test cluster's own setting is off.
        "do $$ begin execute format('alter database %I set synchronous_commit = on', current_database()); end $$",
    ] {
        app.sql(statement).await;
    }
    let replica = app.replica().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    browser
        .get(&callback.replace(&app.url, &replica.url))
        .await
        .assert_redirect("/account");
    let commits = app
        .text(
            "select string_agg(what || ' ' || synchronous_commit, ', ' order by what) from commits",
        )
        .await;
    assert_eq!(
        commits,
        "grants INSERT on, login_attempts INSERT off, login_attempts UPDATE on, sessions INSERT on"
    );
}

#[tokio::test]
async fn a_fresh_access_token_costs_one_database_round_trip() {
    let first = TestApp::spawn().await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_on(&wire).await;
    first.signed_in("ada").await;
    let user_id = first.user_id().await;
    first.listening(2).await;
    for number in 0..4 {
        wire.quiet().await;
        let before = wire.round_trips();
        app.engine.vault.access_token(user_id).await.unwrap();
        let cost = wire.round_trips() - before;
        // The first one opens the connection and prepares the statement.
        assert!(number == 0 || cost == 1, "{cost} round trips");
    }
}

/// Whole-table scans and index scans so far.
async fn scans(app: &TestApp) -> (String, i64) {
    // Connections report with a delay, and at their end.
    app.engine.db.close();
    app.engine.health_db.close();
    app.becomes("select count(*) from pg_stat_activity where datname = current_database() and application_name = 'matrica-starter' and query not like 'LISTEN%'", 0)
        .await;
    let scanned = "select string_agg(relname || ' ' || seq_scan, ', ') from pg_stat_user_tables
                   where seq_scan > 0 and relname not in ('_sqlx_migrations', 'first_provider')";
    let by_index = "select sum(idx_scan)::bigint from pg_stat_user_tables";
    (app.text(scanned).await, app.count(by_index).await)
}

#[tokio::test]
async fn no_statement_reads_a_whole_table_even_while_it_is_small() {
    let app = TestApp::spawn().await;
    app.provider.set(json!({ "expires_in": 1 })).await;
    let mut browser = app.signed_in("ada").await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    for page in ["/account", "/settings", "/settings/export"] {
        browser.get(page).await.assert_status(200);
    }
    for (path, revoked) in [
        ("/settings/sessions/end-all", 2),
        ("/settings/disconnect", 4),
        ("/auth/logout", 4),
    ] {
        let mut browser = app.signed_in("ada").await;
        browser.post(path, &[]).await.assert_status(303);
        // The next login would cancel a revocation that still waits.
        app.provider.called("revoke", revoked).await;
    }
    let mut browser = app.signed_in("ada").await;
    let sure = [("confirm", "yes")];
    browser
        .post("/settings/delete", &sure)
        .await
        .assert_status(303);
    assert_eq!(app.provider.calls("refresh").await, 1);
    app.provider.called("revoke", 6).await;
    // This test itself must not count rows before it has looked at the counters.
    let (whole, by_index) = scans(&app).await;
    assert!(by_index > 20, "{by_index}");
    assert_eq!(whole, "");
}
