//! A server whose `TOKEN_KEYS` do not open what is stored signs nobody in, changes no row, and says
//! so.

use serde_json::json;

use matrica_starter::engine::seal::Keyring;
use secrecy::ExposeSecret as _;

use crate::support::{Browser, TestApp, eventually};

const ROWS: &str = "select coalesce((select string_agg(grants::text, '' order by id) from grants), '')
                        || coalesce((select string_agg(revocations::text, '' order by grant_id) from revocations), '')";

fn new_key(id: &str) -> String {
    Keyring::generate(id).expose_secret().to_owned()
}

/// Two people with grants, and one whose tokens wait to be revoked.
async fn with_people() -> TestApp {
    let app = TestApp::with(&[("TOKEN_KEYS", &new_key("k1"))]).await;
    for person in ["ada", "collector", "empty"] {
        let mut browser = app.signed_in(person).await;
        if person == "empty" {
            app.provider.fault("revoke", json!({ "status": 503 })).await;
            let answer = browser.post("/settings/disconnect", &[]).await;
            answer.assert_redirect("/settings?done=disconnected");
            app.becomes("select count(*) from revocations where attempts = 1", 1)
                .await;
        }
    }
    app
}

async fn readyz(app: &TestApp) -> (u16, String) {
    let answer = app.browser().get("/readyz").await;
    (answer.status, answer.body)
}

/// A server of this key, which has noticed that it is wrong.
async fn wrong(app: &TestApp, key: &str) -> TestApp {
    let replica = app.replica_with(&[("TOKEN_KEYS", key)]).await;
    eventually("not ready", async || {
        readyz(&replica).await == (503, "TOKEN_KEYS do not open the stored tokens".to_owned())
    })
    .await;
    replica
}

/// A browser at `app` that a proxy leads to `replica`.
fn at(app: &TestApp, replica: &TestApp) -> Browser {
    let mut browser = app.browser();
    browser.origin.clone_from(&replica.url);
    browser
}

async fn start(app: &TestApp, replica: &TestApp) -> u16 {
    let browser = at(app, replica);
    let request = browser.request(reqwest::Method::POST, "/auth/login");
    let request = request.header("origin", &app.url);
    browser.clone().send(request).await.status
}

#[tokio::test]
async fn a_server_with_wrong_keys_is_not_ready_and_changes_no_row() {
    let app = with_people().await;
    for key in [new_key("k1"), new_key("k2")] {
        let mut browser = app.browser();
        let callback = browser.start_and_consent(&app.provider, "ada").await;
        let before = app.text(ROWS).await;
        let replica = wrong(&app, &key).await;
        assert_eq!(start(&app, &replica).await, 503);
        let callback = callback.replace(&app.url, &replica.url);
        let answer = browser.get(&callback).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert_eq!(app.text(ROWS).await, before);
        replica.engine.vault.revoke_soon();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(app.text(ROWS).await, before);
        // The attempt is not burnt, so a server with the right keys still takes the code.
        let callback = callback.replace(&replica.url, &app.url);
        let answer = browser.get(&callback).await;
        answer.assert_redirect("/account");
    }
}

#[tokio::test]
async fn a_server_is_ready_again_when_nothing_is_left_that_it_cannot_open() {
    let app = with_people().await;
    let replica = wrong(&app, &new_key("k2")).await;
    app.sql("delete from grants").await;
    app.sql("delete from revocations").await;
    replica.engine.vault.check_keys().await;
    assert_eq!(readyz(&replica).await.0, 200);
    assert_ne!(start(&app, &replica).await, 503);
}

#[tokio::test]
async fn one_altered_row_stops_no_server_and_a_new_sign_in_replaces_it() {
    let app = with_people().await;
    app.sql(
        "update grants set access_token = set_byte(access_token, octet_length(access_token) - 1, 0)
                 , refresh_token = null where id = (select id from grants order by id limit 1)",
    )
    .await;
    app.engine.vault.check_keys().await;
    assert_eq!(readyz(&app).await.0, 200);
    for person in ["ada", "collector"] {
        let mut browser = app.signed_in(person).await;
        browser.get("/api/wallets").await.assert_status(200);
    }
}

#[tokio::test]
async fn a_grant_of_a_missing_key_is_not_overwritten_before_a_check_finds_it() {
    let app = TestApp::with(&[("TOKEN_KEYS", &new_key("k1"))]).await;
    // It has nothing to object to yet, and looks again in a minute.
    let replica = app.replica_with(&[("TOKEN_KEYS", &new_key("k2"))]).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    app.signed_in("ada").await;
    let before = app.text(ROWS).await;
    let mut browser = app.browser();
    let callback = browser.start_and_consent(&app.provider, "ada").await;
    let answer = browser.get(&callback.replace(&app.url, &replica.url)).await;
    assert_eq!(readyz(&replica).await.0, 200, "the check came too early");
    assert!(
        answer.location().contains("e=unavailable"),
        "{}",
        answer.location()
    );
    assert_eq!(app.text(ROWS).await, before);
}

#[tokio::test]
async fn rows_of_a_missing_key_do_not_hold_up_the_others() {
    let app = with_people().await;
    // Older than all others, and of a key that no server has.
    app.sql("insert into revocations (grant_id, user_id, generation, access_token, due_at, created_at)
             select gen_random_uuid(), gen_random_uuid(), 1, '\\x0102'::bytea || 'kx'::bytea || '\\x00', now() - interval '1 hour', now() - interval '8 days'
             from generate_series(1, 150)")
        .await;
    app.provider.mend().await;
    app.sql("update revocations set due_at = now() where attempts = 1")
        .await;
    app.engine.vault.revoke_soon();
    app.becomes("select count(*) from revocations", 150).await;
    app.becomes("select count(*) from revocations where attempts = 0", 150)
        .await;
}
