//! A reload in the middle of a sign-in: the same session again, for the same browser and for no
//! other.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::support::{Browser, TestApp};

/// A browser that has signed in, its callback's address, and a twin that still has the attempt's
/// cookie only.
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

#[tokio::test]
async fn a_planted_attempt_gives_no_session_to_whoever_planted_it() {
    let app = TestApp::spawn().await;
    let mut attacker = app.browser();
    let url = attacker.start("/account").await;
    let mut victim = attacker.clone();
    let callback = app.provider.consent(&url, "ada").await;
    victim.get(&callback).await.assert_redirect("/account");
    // The attacker has the cookie and `state`, but not the code.
    let state = url::Url::parse(&url).unwrap();
    let state = state.query_pairs().find(|(name, _)| name == "state");
    let state = state.unwrap().1.into_owned();
    let (address, _) = callback.split_once('?').unwrap();
    for outcome in ["code=guess", "error=access_denied"] {
        let mut again = attacker.clone();
        again
            .get(&format!("{address}?{outcome}&state={state}"))
            .await
            .assert_refused("expired");
        assert_eq!(again.session(), None);
    }
}

#[tokio::test]
async fn a_repeated_callback_leaves_a_newer_session_alone() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let first = browser.start_and_consent(&app.provider, "ada").await;
    let second = browser.start_and_consent(&app.provider, "ada").await;
    // Both tabs finish at the same time. The answer to the second comes last.
    let mut tab = browser.clone();
    tab.get(&first).await.assert_redirect("/account");
    browser.get(&second).await.assert_redirect("/account");
    let newer = browser.session().cloned();
    assert_ne!(tab.session().cloned(), newer);
    browser.get(&first).await.assert_redirect("/account");
    assert_eq!(browser.session().cloned(), newer);
}

#[tokio::test]
async fn an_attempt_of_a_version_before_this_one_still_signs_in() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let (name, value) = browser.cookies.iter().next().unwrap();
    let (name, value) = (name.clone(), URL_SAFE_NO_PAD.decode(value).unwrap());
    let redirect_uri = app.engine.config.redirect_uri();
    let associated: [&[u8]; 3] = [
        name.as_bytes(),
        app.engine.config.matrica.client_id.as_bytes(),
        redirect_uri.as_bytes(),
    ];
    let sealer = &app.engine.attempt_sealer;
    let opened = sealer.open(&associated, &value).unwrap();
    let mut attempt: serde_json::Value = serde_json::from_slice(opened.expose_secret()).unwrap();
    attempt.as_object_mut().unwrap().remove("session").unwrap();
    let without = sealer.seal(&associated, &serde_json::to_vec(&attempt).unwrap());
    browser
        .cookies
        .insert(name, URL_SAFE_NO_PAD.encode(without));
    browser.get(&callback).await.assert_redirect("/account");
    browser.get("/account").await.assert_status(200);
}
