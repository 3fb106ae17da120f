//! Refreshing with several replicas, by lease and fencing token.

use std::time::{Duration, Instant};

use matrica_starter::engine::db::grants::{self, SealedGrant, Version};
use serde_json::json;
use sqlx::Row as _;

use crate::support::{Process, TestApp};

/// Longer than a lease of the app lasts.
const LEASE_OVER: Duration = Duration::from_secs(30);

async fn stored_version(app: &TestApp) -> Version {
    let row = sqlx::query("select id, generation from grants")
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    Version {
        grant_id: row.get(0),
        generation: row.get(1),
    }
}

/// Everything about the only grant.
async fn row(app: &TestApp) -> String {
    app.text("select to_jsonb(grants)::text from grants").await
}

fn some_tokens(user_id: uuid::Uuid) -> SealedGrant {
    SealedGrant {
        id: uuid::Uuid::new_v4(),
        user_id,
        access_token: b"sealed".to_vec(),
        refresh_token: None,
        scope: "profile".to_owned(),
        age: 0.0,
        lifetime: 60.0,
    }
}

#[tokio::test]
async fn only_the_holder_of_the_lease_writes_and_only_once() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    let (db, version) = (&app.engine.db, stored_version(&app).await);
    let tokens = some_tokens(uuid::Uuid::new_v4());
    let long = Duration::from_mins(1);

    let slow = grants::lease(db, version, Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    // Its lease ends at once, so the next one gets it, and sees that an answer is missing.
    let quick = grants::lease(db, version, long).await.unwrap().unwrap();
    assert_eq!((slow.unanswered, quick.unanswered), (1, 2));
    assert!(
        grants::lease(db, version, long).await.unwrap().is_none(),
        "two hold the lease"
    );

    let before = row(&app).await;
    assert!(
        !grants::store_refreshed(db, &slow, &tokens, Duration::ZERO)
            .await
            .unwrap()
    );
    assert!(!grants::end(db, &slow).await.unwrap());
    grants::release(db, &slow, true, long).await.unwrap();
    assert_eq!(
        row(&app).await,
        before,
        "whoever lost the lease changes nothing"
    );

    assert!(
        grants::store_refreshed(db, &quick, &tokens, Duration::ZERO)
            .await
            .unwrap()
    );
    let stored = row(&app).await;
    // The answer of a commit can be lost, so the same write may come twice.
    assert!(
        grants::store_refreshed(db, &quick, &tokens, Duration::ZERO)
            .await
            .unwrap()
    );
    assert_eq!(
        stored_version(&app).await.generation,
        version.generation + 1
    );
    for late in [&slow, &quick] {
        assert!(
            !grants::end(db, late).await.unwrap(),
            "an answer about an older version ended the grant"
        );
        grants::release(db, late, true, long).await.unwrap();
    }
    assert!(
        !grants::store_refreshed(db, &slow, &tokens, Duration::ZERO)
            .await
            .unwrap()
    );
    assert!(
        grants::lease(db, version, long).await.unwrap().is_none(),
        "an old version can be refreshed"
    );
    let columns = "select to_jsonb(grants) - 'access_issued_at' - 'access_expires_at' - 'retry_at' = $1::jsonb - 'access_issued_at' - 'access_expires_at' - 'retry_at' from grants";
    let same: bool = sqlx::query_scalar(columns)
        .bind(stored)
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert!(same);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stood_still_beyond_its_lease_never_overwrites_the_newer_token() {
    let app = TestApp::spawn().await;
    app.provider.set(json!({ "reuse_grace_ms": 120_000 })).await;
    let process = Process::start(&app.settings).await;
    let mut browser = app.signed_in("ada").await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 1_000, "times": 1 }))
        .await;
    app.expire_access_tokens(1).await;

    let (mut tab, target) = (browser.clone(), format!("{}/account", process.url));
    let page = tokio::spawn(async move { tab.get(&target).await });
    app.provider.called("refresh", 1).await;
    process.signal("STOP");
    assert_eq!(
        app.count("select count(*) from grants where lease_until > now() and unanswered = 1")
            .await,
        1
    );

    // No other process may ask before the lease ends, and the person stays signed in.
    let stopped = Instant::now();
    loop {
        let page = browser.get("/account").await.assert_status(200);
        if page.body.contains("Primary on Solana") {
            break;
        }
        page.assert_contains("t show your wallets right now");
        assert!(stopped.elapsed() < LEASE_OVER);
    }
    assert!(
        stopped.elapsed() > Duration::from_secs(15),
        "somebody asked although the lease was held"
    );
    let newer = row(&app).await;
    assert!(newer.contains("\"generation\": 2"), "{newer}");

    process.signal("CONT");
    // The visitor who waited may get a timeout.
    assert!(matches!(page.await.unwrap().status, 200 | 504));
    let mut tab = browser.clone();
    // Another list than the one that it may have cached.
    tab.get(&format!("{}/account/nfts", process.url))
        .await
        .assert_contains("Paper Otters #1000");
    assert_eq!(row(&app).await, newer, "the process that stood still wrote");
    assert_eq!(
        (
            app.provider.calls("refresh").await,
            app.provider.calls("revoke").await
        ),
        (2, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_while_the_provider_answers_costs_nobody_the_login() {
    let app = TestApp::spawn().await;
    app.provider.set(json!({ "reuse_grace_ms": 120_000 })).await;
    let process = Process::start(&app.settings).await;
    let mut browser = app.signed_in("ada").await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 5_000, "times": 1 }))
        .await;
    app.expire_access_tokens(1).await;
    let request = browser.request(reqwest::Method::GET, &format!("{}/account", process.url));
    let page = tokio::spawn(request.send());
    app.provider.called("refresh", 1).await;
    process.signal("KILL");
    assert!(page.await.unwrap().is_err());
    // The count of unanswered tries outlives the process.
    assert_eq!(
        app.count("select count(*) from grants where unanswered = 1 and lease_owner is not null")
            .await,
        1
    );
    // Time passes, as far as the lease is concerned.
    app.sql("update grants set lease_until = now() - interval '1 second'")
        .await;
    browser
        .get("/account")
        .await
        .assert_status(200)
        .assert_contains("Primary on Solana");
    assert_eq!(
        app.count("select count(*) from grants where generation = 2 and unanswered = 0")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_to_stop_finishes_its_refresh_and_starts_none() {
    let app = TestApp::spawn().await;
    let process = Process::start(&app.settings).await;
    let mut browser = app.signed_in("ada").await;
    let other = app.signed_in("collector").await;
    app.expire_access_tokens(2).await;
    app.provider
        .fault("refresh", json!({ "delay_ms": 1_500 }))
        .await;
    // A connection that is open already, as a load balancer has them.
    let (target, kept_alive) = (format!("{}/account", process.url), other.clone());
    assert_eq!(
        kept_alive
            .request(reqwest::Method::GET, &format!("{}/", process.url))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let (mut tab, page_target) = (browser.clone(), target.clone());
    let page = tokio::spawn(async move { tab.get(&page_target).await });
    app.provider.called("refresh", 1).await;
    process.signal("TERM");
    tokio::time::sleep(Duration::from_millis(200)).await;
    // No new connection, and on an old one no new refresh.
    if let Ok(late) = other.request(reqwest::Method::GET, &target).send().await {
        assert!(matches!(late.status().as_u16(), 200 | 503));
    }
    page.await
        .unwrap()
        .assert_status(200)
        .assert_contains("Primary on Solana");
    let (status, log) = process.ended().await;
    assert!(
        status.success() && log.contains("\"finished\":true"),
        "{log}"
    );
    assert_eq!(app.provider.calls("refresh").await, 1);
    assert_eq!(
        app.count("select count(*) from grants where generation = 2")
            .await,
        1
    );
    assert_eq!(
        app.count("select count(*) from grants where lease_until is not null")
            .await,
        0
    );
    browser
        .get("/account")
        .await
        .assert_contains("Primary on Solana");
}
