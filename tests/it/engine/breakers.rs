//! A provider that hangs or fails affects only the pages that need it.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::support::TestApp;

/// Failures in a row after which nothing more is sent, and how long the pause is.
const FAILURES: u64 = 10;
const PAUSE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn nobody_is_sent_to_a_provider_that_keeps_failing_and_one_try_finds_out_that_it_is_back() {
    let app = TestApp::spawn().await;
    app.provider.fault("token", json!({ "status": 503 })).await;
    for number in 0..FAILURES {
        app.browser()
            .sign_in(&app.provider, "ada")
            .await
            .assert_refused("provider");
        assert_eq!(app.provider.calls("token").await, number + 1);
    }
    let opened = Instant::now();
    let down = app
        .browser()
        .post("/auth/login", &[])
        .await
        .assert_status(503);
    down.assert_contains("t responding")
        .assert_contains("href=\"/login\"");
    let down = app.browser().post("/auth/login", &[]).await;
    assert!(down.header("retry-after").parse::<u64>().unwrap() > 0 && down.cookies("").is_empty());
    app.browser().get("/login").await.assert_status(200);
    app.provider.mend().await;
    tokio::time::sleep(PAUSE.saturating_sub(opened.elapsed()) + Duration::from_millis(100)).await;
    app.browser()
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    app.browser()
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
}

#[tokio::test]
async fn codes_that_somebody_makes_up_keep_nobody_from_signing_in() {
    let app = TestApp::spawn().await;
    for body in [
        r#"{"error":"invalid_grant"}"#,
        r#"{"error":"invalid_request"}"#,
    ] {
        app.provider
            .fault("token", json!({ "status": 400, "body": body }))
            .await;
        for _ in 0..FAILURES + 2 {
            let answer = app.browser().sign_in(&app.provider, "ada").await;
            assert_eq!(answer.status, 303);
        }
    }
    app.provider.mend().await;
    app.browser()
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
}

#[tokio::test]
async fn a_thousand_people_lose_nothing_while_the_provider_refuses_the_application() {
    // They all have one address here.
    let app = TestApp::with(&[("RATE_LIMIT", "off")]).await;
    let template = app.browser();
    let mut people = Vec::new();
    for first in (0..1_000).step_by(50) {
        let batch = (first..first + 50).map(|number| {
            let (mut browser, provider) = (template.clone(), app.provider.clone());
            async move {
                browser
                    .sign_in(&provider, &format!("crowd-{number}"))
                    .await
                    .assert_redirect("/account");
                browser
            }
        });
        people.extend(futures_util::future::join_all(batch).await);
    }
    app.expire_access_tokens(1_000).await;
    let tokens = "select md5(string_agg(access_token::text || refresh_token::text || generation, '' order by id)) from grants";
    let before = app.text(tokens).await;
    app.provider
        .fault(
            "refresh",
            json!({ "status": 401, "body": r#"{"error":"invalid_client"}"# }),
        )
        .await;
    let started = Instant::now();
    for batch in people.chunks_mut(50) {
        let pages = batch.iter_mut().map(|browser| browser.get("/account"));
        for page in futures_util::future::join_all(pages).await {
            page.assert_status(200)
                .assert_contains("t show your wallets right now");
        }
    }
    // One batch may be under way when the breaker opens, and each pause ends with one try.
    let tries = FAILURES + 50 + started.elapsed().as_secs() / PAUSE.as_secs();
    let calls = app.provider.calls("refresh").await;
    assert!((FAILURES..=tries).contains(&calls), "{calls} requests");
    assert_eq!(app.count("select count(*) from grants").await, 1_000);
    assert_eq!(app.text(tokens).await, before, "a grant was changed");
    assert_eq!(app.count("select count(*) from sessions").await, 1_000);
    // Reading and signing in have their own circuit breakers.
    app.signed_in("ada")
        .await
        .get("/account")
        .await
        .assert_contains("Primary on Solana");
    app.provider.mend().await;
    app.sql("update grants set retry_at = null").await;
    tokio::time::sleep(PAUSE + Duration::from_millis(100)).await;
    for browser in &mut people[..20] {
        browser
            .get("/account")
            .await
            .assert_contains("<details class=\"wallet\">");
    }
    let logout = people[0]
        .request(Method::POST, "/auth/logout")
        .send()
        .await
        .unwrap();
    assert_eq!(logout.status(), 303);
}
