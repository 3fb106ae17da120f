//! Tokens of a sign-in that is refused after the exchange are revoked, unless the person has a grant
//! here that belongs to the same family.

use std::time::Duration;

use matrica_starter::engine::db::notifications::SESSION_ENDED;
use serde_json::json;
use sqlx::postgres::PgListener;

use crate::support::{TestApp, Wire};

async fn families(app: &TestApp) -> u64 {
    app.provider.get("tokens").await["families"]
        .as_u64()
        .unwrap()
}

#[tokio::test]
async fn tokens_of_another_account_are_revoked_unless_it_is_connected_here() {
    let app = TestApp::spawn().await;
    let mut ada = app.signed_in("ada").await;
    let answer = ada.sign_in(&app.provider, "collector").await;
    answer.assert_refused("other-account");
    app.becomes("select count(*) from revocations", 0).await;
    crate::support::eventually("revoked", async || families(&app).await == 1).await;

    // The collector's own grant must survive the same mistake.
    let mut collector = app.signed_in("collector").await;
    let before = families(&app).await;
    let answer = ada.sign_in(&app.provider, "collector").await;
    answer.assert_refused("other-account");
    app.becomes("select count(*) from revocations", 0).await;
    assert!(families(&app).await >= before);
    app.expire_access_tokens(2).await;
    collector.get("/api/wallets").await.assert_status(200);
}

#[tokio::test]
async fn tokens_of_a_locked_person_are_revoked_unless_they_are_connected_here() {
    let app = TestApp::spawn().await;
    app.signed_in("ada").await;
    app.sql("update users set disabled_at = now()").await;
    let mut browser = app.browser();
    let answer = browser.sign_in(&app.provider, "ada").await;
    answer.assert_refused("disabled");
    assert_eq!(app.count("select count(*) from revocations").await, 0);
    let kept = families(&app).await;
    app.sql("delete from grants").await;
    let answer = browser.sign_in(&app.provider, "ada").await;
    answer.assert_refused("disabled");
    crate::support::eventually("revoked", async || families(&app).await <= kept).await;
    app.becomes("select count(*) from revocations", 0).await;
}

#[tokio::test]
async fn tokens_of_nobody_in_particular_are_revoked_at_once_or_not_at_all() {
    let app = TestApp::spawn().await;
    for endpoint in ["profile", "profile_v1", "revoke"] {
        let fault = json!({ "status": 503 });
        app.provider.fault(endpoint, fault).await;
    }
    let answer = app.browser().sign_in(&app.provider, "ada").await;
    answer.assert_refused("provider");
    app.provider.called("revoke", 1).await;
    // A queued revocation could end the connection of a login that comes later.
    assert_eq!(app.count("select count(*) from revocations").await, 0);
}

/// An app at a provider for which all tokens of a person are one family.
async fn with_one_family() -> TestApp {
    let app = TestApp::spawn().await;
    let setting = json!({ "one_family_per_person": true });
    app.provider.set(setting).await;
    app
}

#[tokio::test]
async fn whoever_is_signed_in_keeps_their_connection_when_their_profile_cannot_be_read() {
    let app = with_one_family().await;
    let mut ada = app.signed_in("ada").await;
    for (fault, reason) in [
        (json!({ "status": 500 }), "provider"),
        (json!({ "status": 200, "body": "{}" }), "no-user-id"),
    ] {
        for endpoint in ["profile", "profile_v1"] {
            app.provider.fault(endpoint, fault.clone()).await;
        }
        let answer = ada.sign_in(&app.provider, "ada").await;
        answer.assert_refused(reason);
        app.provider.mend().await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.provider.calls("revoke").await, 0);
    app.expire_access_tokens(1).await;
    ada.get("/api/wallets").await.assert_status(200);
}

#[tokio::test]
async fn the_next_login_cancels_the_revocation_of_a_refused_one() {
    let app = with_one_family().await;
    app.provider.fault("revoke", json!({ "status": 503 })).await;
    let mut collector = app.signed_in("collector").await;
    let answer = collector.sign_in(&app.provider, "ada").await;
    answer.assert_refused("other-account");
    app.becomes("select count(*) from revocations where attempts > 0", 1)
        .await;
    let mut ada = app.signed_in("ada").await;
    assert_eq!(app.count("select count(*) from revocations").await, 0);
    app.provider.mend().await;
    app.expire_access_tokens(2).await;
    ada.get("/api/wallets").await.assert_status(200);
}

/// Signs `person` in at a server whose wire is cut once the login is stored, before it hears so.
/// `meanwhile` runs then. Returns where the callback has led.
async fn lose_the_answer(
    app: &TestApp,
    meanwhile: impl AsyncFnOnce(&Wire),
) -> (TestApp, crate::support::Browser, crate::support::Answer) {
    let wire = Wire::to(&app.database.url).await;
    let replica = app.replica_on(&wire).await;
    // A first login prepares the statements, so that storing the next one is one question.
    let mut other = app.browser();
    let callback = other.start_and_consent(&app.provider, "collector").await;
    let callback = callback.replace(&app.url, &replica.url);
    other.get(&callback).await.assert_redirect("/account");
    let mut browser = app.signed_in("ada").await;
    // The session that the next login replaces.
    app.sql("create table ended as select encode(id_hash, 'hex') as payload from sessions order by created_at desc limit 1")
        .await;
    let sessions = app.count("select count(*) from sessions").await;
    app.provider
        .fault("profile", json!({ "delay_ms": 1500 }))
        .await;
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let callback = callback.replace(&app.url, &replica.url);
    let reads = app.provider.calls("profile").await + 1;
    let mut arriving = browser.clone();
    let (answer, ()) = tokio::join!(arriving.get(&callback), async {
        app.provider.called("profile", reads).await;
        wire.quiet().await;
        wire.cut_after_next_question();
        app.becomes(
            "select count(*) from login_attempts where outcome = 'signed_in'",
            3,
        )
        .await;
        meanwhile(&wire).await;
    });
    assert_eq!(app.count("select count(*) from sessions").await, sessions);
    (replica, browser, answer)
}

#[tokio::test]
async fn tokens_of_a_login_that_may_be_stored_are_not_revoked() {
    let app = with_one_family().await;
    let (_replica, _, answer) = lose_the_answer(&app, async |_: &Wire| {}).await;
    answer.assert_refused("busy");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.provider.calls("revoke").await, 0);
    assert_eq!(families(&app).await, 2);
}

#[tokio::test]
async fn a_login_whose_answer_was_lost_still_tells_of_the_session_that_it_replaces() {
    let app = TestApp::spawn().await;
    let mut told = PgListener::connect_with(&app.database.pool).await.unwrap();
    told.listen(SESSION_ENDED).await.unwrap();
    let mut replaced = String::new();
    let (_replica, _, answer) = lose_the_answer(&app, async |wire: &Wire| {
        // A repeated try fails, so only the stored session tells how the first one went.
        app.sql("alter function store_login_2 rename to away").await;
        wire.mend();
        replaced = app.text("select payload from ended").await;
    })
    .await;
    answer.assert_redirect("/account");
    let told = tokio::time::timeout(Duration::from_secs(2), told.recv()).await;
    assert_eq!(
        told.expect("no server is told").unwrap().payload(),
        replaced
    );
}

#[tokio::test]
async fn tokens_of_somebody_who_signs_in_elsewhere_at_that_moment_are_kept() {
    let app = with_one_family().await;
    app.signed_in("ada").await;
    let mut collector = app.signed_in("collector").await;
    let elsewhere = app.ada_signs_in_elsewhere().await;
    let (answer, ()) = tokio::join!(collector.sign_in(&app.provider, "ada"), async {
        app.waiting_for_locks(1).await;
        elsewhere.commit().await.unwrap();
    });
    answer.assert_refused("other-account");
    assert_eq!(app.count("select count(*) from revocations").await, 0);
    assert_eq!(app.provider.calls("revoke").await, 0);
}

#[tokio::test]
async fn tokens_in_an_answer_that_cannot_be_used_are_revoked() {
    let app = TestApp::spawn().await;
    for (overrides, left) in [
        (json!({ "token_type": "mac" }), "families"),
        (json!({ "token_type": null }), "families"),
        (json!({ "access_token": null }), "families"),
        (
            json!({ "access_token": "x".repeat(8 * 1024 + 1) }),
            "families",
        ),
        (json!({ "refresh_token": "a\r\nb" }), "access_tokens"),
    ] {
        let fields = json!({ "token_overrides": overrides });
        app.provider.set(fields).await;
        let answer = app.browser().sign_in(&app.provider, "ada").await;
        answer.assert_refused("provider");
        let revoked = format!("revoked: {overrides}");
        crate::support::eventually(&revoked, async || {
            app.provider.get("tokens").await[left] == 0
        })
        .await;
    }
    // Of text that is no JSON object, too.
    app.provider.set(json!({ "token_overrides": null })).await;
    let tokens = r#""access_token":"a1","refresh_token": "r1","token_type":"Bearer""#;
    let mut revoked = app.provider.calls("revoke").await;
    for (body, tokens) in [
        (format!("{{{tokens}}} and more"), 2),
        (format!("{{{tokens},\"access_token\":\"a2\"}}"), 2),
        (format!("[{{{tokens}}}]"), 2),
        ("{\"refresh_token\":\"r1\"".to_owned(), 1),
        ("{\"access_token\":7,\"refresh_token\":{}}".to_owned(), 0),
    ] {
        let fault = json!({ "status": 200, "body": body });
        app.provider.fault("token", fault).await;
        let answer = app.browser().sign_in(&app.provider, "ada").await;
        answer.assert_refused("provider");
        revoked += tokens;
        app.provider.called("revoke", revoked).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(app.provider.calls("revoke").await, revoked);
}

#[tokio::test]
async fn tokens_that_cannot_be_used_are_kept_where_they_may_be_of_the_stored_family() {
    let app = with_one_family().await;
    let mut ada = app.signed_in("ada").await;
    let fields = json!({ "token_overrides": { "token_type": "mac" } });
    app.provider.set(fields).await;
    let answer = ada.sign_in(&app.provider, "ada").await;
    answer.assert_refused("provider");
    app.expire_access_tokens(1).await;
    ada.get("/api/wallets").await.assert_status(503);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.provider.calls("revoke").await, 0);
    assert_eq!(families(&app).await, 1);
}
