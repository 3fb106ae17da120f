//! The cache of user data: 60 s fresh, one entry per person, forgotten when the person leaves.

use std::time::{Duration, Instant};

use matrica_starter::engine::user_data::{DataError, cache::UserDataCache};
use serde_json::{Value, json};

use crate::support::{ALL_SCOPES, Browser, TestApp, Wire, eventually, eventually_within};

/// An answer of the API, which must not be a refusal.
async fn api(browser: &mut Browser, path: &str) -> Value {
    serde_json::from_str(&browser.get(path).await.assert_status(200).body).unwrap()
}

async fn refresh(browser: &mut Browser) {
    browser
        .post("/account/refresh", &[("return_to", "/account/nfts?page=2")])
        .await
        .assert_redirect("/account/nfts?page=2");
}

#[tokio::test]
async fn a_second_look_asks_nobody_until_somebody_wants_newer_data() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("ada").await;
    for _ in 0..3 {
        browser
            .get("/account")
            .await
            .assert_contains("Updated just now");
        browser
            .get("/account/nfts")
            .await
            .assert_contains("Paper Otters #1000");
        api(&mut browser, "/api/wallets").await;
        api(&mut browser, "/api/me").await;
    }
    for endpoint in [
        "wallets", "email", "twitter", "discord", "telegram", "roles", "nfts",
    ] {
        assert_eq!(app.provider.calls(endpoint).await, 1, "{endpoint}");
    }
    refresh(&mut browser).await;
    assert_eq!(
        app.provider.calls("nfts").await,
        1,
        "pressing the button alone asks for nothing"
    );
    for _ in 0..3 {
        browser.get("/account/nfts").await.assert_status(200);
    }
    assert_eq!(
        (
            app.provider.calls("nfts").await,
            app.provider.calls("wallets").await
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn an_answer_is_fresh_for_its_time_and_the_last_good_one_is_shown_for_its_time() {
    let cache = UserDataCache::new(Duration::from_secs(2), Duration::from_secs(5));
    let app = TestApp::with_changes(&[ALL_SCOPES], |parts| parts.user_data.cache = cache).await;
    let mut browser = app.signed_in("ada").await;
    browser.get("/account/nfts").await.assert_status(200);
    app.provider.fault("nfts", json!({ "status": 500 })).await;
    browser
        .get("/account/nfts")
        .await
        .assert_contains("Updated just now");
    assert_eq!(app.provider.calls("nfts").await, 1);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let stale = browser.get("/account/nfts").await.assert_status(200);
    assert!(stale.body.contains("t responding") && stale.body.contains("Paper Otters #1000"));
    assert_eq!(api(&mut browser, "/api/nfts").await["stale"], true);
    tokio::time::sleep(Duration::from_secs(4)).await;
    browser
        .get("/account/nfts")
        .await
        .assert_contains("t show your NFTs right now");
    app.provider.mend().await;
    let healed = browser
        .get("/account/nfts")
        .await
        .assert_contains("Updated just now");
    assert!(!healed.body.contains("does not answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_want_the_same_at_once_cost_one_call() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let browser = app.signed_in("ada").await;
    for endpoint in ["nfts", "wallets"] {
        app.provider
            .fault(endpoint, json!({ "delay_ms": 300 }))
            .await;
    }
    let looks: Vec<_> = (0..40)
        .map(|number| {
            let mut tab = browser.clone();
            tokio::spawn(async move {
                let path = [
                    "/account/nfts",
                    "/api/nfts?take=20",
                    "/account/wallets",
                    "/api/wallets",
                ][number % 4];
                tab.get(path).await.assert_status(200);
            })
        })
        .collect();
    for look in looks {
        look.await.unwrap();
    }
    assert_eq!(
        (
            app.provider.calls("nfts").await,
            app.provider.calls("wallets").await
        ),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_for_the_others_when_the_first_one_leaves() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let browser = app.signed_in("ada").await;
    app.provider
        .fault("wallets", json!({ "delay_ms": 600 }))
        .await;
    let mut first = browser.clone();
    let leaving = tokio::spawn(async move { first.get("/account/wallets").await });
    app.provider.called("wallets", 1).await;
    let mut second = browser.clone();
    let staying = tokio::spawn(async move { second.get("/account/wallets").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    leaving.abort();
    staying
        .await
        .unwrap()
        .assert_status(200)
        .assert_contains("Primary on Solana");
    assert_eq!(app.provider.calls("wallets").await, 1);
}

#[tokio::test]
async fn nobody_sees_what_belongs_to_somebody_else() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let (mut ada, mut collector) = (app.signed_in("ada").await, app.signed_in("collector").await);
    for _ in 0..5 {
        ada.get("/account").await.assert_contains("ada@example.com");
        let page = collector
            .get("/account")
            .await
            .assert_contains("joaquin@example.com");
        assert!(!page.body.contains("ada@example.com"));
        assert_eq!(api(&mut ada, "/api/nfts").await["total"], 12);
        assert_eq!(api(&mut collector, "/api/nfts").await["total"], 480);
    }
}

#[tokio::test]
async fn whoever_leaves_takes_their_data_along() {
    for way_out in [
        "/auth/logout",
        "/settings/disconnect",
        "/settings/sessions/end-all",
        "/settings/delete",
    ] {
        let app = TestApp::with(&[ALL_SCOPES, ("KEEP_GRANTS", "true")]).await;
        let (mut first, mut second) = (app.signed_in("ada").await, app.signed_in("ada").await);
        second
            .get("/account/wallets")
            .await
            .assert_contains("Primary on Solana");
        first
            .post(way_out, &[("confirm", "yes")])
            .await
            .assert_status(303);
        // Gone also as a last good answer.
        app.provider
            .fault("wallets", json!({ "status": 500 }))
            .await;
        let page = second.get("/account/wallets").await;
        assert!(
            !page.body.contains("Primary on Solana"),
            "{way_out}: {}",
            page.body
        );
        let mut again = if way_out == "/settings/disconnect" {
            second
        } else {
            app.signed_in("ada").await
        };
        let page = again.get("/account/wallets").await.assert_status(200);
        assert!(
            !page.body.contains("Primary on Solana"),
            "{way_out}: {}",
            page.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_somebody_has_left_is_not_kept() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("ada").await;
    app.provider
        .fault("wallets", json!({ "delay_ms": 500, "times": 1 }))
        .await;
    let mut tab = browser.clone();
    let look = tokio::spawn(async move { tab.get("/account/wallets").await });
    app.provider.called("wallets", 1).await;
    browser
        .post("/settings/disconnect", &[])
        .await
        .assert_status(303);
    look.await.unwrap().assert_contains("Primary on Solana");
    browser
        .get("/account/wallets")
        .await
        .assert_contains("no longer connected to your Matrica account");
}

#[tokio::test]
async fn what_is_not_shared_any_more_is_not_shown_any_more() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("ada").await;
    browser
        .get("/account/wallets")
        .await
        .assert_contains("Primary on Solana");
    // Signing in again with less.
    app.provider
        .set(json!({ "granted_scope": "profile nfts" }))
        .await;
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    browser
        .get("/account/wallets")
        .await
        .assert_contains("t share your wallets with us");
    browser
        .get("/account/nfts")
        .await
        .assert_contains("Paper Otters #1000");
    // Or the provider says so while there is a good answer.
    app.provider
        .fault(
            "nfts",
            json!({ "status": 403, "body": r#"{"message":"Forbidden"}"# }),
        )
        .await;
    refresh(&mut browser).await;
    for _ in 0..2 {
        let page = browser
            .get("/account/nfts")
            .await
            .assert_contains("t share your NFTs with us");
        assert!(!page.body.contains("Paper Otters #1000"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_servers_forget_too() {
    let app = TestApp::with(&[ALL_SCOPES, ("KEEP_GRANTS", "true")]).await;
    let replica = app.replica().await;
    let mut browser = app.signed_in("ada").await;
    app.listening(2).await;
    let elsewhere = |path: &str| format!("{}{path}", replica.url);
    for (change, words) in [
        ("disconnect", "no longer connected to your Matrica account"),
        ("share less", "t share your wallets with us"),
    ] {
        app.provider.set(json!({ "granted_scope": null })).await;
        browser
            .sign_in(&app.provider, "ada")
            .await
            .assert_redirect("/account");
        // The replica is told of the sign-in, too.
        tokio::time::sleep(Duration::from_millis(300)).await;
        browser
            .get(&elsewhere("/account/wallets"))
            .await
            .assert_contains("Primary on Solana");
        if change == "disconnect" {
            browser
                .post("/settings/disconnect", &[])
                .await
                .assert_status(303);
        } else {
            app.provider
                .set(json!({ "granted_scope": "profile" }))
                .await;
            browser
                .sign_in(&app.provider, "ada")
                .await
                .assert_redirect("/account");
        }
        eventually_within(Duration::from_secs(1), change, async || {
            let page = browser.get(&elsewhere("/account/wallets")).await;
            page.body.contains(words)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_does_not_take_the_whole_way_to_matrica() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let browser = app.signed_in("collector").await;
    app.provider.fault("nfts", json!({ "delay_ms": 400 })).await;
    let started = Instant::now();
    let pages: Vec<_> = (1..=24)
        .map(|page| {
            let mut tab = browser.clone();
            tokio::spawn(async move {
                tab.get(&format!("/account/nfts?page={page}"))
                    .await
                    .assert_status(200)
            })
        })
        .collect();
    for page in pages {
        page.await.unwrap();
    }
    assert!(
        started.elapsed() > Duration::from_millis(1_150),
        "24 pages at 8 a time take 3 rounds"
    );
    assert_eq!(app.provider.calls("nfts").await, 24);
}

#[tokio::test]
async fn a_cached_answer_of_the_api_costs_the_database_nothing() {
    let first = TestApp::with(&[ALL_SCOPES]).await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_with(&[("DATABASE_URL", &wire.url)]).await;
    // A server that begins to listen forgets everything once.
    first.listening(2).await;
    let mut browser = first.signed_in("ada").await;
    wire.quiet().await;
    let paths = [
        "/api/wallets",
        "/api/nfts",
        "/api/me",
        "/account",
        "/holders",
    ]
    .map(|path| format!("{}{path}", app.url));
    for path in &paths {
        browser.get(path).await.assert_status(200);
    }
    wire.quiet().await;
    let before = wire.round_trips();
    // Well within the seconds for which a session is kept.
    for _ in 0..3 {
        for path in &paths {
            browser.get(path).await.assert_status(200);
        }
    }
    assert_eq!(wire.round_trips(), before);
}

#[tokio::test]
async fn asking_anew_leads_nowhere_else_and_takes_somebody_who_is_signed_in() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    browser
        .post("/account/refresh", &[])
        .await
        .assert_redirect("/account");
    browser
        .post("/account/refresh", &[("return_to", "//evil.test")])
        .await
        .assert_redirect("/");
    assert!(
        app.browser()
            .post("/account/refresh", &[])
            .await
            .location()
            .starts_with("/login")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_newer_data_does_not_get_an_older_answer_that_is_on_its_way() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("ada").await;
    app.provider
        .fault(
            "wallets",
            json!({ "delay_ms": 500, "status": 200, "body": "[]", "times": 1 }),
        )
        .await;
    let mut tab = browser.clone();
    let older = tokio::spawn(async move { tab.get("/account/wallets").await });
    app.provider.called("wallets", 1).await;
    refresh(&mut browser).await;
    browser
        .get("/account/wallets")
        .await
        .assert_contains("Primary on Solana");
    older.await.unwrap().assert_contains("No wallets yet");
    // The older answer, which came later, does not replace the newer one.
    browser
        .get("/account/wallets")
        .await
        .assert_contains("Primary on Solana");
}

#[tokio::test]
async fn what_somebody_asks_for_keeps_nobody_from_signing_in() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut eve = app.signed_in("collector").await;
    app.provider.fault("nfts", json!({ "status": 500 })).await;
    for skip in 0..12 {
        eve.get(&format!("/api/nfts?skip={skip}"))
            .await
            .assert_status(503);
    }
    let mut ada = app.signed_in("ada").await;
    ada.get("/account")
        .await
        .assert_contains("Primary on Solana");
    // Failing accounts of one person block no sign-in either.
    for endpoint in [
        "wallets", "email", "twitter", "discord", "telegram", "roles",
    ] {
        app.provider.fault(endpoint, json!({ "status": 404 })).await;
    }
    for _ in 0..3 {
        eve.get("/account").await.assert_status(200);
    }
    app.signed_in("newcomer").await;
}

#[tokio::test]
async fn a_refusal_where_nothing_was_asked_for_is_an_outage_and_the_last_good_answer_stays() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut browser = app.signed_in("ada").await;
    browser
        .get("/account/wallets")
        .await
        .assert_contains("Primary on Solana");
    app.provider
        .fault("wallets", json!({ "status": 400 }))
        .await;
    refresh(&mut browser).await;
    let page = browser
        .get("/account/wallets")
        .await
        .assert_contains("Primary on Solana");
    page.assert_contains("t responding");
}

#[tokio::test]
async fn without_the_database_nobody_blames_matrica() {
    let first = TestApp::with(&[ALL_SCOPES]).await;
    let wire = Wire::to(&first.database.url).await;
    let app = first.replica_with(&[("DATABASE_URL", &wire.url)]).await;
    let mut browser = first.signed_in("ada").await;
    browser
        .get(&format!("{}/", app.url))
        .await
        .assert_contains("Ada Lindqvist");
    wire.cut();
    let problem = browser
        .get(&format!("{}/api/wallets", app.url))
        .await
        .assert_status(503);
    assert!(
        problem
            .body
            .contains("urn:matrica-starter:problem:unavailable"),
        "{}",
        problem.body
    );
    wire.mend();
}

/// Has another server's listener renewed, as after a break of the network.
async fn renew_listener(app: &TestApp) {
    let renewed = app.count("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and query like 'LISTEN%'").await;
    assert_eq!(renewed, 1);
    eventually("listens again", async || {
        app.count("select count(*) from pg_stat_activity where datname = current_database() and query like 'LISTEN%'").await == 1
    })
    .await;
    // It then doubts what it knows.
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_renewed_listener_keeps_the_last_answers_and_asks_matrica_nothing() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    app.listening(1).await;
    ada.get("/api/wallets").await.assert_status(200);
    let asked = app.provider.calls("wallets").await;
    renew_listener(&app).await;
    for _ in 0..3 {
        ada.get("/api/wallets").await.assert_status(200);
    }
    assert_eq!(app.provider.calls("wallets").await, asked);
    // Also while neither Matrica nor the database answers.
    renew_listener(&app).await;
    app.provider
        .fault("wallets", json!({ "status": 503 }))
        .await;
    app.sql("alter table grants rename to away").await;
    eventually("the last answer is shown as one", async || {
        let answer = ada.get("/api/wallets").await.assert_status(200);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        answer["stale"] == true
    })
    .await;
    app.sql("alter table away rename to grants").await;
}

#[tokio::test]
async fn a_renewed_listener_forgets_who_left_or_connected_anew_meanwhile() {
    for change in [
        "delete from grants",
        "update grants set id = gen_random_uuid()",
    ] {
        let app = TestApp::spawn().await;
        let mut ada = app.signed_in("ada").await;
        app.listening(1).await;
        ada.get("/api/wallets").await.assert_status(200);
        app.sql("alter table grants disable trigger grant_changed")
            .await;
        app.sql(change).await;
        ada.get("/api/wallets").await.assert_status(200);
        renew_listener(&app).await;
        assert_ne!(ada.get("/api/wallets").await.status, 200, "{change}");
    }
}

#[tokio::test]
async fn scopes_that_were_read_alone_are_checked_when_in_doubt() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let user_id = app.user_id().await;
    app.engine.reader(user_id).scopes().await.unwrap();
    // Another server has disconnected her, and only says so.
    app.sql("delete from grants").await;
    app.engine.user_data.cache.doubt(user_id);
    let scopes = app.engine.reader(user_id).scopes().await;
    assert!(matches!(scopes, Err(DataError::Reconnect)));
}
