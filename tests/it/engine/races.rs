//! Concurrent requests on several replicas have one outcome.

use std::time::Duration;

use serde_json::json;

use crate::support::{Browser, Process, TestApp, eventually_within};

/// Two real processes on one database. Either of them can continue a login.
async fn two_processes(app: &TestApp) -> [Process; 2] {
    tokio::join!(Process::start(&app.settings), Process::start(&app.settings)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_identical_callbacks_on_two_processes_make_one_token_request() {
    let app = TestApp::spawn().await;
    let processes = two_processes(&app).await;
    for (rounds, latency) in [(1, 0), (2, 300)] {
        app.provider
            .fault("token", json!({ "delay_ms": latency }))
            .await;
        let before = app.provider.calls("token").await;
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        let answers = (0..50).map(|number| {
            let mut twin = browser.clone();
            let target = callback.replace(&app.url, &processes[number % 2].url);
            tokio::spawn(async move { (twin.get(&target).await, twin.session().cloned()) })
        });
        let mut sessions = Vec::new();
        for answer in answers.collect::<Vec<_>>() {
            let (answer, session) = answer.await.unwrap();
            answer.assert_redirect("/account");
            sessions.extend(session);
        }
        assert_eq!(
            app.provider.calls("token").await - before,
            1,
            "latency {latency}"
        );
        assert_eq!(sessions.len(), 50, "every tab of the browser is signed in");
        sessions.dedup();
        assert_eq!(sessions.len(), 1, "all of them with the same session");
        assert_eq!(app.count("select count(*) from sessions").await, rounds);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_identical_callbacks_of_a_failing_login_end_at_the_same_page() {
    let app = TestApp::spawn().await;
    let processes = two_processes(&app).await;
    app.provider
        .fault("token", json!({ "status": 503, "delay_ms": 200 }))
        .await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let answers = (0..50).map(|number| {
        let mut twin = browser.clone();
        let target = callback.replace(&app.url, &processes[number % 2].url);
        tokio::spawn(async move { twin.get(&target).await.location().to_owned() })
    });
    let mut locations = std::collections::HashSet::new();
    for answer in answers.collect::<Vec<_>>() {
        locations.insert(answer.await.unwrap());
    }
    assert_eq!(locations.len(), 1, "{locations:?}");
    assert!(
        locations
            .iter()
            .all(|location| location.starts_with("/login?e=provider&ref="))
    );
    assert_eq!(app.provider.calls("token").await, 1);
}

#[tokio::test]
async fn a_browser_that_goes_away_during_the_exchange_still_ends_with_grant_and_session() {
    let app = TestApp::spawn().await;
    app.provider
        .fault("token", json!({ "delay_ms": 800 }))
        .await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let request = browser
        .request(reqwest::Method::GET, &callback)
        .timeout(Duration::from_millis(150));
    assert!(request.send().await.unwrap_err().is_timeout());
    let stored = "select count(*) from sessions join grants using (user_id)";
    eventually_within(Duration::from_secs(3), stored, async || {
        app.count(stored).await == 1
    })
    .await;
    assert_eq!(
        app.text("select outcome from login_attempts").await,
        "signed_in"
    );
    assert_eq!(app.open_transactions().await, 0);
}

#[tokio::test]
async fn a_login_starts_on_one_replica_and_ends_on_another() {
    let app = TestApp::spawn().await;
    let replica = app.replica().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    browser
        .get(&callback.replace(&app.url, &replica.url))
        .await
        .assert_redirect("/account");
    browser.get("/account").await.assert_status(200);
}

#[tokio::test]
async fn twenty_first_logins_of_one_person_make_one_user_and_one_grant() {
    let app = TestApp::spawn().await;
    let replica = app.replica().await;
    let mut ready = Vec::new();
    for number in 0..20 {
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        let url = if number % 2 == 0 {
            &app.url
        } else {
            &replica.url
        };
        ready.push((browser, callback.replace(&app.url, url)));
    }
    let logins = ready.into_iter().map(|(mut browser, callback)| {
        tokio::spawn(async move { browser.get(&callback).await.assert_redirect("/account") })
    });
    for login in logins.collect::<Vec<_>>() {
        login.await.unwrap();
    }
    assert_eq!(app.count("select count(*) from users").await, 1);
    assert_eq!(app.count("select count(*) from grants").await, 1);
    assert_eq!(app.count("select count(*) from sessions").await, 20);
    let mut browser: Browser = app.signed_in("ada").await;
    browser
        .get("/account")
        .await
        .assert_status(200)
        .assert_contains("Primary on Solana");
}

#[tokio::test]
async fn two_tabs_that_finish_together_both_succeed() {
    let app = TestApp::spawn().await;
    app.provider
        .fault("token", json!({ "delay_ms": 100 }))
        .await;
    let mut browser = app.browser();
    let first = browser.start_and_consent(&app.provider, "ada").await;
    let second = browser.start_and_consent(&app.provider, "ada").await;
    let (mut left, mut right) = (browser.clone(), browser.clone());
    let (left, right) = tokio::join!(left.get(&first), right.get(&second));
    left.assert_redirect("/account");
    right.assert_redirect("/account");
    assert_eq!(app.count("select count(*) from grants").await, 1);
}

#[tokio::test]
async fn people_who_hang_up_while_they_leave_have_left() {
    let app = TestApp::spawn().await;
    let mut leaving = Vec::new();
    for (way, form) in [
        ("/auth/logout", &[][..]),
        ("/settings/disconnect", &[]),
        ("/settings/delete", &[("confirm", "yes")]),
    ] {
        for _ in 0..3 {
            let mut browser = app.signed_in(&format!("crowd-{}", leaving.len())).await;
            leaving.push(async move { browser.post(way, form).await });
        }
    }
    let people = leaving.len();
    let mut lock = app.transaction().await;
    let statement = "lock table grants in exclusive mode";
    sqlx::query(statement).execute(&mut *lock).await.unwrap();
    let requests: Vec<_> = leaving.into_iter().map(tokio::spawn).collect();
    app.waiting_for_locks(i64::try_from(people).unwrap()).await;
    for request in requests {
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
    }
    // The server hears of it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    lock.commit().await.unwrap();
    app.becomes("select count(*) from grants", 0).await;
    app.becomes("select count(*) from users", 6).await;
    app.becomes("select count(*) from sessions", 3).await;
    eventually_within(Duration::from_secs(5), "tokens are revoked", async || {
        app.provider.get("tokens").await["families"] == 0
    })
    .await;
    assert_eq!(app.open_transactions().await, 0);
}

#[tokio::test]
async fn a_database_that_fails_after_a_sign_out_during_a_refresh_loses_no_token() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    app.expire_access_tokens(1).await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 500 }))
        .await;
    let mut tab = browser.clone();
    let mut page = tokio::spawn(async move { tab.get("/account").await });
    app.provider.called("refresh", 1).await;
    browser
        .post("/settings/disconnect", &[])
        .await
        .assert_redirect("/settings?done=disconnected");
    // From here on a grant can be written, but none can be looked for.
    app.sql("alter table first_provider rename to away").await;
    let ended = tokio::time::timeout(Duration::from_secs(2), &mut page).await;
    assert!(ended.is_err(), "the new tokens were dropped");
    app.sql("alter table away rename to first_provider").await;
    page.await.unwrap();
    app.becomes("select count(*) from revocations", 0).await;
    let families = app.provider.get("tokens").await["families"].clone();
    assert_eq!(families, 0, "the new tokens are alive");
}
