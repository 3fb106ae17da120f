//! The callback at `redirect_uri`.

use reqwest::Method;
use serde_json::json;

use crate::support::{TestApp, Wire};

#[tokio::test]
async fn only_get_is_answered_and_head_uses_nothing_up() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE] {
        let request = browser
            .request(method.clone(), &callback)
            .header("sec-fetch-site", "same-origin");
        assert_eq!(browser.send(request).await.status, 405, "{method}");
    }
    assert_eq!(app.provider.calls("token").await, 0);
    browser.get(&callback).await.assert_redirect("/account");
    assert_eq!(app.provider.calls("token").await, 1);
}

#[tokio::test]
async fn loading_ahead_uses_nothing_up() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        let request = browser.request(Method::GET, &callback).header(name, value);
        let answer = browser.send(request).await.assert_status(204);
        assert_eq!(answer.header("cache-control"), "no-store, no-transform");
    }
    let request = browser
        .request(Method::GET, &callback)
        .header("sec-purpose", "navigate")
        .header("purpose", "prefetch");
    browser.send(request).await.assert_status(204);
    assert_eq!(app.provider.calls("token").await, 0);
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn a_cookie_under_another_attempts_name_does_not_open() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let first = browser.cookies.keys().next().unwrap().clone();
    browser.start("/").await;
    let second = browser
        .cookies
        .keys()
        .find(|name| **name != first)
        .unwrap()
        .clone();
    let swapped = browser.cookies[&second].clone();
    browser.cookies.insert(first, swapped);
    browser.get(&callback).await.assert_refused("expired");
    assert_eq!(app.provider.calls("token").await, 0);
}

#[tokio::test]
async fn every_flipped_byte_of_the_cookie_is_noticed() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let (name, value) = browser
        .cookies
        .first_key_value()
        .map(|(name, value)| (name.clone(), value.clone()))
        .unwrap();
    for position in (0..value.len()).step_by(7) {
        let mut bytes = value.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let mut altered = browser.clone();
        altered
            .cookies
            .insert(name.clone(), String::from_utf8(bytes).unwrap());
        altered.get(&callback).await.assert_refused("expired");
    }
    assert_eq!(app.provider.calls("token").await, 0);
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn an_attempt_is_no_session_and_a_session_is_no_attempt() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let (name, attempt) = browser
        .cookies
        .first_key_value()
        .map(|(name, value)| (name.clone(), value.clone()))
        .unwrap();
    let mut confused = app.browser();
    confused.cookies.insert("sid".into(), attempt);
    confused
        .get("/account")
        .await
        .assert_redirect("/login?return_to=%2Faccount");
    let session = app.signed_in("ada").await.session().unwrap().clone();
    let mut confused = app.browser();
    confused.cookies.insert(name, session);
    confused.get(&callback).await.assert_refused("expired");
}

#[tokio::test]
async fn state_must_match_to_the_letter() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let (rest, state) = callback.split_once("&state=").unwrap();
    let swapped: String = state
        .chars()
        .map(|c| {
            if c.is_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    for wrong in [
        "",
        &state[1..],
        &format!("{state}A"),
        &swapped,
        &format!("%00{state}"),
    ] {
        let answer = browser.get(&format!("{rest}&state={wrong}")).await;
        assert!(
            matches!(answer.status, 303 | 400),
            "{wrong}: {}",
            answer.status
        );
    }
    assert_eq!(app.provider.calls("token").await, 0);
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn junk_is_refused_without_asking_anybody() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let state = callback.split_once("state=").unwrap().1;
    let long = "x".repeat(4097);
    for junk in [
        "%00",
        "%ff",
        "%0d%0aSet-Cookie:a=b",
        "%F0%9F%98%80",
        &long,
        "a&code=b",
        "a&iss=1&iss=2",
        "a&error=b",
        "",
    ] {
        let answer = browser
            .get(&format!("/auth/callback?state={state}&code={junk}"))
            .await
            .assert_status(400);
        assert!(answer.cookies("").is_empty(), "{junk}");
    }
    assert_eq!(app.count("select count(*) from login_attempts").await, 0);
    assert_eq!(app.provider.calls("token").await, 0);
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn a_code_is_opaque_and_an_empty_parameter_is_none() {
    let app = TestApp::spawn().await;
    for odd in ["%zz%", "a&error=", "%25%32%42&iss="] {
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        let state = callback.split_once("state=").unwrap().1;
        // The provider never issued it, so it says no.
        browser
            .get(&format!("/auth/callback?state={state}&code={odd}"))
            .await
            .assert_refused("expired");
    }
    assert_eq!(app.provider.calls("token").await, 3);
    assert_eq!(
        app.provider.get("calls").await["last_token_request"]["fields"]["code"],
        "%2B",
        "decoded exactly once"
    );
}

#[tokio::test]
async fn loading_ahead_asks_the_database_nothing() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let wire = Wire::to(&app.database.url).await;
    // It has not seen the session yet, and would have to ask for it.
    let replica = app.replica_on(&wire).await;
    app.listening(2).await;
    wire.quiet().await;
    let before = wire.round_trips();
    for (query, header, status) in [
        ("code=x&state=x", "purpose", 204),
        ("code=x&state=x", "sec-purpose", 204),
        ("code=%00", "x-other", 400),
        ("", "x-other", 400),
    ] {
        let url = format!("{}/auth/callback?{query}", replica.url);
        let request = browser.request(Method::GET, &url);
        let request = request.header(header, "prefetch");
        browser.clone().send(request).await.assert_status(status);
    }
    wire.quiet().await;
    assert_eq!(wire.round_trips(), before);
    let account = browser.get(&format!("{}/account", replica.url)).await;
    account.assert_status(200);
    assert!(wire.round_trips() > before, "the wire counts");
}

#[tokio::test]
async fn somebody_signed_in_is_not_taken_for_nobody_when_the_database_fails() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    // A replica has to ask the database for the session.
    let replica = app.replica().await;
    let callback = callback.replace(&app.url, &replica.url);
    app.sql("alter table sessions rename to away").await;
    let before = app.provider.calls("token").await;
    let answer = browser.get(&callback).await.assert_refused("busy");
    assert!(answer.cookies("").is_empty(), "session and attempt stay");
    assert_eq!(app.provider.calls("token").await, before);
    app.sql("alter table away rename to sessions").await;
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn a_slow_provider_and_a_slow_database_together_still_end_in_a_page() {
    let app = TestApp::spawn().await;
    app.provider
        .fault("token", json!({ "delay_ms": 8500 }))
        .await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let mut lock = app.transaction().await;
    sqlx::query("lock table grants")
        .execute(&mut *lock)
        .await
        .unwrap();
    let started = std::time::Instant::now();
    browser.get(&callback).await.assert_refused("busy");
    assert!(
        started.elapsed() < std::time::Duration::from_secs(14),
        "{:?}",
        started.elapsed()
    );
    lock.rollback().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(browser.session().is_none());
    assert_eq!(
        app.count("select count(*) from sessions").await,
        0,
        "nothing goes through after it was refused"
    );
}

#[tokio::test]
async fn a_megabyte_of_junk_is_cut_off_and_the_server_lives_on() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let junk = "x".repeat(1024 * 1024);
    if let Ok(answer) = browser
        .request(Method::GET, &format!("/auth/callback?code={junk}"))
        .send()
        .await
    {
        assert!(answer.status().is_client_error(), "{}", answer.status());
    }
    let body = browser
        .request(Method::POST, "/auth/login")
        .header("content-type", "application/x-www-form-urlencoded");
    if let Ok(answer) = body.body(junk).send().await {
        assert_eq!(answer.status(), 413);
    }
    browser.get(&callback).await.assert_redirect("/account");
    assert_eq!(app.provider.calls("token").await, 1);
}

#[tokio::test]
async fn a_bad_callback_harms_neither_other_attempts_nor_the_session() {
    let app = TestApp::spawn().await;
    let mut browser = app.signed_in("ada").await;
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    for query in [
        "state=x",
        "code=x&state=x",
        "error=access_denied",
        "error=access_denied&state=x",
        "",
        "%",
    ] {
        let answer = browser.get(&format!("/auth/callback?{query}")).await;
        assert!(
            answer.cookies("").is_empty(),
            "{query} touched cookies: {:?}",
            answer.cookies("")
        );
    }
    browser.get("/account").await.assert_status(200);
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn reloading_the_callback_after_signing_in_goes_home() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    browser.get(&callback).await.assert_redirect("/account");
    browser.get(&callback).await.assert_redirect("/");
    assert_eq!(app.provider.calls("token").await, 1);
    browser.post("/auth/logout", &[]).await;
    browser.get(&callback).await.assert_refused("expired");
    assert_eq!(app.provider.calls("token").await, 1);
}

#[tokio::test]
async fn a_reload_in_the_middle_of_a_sign_in_ends_in_the_same_session() {
    let app = TestApp::spawn().await;
    app.provider
        .fault("token", json!({ "delay_ms": 800 }))
        .await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let reloaded = browser.clone();
    let first = tokio::spawn(browser.request(Method::GET, &callback).send());
    app.provider.called("token", 1).await;
    first.abort();
    let mut browser = reloaded.clone();
    browser.get(&callback).await.assert_redirect("/account");
    browser.get("/account").await.assert_status(200);
    // The attempt's cookie opens no second session, and none that has ended.
    assert_eq!(app.count("select count(*) from sessions").await, 1);
    browser.post("/auth/logout", &[]).await.assert_redirect("/");
    let mut again = reloaded.clone();
    again.get(&callback).await.assert_refused("expired");
    assert_eq!(app.provider.calls("token").await, 1);
}

#[tokio::test]
async fn a_callback_that_is_repeated_after_half_a_minute_signs_nobody_in() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let mut late = browser.clone();
    browser.get(&callback).await.assert_redirect("/account");
    app.sql("update login_attempts set burnt_at = now() - interval '31 seconds'")
        .await;
    late.get(&callback).await.assert_refused("expired");
    assert!(late.session().is_none());
    browser.get("/account").await.assert_status(200);
}

#[tokio::test]
async fn a_failed_exchange_is_not_repeated_by_a_reload() {
    let app = TestApp::spawn().await;
    app.provider.fault("token", json!({ "status": 502 })).await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let cookies = browser.cookies.clone();
    browser.get(&callback).await.assert_refused("provider");
    browser.cookies = cookies;
    browser.get(&callback).await.assert_refused("provider");
    assert_eq!(app.provider.calls("token").await, 1);
}

#[tokio::test]
async fn declining_with_state_ends_the_attempt_and_without_state_does_not() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let denied = browser.start_and_consent(&app.provider, "deny").await;
    browser.get(&denied).await.assert_refused("cancelled");
    assert_eq!(
        (
            browser.attempts(),
            app.text("select outcome from login_attempts")
                .await
                .as_str()
        ),
        (0, "denied")
    );
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    browser
        .get("/auth/callback?error=access_denied")
        .await
        .assert_refused("cancelled");
    browser.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn when_the_database_fails_before_the_exchange_the_same_callback_may_still_succeed() {
    let app = TestApp::spawn().await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    app.sql("alter table login_attempts rename to away").await;
    let answer = browser.get(&callback).await.assert_refused("busy");
    assert!(answer.cookies("").is_empty(), "the attempt stays");
    assert_eq!(
        app.provider.calls("token").await,
        0,
        "no code is spent that could not be kept"
    );
    app.sql("alter table away rename to login_attempts").await;
    browser.get(&callback).await.assert_redirect("/account");
}
