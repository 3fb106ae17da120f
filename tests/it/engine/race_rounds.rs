//! Races in many rounds. The load program runs more of them.

use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use matrica_starter::engine::db::sweep;
use matrica_starter::engine::http::{Access, Route};
use reqwest::Method;
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinHandle;

use crate::ROUNDS;
use crate::support::{Answer, Browser, TestApp, assert_page};

/// A page that writes to the session of the browser, and takes its time between reading and writing.
struct SlowPage {
    url: String,
    read: Arc<Notify>,
    write: Arc<Notify>,
}

impl SlowPage {
    async fn of(app: &TestApp) -> Self {
        let (read, write) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (has_read, may_write) = (read.clone(), write.clone());
        let slow = get(move |session: tower_sessions::Session| async move {
            let known = session.get::<i64>("visits").await.unwrap_or_default();
            has_read.notify_one();
            may_write.notified().await;
            let written = session
                .insert("visits", known.unwrap_or_default() + 1)
                .await;
            format!("{}", written.is_ok())
        });
        let url = app
            .serve(vec![Route::new("/slow", Access::Public, slow)])
            .await;
        Self { url, read, write }
    }

    /// A visit that has read the session, and has not written it yet.
    async fn visit(&self, browser: &Browser) -> JoinHandle<Answer> {
        let request = browser.request(Method::GET, &format!("{}/slow", self.url));
        let visit = tokio::spawn(async move { Answer::read(request.send().await.unwrap()).await });
        self.read.notified().await;
        visit
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_page_never_sets_the_cookie_of_a_session_that_was_replaced_or_ended() {
    let app = TestApp::spawn().await;
    let page = SlowPage::of(&app).await;
    let mut browser = app.signed_in("ada").await;
    for round in 0..ROUNDS {
        let old = browser.session().unwrap().clone();
        let visit = page.visit(&browser).await;
        // In half of the rounds the page ends in the middle of the login.
        let early = round % 2 == 0;
        if early {
            page.write.notify_one();
        }
        if round % 4 == 3 {
            browser.post("/auth/logout", &[]).await.assert_redirect("/");
            assert!(browser.session().is_none(), "round {round}");
        } else {
            let answer = browser.sign_in(&app.provider, "ada").await;
            answer.assert_redirect("/account");
            assert_ne!(browser.session(), Some(&old), "round {round}");
        }
        if !early {
            page.write.notify_one();
        }
        let answer = visit.await.unwrap();
        assert_page(&answer);
        // A cookie of the late answer would replace the newer one of the browser.
        assert_eq!(answer.cookies(""), Vec::<&str>::new(), "round {round}");
        if browser.session().is_none() {
            let sessions = app.count("select count(*) from sessions").await;
            assert_eq!(sessions, 0, "round {round}: the session came back");
            browser = app.signed_in("ada").await;
        }
        browser.get("/settings").await.assert_status(200);
        let sessions = app.count("select count(*) from sessions").await;
        assert_eq!(sessions, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_at_its_edge_is_there_or_not_whatever_the_sweeper_does() {
    let app = TestApp::spawn().await;
    let browser = app.signed_in("ada").await;
    app.sql("create table kept as select * from sessions").await;
    let (mut shown, mut refused) = (0, 0);
    // Moves towards the time that a page takes, so that either may come first.
    let mut lives_ms = 4_i32;
    for round in 0..ROUNDS {
        app.sql("delete from sessions").await;
        app.sql("insert into sessions select * from kept").await;
        let expire = "update sessions set expires_at = now() + $1 * interval '1 millisecond'";
        let expire = sqlx::query(expire).bind(lives_ms);
        expire.execute(&app.database.pool).await.unwrap();
        let (db, lifetime) = (app.engine.db.clone(), app.engine.config.session);
        let sweeper = tokio::spawn(async move {
            let mut removed = 0;
            while removed == 0 {
                removed = sweep::sessions(&db, lifetime, 100).await.unwrap().removed;
            }
        });
        tokio::time::sleep(Duration::from_millis(u64::try_from(round % 7).unwrap())).await;
        let (mut tab, mut other) = (browser.clone(), browser.clone());
        let (settings, front) = tokio::join!(tab.get("/settings"), other.get("/"));
        for answer in [&settings, &front] {
            assert_page(answer);
            assert!([200, 303].contains(&answer.status), "{answer:?}");
        }
        if settings.status == 200 {
            shown += 1;
            lives_ms = (lives_ms - 4).max(0);
        } else {
            settings.assert_redirect("/login?return_to=%2Fsettings");
            refused += 1;
            lives_ms += 4;
        }
        sweeper.await.unwrap();
        // A session that was shown may be cached for 5 s.
        app.engine.sessions.forget_all();
        assert_eq!(app.count("select count(*) from sessions").await, 0);
        browser.clone().get("/settings").await.assert_status(303);
    }
    assert!(
        shown > 0 && refused > 0,
        "{shown} pages, {refused} sign-ins"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_locked_out_during_a_refresh_is_out_and_the_tokens_are_not_lost() {
    let app = TestApp::without_cache(&[]).await;
    app.provider
        .set(serde_json::json!({ "reuse_grace_ms": 600_000 }))
        .await;
    let mut browser = app.signed_in("ada").await;
    for round in 0..ROUNDS {
        app.expire_access_tokens(1).await;
        let before = app.count("select generation from grants").await;
        let barrier = Arc::new(Barrier::new(2));
        let (mut tab, at) = (browser.clone(), barrier.clone());
        let page = tokio::spawn(async move {
            at.wait().await;
            tab.get("/account").await
        });
        barrier.wait().await;
        tokio::time::sleep(Duration::from_micros(
            500 * u64::try_from(round % 30).unwrap(),
        ))
        .await;
        app.sql("update users set disabled_at = now()").await;
        let page = page.await.unwrap();
        assert_page(&page);
        assert!([200, 303].contains(&page.status), "{page:?}");
        // They are out, and cannot come back in.
        let mut late = browser.clone();
        crate::support::eventually("signed out", async || {
            late.get("/settings").await.status == 303
        })
        .await;
        assert_eq!(app.count("select count(*) from sessions").await, 0);
        app.becomes(
            "select count(*) from grants where lease_until is not null",
            0,
        )
        .await;
        let after = app.count("select generation from grants").await;
        assert!(
            (before..=before + 1).contains(&after),
            "round {round}: {before} {after}"
        );
        app.sql("update users set disabled_at = null").await;
        browser = app.signed_in("ada").await;
        let page = browser.get("/account").await.assert_status(200);
        page.assert_contains("Primary on Solana");
    }
    assert_eq!(app.provider.get("tokens").await["reused"], 0);
}
