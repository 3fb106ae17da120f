//! A reload in the middle of a sign-in: the same session again, for the same browser and for no other.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{Browser, TestApp};

/// A browser that has signed in, its callback's address, and a twin that still has the attempt's cookie only.
async fn signed_in_with_twin(app: &TestApp) -> (Browser, Browser, String) {
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let twin = browser.clone();
    browser.get(&callback).await.assert_redirect("/account");
    (browser, twin, callback)
}

#[tokio::test]
async fn a_reload_during_the_exchange_ends_signed_in_with_one_session() {
    let app = TestApp::spawn().await;
    app.provider
        .fault("token", json!({ "delay_ms": 600 }))
        .await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let first = browser
        .request(Method::GET, &callback)
        .timeout(Duration::from_millis(150));
    assert!(first.send().await.unwrap_err().is_timeout());
    browser.get(&callback).await.assert_redirect("/account");
    browser.get("/account").await.assert_status(200);
    assert_eq!(app.provider.calls("token").await, 1);
    assert_eq!(app.count("select count(*) from sessions").await, 1);
}

#[tokio::test]
async fn a_reload_whose_first_answer_was_lost_gets_the_same_session() {
    let app = TestApp::spawn().await;
    let (browser, mut twin, callback) = signed_in_with_twin(&app).await;
    twin.get(&callback).await.assert_redirect("/account");
    assert_eq!(twin.session(), browser.session());
    twin.get("/account").await.assert_status(200);
    assert_eq!(app.count("select count(*) from sessions").await, 1);
}

#[tokio::test]
async fn another_browser_with_the_same_address_gets_nothing() {
    let app = TestApp::spawn().await;
    let (_, _, callback) = signed_in_with_twin(&app).await;
    let mut stranger = app.browser();
    stranger.get(&callback).await.assert_refused("expired");
    assert_eq!(stranger.session(), None);
    // Nor does one with an attempt of its own.
    stranger.start("/account").await;
    stranger.get(&callback).await.assert_refused("expired");
    assert_eq!(stranger.session(), None);
}

#[tokio::test]
async fn half_a_minute_later_a_repeated_callback_sets_no_session() {
    let app = TestApp::spawn().await;
    let (_, mut twin, callback) = signed_in_with_twin(&app).await;
    app.sql("update login_attempts set burnt_at = now() - interval '31 seconds'")
        .await;
    twin.get(&callback).await.assert_refused("expired");
    assert_eq!(twin.session(), None);
}

#[tokio::test]
async fn a_repeated_callback_brings_no_ended_session_back() {
    let app = TestApp::spawn().await;
    let (mut browser, mut twin, callback) = signed_in_with_twin(&app).await;
    browser.post("/auth/logout", &[]).await.assert_redirect("/");
    twin.get(&callback).await.assert_refused("expired");
    assert_eq!(twin.session(), None);
    assert_eq!(app.count("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn a_repeated_callback_never_switches_to_another_person() {
    let app = TestApp::spawn().await;
    let (_, twin, callback) = signed_in_with_twin(&app).await;
    let mut collector = app.signed_in("collector").await;
    let session = collector.session().cloned();
    collector.cookies.extend(twin.cookies);
    collector
        .get(&callback)
        .await
        .assert_refused("other-account");
    assert_eq!(collector.session().cloned(), session);
    collector.get("/").await.assert_contains("Hello");
}

#[tokio::test]
async fn every_attempt_has_a_session_id_of_its_own_that_nobody_can_read() {
    let app = TestApp::spawn().await;
    let (browser, twin, _) = signed_in_with_twin(&app).await;
    let session = browser.session().unwrap();
    let attempt = twin.cookies.values().next().unwrap();
    assert!(!attempt.contains(session.as_str()));
    let mut again = app.browser();
    again
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    assert_ne!(again.session().unwrap(), session);
}
