//! Servers that are killed around a commit. The people and the rows are as before it, or as after it.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;

use crate::support::{Browser, Invariants, Process, TestApp, Wire, eventually_within};

/// Sends a form to a server that will not answer.
fn send(browser: &Browser, server: &Process, way: &str) -> tokio::task::JoinHandle<()> {
    let request = browser
        .request(Method::POST, &format!("{}{way}", server.url))
        .form(&[("confirm", "yes")]);
    tokio::spawn(async move { drop(request.send().await) })
}

/// The ways out, and how many people, sessions and grants each leaves of two.
const ENDINGS: [(&str, [i64; 3]); 3] = [
    ("/auth/logout", [2, 1, 1]),
    ("/settings/disconnect", [2, 2, 1]),
    ("/settings/delete", [1, 1, 1]),
];

async fn rows(app: &TestApp) -> [i64; 3] {
    [
        app.count("select count(*) from users").await,
        app.count("select count(*) from sessions").await,
        app.count("select count(*) from grants").await,
    ]
}

/// Another server on a wire, which can be killed.
async fn process_on(app: &TestApp, wire: &Wire) -> Process {
    let mut settings: BTreeMap<_, _> = app.settings.clone();
    settings.insert("DATABASE_URL".to_owned(), wire.url.clone());
    Process::start(&settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_that_is_killed_before_its_commit_has_not_happened() {
    for (way, left) in ENDINGS {
        let app = TestApp::spawn().await;
        let mut invariants = Invariants::before(&app).await;
        let process = Process::start(&app.settings).await;
        let mut browser = app.signed_in("ada").await;
        // The transaction has deleted rows, and waits before its last statements.
        let mut lock = app.transaction().await;
        let queue = sqlx::query("lock table revocations in access exclusive mode");
        queue.execute(&mut *lock).await.unwrap();
        let sent = send(&browser, &process, way);
        app.waiting_for_locks(1).await;
        process.signal("KILL");
        process.ended().await;
        sent.await.unwrap();
        lock.rollback().await.unwrap();
        eventually_within(Duration::from_secs(5), "rolled back", async || {
            app.open_transactions().await == 0
        })
        .await;
        assert_eq!(rows(&app).await, [2, 2, 2], "{way}");
        browser.get("/settings").await.assert_status(200);
        browser
            .post(way, &[("confirm", "yes")])
            .await
            .assert_status(303);
        assert_eq!(rows(&app).await, left, "{way}");
        invariants.after(&app).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ending_that_is_killed_after_its_commit_has_happened() {
    for (way, left) in ENDINGS {
        let app = TestApp::spawn().await;
        let mut invariants = Invariants::before(&app).await;
        let wire = Wire::to(&app.database.url).await;
        let process = process_on(&app, &wire).await;
        let mut browser = app.signed_in("ada").await;
        wire.cut_after("COMMIT");
        let sent = send(&browser, &process, way);
        wire.is_cut().await;
        process.signal("KILL");
        process.ended().await;
        sent.await.unwrap();
        eventually_within(Duration::from_secs(5), way, async || {
            rows(&app).await == left
        })
        .await;
        // Another server revokes the tokens, and knows that the session has ended.
        app.engine.vault.revoke_soon();
        eventually_within(Duration::from_secs(15), "revoked", async || {
            app.provider.get("tokens").await["families"] == 1
        })
        .await;
        let status = browser.get("/settings").await.status;
        let stays = way == "/settings/disconnect";
        assert_eq!(status, if stays { 200 } else { 303 }, "{way}");
        invariants.after(&app).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_all_killed_at_once_lose_nothing_and_refresh_nobody_at_their_start() {
    let app = TestApp::without_cache(&[]).await;
    app.provider
        .set(serde_json::json!({ "reuse_grace_ms": 60_000 }))
        .await;
    let mut invariants = Invariants::before(&app).await;
    let servers = [
        Process::start(&app.settings).await,
        Process::start(&app.settings).await,
    ];
    let mut people = Vec::new();
    for person in ["ada", "newcomer", "empty"] {
        people.push(app.signed_in(person).await);
    }
    app.sql("update grants set access_expires_at = now() from users where users.id = user_id and last_login_at > (select min(last_login_at) from users)")
        .await;
    app.provider
        .fault("refresh", serde_json::json!({ "delay_ms": 5_000 }))
        .await;
    let requests: Vec<_> = people
        .iter()
        .zip([0, 1, 0])
        .map(|(browser, server)| {
            let page = format!("{}/account", servers[server].url);
            tokio::spawn(browser.request(Method::GET, &page).send())
        })
        .collect();
    app.provider.called("refresh", 3).await;
    for server in &servers {
        server.signal("KILL");
    }
    for server in servers {
        server.ended().await;
    }
    for request in requests {
        assert!(request.await.unwrap().is_err(), "answered before the kill");
    }
    app.provider.mend().await;
    let server = Process::start(&app.settings).await;
    // A server refreshes for people who come, and not for all at its start.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(app.provider.calls("refresh").await, 3);
    // The leases of the dead expire.
    app.sql(
        "update grants set lease_until = now() - interval '1 second' where lease_until is not null",
    )
    .await;
    for browser in &mut people {
        let page = format!("{}/account", server.url);
        browser
            .get(&page)
            .await
            .assert_status(200)
            .assert_contains("Wallets");
    }
    let refreshed = "select count(*) from grants where generation = 2 and lease_until is null";
    assert_eq!(app.count(refreshed).await, 3);
    assert_eq!(app.provider.calls("refresh").await, 6);
    invariants.after(&app).await;
}
