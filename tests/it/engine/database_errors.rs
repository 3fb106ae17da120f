//! Errors of the database at each step, and settings of the server that differ from ours. After each
//! one the invariants hold.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::AssertSqlSafe;

use crate::support::{Answer, Browser, Invariants, TestApp, assert_page};

/// Raises an error for the first `times` rows that a statement touches. The counter survives the
/// rollback.
async fn raise(app: &TestApp, code: &str, times: u32, event: &str) {
    let statements = format!(
        "create sequence faults;
         create function fault() returns trigger language plpgsql as $$ begin
             if nextval('faults') <= {times} then raise exception 'fault' using errcode = '{code}'; end if;
             return case when tg_op = 'DELETE' then old else new end;
         end $$;
         create trigger fault before {event} for each row execute function fault()"
    );
    run(app, statements).await;
}

async fn run(app: &TestApp, statements: String) {
    let statements = sqlx::raw_sql(AssertSqlSafe(statements));
    statements.execute(&app.database.pool).await.unwrap();
}

async fn mend(app: &TestApp) {
    run(app, "drop function fault cascade".to_owned()).await;
}

const ALWAYS: u32 = 1_000;
const DISK_FULL: &str = "53100";
const CONFLICT: &str = "40001";
const DEADLOCK: &str = "40P01";
const TIMEOUT: &str = "57014";
const READ_ONLY: &str = "25006";

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_stored_as_a_whole_or_refused_as_a_whole() {
    let rows = [
        // Before the exchange the code is not spent, so the same callback succeeds later.
        (DISK_FULL, ALWAYS, "insert on login_attempts", "busy", 0),
        (READ_ONLY, ALWAYS, "insert on login_attempts", "busy", 0),
        // A conflict is over at the next try.
        (CONFLICT, 1, "insert on users", "", 0),
        (CONFLICT, 2, "insert on sessions", "", 0),
        (DEADLOCK, 2, "insert on grants", "", 0),
        (TIMEOUT, 1, "insert on identities", "", 0),
        // The database has not said whether the sign-in is stored, so the tokens are not revoked.
        (DISK_FULL, ALWAYS, "insert on grants", "busy", 1),
        (DISK_FULL, ALWAYS, "insert on sessions", "busy", 1),
        (READ_ONLY, ALWAYS, "insert on users", "busy", 1),
        (CONFLICT, ALWAYS, "insert on sessions", "busy", 1),
        (DEADLOCK, ALWAYS, "insert on sessions", "busy", 1),
    ];
    let rows = rows.map(async |(code, times, event, refusal, orphans)| {
        let app = TestApp::spawn().await;
        let mut invariants = Invariants::before(&app).await;
        invariants.orphans = orphans;
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        raise(&app, code, times, event).await;
        let answer = browser.get(&callback).await;
        assert_page(&answer);
        if refusal.is_empty() {
            answer.assert_redirect("/account");
        } else {
            answer.assert_refused(refusal);
            for rows in [
                "select count(*) from users",
                "select count(*) from sessions",
            ] {
                assert_eq!(app.count(rows).await, 1, "{code} {event}: {rows}");
            }
            mend(&app).await;
            let spent = app.provider.calls("token").await == 2;
            assert_eq!(spent, orphans > 0, "{code} {event}");
            if spent {
                browser.sign_in(&app.provider, "ada").await
            } else {
                browser.get(&callback).await
            }
            .assert_redirect("/account");
        }
        invariants.after(&app).await;
    });
    join_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_that_fails_has_changed_nothing_and_says_so() {
    let everything = "select (select count(*) from users) * 100 + (select count(*) from sessions) * 10 + (select count(*) from grants)";
    let rows = [
        (DISK_FULL, "insert on revocations", "/auth/logout"),
        (READ_ONLY, "delete on sessions", "/auth/logout"),
        (DEADLOCK, "delete on users", "/settings/delete"),
        (CONFLICT, "delete on grants", "/settings/delete"),
        (DISK_FULL, "insert on revocations", "/settings/disconnect"),
    ];
    let rows = rows.map(async |(code, event, way)| {
        let app = TestApp::spawn().await;
        let mut invariants = Invariants::before(&app).await;
        let browser = app.signed_in("ada").await;
        raise(&app, code, ALWAYS, event).await;
        let post = async || browser.clone().post(way, &[("confirm", "yes")]).await;
        assert_page(&post().await.assert_status(503));
        assert_eq!(app.count(everything).await, 222, "{code} {way}");
        mend(&app).await;
        post().await.assert_status(303);
        assert!(app.count(everything).await < 222, "{code} {way}");
        invariants.after(&app).await;
    });
    join_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_result_is_refused_for_a_while_is_stored_in_the_end() {
    let rows = [DISK_FULL, CONFLICT, DEADLOCK, TIMEOUT].map(async |code| {
        let app = TestApp::without_cache(&[]).await;
        let mut invariants = Invariants::before(&app).await;
        let mut ada = app.signed_in("ada").await;
        app.sql("update grants set access_expires_at = now() from users where users.id = user_id and display_name like 'Ada%'")
            .await;
        // Only storing a result writes this column.
        raise(&app, code, 3, "update of generation on grants").await;
        let page = ada.get("/account").await.assert_status(200);
        page.assert_contains("Primary on Solana");
        assert_eq!(app.provider.calls("refresh").await, 1, "{code}");
        invariants.after(&app).await;
    });
    join_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_loses_a_deadlock_is_stored_at_the_next_try() {
    let app = TestApp::spawn().await;
    let mut invariants = Invariants::before(&app).await;
    app.signed_in("ada").await;
    invariants.orphans = 1;
    let mut other = app.transaction().await;
    let grant = "select from grants join users on users.id = user_id where display_name like 'Ada%' for update of grants";
    sqlx::query(grant).execute(&mut *other).await.unwrap();
    let login = app.signed_in("ada");
    let deadlock = async {
        // The login has locked Ada and waits for her grant.
        app.waiting_for_locks(1).await;
        let ada = "update users set last_login_at = now() where display_name like 'Ada%'";
        sqlx::query(ada).execute(&mut *other).await.unwrap();
        other.commit().await.unwrap();
    };
    tokio::join!(login, deadlock);
    let stopped = "select deadlocks from pg_stat_database where datname = current_database()";
    app.becomes(stopped, 1).await;
    assert_eq!(app.count("select count(*) from grants").await, 2);
    invariants.after(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_lock_on_the_sessions_makes_pages_fail_soon() {
    let app = TestApp::spawn().await;
    let mut invariants = Invariants::before(&app).await;
    let browser = app.signed_in("ada").await;
    let mut backup = app.transaction().await;
    let lock = sqlx::query("lock table sessions in access exclusive mode");
    lock.execute(&mut *backup).await.unwrap();
    app.engine.sessions.forget_all();
    let started = Instant::now();
    let visit = async |mut browser: Browser, path: &str| -> Answer {
        match path {
            "/settings" => browser.get(path).await,
            _ => browser.post(path, &[]).await,
        }
    };
    let (page, logout) = tokio::join!(
        visit(browser.clone(), "/settings"),
        visit(browser.clone(), "/auth/logout"),
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_page(&page.assert_status(503));
    assert_page(&logout.assert_status(503));
    app.browser().get("/").await.assert_status(200);
    app.browser().get("/readyz").await.assert_status(200);
    backup.rollback().await.unwrap();
    visit(browser, "/settings").await.assert_status(200);
    invariants.after(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_every_connection_costs_one_request() {
    let app = TestApp::spawn().await;
    let mut invariants = Invariants::before(&app).await;
    let mut browser = app.signed_in("ada").await;
    let pid = async || {
        let pid = "select pg_backend_pid() from pg_sleep(0.3)";
        let pid = sqlx::query_scalar::<_, i32>(pid);
        pid.fetch_one(&app.engine.db).await.unwrap()
    };
    let pids: [i32; 4] = tokio::join!(pid(), pid(), pid(), pid()).into();
    let close = sqlx::query("select pg_terminate_backend(pid) from unnest($1::int[]) as pid");
    let closed = close.bind(&pids[..]).execute(&app.database.pool).await;
    assert_eq!(closed.unwrap().rows_affected(), 4);
    let mut failed = 0;
    for _ in 0..4 {
        app.engine.sessions.forget_all();
        let page = browser.get("/settings").await;
        failed += u32::from(page.status != 200);
    }
    assert!(failed <= 1, "{failed} requests found a closed connection");
    invariants.after(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_connect_any_more_is_used_again_without_a_restart() {
    let first = TestApp::spawn().await;
    let name = first.text("select current_database()::text").await;
    let role = format!("{name}_role");
    run(&first, format!("create role {role} login superuser")).await;
    let url = first
        .database
        .url
        .replace("//postgres@", &format!("//{role}@"));
    let app = first.replica_with(&[("DATABASE_URL", &url)]).await;
    let mut invariants = Invariants::before(&app).await;
    let page = format!("{}/settings", app.url);
    let mut browser = first.signed_in("ada").await;
    browser.get(&page).await.assert_status(200);
    run(&first, format!("alter role {role} nologin")).await;
    // Connections that are open would still work.
    app.engine.db.renew();
    app.engine.sessions.forget_all();
    assert_page(&browser.get(&page).await.assert_status(503));
    run(&first, format!("alter role {role} login")).await;
    browser.get(&page).await.assert_status(200);
    invariants.after(&app).await;
    drop(app);
    run(&first, format!("alter role {role} nologin nosuperuser")).await;
}

/// Sign-ins, pages, refreshes and endings on a database with other settings.
async fn everything_works(app: &TestApp) {
    let mut invariants = Invariants::before(app).await;
    let mut ada = app.signed_in("ada").await;
    app.sql("insert into sessions (id_hash, user_id, expires_at, last_seen_at)
             select sha256(n::text::bytea), users.id, now() + n * interval '20 minutes', now() from users, generate_series(-1, 1, 2) n where display_name like 'Ada%'")
        .await;
    app.engine.sessions.forget_all();
    ada.get("/account").await.assert_status(200);
    app.expire_access_tokens(2).await;
    app.forget_user_data().await;
    ada.get("/account").await.assert_status(200);
    assert_eq!(app.provider.calls("refresh").await, 1);
    // A new server sweeps the session that is over, and no other.
    let sweeping = app.replica().await;
    app.becomes("select count(*) from sessions", 3).await;
    let over = "select count(*) from sessions where expires_at < now()";
    assert_eq!(app.count(over).await, 0);
    // A sign-in is fresh for 10 minutes.
    ada.post("/settings/delete", &[("confirm", "yes")])
        .await
        .assert_redirect("/?deleted=yes");
    assert_eq!(app.count("select count(*) from users").await, 1);
    drop(sweeping);
    invariants.after(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_time_zone_of_the_database_changes_nothing() {
    let app = TestApp::spawn().await;
    let name = app.text("select current_database()::text").await;
    let zone = "Pacific/Kiritimati";
    let set = format!("alter database {name} set timezone = '{zone}'; set timezone = '{zone}'");
    run(&app, set).await;
    app.engine.db.renew();
    everything_works(&app).await;
}

/// The clock of the database for our statements, which is off by this much.
const SHIFTED_CLOCK: &str = "
    create schema shifted;
    create function shifted.now() returns timestamptz stable language sql as $$ select pg_catalog.now() + interval 'OFF' $$;
    do $$ declare defaults record; begin
        for defaults in select attrelid::regclass as relation, attname from pg_attrdef
            join pg_attribute on attrelid = adrelid and attnum = adnum
            where pg_get_expr(adbin, adrelid) = 'now()' loop
            execute format('alter table %s alter %I set default shifted.now()', defaults.relation, defaults.attname);
        end loop;
        execute format('alter database %I set search_path = shifted, pg_catalog, public', current_database());
    end $$;
    set search_path = shifted, pg_catalog, public";

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_of_the_database_that_is_off_by_ten_minutes_changes_nothing() {
    for off in ["10 minutes", "-10 minutes"] {
        let app = TestApp::spawn().await;
        run(&app, SHIFTED_CLOCK.replace("OFF", off)).await;
        app.engine.db.renew();
        let differs = "select abs(extract(epoch from now() - pg_catalog.now())) = 600";
        let differs = sqlx::query_scalar::<_, bool>(differs).fetch_one(&app.engine.db);
        assert!(differs.await.unwrap(), "the clock is the same");
        everything_works(&app).await;
    }
}
