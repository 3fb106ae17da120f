//! A provider that misbehaves during sign-in. The answer comes in time, nothing is half stored, and
//! the code is sent once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Process, TestApp};

/// Longest time for a page, even if the provider hangs.
const PATIENCE: Duration = Duration::from_secs(11);

/// Signs in against a misbehaving token endpoint.
async fn sign_in_fails(endpoint: &str, fault: Value, reason: &str) {
    let app = TestApp::spawn().await;
    app.provider.fault(endpoint, fault.clone()).await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let started = Instant::now();
    browser.get(&callback).await.assert_refused(reason);
    assert!(
        started.elapsed() < PATIENCE,
        "{fault} took {:?}",
        started.elapsed()
    );
    assert_eq!(
        app.provider.calls("token").await,
        1,
        "{fault}: the code is sent once"
    );
    for table in [
        "select count(*) from users",
        "select count(*) from grants",
        "select count(*) from sessions",
    ] {
        assert_eq!(app.count(table).await, 0, "{fault}: {table}");
    }
    assert_eq!(
        app.count("select count(*) from login_attempts where outcome is not null")
            .await,
        1,
        "{fault}"
    );
    app.provider.mend().await;
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
}

#[tokio::test]
async fn answers_that_are_no_token_answer() {
    let bodies = [
        "",
        "<html>Bad gateway</html>",
        "[]",
        "null",
        "\"x\"",
        "{",
        "\u{feff}{}",
        "{}",
        r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
        r#"["a","Bearer","r",3600,"profile"]"#,
    ];
    for body in bodies {
        sign_in_fails("token", json!({ "status": 200, "body": body }), "provider").await;
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    sign_in_fails(
        "token",
        json!({ "status": 200, "body": format!("{{\"a\":{deep}}}") }),
        "provider",
    )
    .await;
}

#[tokio::test]
async fn statuses_of_the_token_endpoint() {
    for (status, body, reason) in [
        (204, "", "provider"),
        (302, "", "provider"),
        (400, r#"{"error":"invalid_grant"}"#, "expired"),
        (401, r#"{"error":"invalid_grant"}"#, "expired"),
        (400, r#"{"error":{"code":"invalid_grant"}}"#, "expired"),
        (401, r#"{"error":"invalid_client"}"#, "misconfigured"),
        (400, r#"{"error":"unauthorized_client"}"#, "misconfigured"),
        (
            400,
            r#"{"error":"invalid_request","error_description":"<script>"}"#,
            "misconfigured",
        ),
        (400, "<html>", "expired"),
        (400, "", "expired"),
        (
            400,
            r#"{"statusCode":400,"message":"Invalid authorization code","error":"Bad Request"}"#,
            "expired",
        ),
        (
            401,
            r#"{"statusCode":401,"message":["Code has expired"]}"#,
            "expired",
        ),
        (200, r#"{"error":"invalid_grant"}"#, "expired"),
        (200, r#"{"error":"invalid_client"}"#, "misconfigured"),
        (401, "", "misconfigured"),
        (403, "", "provider"),
        (404, "", "provider"),
        (410, "", "provider"),
        (429, "", "provider"),
        (500, r#"{"error":"invalid_grant"}"#, "provider"),
        (503, "", "provider"),
    ] {
        sign_in_fails("token", json!({ "status": status, "body": body }), reason).await;
    }
}

#[tokio::test]
async fn connections_that_break() {
    for close in ["before_headers", "mid_body", "after_processing"] {
        sign_in_fails("token", json!({ "close": close }), "provider").await;
    }
}

#[tokio::test]
async fn a_provider_that_hangs_before_its_answer() {
    sign_in_fails("token", json!({ "delay_ms": 60_000 }), "provider").await;
}

#[tokio::test]
async fn a_provider_that_hangs_within_its_answer() {
    sign_in_fails("token", json!({ "delay_body_ms": 60_000 }), "provider").await;
}

#[tokio::test]
async fn a_provider_that_drips() {
    sign_in_fails("token", json!({ "drip_ms": 1000 }), "provider").await;
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let started = Instant::now();
    sign_in_fails(
        "token",
        json!({ "status": 200, "body_bytes": 300 * 1024 * 1024 }),
        "provider",
    )
    .await;
    assert!(started.elapsed() < Duration::from_secs(5));
    // A usable answer that is just as much too long is not read to its end either.
    let app = TestApp::spawn().await;
    let mut answer = json!({ "access_token": "a", "token_type": "Bearer" });
    answer["more"] = "x".repeat(64 * 1024).into();
    let fault = json!({ "status": 200, "body": answer.to_string() });
    app.provider.fault("token", fault).await;
    let mut browser = app.browser();
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_refused("provider");
    assert_eq!(app.provider.calls("profile").await, 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = TestApp::spawn().await;
    let target = format!("{}/oauth2/token", elsewhere.provider.url);
    sign_in_fails("token", json!({ "redirect": target }), "provider").await;
    assert_eq!(
        elsewhere.provider.calls("token").await,
        0,
        "code and secret went to another host"
    );
}

#[tokio::test]
async fn the_provider_is_not_there() {
    let app = TestApp::with(&[("MATRICA_TOKEN_ENDPOINT", "http://127.0.0.1:9/oauth2/token")]).await;
    let mut browser = app.browser();
    let started = Instant::now();
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_refused("provider");
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_proxy_in_the_environment_sees_nothing() {
    let canary = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", canary.local_addr().unwrap());
    let app = TestApp::spawn().await;
    let mut settings = app.settings.clone();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        settings.insert(name.to_owned(), address.clone());
    }
    let process = Process::start(&settings).await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    browser
        .get(&callback.replace(&app.url, &process.url))
        .await
        .assert_redirect("/account");
    let connected = tokio::time::timeout(Duration::from_millis(100), canary.accept()).await;
    assert!(connected.is_err(), "something went through the proxy");
}

#[tokio::test]
async fn odd_but_usable_token_answers_sign_in() {
    for (overrides, lifetime) in [
        (json!({ "token_type": "BEARER" }), 3600),
        (json!({ "expires_in": "3600 " }), 3600),
        (json!({ "expires_in": 3600.0 }), 3600),
        (json!({ "expires_in": null }), 3600),
        (json!({ "expires_in": {} }), 3600),
        (json!({ "expires_in": "abc" }), 3600),
        (json!({ "expires_in": 0 }), 0),
        (json!({ "expires_in": i64::MIN }), 0),
        (json!({ "expires_in": u64::MAX }), 30 * 86400),
        (json!({ "expires_in": 1e300 }), 30 * 86400),
        (json!({ "refresh_token": null }), 3600),
        (json!({ "refresh_token": "" }), 3600),
        (json!({ "scope": null }), 3600),
        (json!({ "scope": ["profile", "wallets", "nfts"] }), 3600),
        (json!({ "scope": "" }), 3600),
        (json!({ "scope": " " }), 3600),
        (json!({ "scope": [] }), 3600),
        (json!({ "scope": { "profile": true } }), 3600),
        (
            json!({ "scope": "profile wallets nfts more than asked" }),
            3600,
        ),
        (json!({ "unknown": { "deep": [1, 2, 3] } }), 3600),
    ] {
        let app = TestApp::spawn().await;
        app.provider
            .set(json!({ "token_overrides": overrides }))
            .await;
        app.signed_in("ada").await;
        let stored =
            "select extract(epoch from access_expires_at - access_issued_at)::bigint from grants";
        assert_eq!(app.count(stored).await, lifetime, "{overrides}");
        let kept = app.count("select count(refresh_token) from grants").await;
        assert_eq!(
            kept == 0,
            overrides.get("refresh_token").is_some(),
            "{overrides}"
        );
        assert_eq!(
            app.text("select scope from grants").await,
            "profile wallets nfts",
            "{overrides}"
        );
    }
}

#[tokio::test]
async fn token_answers_that_could_do_harm_are_refused() {
    let long = "x".repeat(8 * 1024 + 1);
    for overrides in [
        json!({ "token_type": "mac" }),
        json!({ "token_type": "" }),
        json!({ "token_type": null }),
        json!({ "token_type": 7 }),
        json!({ "access_token": null }),
        json!({ "access_token": "" }),
        json!({ "access_token": "a\nb" }),
        json!({ "access_token": "é" }),
        json!({ "access_token": 7 }),
        json!({ "access_token": long }),
        json!({ "refresh_token": "a\r\nb" }),
    ] {
        let app = TestApp::spawn().await;
        app.provider
            .set(json!({ "token_overrides": overrides }))
            .await;
        app.browser()
            .sign_in(&app.provider, "ada")
            .await
            .assert_refused("provider");
        assert_eq!(
            app.count("select count(*) from users").await,
            0,
            "{overrides}"
        );
    }
}

#[tokio::test]
async fn the_lifetime_counts_from_before_the_request() {
    let app = TestApp::spawn().await;
    app.provider.set(json!({ "expires_in": 60 })).await;
    app.provider
        .fault("token", json!({ "delay_ms": 2000 }))
        .await;
    app.signed_in("ada").await;
    assert!(
        app.count("select extract(epoch from access_expires_at - now())::bigint from grants")
            .await
            <= 58
    );
}

#[tokio::test]
async fn fewer_scopes_than_asked_for_show_on_the_account_page() {
    let app = TestApp::spawn().await;
    app.provider
        .set(json!({ "granted_scope": "profile" }))
        .await;
    let mut browser = app.signed_in("ada").await;
    assert_eq!(app.text("select scope from grants").await, "profile");
    let account = browser.get("/account").await.assert_status(200);
    account.assert_contains("t share your wallets with us");
    let settings = browser.get("/settings").await;
    settings.assert_contains("t share</h3>");
    assert_eq!(
        app.provider.calls("wallets").await,
        0,
        "what was not granted is not asked for"
    );
}

#[tokio::test]
async fn a_profile_that_cannot_be_read_signs_nobody_in_and_gives_the_tokens_back() {
    for (fault, reason) in [
        (json!({ "status": 401 }), "provider"),
        (
            json!({ "status": 403, "body": r#"{"message":"Forbidden"}"# }),
            "profile-missing",
        ),
        (json!({ "status": 403, "body": "<html>" }), "provider"),
        (json!({ "status": 500 }), "provider"),
        (json!({ "status": 404 }), "provider"),
        (json!({ "status": 200, "body": "<html>" }), "provider"),
        (
            json!({ "status": 200, "body_bytes": 5 * 1024 * 1024 }),
            "provider",
        ),
        (json!({ "delay_ms": 60_000 }), "provider"),
    ] {
        let app = TestApp::spawn().await;
        app.provider.fault("profile", fault.clone()).await;
        let started = Instant::now();
        app.browser()
            .sign_in(&app.provider, "ada")
            .await
            .assert_refused(reason);
        assert!(started.elapsed() < PATIENCE, "{fault}");
        assert_eq!(app.count("select count(*) from users").await, 0, "{fault}");
        app.provider.called("revoke", 2).await;
        assert_eq!(
            app.provider.calls("revoke").await,
            2,
            "{fault}: refresh and access token are revoked"
        );
    }
}

#[tokio::test]
async fn ids_that_identify_nobody_are_refused() {
    let long = "x".repeat(129);
    for id in [
        json!(""),
        json!(null),
        json!({}),
        json!([1]),
        json!(true),
        json!(1.5),
        json!("a b"),
        json!("a\u{0}"),
        json!(long),
    ] {
        let app = TestApp::with(&[("MATRICA_USER_API_V1", "off")]).await;
        let body = json!({ "profile": { "id": id, "name": "Ada", "username": "ada" } });
        app.provider
            .fault(
                "profile",
                json!({ "status": 200, "body": body.to_string() }),
            )
            .await;
        app.browser()
            .sign_in(&app.provider, "ada")
            .await
            .assert_refused("no-user-id");
        assert_eq!(app.count("select count(*) from users").await, 0, "{id}");
    }
}

#[tokio::test]
async fn hostile_profiles_stay_text() {
    let app = TestApp::spawn().await;
    let name = "\"'><svg onload=alert(1)>\u{202e}\u{0}\u{7}{{7*7}}";
    for picture in [
        "javascript:alert(1)",
        "http://example.com/x.png",
        "data:image/svg+xml,<svg/>",
        "//evil.test/x",
    ] {
        let body = json!({ "profile": { "id": "ada", "name": name, "pfp": picture } });
        app.provider
            .fault(
                "profile",
                json!({ "status": 200, "body": body.to_string() }),
            )
            .await;
        let account = app
            .signed_in("ada")
            .await
            .get("/account")
            .await
            .assert_status(200);
        assert!(
            !account.body.contains("<svg onload") && !account.body.contains('\u{202e}'),
            "{}",
            account.body
        );
        let (_, avatar) = account.body.split_once("class=\"avatar\"").unwrap();
        let (avatar, _) = avatar.split_once("</div>").unwrap();
        assert!(!avatar.contains("<img"), "{picture}");
        assert!(account.body.contains("{{7*7}}"));
    }
}
