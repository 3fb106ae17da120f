//! Circuit breakers count people: one person's failures stay their own.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{ALL_SCOPES, Browser, Process, TestApp, eventually};

/// Comes back with a code that the provider never gave.
async fn make_up_a_code(stranger: &mut Browser, number: usize) -> String {
    let url = stranger.start("/account").await;
    let state = url.split("state=").nth(1).unwrap();
    let state = state.split('&').next().unwrap();
    let callback = format!("/auth/callback?code=made-up-{number}&state={state}");
    stranger.get(&callback).await.location().to_owned()
}

#[tokio::test]
async fn one_persons_answers_close_nothing_for_others_whatever_they_are() {
    for fault in [
        json!({ "status": 404 }),
        json!({ "status": 410, "body": "{}" }),
        json!({ "status": 413 }),
        json!({ "status": 414, "body": "<html>" }),
        json!({ "status": 431 }),
        json!({ "status": 500 }),
        json!({ "status": 503 }),
        json!({ "status": 429 }),
        json!({ "close": "before_headers" }),
        json!({ "status": 200, "body": "<html>" }),
        json!({ "status": 200, "body_bytes": 5 * 1024 * 1024 }),
    ] {
        let app = TestApp::with(&[ALL_SCOPES]).await;
        let mut ada = app.signed_in("ada").await;
        let mut mallory = app.signed_in("collector").await;
        for endpoint in ["nfts", "domains"] {
            app.provider.fault(endpoint, fault.clone()).await;
        }
        for skip in 0..8 {
            for list in ["nfts", "domains"] {
                mallory
                    .get(&format!("/api/{list}?skip={skip}"))
                    .await
                    .assert_status(503);
            }
        }
        app.provider.mend().await;
        ada.get("/api/nfts").await.assert_status(200);
        ada.get("/holders").await.assert_status(200);
    }
}

#[tokio::test]
async fn a_status_outside_the_protocol_is_an_answer_however_many_people_get_it() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut people = Vec::new();
    for number in 0..5 {
        people.push(app.signed_in(&format!("crowd-{number}")).await);
    }
    app.provider
        .fault("domains", json!({ "status": 404 }))
        .await;
    for skip in 0..4 {
        for person in &mut people {
            let answer = person.get(&format!("/api/domains?skip={skip}")).await;
            answer.assert_status(503);
        }
    }
    people[0].get("/api/nfts").await.assert_status(200);
}

#[tokio::test]
async fn an_outage_that_several_people_see_is_one_and_one_of_them_finds_its_end() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut people = Vec::new();
    for number in 0..4 {
        people.push(app.signed_in(&format!("crowd-{number}")).await);
    }
    app.provider.fault("nfts", json!({ "status": 502 })).await;
    for skip in 0..4 {
        for person in &mut people {
            let answer = person.get(&format!("/api/nfts?skip={skip}")).await;
            answer.assert_status(503);
        }
    }
    let calls = app.provider.calls("nfts").await;
    assert_eq!(calls, 10, "nothing is sent after ten failures");
    app.provider.mend().await;
    people[0].get("/api/nfts").await.assert_status(503);
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    people[0].get("/api/nfts").await.assert_status(200);
    people[1].get("/api/nfts").await.assert_status(200);
}

#[tokio::test]
async fn an_unlinked_account_may_be_a_404_and_is_none() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    let answers = [
        ("email", ""),
        ("twitter", "{}"),
        ("discord", r#"{"statusCode":404,"message":"Not Found"}"#),
    ];
    for (endpoint, body) in answers {
        let fault = json!({ "status": 404, "body": body });
        app.provider.fault(endpoint, fault).await;
    }
    let page = json!({ "status": 404, "body": "<html>no such page</html>" });
    app.provider.fault("telegram", page).await;
    let me = ada.get("/api/me").await.assert_status(200);
    let me: serde_json::Value = serde_json::from_str(&me.body).unwrap();
    for (field, _) in answers {
        assert_eq!(me[field]["status"], "current", "{field}: {me}");
        assert_eq!(me[field]["data"], json!(null), "{field}");
    }
    assert_eq!(me["telegram"]["status"], "unavailable");
}

#[tokio::test]
async fn made_up_codes_keep_nobody_from_signing_in_whatever_the_provider_answers_to_them() {
    for status in [400, 403, 404, 413, 422, 500] {
        let app = TestApp::spawn().await;
        let fault = json!({ "status": status, "body": "<html>" });
        app.provider.fault("token", fault).await;
        let mut stranger = app.browser();
        for number in 0..12 {
            make_up_a_code(&mut stranger, number).await;
        }
        app.provider.mend().await;
        app.signed_in("ada").await;
    }
}

#[tokio::test]
async fn an_open_breaker_costs_nobody_their_code() {
    let app = TestApp::spawn().await;
    let mut ada = app.browser();
    let callback = ada.start_and_consent(&app.provider, "ada").await;
    let mut strangers = Vec::new();
    for _ in 0..10 {
        let mut stranger = app.browser();
        let callback = stranger.start_and_consent(&app.provider, "ada").await;
        strangers.push((stranger, callback));
    }
    app.provider.fault("token", json!({ "status": 503 })).await;
    for (stranger, callback) in &mut strangers {
        stranger.get(callback).await.assert_refused("provider");
    }
    app.provider.mend().await;
    let calls = app.provider.calls("token").await;
    ada.get(&callback).await.assert_refused("provider");
    assert_eq!(app.provider.calls("token").await, calls, "nothing was sent");
    assert_eq!(ada.attempts(), 1, "the attempt is still good");
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    ada.get(&callback).await.assert_redirect("/account");
}

#[tokio::test]
async fn nobody_is_sent_to_a_provider_that_cannot_say_who_they_are() {
    let app = TestApp::spawn().await;
    app.provider
        .fault("profile", json!({ "status": 503 }))
        .await;
    for _ in 0..10 {
        let mut browser = app.browser();
        browser
            .sign_in(&app.provider, "ada")
            .await
            .assert_refused("provider");
    }
    let mut browser = app.browser();
    browser.post("/auth/login", &[]).await.assert_status(503);
}

#[tokio::test]
async fn a_pause_ends_by_time_and_is_one_persons_until_several_were_asked() {
    let app = TestApp::with(&[ALL_SCOPES]).await;
    let mut ada = app.signed_in("ada").await;
    let mut others = Vec::new();
    for number in 0..3 {
        others.push(app.signed_in(&format!("crowd-{number}")).await);
    }
    let slow_down = json!({ "status": 429, "headers": { "retry-after": "30" } });
    app.provider.fault("nfts", slow_down).await;
    others[0].get("/api/nfts").await.assert_status(503);
    others[1].get("/api/nfts").await.assert_status(503);
    app.provider.mend().await;
    // Neither the successes of others nor one's own other calls end it.
    ada.get("/api/nfts").await.assert_status(200);
    ada.get("/api/tokens").await.assert_status(200);
    let calls = app.provider.calls("nfts").await;
    others[0].get("/api/nfts").await.assert_status(503);
    assert_eq!(app.provider.calls("nfts").await, calls);
    let slow_down = json!({ "status": 429, "headers": { "retry-after": "30" } });
    app.provider.fault("nfts", slow_down).await;
    others[2].get("/api/nfts").await.assert_status(503);
    app.provider.mend().await;
    ada.get("/api/nfts?skip=1").await.assert_status(503);
    ada.get("/api/domains").await.assert_status(503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_file_descriptors_is_our_own_fault_and_opens_no_breaker() {
    let app = TestApp::spawn().await;
    let process = Process::start(&app.settings).await;
    let mut browsers = Vec::new();
    for _ in 0..12 {
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        // Opens the connection to the process.
        browser.get(&format!("{}/healthz", process.url)).await;
        browsers.push((browser, callback.replace(&app.url, &process.url)));
    }
    let request = browsers[0]
        .0
        .request(Method::GET, &format!("{}/readyz", process.url));
    request.send().await.unwrap();
    process.limit_files("0");
    for (browser, callback) in &mut browsers {
        let answer = browser.get(callback).await;
        answer.assert_refused("busy");
    }
    process.limit_files("1024");
    eventually("a sign-in starts", async || {
        let mut browser = app.browser();
        let login = format!("{}/auth/login", process.url);
        let request = browser.request(Method::POST, &login);
        browser.send(request).await.status == 303
    })
    .await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let callback = callback.replace(&app.url, &process.url);
    browser.get(&callback).await.assert_redirect("/account");
}
