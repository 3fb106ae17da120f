//! Faults on the way to the database, at every step of a request. After each one the invariants hold.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::{
    Answer, Browser, Invariants, TestApp, Wire, assert_page, eventually, eventually_within, process,
};

/// Longest time for a page while the database is silent. A call may wait 6 s for its answer.
const SOON: Duration = Duration::from_secs(9);
/// Longest time until everything works again.
const RECOVERY: Duration = Duration::from_secs(5);

const PEOPLE: &str = "select count(*) from users";
const SESSIONS: &str = "select count(*) from sessions";
const GRANTS: &str = "select count(*) from grants";

/// A person in the middle of a sign-in. The browser has come back with its code.
async fn at_the_callback(app: &TestApp, person: &str) -> (Browser, String) {
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, person).await;
    (browser, callback)
}

async fn timed(mut browser: Browser, page: &'static str) -> (Answer, Duration) {
    let started = Instant::now();
    (browser.get(page).await, started.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_loses_packets_costs_seconds_and_no_connection() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    let browser = app.signed_in("ada").await;
    invariants.secret(browser.session().unwrap());
    wire.lose_packets();
    // More visitors than the pool has connections.
    app.engine.sessions.forget_all();
    let pages = (0..12).map(|_| timed(browser.clone(), "/settings"));
    for (page, took) in join_all(pages).await {
        assert_page(&page.assert_status(503));
        assert!(took < SOON, "a page took {took:?}");
    }
    browser.clone().get("/healthz").await.assert_status(200);
    browser.clone().get("/readyz").await.assert_status(503);
    wire.mend();
    eventually_within(RECOVERY, "every page is back", async || {
        app.engine.sessions.forget_all();
        let pages = (0..12).map(|_| timed(browser.clone(), "/settings"));
        let pages = join_all(pages).await;
        pages.iter().all(|(page, _)| page.status == 200)
    })
    .await;
    invariants.after(&app).await;
}

/// A sign-in during which the connection is cut, and the same callback again after it is mended.
async fn cut_during_sign_in(
    cut: impl FnOnce(&Wire),
    one_connection: bool,
    orphans: i64,
) -> (Answer, Answer, TestApp) {
    let connections = if one_connection { "1" } else { "10" };
    let (app, wire) = TestApp::on_wire(&[("DATABASE_MAX_CONNECTIONS", connections)]).await;
    let mut invariants = Invariants::before(&app).await;
    invariants.orphans = orphans;
    if !one_connection {
        // No statement is prepared, so its text is on the wire.
        app.engine.db.renew();
    }
    let (mut browser, callback) = at_the_callback(&app, "ada").await;
    wire.quiet().await;
    cut(&wire);
    let (answer, ()) = tokio::join!(browser.get(&callback), async {
        wire.is_cut().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        wire.mend();
    });
    assert_page(&answer);
    let again = browser.get(&callback).await;
    assert_page(&again);
    invariants.after(&app).await;
    (answer, again, app)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_before_the_exchange_sends_no_code_twice() {
    let burn = |wire: &Wire| wire.cut_within("insert into login_attempts");
    let (answer, again, app) = cut_during_sign_in(burn, false, 0).await;
    answer.assert_refused("busy");
    again.assert_redirect("/account");
    assert_eq!(app.provider.calls("token").await, 2);

    // The attempt is burnt, and the answer is lost.
    let burn = Wire::cut_after_next_question;
    let (answer, again, app) = cut_during_sign_in(burn, true, 0).await;
    answer.assert_refused("busy");
    again.assert_refused("expired");
    assert_eq!(app.provider.calls("token").await, 1);
    assert_eq!(app.count(SESSIONS).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_while_a_login_is_stored_costs_nothing() {
    for cut in [Wire::cut_within, Wire::cut_after] {
        let store = |wire: &Wire| cut(wire, "Ada Lindqvist");
        let (answer, again, app) = cut_during_sign_in(store, false, 0).await;
        answer.assert_redirect("/account");
        // Signed in already.
        again.assert_redirect("/");
        for rows in [PEOPLE, SESSIONS, GRANTS] {
            assert_eq!(app.count(rows).await, 2, "{rows}");
        }
        assert_eq!(app.provider.calls("token").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_after_the_exchange_signs_nobody_in() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    let (mut browser, callback) = at_the_callback(&app, "ada").await;
    // The database has not said whether the sign-in is stored, so the tokens are not revoked.
    invariants.orphans = 1;
    wire.cut_within("Ada Lindqvist");
    app.engine.db.renew();
    let started = Instant::now();
    let answer = browser.get(&callback).await;
    assert!(started.elapsed() < Duration::from_secs(14));
    assert_page(&answer);
    answer.assert_refused("busy");
    assert!(browser.session().is_none());
    wire.mend();
    for rows in [PEOPLE, SESSIONS, GRANTS] {
        assert_eq!(app.count(rows).await, 1, "{rows}");
    }
    browser.get(&callback).await.assert_status(303);
    assert_eq!(app.provider.calls("token").await, 2);
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    invariants.after(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_server_with_the_new_tokens_stores_them_before_others_refresh() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    let other = app.replica().await;
    let browser = app.signed_in("ada").await;
    app.sql("update grants set access_expires_at = now() from users where users.id = user_id and display_name like 'Ada%'")
        .await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 500 }))
        .await;
    let page = |app: &TestApp| {
        let browser = browser.clone();
        let page = browser.request(Method::GET, &format!("{}/account", app.url));
        tokio::spawn(page.send())
    };
    let first = page(&app);
    app.provider.called("refresh", 1).await;
    wire.cut();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    // The outage outlives the lease, and the other server sees it too.
    assert_eq!(page(&other).await.unwrap().unwrap().status(), 503);
    app.sql(
        "update grants set lease_until = now() - interval '1 second' where lease_until is not null",
    )
    .await;
    wire.mend();
    // The other server is back first.
    for _ in 0..5 {
        let status = page(&other).await.unwrap().unwrap().status();
        assert!([200, 503].contains(&status.as_u16()), "{status}");
    }
    app.becomes("select count(*) from grants where generation = 2", 1)
        .await;
    assert_eq!(app.provider.calls("refresh").await, 1);
    invariants.after(&app).await;
    invariants.after(&other).await;
}

/// An app whose database takes this much longer for each answer, and Ada, whose token has expired.
async fn slow(by: Duration) -> (TestApp, Wire, Invariants, Browser) {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    // Each try of the newcomer brings new tokens.
    invariants.orphans = 9;
    let mut ada = app.signed_in("ada").await;
    let expire = "update grants set access_expires_at = now() from users where users.id = user_id and display_name like 'Ada%'";
    // Once before, so that every statement is prepared.
    app.sql(expire).await;
    ada.get("/account").await.assert_status(200);
    app.sql(expire).await;
    app.forget_user_data().await;
    wire.quiet().await;
    wire.slow_down(by);
    (app, wire, invariants, ada)
}

/// Longest time for a page. The request timeout is 15 s.
const PATIENCE: Duration = Duration::from_secs(18);

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_take_a_second_only_make_slow_pages() {
    let (app, wire, mut invariants, mut ada) = slow(Duration::from_secs(1)).await;
    let mut browser = app.browser();
    tokio::join!(
        eventually_within(PATIENCE, "wallets", async || {
            let page = ada.get("/account").await;
            assert_page(&page);
            page.body.contains("Primary on Solana")
        }),
        eventually_within(PATIENCE, "signed in", async || {
            let answer = browser.sign_in(&app.provider, "newcomer").await;
            assert_page(&answer);
            answer.location() == "/account"
        }),
    );
    assert_eq!(app.provider.calls("refresh").await, 2);
    wire.mend();
    invariants.after(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_take_5_s_end_every_page_in_time() {
    let (app, wire, mut invariants, mut ada) = slow(Duration::from_secs(5)).await;
    let (mut browser, callback) = at_the_callback(&app, "newcomer").await;
    let started = Instant::now();
    let (account, login) = tokio::join!(ada.get("/account"), browser.get(&callback));
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    for answer in [&account, &login] {
        assert_page(answer);
    }
    wire.mend();
    invariants.after(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_and_a_rotation_of_keys_go_on_after_an_outage() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    let mut browser = app.signed_in("ada").await;
    app.provider
        .fault("revoke", json!({ "delay_ms": 500 }))
        .await;
    browser.post("/auth/logout", &[]).await.assert_redirect("/");
    app.provider.called("revoke", 1).await;
    wire.cut();
    let keys = async || {
        let settings = BTreeMap::from([
            ("DATABASE_URL".to_owned(), wire.url.clone()),
            ("TOKEN_KEYS".to_owned(), app.settings["TOKEN_KEYS"].clone()),
        ]);
        let rotate = move || {
            process::command(&settings)
                .args(["keys", "rotate"])
                .output()
        };
        tokio::task::spawn_blocking(rotate).await.unwrap().unwrap()
    };
    let failed = keys().await;
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(
        !failed.status.success() && said.contains("the database"),
        "{said}"
    );
    wire.mend();
    // A claim hides the row for a minute.
    app.sql("update revocations set due_at = now()").await;
    app.engine.vault.revoke_soon();
    eventually_within(Duration::from_secs(15), "revoked", async || {
        app.count("select count(*) from revocations").await == 0
    })
    .await;
    assert!(keys().await.status.success());
    assert_eq!(app.provider.get("tokens").await["families"], 1);
    invariants.after(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_exhausted_answers_soon_and_loses_no_code_and_no_token() {
    let app = TestApp::with(&[("DATABASE_MAX_CONNECTIONS", "2")]).await;
    let mut invariants = Invariants::before(&app).await;
    let mut ada = app.signed_in("ada").await;
    app.sql("update grants set access_expires_at = now() from users where users.id = user_id and display_name like 'Ada%'")
        .await;
    let (mut browser, callback) = at_the_callback(&app, "newcomer").await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 500 }))
        .await;
    let request = ada.request(Method::GET, "/account");
    let account = tokio::spawn(request.send());
    app.provider.called("refresh", 1).await;
    let (held, is_over) = (Semaphore::new(0), Semaphore::new(0));
    let busy = async || {
        let work = async |_: &mut sqlx::PgConnection| {
            held.add_permits(1);
            is_over.acquire().await.unwrap().forget();
            Ok(())
        };
        app.engine.db.run(work).await.unwrap();
    };
    let visit = async {
        held.acquire_many(2).await.unwrap().forget();
        app.engine.sessions.forget_all();
        let (page, took) = timed(ada.clone(), "/settings").await;
        assert_page(&page.assert_status(503));
        assert!(took < Duration::from_secs(4), "{took:?}");
        browser.get(&callback).await.assert_refused("busy");
        assert_eq!(app.provider.calls("token").await, 2);
        is_over.add_permits(2);
    };
    tokio::join!(busy(), busy(), visit);
    eventually("the refreshed tokens are stored", async || {
        app.count("select count(*) from grants where generation = 2")
            .await
            == 1
    })
    .await;
    account.await.unwrap().unwrap();
    ada.get("/account").await.assert_status(200);
    assert_eq!(app.provider.calls("refresh").await, 1);
    browser.get(&callback).await.assert_redirect("/account");
    invariants.after(&app).await;
}
