//! Long outages of the database.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::alerts::{expect, healthy};
use crate::support::scrape::Scrape;
use crate::support::{Invariants, TestApp, assert_page, eventually_within, logs};

#[tokio::test(flavor = "multi_thread")]
async fn half_a_minute_of_lost_packets_is_over_within_5_s() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    let mut browser = app.signed_in("ada").await;
    wire.lose_packets();
    let lost = Instant::now();
    let mut slowest = Duration::ZERO;
    while lost.elapsed() < Duration::from_secs(30) {
        app.engine.sessions.forget_all();
        let asked = Instant::now();
        assert_page(&browser.get("/settings").await.assert_status(503));
        slowest = slowest.max(asked.elapsed());
        browser.get("/healthz").await.assert_status(200);
    }
    wire.mend();
    let mended = Instant::now();
    eventually_within(Duration::from_secs(5), "the page is back", async || {
        app.engine.sessions.forget_all();
        browser.get("/settings").await.status == 200
    })
    .await;
    println!(
        "the slowest page took {slowest:?}, and the first good one came {:?} after the outage",
        mended.elapsed()
    );
    invariants.after(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tokens_that_cannot_be_stored_for_a_minute_cost_one_sign_in() {
    let (app, wire) = TestApp::on_wire(&[]).await;
    let mut invariants = Invariants::before(&app).await;
    let mut browser = app.signed_in("ada").await;
    app.sql("update grants set access_expires_at = now() from users where users.id = user_id and display_name like 'Ada%'")
        .await;
    let before = healthy(&app).await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 500 }))
        .await;
    let page = browser.request(reqwest::Method::GET, "/account");
    let page = tokio::spawn(page.send());
    app.provider.called("refresh", 1).await;
    wire.cut();
    page.await.unwrap().unwrap();
    // The log of all tests is long, so it is searched at the end of the budget and not before.
    tokio::time::sleep(Duration::from_secs(58)).await;
    eventually_within(Duration::from_secs(12), "it gives up", async || {
        logs::contain("refresh_persist_lost")
    })
    .await;
    let after = Scrape::of(&app.engine).await;
    wire.mend();
    let alerts = ["DatabaseDown", "ServerNotReady", "TokensLost"];
    expect(&before, &after, &alerts);
    // The provider has replaced the stored refresh token, and takes its use for theft.
    invariants.reused = 1;
    app.provider.mend().await;
    eventually_within(Duration::from_secs(30), "asked to sign in", async || {
        app.forget_user_data().await;
        let page = browser.get("/account").await;
        page.body
            .contains("no longer connected to your Matrica account")
    })
    .await;
    assert_eq!(app.provider.calls("refresh").await, 2);
    browser
        .sign_in(&app.provider, "ada")
        .await
        .assert_redirect("/account");
    browser
        .get("/account")
        .await
        .assert_contains("Primary on Solana");
    invariants.after(&app).await;
}
