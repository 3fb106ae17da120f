//! Reading changes nothing, and text that looks like SQL is text.

use matrica_starter::app::routes::table;
use reqwest::Method;

use crate::support::{ALL_SCOPES, TestApp};

#[tokio::test]
async fn looking_at_every_address_writes_nothing() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    let stranger = app.browser();
    app.watch_writes().await;
    let mut found = 0;
    for route in table() {
        let path = route
            .path
            .replace("{id}", "00000000-0000-4000-8000-000000000000")
            .replace("{name}", "app.css")
            .replace("{provider}", "other");
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            for browser in [&mut ada, &mut stranger.clone()] {
                let answer = browser.send(browser.request(method.clone(), &path)).await;
                assert!(answer.status < 500, "{method} {path}: {}", answer.status);
                found += u32::from(answer.status == 200);
            }
        }
    }
    assert!(found > 10, "{found} pages were found");
    assert_eq!(app.writes().await, "");
    // The watch sees writes.
    ada.post("/auth/logout", &[]).await.assert_redirect("/");
    assert!(app.writes().await.contains("sessions"));
}

#[tokio::test]
async fn text_that_looks_like_sql_is_text() {
    const BOBBY: &str = "'; drop table sessions cascade; --";
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let bobby: String = url::form_urlencoded::byte_serialize(BOBBY.as_bytes()).collect();
    let mut browser = app.browser();
    let start = browser.request(Method::POST, "/auth/login");
    let start = start
        .header("user-agent", BOBBY)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("return_to={bobby}"));
    browser.send(start).await.assert_status(303);
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let arrive = browser.request(Method::GET, &callback);
    let arrive = arrive.header("user-agent", BOBBY);
    browser.send(arrive).await.assert_status(303);
    for path in [
        format!("/auth/callback?code={bobby}&state={bobby}"),
        format!("/login?return_to={bobby}"),
        format!("/account/nfts?collection={bobby}&network={bobby}&page={bobby}"),
        format!("/account/nfts/{bobby}"),
        format!("/account/tokens?network={bobby}"),
        format!("/api/nfts?collectionId={bobby}&skip={bobby}"),
        format!("/auth/check?gate={bobby}"),
        format!("/settings?done={bobby}"),
    ] {
        let answer = browser.get(&path).await;
        assert!(answer.status < 500, "{path}: {}", answer.status);
    }
    let end = format!("/settings/sessions/{bobby}/end");
    let answer = browser.post(&end, &[("id", BOBBY)]).await;
    assert!(answer.status < 500, "{}", answer.status);
    let cookie = browser.request(Method::GET, "/account");
    let cookie = cookie.header("cookie", format!("sid={bobby}"));
    app.browser().send(cookie).await.assert_status(303);
    browser.get("/settings").await.assert_status(200);
    assert_eq!(app.count("select count(*) from sessions").await, 1);
}
