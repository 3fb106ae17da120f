//! A provider that speaks another dialect than the RFCs, or sends an odd character.

use serde_json::{Value, json};

use crate::support::{ALL_SCOPES, Browser, TestApp, logs};

/// The body of `GET /api/me`.
async fn me(browser: &mut Browser) -> Value {
    let answer = browser.get("/api/me").await.assert_status(200);
    serde_json::from_str(&answer.body).unwrap()
}

/// A token answer with these bytes in a field that nothing reads.
fn token_answer(odd: &str) -> String {
    format!(
        r#"{{"access_token":"kept-access","token_type":"Bearer","refresh_token":"kept-refresh","expires_in":3600,"note":{odd}}}"#
    )
}

#[tokio::test]
async fn a_refresh_that_answers_201_keeps_the_rotated_token() {
    let app = TestApp::without_cache(&[]).await;
    let mut browser = app.signed_in("ada").await;
    for generation in 2..4 {
        app.expire_access_tokens(1).await;
        let body = token_answer("null");
        app.provider
            .fault("refresh", json!({ "status": 201, "body": body }))
            .await;
        browser.get("/account").await.assert_status(200);
        app.becomes("select generation from grants", generation)
            .await;
    }
    let sent = &app.provider.get("calls").await["last_token_request"];
    assert_eq!(sent["fields"]["refresh_token"], "kept-refresh");
}

#[tokio::test]
async fn a_list_of_scopes_means_those_scopes() {
    let app = TestApp::spawn().await;
    let overrides = json!({ "scope": ["profile", "nfts", "more"] });
    app.provider
        .set(json!({ "token_overrides": overrides }))
        .await;
    let mut ada = app.signed_in("ada").await;
    assert_eq!(app.text("select scope from grants").await, "profile nfts");
    let page = ada.get("/account/wallets").await;
    page.assert_contains("t share your wallets with us");
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_in_other_words_means_reconnecting() {
    for (status, body) in [
        (
            400,
            r#"{"statusCode":400,"message":"Invalid refresh token","error":"Bad Request"}"#,
        ),
        (400, r#"{"message":["Refresh token has been revoked"]}"#),
        (401, r#"{"error":"Unauthorized","message":"Token expired"}"#),
        (
            400,
            r#"{"error":"invalid_request","error_description":"The refresh token is invalid."}"#,
        ),
        (200, r#"{"error":"invalid_grant"}"#),
    ] {
        let app = TestApp::without_cache(&[]).await;
        let mut browser = app.signed_in("ada").await;
        app.expire_access_tokens(1).await;
        app.provider
            .fault("refresh", json!({ "status": status, "body": body }))
            .await;
        let page = browser.get("/account/wallets").await;
        page.assert_contains("no longer connected to your Matrica account");
        let grants = app.count("select count(*) from grants").await;
        assert_eq!(grants, 0, "{body}");
    }
}

#[tokio::test]
async fn words_about_something_else_end_no_grant() {
    for body in [
        r#"{"message":"Invalid client token"}"#,
        r#"{"message":"Invalid grant_type"}"#,
        r#"{"message":"Unexpected token < in JSON, invalid body"}"#,
        r#"{"message":"Unknown error code 17"}"#,
        r#"{"message":"Invalid redirect, no code"}"#,
    ] {
        let app = TestApp::without_cache(&[]).await;
        let mut browser = app.signed_in("ada").await;
        app.expire_access_tokens(1).await;
        app.provider
            .fault("refresh", json!({ "status": 400, "body": body }))
            .await;
        let page = browser.get("/account/wallets").await;
        page.assert_contains("t show your wallets right now");
        let grants = app.count("select count(*) from grants").await;
        assert_eq!(grants, 1, "{body}");
    }
}

#[tokio::test]
async fn a_grant_that_alone_is_refused_without_a_reason_asks_to_reconnect_and_stays() {
    let app = TestApp::without_cache(&[]).await;
    let mut ada = app.signed_in("ada").await;
    app.expire_access_tokens(1).await;
    let refusal = json!({ "status": 400, "body": "" });
    app.provider.fault("refresh", refusal.clone()).await;
    for _ in 0..10 {
        app.sql("update grants set retry_at = null").await;
        let page = ada.get("/account/wallets").await;
        page.assert_contains("t show your wallets right now");
    }
    // Another grant is refreshed, so the application is not the cause.
    app.provider.mend().await;
    let mut other = app.signed_in("collector").await;
    app.sql("update grants set access_expires_at = now() where failures = 0")
        .await;
    other.get("/account/wallets").await.assert_status(200);
    app.becomes("select count(*) from grants where generation = 2", 1)
        .await;
    let page = ada.get("/account/wallets").await;
    page.assert_contains("no longer connected to your Matrica account");
    app.provider.fault("refresh", refusal).await;
    app.sql("update grants set retry_at = null").await;
    let page = ada.get("/account/wallets").await;
    page.assert_contains("no longer connected to your Matrica account");
    assert_eq!(app.count("select count(*) from grants").await, 2);
}

#[tokio::test]
async fn one_odd_character_spoils_no_answer() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    for (name, shown) in [
        (r"Moon \ud83d", "Moon \u{FFFD}"),
        (r"Moon \udc11\ud83d\ude00", "Moon \u{FFFD}\u{1F600}"),
        ("Moon\tDust", "Moon\u{FFFD}Dust"),
        (r"Moon \x", "Moon \u{FFFD}x"),
        ("\u{1F319}", "\u{1F319}"),
    ] {
        for mark in ["", "\u{FEFF}"] {
            let body = format!(
                r#"{mark}{{"profile":{{"id":"moon","name":"{name}","score":1e999,"rank":-1e400}}}}"#
            );
            app.provider
                .fault("profile", json!({ "status": 200, "body": body }))
                .await;
            let mut browser = app.signed_in("ada").await;
            assert_eq!(me(&mut browser).await["profile"]["data"]["name"], shown);
        }
    }
}

#[tokio::test]
async fn one_odd_character_spoils_no_token_answer() {
    for odd in [
        r#""half \ud83d""#,
        "1e999",
        "\"raw \u{1} control\"",
        r#""\q""#,
    ] {
        for mark in ["", "\u{FEFF}"] {
            let app = TestApp::spawn().await;
            let body = format!("{mark}{}", token_answer(odd));
            app.provider
                .fault("token", json!({ "status": 200, "body": body }))
                .await;
            let profile = r#"{"profile":{"id":"ada","name":"Ada"}}"#;
            app.provider
                .fault("profile", json!({ "status": 200, "body": profile }))
                .await;
            app.signed_in("ada").await;
        }
    }
}

#[tokio::test]
async fn a_firewall_that_answers_403_is_an_outage_and_the_last_good_answer_stays() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    ada.get("/account/wallets")
        .await
        .assert_contains("Primary on Solana");
    for body in ["<html>Just a moment...</html>", "", "Forbidden"] {
        app.provider
            .fault("wallets", json!({ "status": 403, "body": body }))
            .await;
        let form = [("return_to", "/account/wallets")];
        ada.post("/account/refresh", &form).await;
        let page = ada.get("/account/wallets").await;
        page.assert_contains("Primary on Solana");
    }
    let challenge = "Bearer realm=\"api\", error=\"insufficient_scope\"";
    let refusal = json!({ "status": 403, "headers": { "www-authenticate": challenge } });
    app.provider.fault("wallets", refusal).await;
    ada.post("/account/refresh", &[]).await;
    let page = ada.get("/account/wallets").await;
    page.assert_contains("t share your wallets with us");
}

#[tokio::test]
async fn every_registered_error_at_the_callback_has_its_page_and_a_fixed_word_in_the_log() {
    let app = TestApp::spawn().await;
    for (error, word, notice) in [
        ("invalid_request", "invalid_request", "misconfigured"),
        (
            "unauthorized_client",
            "unauthorized_client",
            "misconfigured",
        ),
        (
            "unsupported_response_type",
            "unsupported_response_type",
            "misconfigured",
        ),
        ("invalid_scope", "invalid_scope", "misconfigured"),
        ("server_error", "server_error", "provider-error"),
        (
            "temporarily_unavailable",
            "temporarily_unavailable",
            "provider-error",
        ),
        ("access_denied", "access_denied", "cancelled"),
        ("login_required", "login_required", "cancelled"),
        ("consent_required", "consent_required", "cancelled"),
        ("interaction_required", "interaction_required", "cancelled"),
        (
            "account_selection_required",
            "account_selection_required",
            "cancelled",
        ),
        ("pwned", "other", "provider-error"),
        ("other", "other", "provider-error"),
    ] {
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        let state = callback.split("state=").nth(1).unwrap();
        let url = format!("/auth/callback?error={error}&error_description=pwned&state={state}");
        let answer = browser.get(&url).await.assert_refused(notice);
        let logged = logs::field(answer.header("x-request-id"), "error_code");
        assert_eq!(logged.as_deref(), Some(word), "{error}");
    }
}
